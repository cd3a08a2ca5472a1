//! Other git repositories: checked out in a folder that goes away, with the data that is asked for.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lathe_data::ops::{self, CheckoutOptions};
use lathe_data::remote::{self, Remote, used_objects};
use lathe_data::{Algorithm, Repo, Selected, Tracked};

use super::{Data, imports, stores, sync};
use crate::exit::hinted;
use crate::process;

/// A repository at one commit.
pub struct Foreign {
    _folder: tempfile::TempDir,
    /// Where it is checked out.
    pub root: PathBuf,
    /// The commit.
    pub commit: String,
    url: String,
    /// Where it lies on this machine.
    origin: Option<PathBuf>,
    cache: Option<PathBuf>,
    /// Files on their way at once.
    pub jobs: Option<usize>,
}

impl Foreign {
    /// Checks a repository out near `near`, a folder; a relative path is one of `folder`. Objects of data go to `cache`,
    /// or go away too.
    pub fn open(
        url: &str,
        revision: Option<&str>,
        folder: &Path,
        near: &Path,
        cache: Option<&Path>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(near)?;
        let temporary = tempfile::Builder::new()
            .prefix("lathe-clone-")
            .tempdir_in(near)
            .context("no place for the other repository")?;
        let origin = Some(folder.join(url)).filter(|path| !url.contains("://") && path.is_dir());
        let from = match &origin {
            Some(path) => std::fs::canonicalize(path)?.to_string_lossy().into_owned(),
            None => url.to_owned(),
        };
        let root = temporary.path().join("repository");
        let target = root.to_string_lossy();
        let mut args = vec!["clone", "--quiet", "--no-checkout"];
        args.extend(origin.is_some().then_some("--shared"));
        args.extend(["--", &from, &target]);
        process::output_of("git", &args, folder)
            .map_err(|error| error.context(format!("the repository `{url}` cannot be read")))?;
        let wanted = revision.unwrap_or("HEAD");
        let commit = crate::git::commit_of(&root, &format!("refs/remotes/origin/{wanted}"))
            .or_else(|| crate::git::commit_of(&root, wanted))
            .ok_or_else(|| {
                hinted(
                    format!("`{url}` has no commit `{wanted}`"),
                    "name a branch, a tag or a commit of it",
                )
            })?;
        process::output_of("git", &["checkout", "--quiet", "--detach", &commit], &root)?;
        Ok(Self {
            _folder: temporary,
            root,
            commit,
            url: url.to_owned(),
            origin,
            cache: cache.map(Path::to_owned),
            jobs: None,
        })
    }

    /// The data that the repository tracks around a path, if it tracks any.
    pub fn data(&self, path: &str) -> anyhow::Result<Option<Data>> {
        let at = self.place(path)?;
        let project = at
            .ancestors()
            .take_while(|folder| folder.starts_with(&self.root))
            .find(|folder| folder.join(".dvc").is_dir());
        let Some(project) = project else {
            return Ok(None);
        };
        let cache = self.cache.clone().unwrap_or_else(|| project.join(".dvc/cache"));
        let origin = self
            .origin_of(project)
            .filter(|origin| origin.join(".dvc").is_dir());
        lathe_data::use_cache(origin.as_deref(), project, &cache)?;
        Data::in_folder(project).map(Some)
    }

    fn origin_of(&self, project: &Path) -> Option<PathBuf> {
        let inside = project.strip_prefix(&self.root).ok()?;
        Some(self.origin.as_ref()?.join(inside))
    }

    /// A path of it; it must not lead out.
    pub fn place(&self, path: &str) -> anyhow::Result<PathBuf> {
        let at = lathe_data::normal_path(&self.root.join(path.trim_start_matches('/')));
        if !at.starts_with(&self.root) || at.starts_with(self.root.join(".git")) {
            return Err(self.nothing(path));
        }
        Ok(at)
    }

    /// There is no such path.
    pub fn nothing(&self, path: &str) -> anyhow::Error {
        hinted(
            format!("`{}` has no `{path}` at {}", self.url, &self.commit[..7]),
            "see what it has: lathe list URL",
        )
    }

    /// Completes a path by the data that is tracked there; returns where it is.
    pub fn bring(&self, path: &str, remote: Option<&str>) -> anyhow::Result<PathBuf> {
        let at = self.place(path)?;
        if let Some(data) = self.data(path)? {
            let mut selected = Vec::new();
            for out in data
                .all
                .iter()
                .filter(|out| out.is_cached && out.recorded.is_some())
            {
                if out.at.starts_with(&at) {
                    selected.push(Selected { out, within: None });
                } else if let Ok(within) = at.strip_prefix(&out.at) {
                    let within = Some(within.to_string_lossy().into_owned());
                    selected.push(Selected { out, within });
                }
            }
            if !selected.is_empty() {
                self.fetch(&data, &selected, remote)?;
                ops::checkout(&data.repo, &data.all, &selected, CheckoutOptions::default())?;
            }
        }
        if at.symlink_metadata().is_err() {
            return Err(self.nothing(path));
        }
        Ok(at)
    }

    /// The files of a folder of data, with their hashes.
    pub fn files_of(
        &self,
        data: &Data,
        out: &Tracked,
        remote: Option<&str>,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let Some(recorded) = &out.recorded else {
            return Ok(Vec::new());
        };
        let selected = [Selected { out, within: None }];
        for source in self.sources(data, remote)? {
            let objects = used_objects(&data.repo, &selected, recorded.algorithm, Some(&source))?;
            if let Some(tree) = objects.fetched.into_iter().next() {
                let entries = tree.into_entries().into_iter();
                return Ok(entries.map(|entry| (entry.relpath, entry.md5)).collect());
            }
        }
        let shown = out.shown(data.repo.root());
        sync::refuse_missing(&[shown], "cannot be listed: nobody has its list of files")?;
        Ok(Vec::new())
    }

    /// The URL of the object of some data on a remote.
    pub fn object_url(&self, path: &str, remote: Option<&str>) -> anyhow::Result<String> {
        let at = self.place(path)?;
        let Some(data) = self.data(path)? else {
            return Err(self.nothing(path));
        };
        for out in data.all.iter().filter(|out| out.is_cached) {
            let Some(recorded) = &out.recorded else { continue };
            let (md5, algorithm) = match at.strip_prefix(&out.at) {
                Ok(inside) if inside.as_os_str().is_empty() => (recorded.md5.clone(), recorded.algorithm),
                Ok(inside) => {
                    let inside = inside.to_string_lossy();
                    let files = self.files_of(&data, out, remote)?;
                    match files.into_iter().find(|(relpath, _)| *relpath == inside) {
                        Some((_, md5)) => (md5, recorded.algorithm),
                        None => continue,
                    }
                }
                Err(_) => continue,
            };
            let settings = remote::find_remote(&data.repo, remote.or(out.remote.as_deref()))?;
            return Ok(remote::object_url(&settings, &md5, algorithm));
        }
        Err(self.nothing(path))
    }

    fn sources(&self, data: &Data, name: Option<&str>) -> anyhow::Result<Vec<Remote>> {
        let mut sources: Vec<Remote> = Vec::new();
        if let Some(origin) = self.origin_of(data.repo.root())
            && let Ok(repo) = Repo::discover(&origin)
        {
            sources.push(Remote::folder(&self.url, repo.cache().folder(), false));
        }
        if name.is_some() || data.repo.setting("core", "remote").is_some() {
            sources.push(stores::open(&remote::find_remote(&data.repo, name)?, self.jobs)?);
        }
        Ok(sources)
    }

    /// From the other repository's own cache if it is on this machine, else from its remote.
    fn fetch(&self, data: &Data, selected: &[Selected<'_>], name: Option<&str>) -> anyhow::Result<()> {
        let sources = self.sources(data, name)?;
        let (imported, selected): (Vec<Selected<'_>>, Vec<Selected<'_>>) = selected
            .iter()
            .cloned()
            .partition(|selected| selected.out.is_repo_import());
        for out in imported.iter().map(|selected| selected.out) {
            let Some(recorded) = &out.recorded else { continue };
            if !data.repo.cache().of(recorded.algorithm).holds(&recorded.md5)? {
                // It comes from a third repository.
                let folder = self
                    .origin_of(data.repo.root())
                    .unwrap_or_else(|| data.repo.root().to_owned());
                imports::into_cache(&data.repo, out, &folder, self.jobs)?;
            }
        }
        let selected = selected.as_slice();
        for algorithm in [Algorithm::Md5, Algorithm::Md5Dos2Unix] {
            let mut missing = Vec::new();
            for source in &sources {
                let objects = used_objects(&data.repo, selected, algorithm, Some(source))?;
                missing = remote::fetch(&data.repo, source, &objects)?.missing;
                if missing.is_empty() {
                    break;
                }
            }
            sync::refuse_missing(
                &missing,
                "is neither in the other repository's cache nor on its remote",
            )?;
        }
        Ok(())
    }
}

/// Moves a file or folder to a path where nothing is, on another filesystem too.
pub fn moved(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if std::fs::rename(from, to).is_err() {
        lathe_data::copy_tree(from, to)?;
    }
    Ok(())
}
