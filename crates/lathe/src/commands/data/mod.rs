//! Commands about data: what DVC's commands of the same names do, on the same files.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lathe_data::{DvcFile, Repo, RepoLock, Selected, Selection, Tracked};
use lathe_pipeline::ParamFiles;

use super::Call;
use crate::exit::hinted;
use crate::{git, revisions};

pub mod add;
pub mod cache;
pub mod check_ignore;
pub mod checkout;
pub mod commit;
pub mod config;
pub mod data_status;
pub mod diff;
pub mod disk_use;
pub mod fetch;
pub mod foreign;
pub mod get;
pub mod import;
pub mod imports;
pub mod list;
pub mod list_url;
pub mod places;
pub mod pull;
pub mod push;
pub mod remote;
pub mod remove;
pub mod rename;
pub mod status;
pub mod stores;
pub mod sync;
mod to_remote;
pub mod unprotect;
pub mod update;
mod updates;

/// How far targets reach.
#[derive(Debug, Default, Clone, Copy, clap::Args)]
pub struct ReachArgs {
    /// Also what the targets are made of.
    #[arg(short = 'd', long)]
    with_deps: bool,
    /// A folder means all that is tracked in it.
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl ReachArgs {
    /// As if it were given so.
    pub fn new(with_deps: bool, recursive: bool) -> Self {
        Self { with_deps, recursive }
    }

    /// The same, for what selects data.
    pub fn selection(self) -> Selection {
        Selection {
            recursive: self.recursive,
            with_deps: self.with_deps,
        }
    }
}

/// The data of a project as it is written down.
pub struct Data {
    /// Where its cache is.
    pub repo: Repo,
    /// Where the user is: absolute, without links.
    pub folder: PathBuf,
    /// `.dvc` files.
    pub files: Vec<DvcFile>,
    /// What they and the locks of pipelines track.
    pub all: Vec<Tracked>,
}

/// The data of a project while nobody else changes it. There is no other way to the lock, so that nothing is done by
/// what was read before it was taken.
pub struct Locked {
    data: Data,
    lock: RepoLock,
}

impl Locked {
    /// Reads again what this process wrote meanwhile.
    pub fn read_again(&mut self) -> anyhow::Result<()> {
        self.data = Data::under(&self.lock, &self.data.folder)?;
        Ok(())
    }
}

impl Deref for Locked {
    type Target = Data;

    fn deref(&self) -> &Data {
        &self.data
    }
}

impl Data {
    /// Reads what the workspace says, for a command that changes nothing in it, its cache or its remotes.
    pub fn open(call: &Call) -> anyhow::Result<Self> {
        Self::in_folder(&call.folder)
    }

    /// Takes the repository's lock, then reads what the workspace says.
    pub fn open_locked(call: &Call) -> anyhow::Result<Locked> {
        Self::locked_in(&call.folder)
    }

    /// Takes the lock of the repository around a folder, then reads what its files say.
    pub fn locked_in(folder: &Path) -> anyhow::Result<Locked> {
        let lock = RepoLock::acquire(&Repo::discover(folder)?)?;
        Ok(Locked {
            data: Self::under(&lock, folder)?,
            lock,
        })
    }

    /// Reads what the files around a folder say, for whoever holds their repository's lock.
    pub fn under(lock: &RepoLock, folder: &Path) -> anyhow::Result<Self> {
        let data = Self::in_folder(folder)?;
        let paths: Vec<&Path> = data.all.iter().map(|out| out.at.as_path()).collect();
        lock.refuse_busy(&paths)?;
        Ok(data)
    }

    /// Reads what the files around a folder say.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let folder = std::fs::canonicalize(folder)
            .with_context(|| format!("failed to read `{}`", folder.display()))?;
        let repo = Repo::discover(&folder)?;
        let collected = lathe_data::collect(&repo)?;
        let mut all: Vec<Tracked> = collected
            .dvc_files
            .iter()
            .flat_map(Tracked::of_dvc_file)
            .collect();
        let params = ParamFiles::new(repo.root());
        for file in &collected.pipelines {
            all.extend(of_pipeline(repo.root(), file, &params)?);
        }
        Ok(Self {
            repo,
            folder,
            files: collected.dvc_files,
            all,
        })
    }

    /// What another commit tracks.
    pub fn at_revision(&self, revision: &str) -> anyhow::Result<Vec<Tracked>> {
        let files = git::definitions(self.repo.root(), revision)?;
        let params = ParamFiles::of(revisions::files_at(self.repo.root(), revision));
        let mut all = Vec::new();
        for (path, text) in &files {
            let root = self.repo.root();
            let at = root.join(path);
            if path.ends_with(lathe_data::SUFFIX) {
                all.extend(Tracked::of_dvc_file(&DvcFile::parse(&at, text.clone())?));
            } else if let Some(folder) = path.strip_suffix("dvc.yaml") {
                let lock = files.get(&format!("{folder}dvc.lock")).map_or("", String::as_str);
                all.extend(lathe_pipeline::locked_outs(root, &at, text, lock, &params)?);
            }
        }
        Ok(all)
    }

    /// What the targets mean.
    pub fn select(&self, targets: &[String], selection: Selection) -> anyhow::Result<Vec<Selected<'_>>> {
        Ok(lathe_data::select(
            &self.repo,
            &self.all,
            targets,
            &self.folder,
            selection,
        )?)
    }

    /// The `.dvc` file that a target names, itself or by what it tracks.
    pub fn file(&self, target: &str) -> anyhow::Result<&DvcFile> {
        let path = lathe_data::normal_path(&self.folder.join(target));
        let found = self
            .files
            .iter()
            .find(|file| file.path() == path || file.outs().iter().any(|out| file.place_of(out) == path));
        found.ok_or_else(|| {
            hinted(
                format!("no `.dvc` file tracks `{target}`"),
                "name a `.dvc` file or what it tracks; `lathe status` lists them",
            )
        })
    }

    /// The `.dvc` files that targets name.
    pub fn files_named(&self, targets: &[String]) -> anyhow::Result<Vec<&DvcFile>> {
        targets.iter().map(|target| self.file(target)).collect()
    }

    /// Paths as the user writes them, as paths from the root.
    pub fn paths_from_root(&self, paths: &[String]) -> Vec<String> {
        let from_root = |path: &String| {
            let path = lathe_data::normal_path(&self.folder.join(path));
            lathe_data::relative_path(&path, self.repo.root())
        };
        paths.iter().map(from_root).collect()
    }

    /// A path as the user sees it.
    pub fn shown(&self, path: &Path) -> String {
        lathe_data::relative_path(path, &self.folder)
    }

    /// Tells git of changed files, if the project wants that, or the user how to do it.
    pub fn stage(&self, paths: &[PathBuf], quiet: bool) -> anyhow::Result<()> {
        if self.repo.no_scm() || !git::is_repository(self.repo.root()) || paths.is_empty() {
            return Ok(());
        }
        if !autostage(&self.repo, paths)? && !quiet {
            let mut shown: Vec<String> = paths.iter().map(|path| self.shown(path)).collect();
            shown.sort();
            shown.dedup();
            tell!(
                "\nto track the changes with git, run\n\n    git add {}\n",
                shown.join(" ")
            );
        }
        Ok(())
    }
}

/// Adds changed files to git's index, if the project wants that (`core.autostage`); says whether it does.
pub fn autostage(repo: &Repo, paths: &[PathBuf]) -> anyhow::Result<bool> {
    let is_wanted = repo.config().find_bool("core", "autostage")?.unwrap_or(false);
    if !is_wanted || repo.no_scm() || !git::is_repository(repo.root()) {
        return Ok(false);
    }
    let from_root = |path: &PathBuf| lathe_data::relative_path(path, repo.root());
    let mut paths: Vec<String> = paths.iter().map(from_root).collect();
    paths.sort();
    paths.dedup();
    git::stage(repo.root(), &paths)?;
    Ok(true)
}

/// What running a pipeline writes and git is to know: locks, and what keeps outputs out of git.
pub fn written_by<'a>(repo: &Repo, stages: impl Iterator<Item = &'a lathe_pipeline::Stage>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for stage in stages {
        paths.push(repo.root().join(&*stage.file).with_extension("lock"));
        let outs = stage.outs.iter().filter(|out| out.cache);
        paths.extend(outs.map(|out| repo.root().join(&out.at).with_file_name(".gitignore")));
    }
    paths.retain(|path| path.exists());
    paths
}

/// What a `dvc.yaml` and the lock beside it track.
fn of_pipeline(root: &Path, file: &Path, params: &ParamFiles) -> anyhow::Result<Vec<Tracked>> {
    let read = |path: &Path| match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    };
    let lock = file.with_file_name("dvc.lock");
    let (definition, lock) = (read(file)?, read(&lock)?);
    Ok(lathe_pipeline::locked_outs(
        root,
        file,
        &definition,
        &lock,
        params,
    )?)
}
