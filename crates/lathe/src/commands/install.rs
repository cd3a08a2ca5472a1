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
    /// Call `lathe` where hooks call `dvc`.
    #[arg(short, long)]
    force: bool,
}

const HOOKS: [&str; 3] = ["post-checkout", "pre-commit", "pre-push"];

const DRIVER: &str = "lathe git-hook merge-driver --ancestor %O --our %A --their %B --path=%P";

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
    let below = below(root)?;
    let call = call_of(below.as_deref());
    let mut wanted = Vec::new();
    for name in HOOKS {
        let path = folder.join(name);
        let line = line_of(name, below.as_deref());
        let text = format!("#!/bin/sh\n{line}\n");
        let old = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
        };
        // Whoever wrote more around it keeps it.
        if old != text && calls_us(&old, &call) {
            continue;
        }
        let calls_dvc = old.contains("dvc git-hook");
        if old.is_empty() || old == text {
            wanted.push((path, text));
        } else if calls_dvc && !force {
            return Err(hinted(
                format!("the hook `{}` calls `dvc`", path.display()),
                "let it call `lathe` with `--force`",
            ));
        } else if let Some(new) = without_dvc(&old, name, &line).filter(|_| calls_dvc) {
            wanted.push((path, new));
        } else {
            return Err(hinted(
                format!("there is a hook `{}` already", path.display()),
                format!("end it with `{line}`, or see `--use-pre-commit-tool`"),
            ));
        }
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    for (path, text) in &wanted {
        lathe_data::write_atomically(path, text.as_bytes())?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(wanted.into_iter().map(|(path, _)| path).collect())
}

/// Where the project is in the working tree, quoted for a shell; nothing if it is at the top, where git calls hooks.
fn below(root: &Path) -> anyhow::Result<Option<String>> {
    let prefix = git::prefix(root)?;
    let prefix = prefix.trim_end_matches('/');
    Ok((!prefix.is_empty()).then(|| format!("'{}'", prefix.replace('\'', "'\\''"))))
}

/// How `lathe` is called for the project.
fn call_of(below: Option<&str>) -> String {
    match below {
        Some(below) => format!("lathe --cd {below} git-hook"),
        None => "lathe git-hook".to_owned(),
    }
}

/// What a hook does, in a line. Commits without the folder of the project have nothing to do.
fn line_of(name: &str, below: Option<&str>) -> String {
    let line = format!("exec {} {name} \"$@\"", call_of(below));
    match below {
        Some(below) => format!("test ! -d {below} || {line}"),
        None => line,
    }
}

/// Whether a hook that somebody wrote calls `lathe` for the project.
fn calls_us(hook: &str, call: &str) -> bool {
    let mut lines = hook.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.any(|line| line.contains(call))
}

/// The hook with our line in the place of DVC's, and the rest as it is; nothing if `dvc` is called in other ways too.
fn without_dvc(hook: &str, name: &str, line: &str) -> Option<String> {
    let dvcs = format!("exec dvc git-hook {name} $@");
    let lines: Vec<&str> = hook.lines().collect();
    // DVC's own; it only names the shell in another way.
    if let [shell, own] = lines[..]
        && shell.starts_with("#!")
        && own == dvcs
    {
        return Some(format!("#!/bin/sh\n{line}\n"));
    }
    let mut text = String::new();
    for own in lines {
        if own.trim() == dvcs {
            text.push_str(line);
        } else if own.contains("dvc git-hook") {
            return None;
        } else {
            text.push_str(own);
        }
        text.push('\n');
    }
    Some(text)
}

fn for_pre_commit(root: &Path) -> anyhow::Result<PathBuf> {
    let top = process::output_of("git", &["rev-parse", "--show-toplevel"], root)?;
    let path = Path::new(&top).join(".pre-commit-config.yaml");
    let call = call_of(below(root)?.as_deref());
    let hooks = PRE_COMMIT.replace("lathe git-hook", &call);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.contains(&format!("{call} pre-commit")) => {}
        Ok(_) => {
            return Err(hinted(
                format!("there is a `{}` already", path.display()),
                format!("add this to its `repos`:\n{hooks}"),
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            lathe_data::write_atomically(&path, format!("repos:\n{hooks}").as_bytes())?;
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_of_dvc_is_replaced() {
        let line = line_of("pre-push", None);
        assert_eq!(line, "exec lathe git-hook pre-push \"$@\"");
        let hook = "#!/bin/sh\nmake check || exit 1\nexec dvc git-hook pre-push $@\n";
        let new = without_dvc(hook, "pre-push", &line).unwrap();
        assert_eq!(new, format!("#!/bin/sh\nmake check || exit 1\n{line}\n"));
        let dvcs = "#!/usr/bin/sh\nexec dvc git-hook pre-push $@\n";
        let ours = format!("#!/bin/sh\n{line}\n");
        assert_eq!(without_dvc(dvcs, "pre-push", &line), Some(ours));
        assert!(calls_us(&new, &call_of(None)) && !calls_us(hook, &call_of(None)));
        assert!(!calls_us(
            "#!/bin/sh\n# lathe git-hook pre-push\n",
            &call_of(None)
        ));
        assert_eq!(
            without_dvc("dvc git-hook pre-push || exit 1\n", "pre-push", &line),
            None
        );
    }

    #[test]
    fn a_project_below_the_top_is_named() {
        assert_eq!(
            line_of("pre-commit", Some("'a b'")),
            "test ! -d 'a b' || exec lathe --cd 'a b' git-hook pre-commit \"$@\""
        );
    }
}
