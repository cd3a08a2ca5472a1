use lathe_data::ops::{self, Checkout, CheckoutOptions};
use serde_json::json;

use super::{Data, ReachArgs};
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal::{self, Style, paint};

/// Bring tracked data in the workspace to what the `.dvc` and lock files say.
///
/// Files that are in no cache are never lost: the command refuses before it changes anything, unless `--force` is
/// given.
///
/// Examples:
///   lathe checkout                  everything, as after `git switch`
///   lathe checkout images/cats      a part of a tracked folder
///   lathe checkout --relink         after `cache.type` was changed
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// `.dvc` files, outputs, paths inside of them, stages; everything if absent.
    targets: Vec<String>,
    /// Print numbers of files instead of paths.
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    reach: ReachArgs,
    /// Also lose files that are in no cache.
    #[arg(short, long)]
    force: bool,
    /// Make all links to the cache anew.
    #[arg(long)]
    relink: bool,
    /// Leave out what is not in the cache.
    #[arg(long)]
    allow_missing: bool,
}

/// Restores what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let selected = data.select(&args.targets, args.reach.selection())?;
    let options = CheckoutOptions {
        force: args.force,
        relink: args.relink,
        allow_missing: args.allow_missing,
        all: args.targets.is_empty(),
    };
    let done = ops::checkout(&data.repo, &data.all, &selected, options)?;
    if call.json {
        terminal::print_json(&to_json(&done))?;
    } else if args.summary {
        tell!("{}", summary(&done));
    } else {
        print(&data, &done);
        if args.relink {
            tell!("relinked");
        }
    }
    Ok(Outcome::Done)
}

/// For programs.
pub fn to_json(done: &Checkout) -> serde_json::Value {
    json!({
        "added": done.added, "modified": done.modified, "deleted": done.deleted,
        "stats": {
            "modified": done.files_modified, "added": done.files_added, "deleted": done.files_deleted,
        },
    })
}

/// A line for each output that changed.
pub fn print(data: &Data, done: &Checkout) {
    let lists = [
        ("M", Style::Warn, &done.modified),
        ("A", Style::Good, &done.added),
        ("D", Style::Bad, &done.deleted),
    ];
    for (mark, style, paths) in lists {
        for path in paths {
            let ending = if path.ends_with('/') { "/" } else { "" };
            let shown = data.shown(&data.repo.root().join(path));
            tell!("{}\t{shown}{ending}", paint(mark, style));
        }
    }
}

/// "2 files modified and 1 file added"
pub fn summary(done: &Checkout) -> String {
    let counts = [
        (done.files_modified, "modified"),
        (done.files_added, "added"),
        (done.files_deleted, "deleted"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| 0 < *count)
        .map(|(count, what)| format!("{} {what}", lathe_data::counted(*count, "file")))
        .collect();
    match parts.split_last() {
        None => "no changes".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
