use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use lathe_data::{DvcFile, Repo};

use super::Call;
use crate::cli::Cli;
use crate::exit::Outcome;
use crate::process;

/// What the hooks of `lathe install` call.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    hook: Hook,
}

#[derive(Debug, clap::Subcommand)]
enum Hook {
    /// Says what changed.
    PreCommit {
        /// What git says.
        arguments: Vec<String>,
    },
    /// Brings data to where the commit is.
    PostCheckout {
        /// The commit before, the commit now, and 1 if it is not single files.
        arguments: Vec<String>,
    },
    /// Sends data that the commits name.
    PrePush {
        /// The remote and its URL.
        arguments: Vec<String>,
    },
    /// Merges two versions of a `.dvc` file.
    MergeDriver {
        /// The version that both began with.
        #[arg(long)]
        ancestor: PathBuf,
        /// Ours, which becomes the result.
        #[arg(long)]
        our: PathBuf,
        /// Theirs.
        #[arg(long)]
        their: PathBuf,
        /// Where the file is, from the top of the working tree, in which git calls this.
        #[arg(long)]
        path: Option<PathBuf>,
    },
}

/// Does what the hook is for; nothing where there is no project.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    // Before all else: git would take doing nothing for a merge whose result is our side.
    if let Hook::MergeDriver {
        ancestor,
        our,
        their,
        path,
    } = &args.hook
    {
        let path = path.as_deref().unwrap_or(our);
        return merge(call, path, [ancestor, our, their]);
    }
    let Some(_) = Repo::find_folder(&call.folder)? else {
        return Ok(Outcome::Done);
    };
    match &args.hook {
        Hook::PreCommit { .. } => lathe(call, "status"),
        Hook::PostCheckout { arguments } => {
            // pre-commit gives no arguments, but this.
            let of_tool = std::env::var("PRE_COMMIT_CHECKOUT_TYPE").ok();
            let flag = of_tool.or_else(|| arguments.get(2).cloned());
            // What a rebase checks out on its way is not what anybody works on.
            let is_under_way = |name: &str| {
                let path = process::output_of("git", &["rev-parse", "--git-path", name], &call.folder);
                path.is_ok_and(|path| call.folder.join(path).is_dir())
            };
            let is_rebase = || is_under_way("rebase-merge") || is_under_way("rebase-apply");
            match flag.as_deref() == Some("1") && !is_rebase() {
                true => lathe(call, "checkout"),
                false => Ok(Outcome::Done),
            }
        }
        Hook::PrePush { .. } => lathe(call, "push"),
        // It was done above.
        Hook::MergeDriver { .. } => Ok(Outcome::Done),
    }
}

/// Merges the `.dvc` file that is at `path`, in whichever project that is.
fn merge(call: &Call, path: &Path, versions: [&PathBuf; 3]) -> anyhow::Result<Outcome> {
    let path = call.folder.join(path);
    // Its folder may be one of the other side's, which is not there yet.
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
    let repo = Repo::discover(folder.unwrap_or(&call.folder))?;
    let [ancestor, our, their] = versions.map(|version| call.folder.join(version));
    let has_ancestor = std::fs::metadata(&ancestor)
        .with_context(|| format!("failed to read `{}`", ancestor.display()))?
        .len()
        != 0;
    let ancestor = has_ancestor.then(|| DvcFile::load(&ancestor)).transpose()?;
    let (our, their) = (DvcFile::load(&our)?, DvcFile::load(&their)?);
    lathe_data::ops::merge(&repo, ancestor.as_ref(), &our, &their)?;
    Ok(Outcome::Done)
}

fn lathe(call: &Call, command: &str) -> anyhow::Result<Outcome> {
    let folder = call.folder.display().to_string();
    super::execute(Cli::try_parse_from(["lathe", "--cd", &folder, command])?)
}
