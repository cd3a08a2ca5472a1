//! What a pipeline is made of, brought into order before its stages are looked at: data that `.dvc` files track, and with
//! `--pull` whatever is missing here and lies on a remote.

use std::sync::Arc;

use lathe_data::ops::{self, OutChange};
use lathe_data::remote::{self, used_objects};
use lathe_data::{Algorithm, Recorded, Repo, RepoLock, Selected, Tracked};
use lathe_pipeline::{ExecuteOptions, Fetch, Project, Selection, Source};

use crate::commands::Call;
use crate::commands::data::{Data, imports, sync};
use crate::objects;

/// What is done about a source.
pub struct Settled {
    /// The `.dvc` file, relative to the repository.
    pub file: String,
    /// The data, relative to the repository.
    pub path: String,
    /// How the data differs from what the file says.
    pub change: OutChange,
}

impl Settled {
    /// For people.
    pub fn line(&self) -> String {
        let done = match self.change {
            OutChange::Deleted => "restored from the cache",
            OutChange::NotInCache => "put into the cache",
            OutChange::Modified | OutChange::New => "taken as it is now",
        };
        format!(
            "{}: `{}` is {}, {done}",
            self.file,
            self.path,
            self.change.as_str()
        )
    }
}

/// Brings everything that the selected stages are made of into order, under the repository's lock; without it nothing
/// is changed, and it is only said what would be.
pub fn prepare(
    call: &Call,
    repo: &Repo,
    pipelines: &Project,
    options: &mut ExecuteOptions,
    pulls: bool,
    lock: Option<&RepoLock>,
) -> anyhow::Result<Vec<Settled>> {
    if let Some(lock) = lock.filter(|_| pulls) {
        let data = Data::under(lock, &call.folder)?;
        let count = pull(&data, pipelines, &options.selection, options.run_cache)?;
        if 0 < count && !call.json {
            tell!("{count} files fetched");
        }
        options.fetch = Some(fetcher(repo)?);
    }
    if !options.commit {
        return Ok(Vec::new());
    }
    settle(repo, pipelines, &options.selection, lock)
}

/// Takes changed data of the sources for what they track, as `commit` does, and restores what is not there. What
/// the cache does not hold either is left to the stages that miss it.
fn settle(
    repo: &Repo,
    project: &Project,
    selection: &Selection,
    lock: Option<&RepoLock>,
) -> anyhow::Result<Vec<Settled>> {
    let mut settled = Vec::new();
    for source in project.sources_of(selection)? {
        let tracked = Tracked::of_dvc_file(&source.file);
        let mut is_changed = false;
        for (out, path) in tracked.iter().zip(&source.outs) {
            let Some(change) = ops::out_change(repo, out)? else {
                continue;
            };
            let is_here = out.at.exists();
            if !is_here && (change != OutChange::Deleted || out.recorded.is_none()) {
                continue;
            }
            settled.push(Settled {
                file: source.path.clone(),
                path: path.clone(),
                change,
            });
            let Some(lock) = lock else {
                continue;
            };
            lock.refuse_busy(&[&out.at])?;
            match &out.recorded {
                Some(recorded) if !is_here => ops::restore(repo, recorded, &out.at)?,
                _ => is_changed = true,
            }
        }
        if is_changed {
            ops::commit(repo, &source.file, true, true)?;
        }
    }
    Ok(settled)
}

/// Brings what the selected stages need or made last, and is not here, from the remotes; with `run_cache` also what is
/// known of earlier executions.
fn pull(data: &Data, project: &Project, selection: &Selection, run_cache: bool) -> anyhow::Result<usize> {
    let repo = &data.repo;
    let scope = sync::Scope::default();
    let mut count = 0;
    if run_cache {
        let remote = scope.remote.open(data)?;
        count += match remote::fetch_run_cache(repo, &remote) {
            // There is nothing to find then.
            Err(lathe_data::Error::NotListable { .. }) => 0,
            fetched => fetched?,
        };
    }
    let selected = project.select(selection)?;
    let stages: Vec<_> = selected.iter().map(|index| &project.stages()[*index]).collect();
    let sources = project.sources_of(selection)?;
    let is_made = |out: &Tracked| {
        let of_stage = |stage: &&lathe_pipeline::Stage| {
            out.stage.as_deref() == Some(stage.name.as_str()) && out.file == repo.root().join(&*stage.file)
        };
        stages.iter().any(of_stage)
    };
    let is_source = |out: &Tracked| {
        let of_source = |source: &&Source| source.file.path() == out.file;
        out.stage.is_none() && sources.iter().any(of_source)
    };
    let is_needed = |out: &Tracked| {
        let mut deps = stages.iter().flat_map(|stage| &stage.deps);
        deps.any(|dep| {
            let at = repo.root().join(&dep.at);
            !at.exists() && (at.starts_with(&out.at) || out.at.starts_with(&at))
        })
    };
    let mut wanted = Vec::new();
    let mut restored = Vec::new();
    for out in data
        .all
        .iter()
        .filter(|out| out.is_cached && out.recorded.is_some())
    {
        let made = is_made(out);
        if !made && !is_source(out) && !is_needed(out) {
            continue;
        }
        let target = match &out.stage {
            Some(stage) => format!("{}:{stage}", out.file.display()),
            None => out.file.display().to_string(),
        };
        wanted.push(target);
        if !made && !out.at.exists() {
            restored.push(out);
        }
    }
    if wanted.is_empty() {
        return Ok(count);
    }
    let jobs = sync::jobs(data, &scope, &wanted, false)?;
    count += sync::fetch(data, &scope, jobs, false)?.count;
    count += imports::fetch(data, &scope, &wanted)?.count;
    for out in restored {
        if let Some(recorded) = &out.recorded
            && repo.cache().of(recorded.algorithm).holds(&recorded.md5)?
        {
            ops::restore(repo, recorded, &out.at)?;
        }
    }
    Ok(count)
}

/// Looks for what earlier executions made on the default remote.
fn fetcher(repo: &Repo) -> anyhow::Result<Fetch> {
    let settings = remote::find_remote(repo, None)?;
    let remote = crate::commands::data::stores::open(&settings, None)?;
    let repo = repo.clone();
    Ok(Fetch(Arc::new(move |outs| {
        let tracked: Vec<Tracked> = outs
            .iter()
            .map(|(path, hashed)| objects::tracked(&repo, path, Recorded::new(hashed)))
            .collect();
        let selected: Vec<Selected<'_>> = tracked.iter().map(|out| Selected { out, within: None }).collect();
        let fetched = used_objects(&repo, &selected, Algorithm::Md5, Some(&remote))
            .and_then(|objects| remote::fetch(&repo, &remote, &objects));
        if let Err(error) = fetched {
            // The stage is executed then.
            tracing::warn!(%error, "what an earlier execution made could not be fetched");
        }
    })))
}
