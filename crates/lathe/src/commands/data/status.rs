use std::path::Path;

use lathe_data::remote::compare_with_remote;
use lathe_data::{Repo, ops};
use serde_json::{Map, Value, json};

use super::sync::{self, RemoteArgs, Scope};
use super::{Data, ReachArgs, updates};
use crate::commands::Call;
use crate::exit::Outcome;
use crate::revisions::Commits;
use crate::terminal;

/// Which remote the cache is compared with, and for which commits.
#[derive(Debug, Default, clap::Args)]
pub struct CloudOptions {
    /// Compare the cache with a remote.
    #[arg(short, long)]
    cloud: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    commits: Commits,
    /// With `--cloud`: also what the targets are made of, which is always looked at otherwise.
    #[arg(short = 'd', long)]
    with_deps: bool,
}

impl CloudOptions {
    /// Whether a remote is meant.
    pub fn is_wanted(&self) -> bool {
        self.cloud || self.remote.remote.is_some()
    }

    /// The same, for what moves data.
    pub fn scope(&self, recursive: bool) -> Scope {
        Scope {
            remote: self.remote.clone(),
            commits: self.commits,
            reach: ReachArgs::new(self.with_deps, recursive),
            ..Scope::default()
        }
    }
}

/// Compares the cache with a remote.
pub fn cloud(scope: &Scope, targets: &[String], call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    let mut found = std::collections::BTreeMap::new();
    for job in sync::jobs(&data, scope, targets, true)? {
        for (path, state) in compare_with_remote(&data.repo, &job.remote, &job.objects)? {
            found.insert(data.shown(&data.repo.root().join(path)), state.as_str());
        }
    }
    if call.json {
        terminal::print_json(&found)?;
    } else if call.quiet {
        return Ok(if found.is_empty() {
            Outcome::Done
        } else {
            Outcome::Changed
        });
    } else if found.is_empty() {
        tell!("cache and remote are in sync");
    }
    if !call.json {
        for (path, state) in &found {
            let state = format!("{state}:");
            tell!("\t{state:<20}{path}");
        }
    }
    Ok(Outcome::Done)
}

/// Divides targets into those of `.dvc` files and those of pipelines.
pub fn divide(repo: &Repo, targets: &[String], folder: &Path) -> (Vec<String>, Vec<String>) {
    let is_of_data = |target: &&String| {
        let path = folder.join(target);
        let beside = path.with_file_name(format!(
            "{}{}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            lathe_data::SUFFIX
        ));
        target.ends_with(lathe_data::SUFFIX)
            || beside.exists()
            || (path.exists() && path != repo.root().join("dvc.yaml"))
    };
    targets.iter().cloned().partition(|target| is_of_data(&target))
}

/// Whether there is no `.dvc` file.
pub fn tracks_nothing(repo: &Repo) -> anyhow::Result<bool> {
    Ok(lathe_data::collect(repo)?.dvc_files.is_empty())
}

/// How data of `.dvc` files differs from what they say, as `dvc status --json` says it: by file, what changed. With
/// `updates` other repositories are asked whether they have something newer.
pub fn changes(call: &Call, targets: &[String], updates: bool) -> anyhow::Result<Map<String, Value>> {
    let data = Data::open(call)?;
    let mut all = Map::new();
    let places: Vec<_> = targets
        .iter()
        .map(|target| lathe_data::normal_path(&data.folder.join(target)))
        .collect();
    let is_meant = |out: &lathe_data::Tracked| {
        let named = |place: &std::path::PathBuf| *place == out.file || out.at.starts_with(place);
        places.is_empty() || places.iter().any(named)
    };
    for file in data.files.iter().filter(|_| updates) {
        let tracked = lathe_data::Tracked::of_dvc_file(file);
        let Some(out) = tracked.first().filter(|out| is_meant(out)) else {
            continue;
        };
        if let Some(newer) = updates::available(file, &data.folder)? {
            let change = json!([{ "changed deps": { newer: "update available" } }]);
            all.insert(out.address(&data.folder), change);
        }
    }
    for out in data.all.iter().filter(|out| out.stage.is_none()) {
        if !is_meant(out) {
            continue;
        }
        let Some(change) = ops::out_change(&data.repo, out)? else {
            continue;
        };
        let entry = all.entry(out.address(&data.folder)).or_insert_with(|| json!([]));
        let Some(entries) = entry.as_array_mut() else {
            continue;
        };
        if entries
            .last()
            .is_none_or(|last| last.get("changed outs").is_none())
        {
            entries.push(json!({ "changed outs": {} }));
        }
        if let Some(last) = entries.last_mut() {
            last["changed outs"][out.shown(&data.folder)] = change.as_str().into();
        }
    }
    Ok(all)
}

/// As `dvc status` prints it.
pub fn print(changes: &Map<String, Value>) {
    for (file, entries) in changes {
        tell!("{file}:");
        for entry in entries.as_array().into_iter().flatten() {
            for (what, paths) in entry.as_object().into_iter().flatten() {
                tell!("\t{what}:");
                for (path, state) in paths.as_object().into_iter().flatten() {
                    let state = format!("{}:", state.as_str().unwrap_or_default());
                    tell!("\t\t{state:<20}{path}");
                }
            }
        }
    }
}
