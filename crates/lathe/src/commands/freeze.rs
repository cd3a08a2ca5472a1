use lathe_pipeline::{Project, Selection};
use serde_json::json;

use super::Call;
use super::selection::folder_of_pipeline;
use crate::exit::Outcome;
use crate::terminal;

/// Keep stages from being executed, whatever changes: `frozen: true` in dvc.yaml.
///
/// Examples:
///   lathe freeze download
///   lathe unfreeze download
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Stages.
    #[arg(required = true)]
    targets: Vec<String>,
}

/// Freezes stages, or thaws them.
pub fn execute(args: Args, call: &Call, frozen: bool) -> anyhow::Result<Outcome> {
    let repo = lathe_data::Repo::discover(&call.folder)?;
    let project = Project::load(&repo)?;
    let selection = Selection {
        folder: folder_of_pipeline(call, repo.root(), &args.targets),
        targets: args.targets,
        ..Selection::default()
    };
    let changed = lathe_pipeline::set_frozen(&repo, &project, &selection, frozen)?;
    if call.json {
        terminal::print_json(&json!({ "frozen": frozen, "changed": changed }))?;
    } else {
        let word = if frozen { "froze" } else { "thawed" };
        for stage in &changed {
            println!("{word} {stage}");
        }
        if changed.is_empty() {
            println!("nothing to change");
        }
    }
    Ok(Outcome::Done)
}
