//! What git knows of a project: the commit, whether it is clean, worktrees for background work.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::process;

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The commit, in hex; none before the first one.
    pub commit: Option<String>,
    /// Whether files that git tracks differ from it.
    pub dirty: bool,
}

/// What is checked out in `root`; nothing if it is not in a git repository.
pub fn checkout(root: &Path) -> Option<Checkout> {
    process::output_of("git", &["rev-parse", "--git-dir"], root).ok()?;
    let commit = process::output_of("git", &["rev-parse", "--verify", "--quiet", "HEAD"], root).ok();
    let changes = process::output_of("git", &["status", "--porcelain", "--untracked-files=no"], root).ok()?;
    Some(Checkout {
        commit,
        dirty: !changes.is_empty(),
    })
}

/// A new worktree has no data and no links to the cache yet: hooks that look for them would fail.
const NO_HOOKS: &str = "core.hooksPath=/dev/null";

/// Checks `commit` out into a folder of its own, on a new branch.
pub fn add_worktree(root: &Path, folder: &Path, branch: &str, commit: &str) -> anyhow::Result<()> {
    let folder = folder.to_string_lossy();
    process::output_of(
        "git",
        &[
            "-c", NO_HOOKS, "worktree", "add", "--quiet", "-B", branch, &folder, commit,
        ],
        root,
    )
    .map(drop)
}

/// Checks `commit` out into a folder of its own, on no branch.
pub fn add_detached_worktree(root: &Path, folder: &Path, commit: &str) -> anyhow::Result<()> {
    let folder = folder.to_string_lossy();
    process::output_of(
        "git",
        &[
            "-c", NO_HOOKS, "worktree", "add", "--quiet", "--detach", &folder, commit,
        ],
        root,
    )
    .map(drop)
}

/// The commit that a revision (a branch, a tag, `HEAD~3`) names, if it names one.
pub fn commit_of(root: &Path, revision: &str) -> Option<String> {
    let wanted = format!("{revision}^{{commit}}");
    process::output_of(
        "git",
        &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted],
        root,
    )
    .ok()
}

/// When a commit was made, in seconds since 1970.
pub fn commit_time_s(root: &Path, commit: &str) -> anyhow::Result<String> {
    process::output_of("git", &["show", "--no-patch", "--format=%ct", commit], root)
}

/// Where `root` lies in its repository: `` or `sub/folder/`.
pub fn prefix(root: &Path) -> anyhow::Result<String> {
    process::output_of("git", &["rev-parse", "--show-prefix"], root)
}

/// What the commit that is checked out does not hold, new files that git does not ignore included, as a patch that
/// `git apply` takes. The index is left alone.
pub fn uncommitted(root: &Path) -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::tempdir().context("no folder for a copy of the index")?;
    let index = scratch.path().join("index");
    let git = |args: &[&str]| -> anyhow::Result<Vec<u8>> {
        let output = Command::new("git")
            .args(args)
            .current_dir(root)
            .env("GIT_INDEX_FILE", &index)
            .stdin(Stdio::null())
            .output()
            .context("failed to start `git`")?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("`git {}` failed: {}", args.join(" "), complaint.trim());
        }
        Ok(output.stdout)
    };
    git(&["read-tree", "HEAD"])?;
    git(&["add", "--all", "."])?;
    git(&["diff", "--cached", "--binary", "--full-index", "HEAD"])
}

/// Applies what [`uncommitted`] gave.
pub fn apply(folder: &Path, patch: &Path) -> anyhow::Result<()> {
    let patch = patch.to_string_lossy();
    process::output_of("git", &["apply", "--whitespace=nowarn", &patch], folder).map(drop)
}

/// Takes a worktree away; its branch and commits stay.
pub fn remove_worktree(root: &Path, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.to_string_lossy();
    process::output_of("git", &["worktree", "remove", "--force", &folder], root).map(drop)
}

/// Commits every change of tracked files; nothing if there is none. Returns the commit checked out afterwards.
pub fn commit_tracked(root: &Path, message: &str) -> anyhow::Result<String> {
    process::output_of("git", &["add", "--update", "."], root)?;
    let staged = process::output_of("git", &["diff", "--cached", "--name-only"], root)?;
    if !staged.is_empty() {
        let identity = ["-c", "user.name=Lathe", "-c", "user.email=lathe@localhost"];
        let commit = ["commit", "--quiet", "--no-verify", "-m", message];
        process::output_of("git", &[identity.as_slice(), commit.as_slice()].concat(), root)?;
    }
    process::output_of("git", &["rev-parse", "HEAD"], root)
}

/// Whether a folder is in a git repository.
pub fn is_repository(folder: &Path) -> bool {
    folder.ancestors().any(|folder| folder.join(".git").exists())
}

/// Whether there is a commit to compare with.
pub fn has_commits(root: &Path) -> bool {
    is_repository(root)
        && process::output_of("git", &["rev-parse", "--verify", "--quiet", "HEAD"], root).is_ok()
}

/// Adds changed files to the index; those that are gone from it too.
pub fn stage(folder: &Path, paths: &[String]) -> anyhow::Result<()> {
    for path in paths {
        let known = folder.join(path).exists()
            || process::output_of("git", &["ls-files", "--error-unmatch", "--", path], folder).is_ok();
        if known {
            process::output_of("git", &["add", "--", path], folder)?;
        }
    }
    Ok(())
}

/// The first of these paths that git tracks, or tracks something in.
pub fn first_tracked(root: &Path, paths: &[&Path]) -> anyhow::Result<Option<String>> {
    if !is_repository(root) {
        return Ok(None);
    }
    for some in paths.chunks(500) {
        let mut args = vec![
            "--literal-pathspecs".to_owned(),
            "ls-files".into(),
            "-z".into(),
            "--".into(),
        ];
        args.extend(some.iter().map(|path| path.to_string_lossy().into_owned()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let listed = process::output_of("git", &args, root)?;
        if let Some(first) = listed.split('\0').find(|path| !path.is_empty()) {
            return Ok(Some(first.to_owned()));
        }
    }
    Ok(None)
}

/// Files that git does not know and does not ignore, relative to `folder`.
pub fn untracked(folder: &Path) -> anyhow::Result<Vec<String>> {
    if !is_repository(folder) {
        return Ok(Vec::new());
    }
    let listed = process::output_of(
        "git",
        &["ls-files", "--others", "--exclude-standard", "-z"],
        folder,
    )?;
    Ok(listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The texts of `.dvc` files, `dvc.yaml` and `dvc.lock` of a commit, by path relative to `root`, which may be below the
/// repository's own root.
pub fn definitions(root: &Path, revision: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let commit = format!("{revision}^{{commit}}");
    let commit =
        process::output_of("git", &["rev-parse", "--verify", "--quiet", &commit], root).map_err(|_| {
            crate::exit::hinted(
                format!("there is no commit `{revision}`"),
                "name a commit, branch or tag",
            )
        })?;
    // In a folder below the root `ls-tree` lists what is in it, relative to it.
    let listed = process::output_of("git", &["ls-tree", "-r", "-z", &commit], root)?;
    let mut wanted = Vec::new();
    for line in listed.split('\0').filter(|line| !line.is_empty()) {
        let (meta, path) = line.split_once('\t').context("git lists a file without a name")?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_wanted = name.ends_with(lathe_data::SUFFIX) || matches!(name, "dvc.yaml" | "dvc.lock");
        let id = meta.split(' ').nth(2).context("git lists a file without an id")?;
        if is_wanted && meta.contains(" blob ") {
            wanted.push((path.to_owned(), id.to_owned()));
        }
    }
    let texts = blobs(root, wanted.iter().map(|(_, id)| id.as_str()))?;
    Ok(wanted.into_iter().map(|(path, _)| path).zip(texts).collect())
}

/// The texts of objects, all asked of one process.
fn blobs<'a>(root: &Path, ids: impl Iterator<Item = &'a str>) -> anyhow::Result<Vec<String>> {
    let asked: Vec<&str> = ids.collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut child = Command::new("git")
        .args(["cat-file", "--batch"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start `git`")?;
    let mut input = child.stdin.take().context("git takes no input")?;
    let question = asked.join("\n") + "\n";
    let asking = std::thread::spawn(move || input.write_all(question.as_bytes()));
    let mut answer = Vec::new();
    let mut output = child.stdout.take().context("git gives no output")?;
    output.read_to_end(&mut answer)?;
    // A broken pipe shows as an answer that is too short.
    let _ = asking.join();
    child.wait()?;
    let mut texts = Vec::new();
    let mut rest = answer.as_slice();
    for id in asked {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .context("git answers too little")?;
        let header = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size: usize = match header.rsplit_once(' ').map(|(_, size)| size.parse()) {
            Some(Ok(size)) => size,
            _ => bail!("git does not have the object {id}"),
        };
        let text = rest
            .get(end + 1..end + 1 + size)
            .context("git answers too little")?;
        texts.push(String::from_utf8_lossy(text).into_owned());
        rest = rest.get(end + 2 + size..).unwrap_or_default();
    }
    Ok(texts)
}

/// A file of a commit, as `COMMIT:PATH`; nothing if it has none.
pub fn blob(root: &Path, at: &str) -> anyhow::Result<Option<Vec<u8>>> {
    if process::output_of("git", &["cat-file", "-e", at], root).is_err() {
        return Ok(None);
    }
    let output = Command::new("git")
        .args(["cat-file", "blob", at])
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .context("failed to start `git`")?;
    match output.status.success() {
        true => Ok(Some(output.stdout)),
        false => bail!("git cannot read `{at}`"),
    }
}

/// Commits that references of a kind (`refs/heads`, `refs/tags`) lead to.
pub fn references(root: &Path, kind: &str) -> anyhow::Result<Vec<String>> {
    let listed = process::output_of("git", &["for-each-ref", "--format=%(objectname)", kind], root)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// All commits that any reference leads to.
pub fn commits(root: &Path) -> anyhow::Result<Vec<String>> {
    let listed = process::output_of("git", &["rev-list", "--all"], root)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// All commits since the beginning of a day in UTC, as `2026-05-31`.
pub fn commits_since(root: &Path, day: &str) -> anyhow::Result<Vec<String>> {
    let is_day = day.len() == 10
        && day.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !is_day {
        return Err(crate::exit::hinted(
            format!("`{day}` is no day"),
            "write it as `2026-05-31`",
        ));
    }
    // A day without a time would mean this time of that day.
    let since = format!("--since={day}T00:00:00Z");
    let listed = process::output_of("git", &["rev-list", "--all", &since], root)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// A commit and those before it, so many in all if a number is given.
pub fn ancestors(root: &Path, revision: &str, count: Option<usize>) -> anyhow::Result<Vec<String>> {
    let Some(commit) = commit_of(root, revision) else {
        return Err(crate::exit::hinted(
            format!("there is no commit `{revision}`"),
            "name a commit, branch or tag",
        ));
    };
    let count = count.map(|count| format!("--max-count={count}"));
    let mut args = vec!["rev-list"];
    args.extend(count.as_deref());
    args.push(&commit);
    let listed = process::output_of("git", &args, root)?;
    Ok(listed.lines().map(str::to_owned).collect())
}
