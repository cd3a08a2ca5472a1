use lathe_data::{Algorithm, ops};
use serde_json::json;

use super::{Data, config};
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Look after the cache.
///
/// Examples:
///   lathe cache dir                       where it is
///   lathe cache dir /mnt/shared/cache     where it is to be
///   lathe cache migrate                   of DVC 2, for DVC 3
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show or set where the cache is.
    ///
    /// Examples:
    ///   lathe cache dir
    ///   lathe cache dir --local ../cache
    ///   lathe cache dir --unset
    #[command(verbatim_doc_comment)]
    Dir {
        /// The folder, relative to this one; only shown if absent.
        path: Option<String>,
        /// Have it in `.dvc/cache` again.
        #[arg(short, long, conflicts_with = "path")]
        unset: bool,
        #[command(flatten)]
        level: config::LevelArgs,
    },
    /// Give objects that DVC 2 left the names by which DVC 3 finds them. They are linked, not copied.
    ///
    /// Examples:
    ///   lathe cache migrate --dry
    ///   lathe cache migrate --dvc-files   also write `.dvc` files anew
    #[command(verbatim_doc_comment)]
    Migrate {
        /// Only say what would be done.
        #[arg(long)]
        dry: bool,
        /// Also bring `.dvc` files to the form of DVC 3.
        #[arg(long)]
        dvc_files: bool,
    },
}

/// Looks after the cache.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.action {
        Action::Dir { path, unset, level } => config::cache_dir(call, path, unset, level),
        Action::Migrate { dry, dvc_files } => migrate(call, dry, dvc_files),
    }
}

fn migrate(call: &Call, dry: bool, dvc_files: bool) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let cache = data.repo.cache();
    let objects = cache.legacy_objects()?;
    let is_legacy = |file: &&lathe_data::DvcFile| {
        let outs = file.outs().iter().filter_map(|out| out.recorded.as_ref());
        outs.into_iter()
            .any(|recorded| recorded.algorithm == Algorithm::Md5Dos2Unix)
    };
    let files: Vec<_> = match dvc_files {
        true => data.files.iter().filter(is_legacy).collect(),
        false => Vec::new(),
    };
    // All data must be here, or its new name could not be known.
    for file in &files {
        for out in file.outs() {
            let at = file.place_of(out);
            if !at.exists() {
                return Err(hinted(
                    format!(
                        "`{}` is not here, so `{}` cannot be written anew",
                        data.shown(&at),
                        data.shown(file.path())
                    ),
                    "bring it with `lathe pull` or `lathe checkout`",
                ));
            }
        }
    }
    let shown: Vec<String> = files.iter().map(|file| data.shown(file.path())).collect();
    let mut count = objects.len();
    if !dry {
        count = cache.migrate(&objects)?;
        for file in &files {
            ops::renew(&data.repo, file)?;
        }
    }
    if call.json {
        terminal::print_json(&json!({ "objects": count, "files": shown, "dry": dry }))?;
        return Ok(Outcome::Done);
    }
    let (would, to) = match dry {
        true => ("would be ", "would be written anew"),
        false => ("", "written anew"),
    };
    tell!(
        "{} {would}linked to where DVC 3 looks",
        lathe_data::counted(count, "object")
    );
    for file in &shown {
        tell!("{file} {to}");
    }
    Ok(Outcome::Done)
}
