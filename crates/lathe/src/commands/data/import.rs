use std::path::{Path, PathBuf};

use lathe_data::{DvcFile, Origin, Recorded, hash_path, ops};
use serde_json::json;

use super::foreign::{Foreign, moved};
use super::places::Place;
use super::sync::RemoteArgs;
use super::{Data, to_remote};
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Where what is imported goes.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Replace what is there.
    #[arg(short, long)]
    pub force: bool,
    /// Only write down where it comes from.
    #[arg(long)]
    pub no_exec: bool,
    /// Also write down what it is now, and leave it where it is.
    #[arg(long, conflicts_with = "no_exec")]
    pub no_download: bool,
    /// Files on their way at once.
    #[arg(skip)]
    pub jobs: Option<usize>,
}

/// Where data goes that is not to stay here.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub struct ToRemote {
    /// Send the data to the remote, and keep it neither here nor in the cache.
    #[arg(long, conflicts_with_all = ["no_exec", "no_download"])]
    pub to_remote: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Bring a file or folder from a URL or path, and remember where it came from: `lathe update` brings what is new.
///
/// Examples:
///   lathe import-url https://example.com/data.csv
///   lathe import-url s3://bucket/images raw/images
///   lathe import-url remote://store/shared/labels.csv
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct UrlArgs {
    /// `https://…`, `s3://…`, `gs://…`, `azure://…`, `ssh://…`, `remote://NAME/…`, or a path.
    url: String,
    /// Where it goes; its own name in this folder if absent.
    out: Option<String>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    to_remote: ToRemote,
}

/// What another git repository has, tracked by git or as data.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct RepoArgs {
    /// The repository: a URL or a path.
    url: Option<String>,
    /// A file or folder in it.
    path: Option<String>,
    /// Where it goes; its own name in this folder if absent.
    #[arg(short, long, value_name = "PATH")]
    out: Option<String>,
    /// The branch, tag or commit.
    #[arg(long, value_name = "COMMIT")]
    rev: Option<String>,
    /// The other repository's remote; its default one if absent.
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Files on their way at once.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    #[command(flatten)]
    options: Options,
}

/// Imports from a URL.
pub fn from_url(args: &UrlArgs, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let place = Place::find(&args.url, &data.folder, Some(&data.repo))?;
    let target = target(&data, args.out.as_deref(), &place.name())?;
    refuse(&data, &target, args.options.force)?;
    let file = file_for(&target);
    let url = match &place {
        Place::Local(path) if Path::new(&args.url).is_relative() && !args.url.contains("://") => {
            lathe_data::relative_path(path, target.parent().unwrap_or(Path::new("/")))
        }
        _ => args.url.clone(),
    };
    let to_remote = &args.to_remote;
    if to_remote.to_remote {
        let remote = to_remote.remote.open(&data)?;
        send_url(&data, &place, file, url, &remote)?;
    } else if to_remote.remote.remote.is_some() {
        return Err(hinted("`--remote` is for `--to-remote`", "add `--to-remote`"));
    } else {
        let options = Options {
            jobs: to_remote.remote.jobs.map(usize::from),
            ..args.options.clone()
        };
        bring_url(&data, &place, file, url, &options)?;
    }
    tell(&data, call, &target)
}

/// Imports from a git repository.
pub fn from_repo(args: &RepoArgs, call: &Call) -> anyhow::Result<Outcome> {
    let (Some(url), Some(path)) = (&args.url, &args.path) else {
        return Err(hinted(
            "it is not said what to import",
            "`lathe import URL PATH` from a git repository, or `lathe import mlflow SOURCE`",
        ));
    };
    let data = Data::open_locked(call)?;
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let target = target(&data, args.out.as_deref(), name)?;
    refuse(&data, &target, args.options.force)?;
    let wanted = Wanted {
        url: url.clone(),
        rev: args.rev.clone(),
        path: path.trim_matches('/').to_owned(),
        remote: args.remote.clone(),
    };
    let options = Options {
        jobs: args.jobs.map(usize::from),
        ..args.options.clone()
    };
    bring_from_repo(&data, file_for(&target), &wanted, &options, None)?;
    tell(&data, call, &target)
}

/// What is wanted of another repository.
pub struct Wanted {
    /// As written.
    pub url: String,
    /// The branch, tag or commit.
    pub rev: Option<String>,
    /// In it.
    pub path: String,
    /// The remote that has its data.
    pub remote: Option<String>,
}

/// Brings what a URL leads to, and writes it down.
pub fn bring_url(
    data: &Data,
    place: &Place,
    mut file: DvcFile,
    url: String,
    options: &Options,
) -> anyhow::Result<()> {
    if options.no_exec {
        file.set_origin(&Origin::Url { url, mark: None }, None);
        return save(data, &file);
    }
    let mark = mark_of(place, &url)?;
    let origin = Origin::Url { url, mark };
    if options.no_download {
        let recorded = match place {
            Place::Local(path) => hash_path(&data.repo, path)?.map(|content| Recorded::new(&content.hashed)),
            Place::Stored { .. } => place.look()?.size.map(|size| Recorded {
                md5: String::new(),
                size: Some(size),
                nfiles: None,
                is_exec: false,
                algorithm: Default::default(),
            }),
        };
        file.set_origin(&origin, recorded.as_ref());
        if let Some(out) = file.outs_mut().first_mut() {
            out.recorded = None;
        }
        return save(data, &file);
    }
    let scratch = scratch(data)?;
    let fetched = scratch.path().join("data");
    place.fetch(&fetched, options.jobs)?;
    put(data, &file, &fetched)?;
    Ok(ops::import(&data.repo, &file, &origin)?)
}

/// Sends what a URL leads to to a remote, and writes both down.
pub fn send_url(
    data: &Data,
    place: &Place,
    mut file: DvcFile,
    url: String,
    remote: &lathe_data::remote::Remote,
) -> anyhow::Result<()> {
    let mark = mark_of(place, &url)?;
    let recorded = to_remote::transfer(data, place, remote)?;
    file.set_origin(&Origin::Url { url, mark }, Some(&recorded));
    to_remote::record(&mut file, recorded);
    save(data, &file)
}

/// By what it is noticed that the data at a URL changed.
fn mark_of(place: &Place, url: &str) -> anyhow::Result<Option<(String, String)>> {
    let mark = place.look()?.mark.map(|(key, value)| (key.to_owned(), value));
    if mark.is_none() && url.starts_with("http") {
        return Err(hinted(
            format!("the server of `{url}` tells neither an ETag nor a Content-MD5"),
            "without them no change could be noticed: get it with `lathe get-url`, then `lathe add` it",
        ));
    }
    Ok(mark)
}

/// Brings what is wanted of another repository, unless its commit is `known`; says whether it did.
pub fn bring_from_repo(
    data: &Data,
    mut file: DvcFile,
    wanted: &Wanted,
    options: &Options,
    known: Option<&str>,
) -> anyhow::Result<bool> {
    let origin = |commit: Option<String>| Origin::Repo {
        url: wanted.url.clone(),
        rev: wanted.rev.clone(),
        rev_lock: commit,
        path: wanted.path.clone(),
    };
    if options.no_exec {
        file.set_origin(&origin(None), None);
        return save(data, &file).map(|()| true);
    }
    let cache = data.repo.cache().folder();
    let mut foreign = Foreign::open(
        &wanted.url,
        wanted.rev.as_deref(),
        &data.folder,
        &data.repo.tmp(),
        Some(cache),
    )?;
    foreign.jobs = options.jobs;
    if known == Some(&foreign.commit) {
        return Ok(false);
    }
    let origin = origin(Some(foreign.commit.clone()));
    let found = foreign.bring(&wanted.path, wanted.remote.as_deref())?;
    if options.no_download {
        let content = hash_path(&data.repo, &found)?;
        file.set_origin(&origin, None);
        if let Some(out) = file.outs_mut().first_mut() {
            out.recorded = content.map(|content| Recorded::new(&content.hashed));
        }
        return save(data, &file).map(|()| true);
    }
    put(data, &file, &found)?;
    ops::import(&data.repo, &file, &origin)?;
    Ok(true)
}

fn scratch(data: &Data) -> anyhow::Result<tempfile::TempDir> {
    let tmp = data.repo.tmp();
    std::fs::create_dir_all(&tmp)?;
    Ok(tempfile::Builder::new().prefix("lathe-import-").tempdir_in(tmp)?)
}

/// Puts what was fetched in the place of the file's output.
fn put(_data: &Data, file: &DvcFile, fetched: &Path) -> anyhow::Result<()> {
    let Some(at) = file.outs().first().map(|out| file.place_of(out)) else {
        return Ok(());
    };
    lathe_data::remove_path(&at)?;
    moved(fetched, &at)
}

fn save(data: &Data, file: &DvcFile) -> anyhow::Result<()> {
    let places: Vec<PathBuf> = file.outs().iter().map(|out| file.place_of(out)).collect();
    data.repo.keep_out_of_git(&places)?;
    Ok(file.save()?)
}

/// The `.dvc` file beside data.
pub fn file_for(target: &Path) -> DvcFile {
    let name = target
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    DvcFile::new(
        target.with_file_name(format!("{name}{}", lathe_data::SUFFIX)),
        name,
    )
}

/// The path that something named `name` goes to, absolute.
pub fn target(data: &Data, out: Option<&str>, name: &str) -> anyhow::Result<PathBuf> {
    let mut target = data.folder.join(out.unwrap_or(name));
    if out.is_some() && target.is_dir() {
        target.push(name);
    }
    let target = lathe_data::normal_path(&target);
    if name.is_empty() || !target.starts_with(data.repo.root()) || target == data.repo.root() {
        return Err(hinted(
            format!("`{}` is no place in the project", target.display()),
            "name one: lathe import … --out PATH",
        ));
    }
    Ok(target)
}

/// What cannot have data put at it.
pub fn refuse(data: &Data, target: &Path, force: bool) -> anyhow::Result<()> {
    let overlapping = |out: &&lathe_data::Tracked| {
        out.at != target && (out.at.starts_with(target) || target.starts_with(&out.at))
    };
    if let Some(other) = data.all.iter().find(overlapping) {
        return Err(hinted(
            format!(
                "`{}` overlaps `{}`, which `{}` tracks",
                data.shown(target),
                other.shown(&data.folder),
                other.address(&data.folder)
            ),
            "give it another place",
        ));
    }
    if target.symlink_metadata().is_ok() && !force {
        return Err(hinted(
            format!("`{}` exists already", data.shown(target)),
            "use `--force` to replace it, or give another place",
        ));
    }
    Ok(())
}

fn tell(data: &Data, call: &Call, target: &Path) -> anyhow::Result<Outcome> {
    let file = file_for(target).path().to_owned();
    if call.json {
        terminal::print_json(&json!({ "path": data.shown(target), "file": data.shown(&file) }))?;
    }
    data.stage(
        &[file, target.with_file_name(".gitignore")],
        call.json || call.quiet,
    )?;
    Ok(Outcome::Done)
}
