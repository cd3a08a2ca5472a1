use std::io::IsTerminal;

use lathe_data::{Selected, ops};
use lathe_pipeline::{Project, Stage};
use serde_json::json;

use super::{Data, ReachArgs};
use crate::commands::Call;
use crate::commands::selection::folder_of_pipeline;
use crate::exit::{Outcome, hinted};
use crate::{external, terminal};

/// Take the data that is in the workspace for what its `.dvc` files track and its stages made, and keep it in the cache.
///
/// Of a stage inputs and outputs count as they are: nothing is executed.
///
/// Examples:
///   lathe commit                    everything
///   lathe commit -f images.dvc      what changed, without asking
///   lathe commit -f train           dvc.lock as if `train` had just been executed
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// `.dvc` files, outputs, stages; everything if absent.
    targets: Vec<String>,
    /// Do not ask before changed data is taken.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    reach: ReachArgs,
    /// Leave the files as they are, whatever `cache.type` says.
    #[arg(long)]
    no_relink: bool,
}

/// Commits what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let pipelines = match lathe_data::pipeline_files(&data.repo)?.is_empty() {
        true => None,
        false => Some(Project::load(&data.repo)?.reaching(external::reach(&data.repo))),
    };
    let (selected, unlocked) = selected(&args, &data, pipelines.as_ref(), call)?;
    let stages = match &pipelines {
        Some(pipelines) => stages_of(&data, pipelines, &selected, &unlocked)?,
        None => Vec::new(),
    };
    if !args.force {
        let changed = changes(&data, &selected, pipelines.as_ref(), &stages)?;
        if !changed.is_empty() && !confirmed(&changed)? {
            return Err(hinted(
                format!("changed data is not taken without asking: {}", changed.join(", ")),
                "use `--force` to take it",
            ));
        }
    }
    let mut committed = Vec::new();
    for file in &data.files {
        if !selected.iter().any(|selected| selected.out.file == file.path()) {
            continue;
        }
        if file.outs().iter().any(|out| out.is_cached()) {
            ops::commit(&data.repo, file, false, !args.no_relink)?;
            committed.push(data.shown(file.path()));
        }
    }
    if let Some(pipelines) = &pipelines {
        lathe_pipeline::commit_stages(&data.repo, pipelines, &stages)?;
        let taken = stages.iter().map(|index| &pipelines.stages()[*index]);
        super::autostage(&data.repo, &super::written_by(&data.repo, taken.clone()))?;
        committed.extend(taken.map(Stage::address));
    }
    if call.json {
        terminal::print_json(&json!({ "committed": committed }))?;
    }
    Ok(Outcome::Done)
}

/// What the targets mean, and stages of which the lock says nothing yet.
fn selected<'a>(
    args: &Args,
    data: &'a Data,
    pipelines: Option<&Project>,
    call: &Call,
) -> anyhow::Result<(Vec<Selected<'a>>, Vec<usize>)> {
    if args.targets.is_empty() {
        return Ok((data.select(&[], args.reach.selection())?, Vec::new()));
    }
    let (mut selected, mut unlocked) = (Vec::new(), Vec::new());
    for target in &args.targets {
        match data.select(std::slice::from_ref(target), args.reach.selection()) {
            Ok(found) => selected.extend(found),
            Err(error) => {
                let targets = vec![target.clone()];
                let selection = lathe_pipeline::Selection {
                    folder: folder_of_pipeline(call, data.repo.root(), &targets),
                    targets,
                    ..Default::default()
                };
                match pipelines.map(|pipelines| pipelines.targets(&selection)) {
                    Some(Ok(found)) if !found.is_empty() => unlocked.extend(found),
                    _ => return Err(error),
                }
            }
        }
    }
    Ok((selected, unlocked))
}

/// Whether a stage made some data.
fn made(data: &Data, stage: &Stage, selected: &Selected<'_>) -> bool {
    selected.out.stage.as_deref() == Some(stage.name.as_str())
        && selected.out.file == data.repo.root().join(&*stage.file)
}

/// What is not as it is written down, for people.
fn changes(
    data: &Data,
    selected: &[Selected<'_>],
    pipelines: Option<&Project>,
    stages: &[usize],
) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    let mut changed = Vec::new();
    for selected in selected {
        match ops::out_change(&data.repo, selected.out)? {
            None | Some(ops::OutChange::NotInCache) => {}
            Some(change) => {
                told.push(format!(
                    "{} ({})",
                    selected.out.shown(&data.folder),
                    change.as_str()
                ));
                changed.push(selected);
            }
        }
    }
    for (pipelines, index) in pipelines
        .into_iter()
        .flat_map(|all| stages.iter().map(move |at| (all, *at)))
    {
        let stage = &pipelines.stages()[index];
        let is_told = changed.iter().any(|selected| made(data, stage, selected));
        if !is_told && lathe_pipeline::differs_from_lock(&data.repo, pipelines, index)? {
            told.push(format!("{} (its inputs)", stage.address()));
        }
    }
    Ok(told)
}

/// The stages that made what is selected, and those named beside it, in the order of their dependencies.
fn stages_of(
    data: &Data,
    pipelines: &Project,
    selected: &[Selected<'_>],
    unlocked: &[usize],
) -> anyhow::Result<Vec<usize>> {
    let all = lathe_pipeline::Selection {
        all: true,
        ..Default::default()
    };
    let is_meant = |index: &usize| {
        let stage = &pipelines.stages()[*index];
        unlocked.contains(index) || selected.iter().any(|selected| made(data, stage, selected))
    };
    let ordered = pipelines.select(&all)?;
    Ok(ordered.into_iter().filter(is_meant).collect())
}

fn confirmed(changed: &[String]) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!(
        "{} changed. Take the data as it is now? [y/n] ",
        changed.join(", ")
    );
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
