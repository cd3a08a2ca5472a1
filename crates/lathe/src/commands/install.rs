use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::Call;
use crate::exit::{Outcome, hinted};
use crate::{git, process, terminal};

/// Let git call `lathe`: `status` before a commit, `checkout` after a checkout, `push` before a push.
///
/// Two sides' changes of a tracked folder are merged too, if `.gitattributes` says `*.dvc merge=dvc`.
///
/// Examples:
///   lathe install
///   lathe install --force                  in the place of DVC's hooks
///   lathe install --use-pre-commit-tool    by way of pre-commit (https://pre-commit.com)
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Write `.pre-commit-config.yaml` in the place of hooks.
    #[arg(long)]
    use_pre_commit_tool: bool,
    /// Replace hooks that call `dvc`.
    #[arg(short, long)]
    force: bool,
}

const HOOKS: [&str; 3] = ["post-checkout", "pre-commit", "pre-push"];

const DRIVER: &str = "lathe git-hook merge-driver --ancestor %O --our %A --their %B";

const PRE_COMMIT: &str = "\
- repo: local
  hooks:
  - id: lathe-pre-commit
    name: lathe status
    entry: lathe git-hook pre-commit
    language: system
    always_run: true
    pass_filenames: false
    stages: [pre-commit]
  - id: lathe-pre-push
    name: lathe push
    entry: lathe git-hook pre-push
    language: system
    always_run: true
    pass_filenames: false
    stages: [pre-push]
  - id: lathe-post-checkout
    name: lathe checkout
    entry: lathe git-hook post-checkout
    language: system
    always_run: true
    pass_filenames: false
    stages: [post-checkout]
";

/// Writes the hooks.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let repo = lathe_data::Repo::discover(&call.folder)?;
    let root = repo.root();
    if repo.no_scm() || !git::is_repository(root) {
        return Err(hinted(
            format!("`{}` is not in a git repository", root.display()),
            "hooks are git's: run `git init` first",
        ));
    }
    let written = match args.use_pre_commit_tool {
        true => vec![for_pre_commit(root)?],
        false => hooks(root, args.force)?,
    };
    for (key, value) in [("name", "Lathe merge driver"), ("driver", DRIVER)] {
        process::output_of("git", &["config", &format!("merge.dvc.{key}"), value], root)?;
    }
    if call.json {
        terminal::print_json(&json!({ "written": written }))?;
    } else {
        for path in &written {
            println!("wrote {}", path.display());
        }
    }
    Ok(Outcome::Done)
}

fn hooks(root: &Path, force: bool) -> anyhow::Result<Vec<PathBuf>> {
    let folder = process::output_of("git", &["rev-parse", "--git-path", "hooks"], root)?;
    let folder = root.join(folder);
    let mut wanted = Vec::new();
    for name in HOOKS {
        let path = folder.join(name);
        let line = format!("exec lathe git-hook {name} \"$@\"");
        let old = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
        };
        let is_own = old.contains("lathe git-hook");
        let is_dvcs = old.contains("dvc git-hook");
        match (old.is_empty() || is_own, is_dvcs && force) {
            (true, _) | (_, true) => wanted.push((path, format!("#!/bin/sh\n{line}\n"))),
            _ if is_dvcs => {
                return Err(hinted(
                    format!("the hook `{}` calls `dvc`", path.display()),
                    "replace it with `--force`",
                ));
            }
            _ => {
                return Err(hinted(
                    format!("there is a hook `{}` already", path.display()),
                    format!("end it with `{line}`, or see `--use-pre-commit-tool`"),
                ));
            }
        }
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    for (path, text) in &wanted {
        lathe_data::write_atomically(path, text.as_bytes())?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(wanted.into_iter().map(|(path, _)| path).collect())
}

fn for_pre_commit(root: &Path) -> anyhow::Result<PathBuf> {
    let top = process::output_of("git", &["rev-parse", "--show-toplevel"], root)?;
    let path = Path::new(&top).join(".pre-commit-config.yaml");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.contains("lathe git-hook pre-commit") => {}
        Ok(_) => {
            return Err(hinted(
                format!("there is a `{}` already", path.display()),
                format!("add this to its `repos`:\n{PRE_COMMIT}"),
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            lathe_data::write_atomically(&path, format!("repos:\n{PRE_COMMIT}").as_bytes())?;
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
    Ok(path)
}
