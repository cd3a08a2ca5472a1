use std::io::Read;

use anyhow::Context as _;
use lathe_types::users::User;
use serde_json::{Value, json};

use super::Call;
use crate::client::segment;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Users of a server with `--auth`: who they are and what they may do.
///
/// A user's role is about Lathe's own API: viewer, editor (runs pipelines, deploys what passed its gate), approver,
/// admin. Experiments and models have permissions: `lathe permission`.
///
/// Examples:
///   lathe user create ann --role editor < password.txt
///   lathe user create ci --no-password               a service, which only has tokens
///   lathe user set-admin ann
///   lathe user list
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Make a user; the password is read from standard input, or from LATHE_NEW_PASSWORD.
    ///
    /// Examples:
    ///   LATHE_NEW_PASSWORD=… lathe user create ann --role editor
    ///   lathe user create ci --no-password
    #[command(verbatim_doc_comment)]
    Create {
        /// Its name.
        name: String,
        /// viewer, editor, approver or admin.
        #[arg(long, default_value = "viewer")]
        role: String,
        /// Make a user that only has tokens.
        #[arg(long)]
        no_password: bool,
    },
    /// Show every user.
    ///
    /// Examples:
    ///   lathe user list
    #[command(verbatim_doc_comment)]
    List,
    /// Remove a user with its tokens and permissions.
    ///
    /// Examples:
    ///   lathe user delete ann
    #[command(verbatim_doc_comment)]
    Delete {
        /// Its name.
        name: String,
    },
    /// Give a user another password, read as `create` reads it. Its sessions end.
    ///
    /// Examples:
    ///   lathe user set-password ann < password.txt
    #[command(verbatim_doc_comment)]
    SetPassword {
        /// Its name.
        name: String,
    },
    /// Give a user another role.
    ///
    /// Examples:
    ///   lathe user set-role ann approver
    #[command(verbatim_doc_comment)]
    SetRole {
        /// Its name.
        name: String,
        /// viewer, editor, approver or admin.
        role: String,
    },
    /// Make a user an administrator, or with `--no` no longer.
    ///
    /// Examples:
    ///   lathe user set-admin ann
    ///   lathe user set-admin ann --no
    #[command(verbatim_doc_comment)]
    SetAdmin {
        /// Its name.
        name: String,
        /// Make it none.
        #[arg(long)]
        no: bool,
    },
}

/// Acts on users.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let client = call.client_to_write()?;
    let path = |name: &str| format!("/api/v1/users/{}", segment(name));
    let user: User = match args.act {
        Act::Create {
            name,
            role,
            no_password,
        } => {
            let mut body = json!({ "username": name, "role": role });
            if !no_password {
                body["password"] = Value::from(password()?);
            }
            client.post("/api/v1/users", &body)?
        }
        Act::List => {
            let found: Value = client.get("/api/v1/users")?;
            let users: Vec<User> = serde_json::from_value(found["users"].clone())?;
            if call.json {
                terminal::print_json(&users)?;
            } else {
                let rows: Vec<Vec<String>> = users
                    .into_iter()
                    .map(|user| {
                        let logs_in = if user.has_password {
                            "password"
                        } else {
                            "tokens only"
                        };
                        vec![user.username, user.role.to_string(), logs_in.into()]
                    })
                    .collect();
                println!("{}", terminal::table(&["user", "role", "logs in with"], &rows));
            }
            return Ok(Outcome::Done);
        }
        Act::Delete { name } => {
            client.delete(&path(&name))?;
            if call.json {
                terminal::print_json(&json!({ "deleted": name }))?;
            } else {
                println!("`{name}` is no user any more");
            }
            return Ok(Outcome::Done);
        }
        Act::SetPassword { name } => client.patch(&path(&name), &json!({ "password": password()? }))?,
        Act::SetRole { name, role } => client.patch(&path(&name), &json!({ "role": role }))?,
        Act::SetAdmin { name, no } => {
            let role = if no { "viewer" } else { "admin" };
            client.patch(&path(&name), &json!({ "role": role }))?
        }
    };
    if call.json {
        terminal::print_json(&user)?;
    } else {
        println!("`{}` is {}", user.username, user.role);
    }
    Ok(Outcome::Done)
}

/// From the variable or standard input; never from the command line, where others could read it.
fn password() -> anyhow::Result<String> {
    if let Ok(password) = std::env::var("LATHE_NEW_PASSWORD") {
        return Ok(password);
    }
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(hinted(
            "there is no password",
            "pipe it in: `lathe user create NAME < file`, or set LATHE_NEW_PASSWORD",
        ));
    }
    let mut text = String::new();
    std::io::stdin()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .context("the password cannot be read from standard input")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
