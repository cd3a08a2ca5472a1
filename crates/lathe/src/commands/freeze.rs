use lathe_data::RepoLock;
use lathe_pipeline::{Project, Selection};
use serde_json::json;

use super::Call;
use super::data::Data;
use super::selection::folder_of_pipeline;
use crate::exit::Outcome;
use crate::terminal;

/// Keep stages from being executed, whatever changes: `frozen: true` in dvc.yaml. A `.dvc` file can be frozen too.
///
/// Examples:
///   lathe freeze download
///   lathe unfreeze download
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Stages, and `.dvc` files.
    #[arg(required = true)]
    targets: Vec<String>,
}

/// Freezes stages, or thaws them.
pub fn execute(args: Args, call: &Call, frozen: bool) -> anyhow::Result<Outcome> {
    let repo = lathe_data::Repo::discover(&call.folder)?;
    let lock = RepoLock::acquire(&repo)?;
    let (files, targets): (Vec<String>, Vec<String>) = args
        .targets
        .into_iter()
        .partition(|target| lathe_pipeline::is_source(target));
    let mut changed = Vec::new();
    let mut written = Vec::new();
    if !files.is_empty() {
        let data = Data::under(&lock, &call.folder)?;
        for file in data.files_named(&files)? {
            if file.is_frozen() != frozen {
                let mut file = file.clone();
                file.set_frozen(frozen);
                file.save()?;
                changed.push(data.shown(file.path()));
                written.push(file.path().to_owned());
            }
        }
    }
    if !targets.is_empty() {
        let project = Project::load(&repo)?;
        written.extend(project.files().iter().map(|file| repo.root().join(&*file.path)));
        let selection = Selection {
            folder: folder_of_pipeline(call, repo.root(), &targets),
            targets,
            ..Selection::default()
        };
        changed.extend(lathe_pipeline::set_frozen(&repo, &project, &selection, frozen)?);
    }
    if !changed.is_empty() {
        super::data::autostage(&repo, &written)?;
    }
    if call.json {
        terminal::print_json(&json!({ "frozen": frozen, "changed": changed }))?;
    } else {
        let word = if frozen { "froze" } else { "thawed" };
        for stage in &changed {
            tell!("{word} {stage}");
        }
        if changed.is_empty() {
            tell!("nothing to change");
        }
    }
    Ok(Outcome::Done)
}
