//! What git knows of a project: the commit, whether it is clean, worktrees for background work.

use std::path::Path;

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
