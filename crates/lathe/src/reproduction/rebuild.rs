//! Builds a target again: a checkout of its own, inputs by hash, an empty cache, every stage executed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use lathe_data::Repo;
use lathe_types::executions::HashedPath;

use super::Target;
use crate::client::Client;
use crate::determinism::{self, Variation};
use crate::exit::hinted;
use crate::settings::{Place, STATE_FOLDER};
use crate::{git, objects, project};

/// Lines of a failed rebuild that are kept for the report.
const LINES_MAX: usize = 40;

/// What all rebuilds of one target share.
pub struct Rebuilding<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// What is rebuilt.
    pub target: &'a Target,
    /// Whether the stages run with what takes chance out of common libraries.
    pub deterministic: bool,
}

/// One rebuild, in a folder that goes away with it unless it is kept.
pub struct Built {
    /// The project's folder in the checkout.
    pub root: PathBuf,
    /// What was changed that should not matter.
    pub variation: Option<Variation>,
    /// Why a stage failed, with the last lines it printed; its outputs are not there then.
    pub failure: Option<String>,
    repository: PathBuf,
    checkout: PathBuf,
    keep: bool,
}

impl Built {
    /// Leaves the checkout where it is.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = git::remove_worktree(&self.repository, &self.checkout)
        {
            tracing::warn!(%error, folder = %self.checkout.display(), "a rebuild's folder stays");
        }
    }
}

impl Rebuilding<'_> {
    /// Checks the target out, with its inputs, ready to be executed.
    pub fn prepare(&self, number: usize, variation: Option<Variation>) -> anyhow::Result<Built> {
        let mut name = format!("{}-{number}", &self.target.commit[..12]);
        if variation == Some(Variation::Folder) {
            name = format!("another place/{name} with a longer name");
        }
        let folder = self.root.join(STATE_FOLDER).join("reproductions").join(name);
        if folder.exists() {
            git::remove_worktree(self.root, &folder)?;
        }
        git::add_detached_worktree(self.root, &folder, &self.target.commit)?;
        let built = Built {
            root: folder.join(git::prefix(self.root)?),
            variation,
            failure: None,
            repository: self.root.to_owned(),
            checkout: folder,
            keep: false,
        };
        if let Some(patch) = &self.target.patch {
            let scratch = tempfile::NamedTempFile::new().context("no place for the patch")?;
            std::fs::write(scratch.path(), patch)?;
            git::apply(&built.root, scratch.path())
                .context("the patch that was kept with the run does not fit its commit")?;
        }
        if !built.root.join(project::FILE_NAME).is_file() {
            bail!(
                "commit {} has no `{}` in `{}`",
                self.target.commit,
                project::FILE_NAME,
                git::prefix(self.root)?
            );
        }
        lathe_data::use_own_cache(&built.root)?;
        Ok(built)
    }

    /// Puts the inputs that no stage makes in their places, each checked by hash.
    pub fn bring_inputs(&self, built: &Built, inputs: &[&HashedPath]) -> anyhow::Result<()> {
        let (from, to) = (Repo::discover(self.root)?, Repo::discover(&built.root)?);
        let mut wanted = Vec::new();
        for input in inputs {
            let found = lathe_data::hash_path(&to, &built.root.join(&input.path))?;
            if found.is_none_or(|found| found.hashed.md5 != input.md5) {
                wanted.push(super::by_hash(input));
            }
        }
        objects::find(&from, &wanted)?;
        for input in inputs {
            let place = built.root.join(&input.path);
            let found = lathe_data::hash_path(&to, &place)?;
            if found.as_ref().is_some_and(|found| found.hashed.md5 == input.md5) {
                continue;
            }
            if !from.cache().holds(&input.md5)? {
                let what = match found {
                    Some(_) => "differs from what was read",
                    None => "is not in the commit",
                };
                return Err(hinted(
                    format!(
                        "the input `{}` {what}, and neither the cache nor a remote holds it (md5 {})",
                        input.path, input.md5
                    ),
                    "push it from where it is with `lathe push`, or track it with git or `lathe add`",
                ));
            }
            let is_exec = found.is_some_and(|found| found.hashed.is_exec);
            from.cache().checkout(&input.md5, is_exec, &place)?;
        }
        Ok(())
    }

    /// Executes the target's stages and what they need, whatever else the commit defines; `show` sees what is printed
    /// meanwhile.
    pub fn execute(&self, built: &mut Built, show: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        // What stages log goes to records of the rebuild's own.
        let records = tempfile::tempdir().context("no place for the rebuild's records")?;
        let client = Client::open(&Place::Embedded {
            database: records.path().join("lathe.db"),
            artifacts: records.path().join("artifacts"),
        })?;
        let mut variables = Vec::new();
        if self.deterministic || built.variation.is_some() {
            let time = git::commit_time_s(self.root, &self.target.commit)?;
            variables = determinism::variables(Some(&time));
        }
        for (name, value) in built.variation.iter().flat_map(|variation| variation.variables()) {
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "run",
                "--force",
                "--no-run-cache",
                "--no-register",
                "--engine=local",
                "--server",
            ])
            .arg(client.tracking_url()?)
            .args(
                variables
                    .iter()
                    .map(|(name, value)| format!("--env={name}={value}")),
            )
            .arg("--")
            .args(self.addresses(built)?)
            .current_dir(&built.root)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start `lathe run`")?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let complaints = std::thread::spawn(move || lines_of(stderr).collect::<Vec<_>>());
        let mut last: Vec<String> = Vec::new();
        for line in lines_of(stdout) {
            show(&line);
            last.push(line);
            if LINES_MAX < last.len() {
                last.remove(0);
            }
        }
        let ended = child.wait().context("`lathe run` was lost")?;
        last.extend(complaints.join().unwrap_or_default());
        if ended.code() == Some(130) {
            return Err(Interrupted.into());
        }
        if !ended.success() {
            built.failure = Some(last[last.len().saturating_sub(LINES_MAX)..].join("\n"));
        }
        Ok(())
    }
}

impl Rebuilding<'_> {
    /// The stages to execute, as seen from the project's folder.
    fn addresses(&self, built: &Built) -> anyhow::Result<Vec<String>> {
        let folder = std::fs::canonicalize(&built.root)
            .with_context(|| format!("failed to read `{}`", built.root.display()))?;
        let repo = Repo::discover(&folder)?;
        if repo.root() == folder {
            return Ok(self
                .target
                .stages
                .iter()
                .map(|stage| stage.stage.clone())
                .collect());
        }
        let address = |stage: &lathe_types::executions::StageExecution| {
            let of_file = stage.stage.split_once("dvc.yaml:");
            let (above, name) = of_file.unwrap_or(("", &stage.stage));
            let file = repo.root().join(above).join("dvc.yaml");
            let file = lathe_data::relative_path(&file, &folder);
            format!("{file}:{name}")
        };
        Ok(self.target.stages.iter().map(address).collect())
    }
}

/// Somebody pressed Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

fn lines_of(pipe: Option<impl std::io::Read>) -> impl Iterator<Item = String> {
    pipe.into_iter().flat_map(|pipe| {
        BufReader::new(pipe)
            .split(b'\n')
            .map_while(Result::ok)
            .map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())
    })
}
