use lathe_types::users::Token;
use serde_json::{Value, json};

use super::Call;
use crate::exit::Outcome;
use crate::terminal::{self, Style, paint};

/// Tokens by which programs log in: `LATHE_TOKEN`, `MLFLOW_TRACKING_TOKEN`, or as a password.
///
/// A token is shown once; the server keeps only its digest.
///
/// Examples:
///   lathe token create laptop                                  mine, for 90 days
///   lathe token create ci --user ci --service --scope read --scope write
///   lathe token create app --user app --service --scope inference --expires-in 365d
///   lathe token list
///   lathe token revoke 7
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Make a token and print it.
    ///
    /// Examples:
    ///   lathe token create laptop --expires-in 30d
    ///   lathe token create app --user app --service --scope inference
    #[command(verbatim_doc_comment)]
    Create {
        /// What to call it.
        name: String,
        /// Whose it is; yours if absent.
        #[arg(long)]
        user: Option<String>,
        /// For a service: it does not expire unless `--expires-in` is said.
        #[arg(long)]
        service: bool,
        /// What it is for: read, write, inference, admin; several times. All but admin if absent.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// For how long it is good, as `30d`.
        #[arg(long, value_name = "SPAN")]
        expires_in: Option<String>,
    },
    /// Show tokens, without what opens doors.
    ///
    /// Examples:
    ///   lathe token list --all
    #[command(verbatim_doc_comment)]
    List {
        /// Whose; yours if absent.
        #[arg(long)]
        user: Option<String>,
        /// Everybody's.
        #[arg(long, conflicts_with = "user")]
        all: bool,
    },
    /// Make a token useless at once.
    ///
    /// Examples:
    ///   lathe token revoke 7
    #[command(verbatim_doc_comment)]
    Revoke {
        /// Its number, as `list` shows it.
        id: i64,
    },
}

/// Acts on tokens.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let client = call.client_to_write()?;
    match args.act {
        Act::Create {
            name,
            user,
            service,
            scopes,
            expires_in,
        } => {
            let body = json!({
                "username": user,
                "name": name,
                "kind": if service { "service" } else { "personal" },
                "scopes": (!scopes.is_empty()).then_some(scopes),
                "expires_in": expires_in,
            });
            let made: Value = client.post("/api/v1/tokens", &body)?;
            if call.json {
                terminal::print_json(&made)?;
            } else {
                println!("{}", made["token"].as_str().unwrap_or_default());
                eprintln!("{}", paint("it is not shown again", Style::Faint));
            }
        }
        Act::List { user, all } => {
            let user = if all { Some("*".to_owned()) } else { user };
            let query = user.map(|user| format!("?username={}", crate::client::segment(&user)));
            let path = format!("/api/v1/tokens{}", query.unwrap_or_default());
            let found: Value = client.get(&path)?;
            let tokens: Vec<Token> = serde_json::from_value(found["tokens"].clone())?;
            if call.json {
                terminal::print_json(&tokens)?;
            } else {
                let rows: Vec<Vec<String>> = tokens.into_iter().map(row).collect();
                println!(
                    "{}",
                    terminal::table(&["id", "user", "name", "kind", "scopes", "expires"], &rows)
                );
            }
        }
        Act::Revoke { id } => {
            client.delete(&format!("/api/v1/tokens/{id}"))?;
            if call.json {
                terminal::print_json(&json!({ "revoked": id }))?;
            } else {
                println!("token {id} opens nothing any more");
            }
        }
    }
    Ok(Outcome::Done)
}

fn row(token: Token) -> Vec<String> {
    let scopes: Vec<String> = token
        .scopes
        .iter()
        .map(|scope| format!("{scope:?}").to_lowercase())
        .collect();
    let expires = token
        .expires_at
        .map_or_else(|| "never".to_owned(), |at| at.to_string());
    vec![
        token.id.to_string(),
        token.username,
        token.name,
        token.kind,
        scopes.join(" "),
        expires,
    ]
}
