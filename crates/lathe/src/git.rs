//! What git knows of a project: the commit, whether it is clean, worktrees for background work.

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

/// Checks `commit` out into a folder of its own, on a new branch.
pub fn add_worktree(root: &Path, folder: &Path, branch: &str, commit: &str) -> anyhow::Result<()> {
    let folder = folder.to_string_lossy();
    process::output_of(
        "git",
        &["worktree", "add", "--quiet", "-B", branch, &folder, commit],
        root,
    )
    .map(drop)
}

/// Checks `commit` out into a folder of its own, on no branch.
pub fn add_detached_worktree(root: &Path, folder: &Path, commit: &str) -> anyhow::Result<()> {
    let folder = folder.to_string_lossy();
    process::output_of(
        "git",
        &["worktree", "add", "--quiet", "--detach", &folder, commit],
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
