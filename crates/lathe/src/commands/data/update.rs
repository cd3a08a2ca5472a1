use lathe_data::{DvcFile, Origin, ops};
use serde_json::json;

use super::Data;
use super::import::{self, Options, Wanted};
use super::places::Place;
use super::sync::RemoteArgs;
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Bring what is new of imported data.
///
/// Examples:
///   lathe update images.dvc
///   lathe update images.dvc --rev v2
///   lathe update -R imports                all in a folder
///   lathe update --to-remote large.dvc     to the remote, and not here
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Imported data, or its `.dvc` files; with `--recursive` folders.
    #[arg(required = true)]
    targets: Vec<String>,
    /// Of another repository: the branch, tag or commit from now on.
    #[arg(long, value_name = "COMMIT")]
    rev: Option<String>,
    /// Only write down what is new, and leave it where it is.
    #[arg(long)]
    no_download: bool,
    /// Targets are folders, and mean all that is imported in them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Send data of URLs to the remote, and keep it neither here nor in the cache.
    #[arg(long, conflicts_with_all = ["no_download", "rev"])]
    to_remote: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Also lose changes of the data that are in no cache.
    #[arg(short, long)]
    force: bool,
}

/// Updates what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    if args.remote.remote.is_some() && !args.to_remote {
        return Err(hinted("`--remote` is for `--to-remote`", "add `--to-remote`"));
    }
    let files = match args.recursive {
        true => imported_in(&data, &args.targets)?,
        false => data.files_named(&args.targets)?,
    };
    let options = Options {
        force: true,
        no_exec: false,
        no_download: args.no_download,
        jobs: args.remote.jobs.map(usize::from),
    };
    let mut updated = Vec::new();
    for file in files {
        let shown = data.shown(file.path());
        if !args.force {
            refuse_losses(&data, file)?;
        }
        if update(&data, file, &args, &options)? {
            updated.push(shown);
        } else if !call.json {
            tell!("`{shown}` did not change");
        }
    }
    if call.json {
        terminal::print_json(&json!({ "updated": updated }))?;
    }
    let paths: Vec<_> = updated.iter().map(|file| data.folder.join(file)).collect();
    data.stage(&paths, call.json || call.quiet)?;
    Ok(Outcome::Done)
}

/// The imports in some folders.
fn imported_in<'a>(data: &'a Data, folders: &[String]) -> anyhow::Result<Vec<&'a DvcFile>> {
    let mut found = Vec::new();
    for folder in folders {
        let at = lathe_data::normal_path(&data.folder.join(folder));
        let before = found.len();
        let inside = data.files.iter().filter(|file| file.path().starts_with(&at));
        found.extend(inside.filter(|file| file.origin().is_some()));
        if found.len() == before {
            return Err(hinted(
                format!("nothing is imported in `{folder}`"),
                "name another folder, or a `.dvc` file without `--recursive`",
            ));
        }
    }
    Ok(found)
}

fn refuse_losses(data: &Data, file: &DvcFile) -> anyhow::Result<()> {
    for out in data.all.iter().filter(|out| out.file == file.path()) {
        let changed = matches!(
            ops::out_change(&data.repo, out)?,
            Some(ops::OutChange::Modified | ops::OutChange::New)
        );
        if changed && out.at.exists() {
            return Err(hinted(
                format!("`{}` has changes that no cache holds", out.shown(&data.folder)),
                "take them with `lathe commit`, or use `--force` to lose them",
            ));
        }
    }
    Ok(())
}

fn update(data: &Data, file: &DvcFile, args: &Args, options: &Options) -> anyhow::Result<bool> {
    match file.origin() {
        Some(Origin::Url { url, mark }) => {
            let folder = file.path().parent().unwrap_or(data.repo.root());
            let place = Place::find(&url, folder, Some(&data.repo))?;
            let now = match &place {
                Place::Local(path) => lathe_data::hash_path(&data.repo, path)?
                    .map(|content| ("md5".to_owned(), content.hashed.md5)),
                Place::Stored { .. } => place.look()?.mark.map(|(key, value)| (key.to_owned(), value)),
            };
            let is_here = file.outs().iter().all(|out| out.recorded.is_some());
            if now.is_some() && now == mark && (is_here || options.no_download) {
                return Ok(false);
            }
            if args.to_remote {
                let remote = args.remote.open(data)?;
                import::send_url(data, &place, file.clone(), url, &remote)?;
            } else {
                import::bring_url(data, &place, file.clone(), url, options)?;
            }
            Ok(true)
        }
        Some(Origin::Repo {
            url,
            rev,
            rev_lock,
            path,
        }) => {
            if args.to_remote {
                return Err(hinted(
                    format!(
                        "the data of `{}` belongs to another repository",
                        data.shown(file.path())
                    ),
                    "`--to-remote` is for imports from URLs",
                ));
            }
            let wanted = Wanted {
                url,
                rev: args.rev.clone().or(rev),
                path,
                remote: None,
            };
            import::bring_from_repo(data, file.clone(), &wanted, options, rev_lock.as_deref())
        }
        Some(Origin::Database) => Err(hinted(
            format!("`{}` is a query of a database", data.shown(file.path())),
            "update it with `dvc`",
        )),
        None => Err(hinted(
            format!("`{}` is no import", data.shown(file.path())),
            "take changed data with `lathe commit`",
        )),
    }
}
