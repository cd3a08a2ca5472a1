use std::io::IsTerminal;

use lathe_data::ops;
use serde_json::json;

use super::{Data, ReachArgs};
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Take the data that is in the workspace for what its `.dvc` files track, and keep it in the cache.
///
/// Examples:
///   lathe commit                    everything that `.dvc` files track
///   lathe commit -f images.dvc      what changed, without asking
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
    let data = Data::open(call)?;
    let selected = data.select(&args.targets, args.reach.selection())?;
    let _lock = data.lock()?;
    if !args.force {
        let mut changed = Vec::new();
        for selected in &selected {
            match ops::out_change(&data.repo, selected.out)? {
                None | Some(ops::OutChange::NotInCache) => {}
                Some(change) => changed.push(format!(
                    "{} ({})",
                    selected.out.shown(&data.folder),
                    change.as_str()
                )),
            }
        }
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
    for selected in selected
        .iter()
        .filter(|selected| selected.out.stage.is_some() && selected.out.is_cached)
    {
        if !ops::commit_to_cache(&data.repo, selected.out)? {
            return Err(hinted(
                format!(
                    "`{}` is not what `dvc.lock` says",
                    selected.out.shown(&data.folder)
                ),
                "bring its stage up to date with `lathe run`",
            ));
        }
        committed.push(selected.out.address(&data.folder));
    }
    if call.json {
        terminal::print_json(&json!({ "committed": committed }))?;
    }
    Ok(Outcome::Done)
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
