use serde_json::json;

use super::Call;
use crate::exit::Outcome;
use crate::terminal;

/// Print where the project's root is, seen from here.
///
/// Examples:
///   cd "$(lathe root)"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Prints it.
pub fn execute(_: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let repo = lathe_data::Repo::discover(&call.folder)?;
    let folder = std::fs::canonicalize(&call.folder)?;
    let shown = lathe_data::relative_path(repo.root(), &folder);
    match call.json {
        true => terminal::print_json(&json!({ "root": shown }))?,
        false => println!("{shown}"),
    }
    Ok(Outcome::Done)
}
