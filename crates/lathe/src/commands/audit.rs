use lathe_types::audit::AuditEntry;
use serde::Deserialize;

use super::Call;
use crate::client::segment;
use crate::exit::Outcome;
use crate::terminal;

/// Show the audit log: who changed what, when, from where, and how it ended. The newest come first.
///
/// Examples:
///   lathe audit
///   lathe audit --who ann --outcome denied
///   lathe audit --subject experiment/3 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Of this user.
    #[arg(long)]
    who: Option<String>,
    /// Whose action holds this text.
    #[arg(long)]
    action: Option<String>,
    /// About this thing, as `experiment/3`, `run/…`, `model/NAME`.
    #[arg(long)]
    subject: Option<String>,
    /// That ended like this: `done`, `denied`, `failed 404`.
    #[arg(long)]
    outcome: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<AuditEntry>,
    next_page_token: Option<String>,
}

/// Prints the log.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let client = call.client()?;
    let filters = [
        ("who", &args.who),
        ("action", &args.action),
        ("subject", &args.subject),
        ("outcome", &args.outcome),
    ];
    let filters: String = filters
        .iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", segment(value.as_deref()?))))
        .collect();
    let mut entries = Vec::new();
    let mut token: Option<String> = None;
    while entries.len() < args.limit {
        let wanted = (args.limit - entries.len()).min(1_000);
        let after = token.map(|token| format!("&page_token={}", segment(&token)));
        let path = format!(
            "/api/v1/audit?limit={wanted}{filters}{}",
            after.unwrap_or_default()
        );
        let page: Page = client.get(&path)?;
        entries.extend(page.entries);
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    if call.json {
        terminal::print_json(&entries)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = entries
        .into_iter()
        .map(|entry| {
            vec![
                entry.at.to_string(),
                entry.who,
                entry.action,
                entry.subject,
                entry.outcome,
                entry.source,
            ]
        })
        .collect();
    println!(
        "{}",
        terminal::table(&["when", "who", "action", "subject", "outcome", "from"], &rows)
    );
    Ok(Outcome::Done)
}
