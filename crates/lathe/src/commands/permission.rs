use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::client::{Client, segment};
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// What a user may do with one experiment, model or prompt, or with all of a kind.
///
/// Levels: READ, USE, EDIT, MANAGE, each with those before it; DENY beats them all.
///
/// Examples:
///   lathe permission grant ann experiment/3 EDIT
///   lathe permission grant ann model/bike-demand MANAGE
///   lathe permission grant ci 'experiment/*' EDIT
///   lathe permission revoke ann experiment/3
///   lathe permission list ann
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Allow something, or with DENY forbid it. What was granted on the thing before is replaced.
    ///
    /// Examples:
    ///   lathe permission grant ann model/bike-demand MANAGE
    ///   lathe permission grant ci 'experiment/*' EDIT
    #[command(verbatim_doc_comment)]
    Grant {
        /// The user.
        user: String,
        /// `experiment/ID`, `model/NAME`, `prompt/NAME`; `*` for all of a kind.
        on: String,
        /// READ, USE, EDIT, MANAGE or DENY.
        level: String,
    },
    /// Take back what was granted on a thing.
    ///
    /// Examples:
    ///   lathe permission revoke ann experiment/3
    #[command(verbatim_doc_comment)]
    Revoke {
        /// The user.
        user: String,
        /// As in `grant`.
        on: String,
    },
    /// Show what a user holds.
    ///
    /// Examples:
    ///   lathe permission list ann
    #[command(verbatim_doc_comment)]
    List {
        /// The user.
        user: String,
    },
}

#[derive(Deserialize)]
struct Held {
    role_name: String,
    resource_type: String,
    resource_pattern: String,
    permission: String,
}

/// Acts on permissions.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let client = call.client_to_write()?;
    match args.act {
        Act::Grant { user, on, level } => {
            let (resource, id) = thing(&on)?;
            let held = held(&client, &user)?;
            let before = held.iter().any(|held| {
                held.role_name.starts_with("__user_")
                    && held.resource_type == resource
                    && held.resource_pattern == id
            });
            if before {
                revoke(&client, &user, resource, id)?;
            }
            let body = json!({
                "username": user, "resource_type": resource, "resource_id": id, "permission": level.to_uppercase(),
            });
            client.post::<Value>("/api/3.0/mlflow/users/permissions/grant", &body)?;
            tell(call, &format!("`{user}` has {} on {on}", level.to_uppercase()))?;
        }
        Act::Revoke { user, on } => {
            let (resource, id) = thing(&on)?;
            revoke(&client, &user, resource, id)?;
            tell(call, &format!("`{user}` has what everybody has on {on}"))?;
        }
        Act::List { user } => {
            let held = held(&client, &user)?;
            let rows: Vec<Vec<String>> = held
                .into_iter()
                .map(|held| {
                    let by = match held.role_name.starts_with("__user_") {
                        true => "directly".to_owned(),
                        false => format!("role {}", held.role_name),
                    };
                    vec![
                        format!("{}/{}", held.resource_type, held.resource_pattern),
                        held.permission,
                        by,
                    ]
                })
                .collect();
            if call.json {
                terminal::print_json(&rows)?;
            } else {
                println!("{}", terminal::table(&["on", "level", "by"], &rows));
            }
        }
    }
    Ok(Outcome::Done)
}

fn held(client: &Client, user: &str) -> anyhow::Result<Vec<Held>> {
    let path = format!(
        "/api/3.0/mlflow/users/permissions/list?username={}",
        segment(user)
    );
    let found: Value = client.get(&path)?;
    Ok(serde_json::from_value(found["permissions"].clone())?)
}

fn revoke(client: &Client, user: &str, resource: &str, id: &str) -> anyhow::Result<()> {
    let body = json!({ "username": user, "resource_type": resource, "resource_id": id });
    client
        .post::<Value>("/api/3.0/mlflow/users/permissions/revoke", &body)
        .map(drop)
}

fn tell(call: &Call, text: &str) -> anyhow::Result<()> {
    if call.json {
        return terminal::print_json(&json!({ "done": text }));
    }
    println!("{text}");
    Ok(())
}

/// `model/NAME` is short for `registered_model/NAME`.
fn thing(on: &str) -> anyhow::Result<(&str, &str)> {
    let (kind, id) = on.split_once('/').ok_or_else(|| {
        hinted(
            format!("`{on}` names no thing"),
            "write `experiment/3`, `model/NAME`, `prompt/NAME` or `experiment/*`",
        )
    })?;
    Ok((if kind == "model" { "registered_model" } else { kind }, id))
}
