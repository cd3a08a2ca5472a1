use lathe_data::ops;
use lathe_pipeline::{Project, Selection};
use serde_json::json;

use super::Data;
use crate::commands::Call;
use crate::commands::selection::folder_of_pipeline;
use crate::exit::Outcome;
use crate::terminal;

/// Stop tracking data: remove its `.dvc` file. The data stays, unless `--outs` is given. A stage is taken out of its pipeline.
///
/// Examples:
///   lathe remove images.dvc
///   lathe remove train                 a stage of dvc.yaml
///   lathe remove --outs images.dvc     and the data with it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// `.dvc` files, or what they track; stages.
    #[arg(required = true)]
    targets: Vec<String>,
    /// Also remove the data from the workspace; the cache keeps it.
    #[arg(long)]
    outs: bool,
}

/// Removes what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let mut files = Vec::new();
    let mut stages = Vec::new();
    for target in &args.targets {
        match data.file(target) {
            Ok(file) => files.push(file),
            Err(error) => stages.push(stage(target, call, error)?),
        }
    }
    let mut changed = Vec::new();
    for file in files {
        ops::remove(&data.repo, file, args.outs)?;
        changed.push(file.path().to_owned());
        changed.push(file.path().with_file_name(".gitignore"));
    }
    for target in &stages {
        // Each changes the file that the next is found in.
        let pipelines = Project::load(&data.repo)?;
        let index = pipelines
            .stages()
            .iter()
            .position(|stage| stage.address() == *target);
        if let Some(index) = index {
            let stage = std::iter::once(&pipelines.stages()[index]);
            changed.extend(super::written_by(&data.repo, stage));
            changed.push(data.repo.root().join(&*pipelines.stages()[index].file));
            lathe_pipeline::remove_stage(&data.repo, &pipelines, index, args.outs)?;
        }
    }
    if call.json {
        terminal::print_json(&json!({ "removed": args.targets }))?;
    }
    data.stage(&changed, true)?;
    Ok(Outcome::Done)
}

/// The stage that a target names, by its address from the root; `otherwise` if it looks like none.
fn stage(target: &str, call: &Call, otherwise: anyhow::Error) -> anyhow::Result<String> {
    if lathe_pipeline::is_source(target) {
        return Err(otherwise);
    }
    let repo = lathe_data::Repo::discover(&call.folder)?;
    if lathe_data::pipeline_files(&repo)?.is_empty() {
        return Err(otherwise);
    }
    let project = Project::load(&repo)?;
    let targets = vec![target.to_owned()];
    let selection = Selection {
        folder: folder_of_pipeline(call, repo.root(), &targets),
        targets,
        ..Selection::default()
    };
    match project.targets(&selection)?.as_slice() {
        [only] => Ok(project.stages()[*only].address()),
        found => Err(crate::exit::hinted(
            format!("`{target}` means {} stages", found.len()),
            "name one: `lathe stage list` shows them",
        )),
    }
}
