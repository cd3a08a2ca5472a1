//! Objects by hash on their way: into the cache, to a remote, and back. Which files they belong to is the caller's to know.

use std::path::Path;

use anyhow::Context;
use lathe_data::remote::{self, Objects, Remote, find_remote, used_objects};
use lathe_data::{Algorithm, Hashed, Recorded, Repo, Selected, Tracked};
use lathe_types::steps::StepFile;

use crate::commands::data::stores;
use crate::exit::hinted;

/// Hashes what is at a path, relative to the repository, and keeps it in the cache; nothing if there is nothing.
pub fn keep(repo: &Repo, path: &str, is_data: bool) -> anyhow::Result<Vec<StepFile>> {
    let at = repo.root().join(path);
    let Some(content) = lathe_data::hash_path(repo, &at)? else {
        return Ok(Vec::new());
    };
    repo.cache().save(&content, &at)?;
    let Hashed {
        md5,
        size,
        nfiles,
        is_exec,
    } = content.hashed;
    let mut files = vec![StepFile {
        path: path.to_owned(),
        md5,
        size,
        nfiles,
        is_exec,
        is_data,
    }];
    // The list of a folder does not say which of its files are programs.
    for entry in content.tree.iter().flat_map(|tree| tree.entries()) {
        let file = at.join(&entry.relpath);
        if !is_data && is_program(&file)? {
            files.push(StepFile {
                path: format!("{path}/{}", entry.relpath),
                md5: entry.md5.clone(),
                size: 0,
                nfiles: None,
                is_exec: true,
                is_data,
            });
        }
    }
    Ok(files)
}

fn is_program(path: &Path) -> anyhow::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    Ok(meta.permissions().mode() & 0o100 != 0)
}

/// Sends what the cache holds and the remote does not.
pub fn send(repo: &Repo, remote: &Remote, files: &[StepFile]) -> anyhow::Result<()> {
    let objects = objects(repo, files, None)?;
    let sent = remote::push(repo, remote, &objects)?;
    match sent.missing.first() {
        None => Ok(()),
        Some(first) => Err(hinted(
            format!("`{first}` is not in the cache any more"),
            "look whether another process removes objects from the cache",
        )),
    }
}

/// Brings what the cache does not hold.
pub fn bring(repo: &Repo, remote: &Remote, files: &[StepFile]) -> anyhow::Result<()> {
    let mut absent = Vec::new();
    for file in files {
        if !repo.cache().holds(&file.md5)? {
            absent.push(file.clone());
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let objects = objects(repo, &absent, Some(remote))?;
    let brought = remote::fetch(repo, remote, &objects)?;
    match brought.missing.first() {
        None => Ok(()),
        Some(first) => Err(hinted(
            format!("remote `{}` does not hold `{first}`", remote.name),
            "let `lathe run` and its workers use the same remote: `lathe remote list` shows it",
        )),
    }
}

/// Brings objects into the cache that some remote of the repository holds, the default one first; says which of them
/// none did. A remote that cannot be asked is told and passed over.
pub fn find(repo: &Repo, files: &[StepFile]) -> anyhow::Result<Vec<StepFile>> {
    let mut absent = Vec::new();
    for file in files {
        if !repo.cache().holds(&file.md5)? {
            absent.push(file.clone());
        }
    }
    if absent.is_empty() {
        return Ok(absent);
    }
    for name in remotes(repo) {
        let settings = find_remote(repo, Some(&name))?;
        let brought = stores::open(&settings, None).and_then(|remote| {
            let objects = objects(repo, &absent, Some(&remote))?;
            Ok(remote::fetch(repo, &remote, &objects)?)
        });
        if let Err(error) = brought {
            tracing::warn!(
                error = format!("{error:#}"),
                remote = name,
                "a remote could not be asked"
            );
        }
        let mut still = Vec::new();
        for file in absent {
            if !repo.cache().holds(&file.md5)? {
                still.push(file);
            }
        }
        absent = still;
        if absent.is_empty() {
            break;
        }
    }
    Ok(absent)
}

/// The names of all remotes, the default one first.
fn remotes(repo: &Repo) -> Vec<String> {
    let mut names: Vec<String> = repo
        .setting("core", "remote")
        .map(str::to_owned)
        .into_iter()
        .collect();
    for (_, _, ini) in repo.config().levels() {
        for (section, _) in ini.sections() {
            let name = section
                .strip_prefix("remote \"")
                .and_then(|rest| rest.strip_suffix('"'));
            names.extend(
                name.filter(|name| !names.iter().any(|known| known == name))
                    .map(str::to_owned),
            );
        }
    }
    names
}

/// Puts what the cache holds at its place below a repository's root.
pub fn place(repo: &Repo, file: &StepFile) -> anyhow::Result<()> {
    let at = repo.root().join(&file.path);
    if let Some(folder) = at.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
    }
    if file.is_data {
        lathe_data::ops::restore(repo, &recorded(file), &at)?;
    } else {
        // A link would lead programs to look for their modules in the cache.
        repo.cache().checkout(&file.md5, file.is_exec, &at)?;
    }
    Ok(())
}

fn recorded(file: &StepFile) -> Recorded {
    Recorded::new(&Hashed {
        md5: file.md5.clone(),
        size: file.size,
        nfiles: file.nfiles,
        is_exec: file.is_exec,
    })
}

/// An output of a stage, as what reads and writes the cache and remotes takes it.
pub fn tracked(repo: &Repo, path: &str, recorded: Recorded) -> Tracked {
    Tracked {
        at: repo.root().join(path),
        file: repo.root().join("dvc.yaml"),
        stage: None,
        recorded: Some(recorded),
        is_cached: true,
        is_versioned: false,
        is_pushed: true,
        remote: None,
        deps: Vec::new(),
        kind: Default::default(),
        origin: None,
    }
}

fn objects(repo: &Repo, files: &[StepFile], remote: Option<&Remote>) -> anyhow::Result<Objects> {
    let tracked: Vec<Tracked> = files
        .iter()
        .map(|file| tracked(repo, &file.path, recorded(file)))
        .collect();
    let selected: Vec<Selected<'_>> = tracked.iter().map(|out| Selected { out, within: None }).collect();
    Ok(used_objects(repo, &selected, Algorithm::Md5, remote)?)
}
