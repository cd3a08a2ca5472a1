use std::path::{Path, PathBuf};

use lathe_data::ops::{self, AddOptions};
use serde_json::json;

use super::places::Place;
use super::sync::RemoteArgs;
use super::{Data, import, to_remote};
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::{git, terminal};

/// Track files or folders: into the cache, with a small `.dvc` file for git in their place.
///
/// A path inside of a tracked folder updates that folder by this path alone.
///
/// Examples:
///   lathe add data.csv images/         two of them
///   lathe add images/new.png           one file more in a tracked folder
///   lathe add --glob 'raw/*.parquet'   whatever the pattern finds
///   lathe add /mnt/x.csv -o x.csv      a file from elsewhere, brought here
///   lathe add --to-remote /mnt/large   sent to the remote; `lathe pull` brings it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Files and folders.
    #[arg(required = true)]
    targets: Vec<String>,
    /// Targets are patterns: `*`, `?`, `[…]`, and `**` for folders.
    #[arg(long)]
    glob: bool,
    /// Only write the `.dvc` file; `lathe commit` puts the data into the cache later.
    #[arg(long)]
    no_commit: bool,
    /// The `.dvc` file to write.
    #[arg(long, value_name = "PATH", conflicts_with = "out")]
    file: Option<PathBuf>,
    /// Where to put what comes from outside of the project.
    #[arg(short, long, value_name = "PATH")]
    out: Option<String>,
    /// Replace what is at the path of `--out`.
    #[arg(short, long)]
    force: bool,
    /// Send the data to the remote, and keep it neither here nor in the cache; the target may be a URL.
    #[arg(long, conflicts_with_all = ["glob", "no_commit", "file"])]
    to_remote: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Leave the files as they are, whatever `cache.type` says.
    #[arg(long)]
    no_relink: bool,
}

/// Adds what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    if args.to_remote {
        return add_to_remote(&args, &data, call);
    }
    if args.remote.remote.is_some() || args.remote.jobs.is_some() {
        return Err(hinted(
            "`--remote` and `--jobs` are for `--to-remote`",
            "add `--to-remote`",
        ));
    }
    let targets = targets(&args, &data)?;
    if targets.is_empty() {
        return Err(hinted(
            "no file matches",
            "check the pattern, quoted so that the shell leaves it",
        ));
    }
    refuse_what_git_tracks(&data, &targets)?;
    let options = AddOptions {
        file: args
            .file
            .map(|file| lathe_data::normal_path(&data.folder.join(file))),
        no_commit: args.no_commit,
        no_relink: args.no_relink,
    };
    if options.file.is_some() && 1 < targets.len() {
        return Err(hinted(
            "`--file` names one `.dvc` file for several targets",
            "add them one by one",
        ));
    }
    let added = ops::add(&data.repo, &data.files, &data.all, &targets, &options)?;
    let mut changed = Vec::new();
    for added in &added {
        let ignore = added.at.with_file_name(".gitignore");
        changed.extend(ignore.exists().then_some(ignore));
        changed.push(added.file.clone());
        for link in added.left_out.iter().filter(|_| !call.quiet) {
            eprintln!(
                "`{}` is a link to a folder: what is in it is not tracked",
                data.shown(link)
            );
        }
    }
    if call.json {
        let listed: Vec<_> = added
            .iter()
            .map(|added| json!({ "path": data.shown(&added.at), "file": data.shown(&added.file) }))
            .collect();
        terminal::print_json(&json!({ "added": listed }))?;
    }
    data.stage(&changed, call.json || call.quiet)?;
    Ok(Outcome::Done)
}

/// Sends what the target names to the remote, and writes down what it is.
fn add_to_remote(args: &Args, data: &Data, call: &Call) -> anyhow::Result<Outcome> {
    let [source] = args.targets.as_slice() else {
        return Err(hinted("`--to-remote` takes one target", "add them one by one"));
    };
    let place = Place::find(source, &data.folder, Some(&data.repo))?;
    let target = import::target(data, args.out.as_deref(), &place.name())?;
    import::refuse(data, &target, args.force || args.out.is_none())?;
    refuse_what_git_tracks(data, std::slice::from_ref(&target))?;
    if let Some(made) = data
        .all
        .iter()
        .find(|out| out.at == target && out.stage.is_some())
    {
        return Err(hinted(
            format!(
                "`{}` is made by `{}`",
                data.shown(&target),
                made.address(&data.folder)
            ),
            "give it another place with `--out`",
        ));
    }
    let tracked = |file: &&lathe_data::DvcFile| file.outs().iter().any(|out| file.place_of(out) == target);
    let mut file = match data.files.iter().find(tracked) {
        Some(file) => file.clone(),
        None => import::file_for(&target),
    };
    let remote = args.remote.open(data)?;
    let recorded = to_remote::transfer(data, &place, &remote)?;
    to_remote::record(&mut file, recorded);
    file.save()?;
    if call.json {
        let listed = json!({ "path": data.shown(&target), "file": data.shown(file.path()) });
        terminal::print_json(&json!({ "added": [listed] }))?;
    }
    data.stage(&[file.path().to_owned()], call.json || call.quiet)?;
    Ok(Outcome::Done)
}

fn targets(args: &Args, data: &Data) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(out) = &args.out {
        let [source] = args.targets.as_slice() else {
            return Err(hinted("`--out` takes one target", "add them one by one"));
        };
        return Ok(vec![bring(data, source, out, args.force)?]);
    }
    if args.glob {
        let mut found = Vec::new();
        for pattern in &args.targets {
            found.extend(lathe_data::glob(&data.folder, pattern)?);
        }
        return Ok(found);
    }
    let places = args
        .targets
        .iter()
        .map(|target| lathe_data::normal_path(&data.folder.join(target)));
    Ok(places.collect())
}

/// Brings a file or folder from elsewhere into the project.
fn bring(data: &Data, source: &str, out: &str, force: bool) -> anyhow::Result<PathBuf> {
    let source = data.folder.join(source);
    let mut target = lathe_data::normal_path(&data.folder.join(out));
    if target.is_dir() && !force {
        target.push(source.file_name().unwrap_or_default());
    }
    if target.symlink_metadata().is_ok() {
        if !force {
            return Err(hinted(
                format!("`{}` exists already", data.shown(&target)),
                "use `--force` to replace it",
            ));
        }
        lathe_data::remove_path(&target)?;
    }
    lathe_data::copy_tree(&source, &target)?;
    Ok(target)
}

fn refuse_what_git_tracks(data: &Data, targets: &[PathBuf]) -> anyhow::Result<()> {
    if data.repo.no_scm() {
        return Ok(());
    }
    let root = data.repo.root();
    let inside = targets
        .iter()
        .filter(|path| path.starts_with(root) && *path != root);
    let paths: Vec<&Path> = inside.map(PathBuf::as_path).collect();
    match git::first_tracked(data.repo.root(), &paths)? {
        None => Ok(()),
        Some(path) => Err(hinted(
            format!("git tracks `{path}` already"),
            format!(
                "let git forget it first: git rm -r --cached '{path}' && git commit -m 'stop tracking {path}'"
            ),
        )),
    }
}
