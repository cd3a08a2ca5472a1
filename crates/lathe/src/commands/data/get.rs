use std::path::{Path, PathBuf};

use serde_json::json;

use super::Data;
use super::foreign::{Foreign, moved};
use super::places::Place;
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Bring a file or folder of another git repository, without tracking it.
///
/// Examples:
///   lathe get https://github.com/me/models model.pkl --rev v1
///   lathe get ../other data/images -o images
///   lathe get ../other model.pkl --show-url    where its remote keeps it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The repository: a URL or a path.
    url: String,
    /// A file or folder in it.
    path: String,
    /// Where it goes; its own name in this folder if absent.
    #[arg(short, long, value_name = "PATH")]
    out: Option<String>,
    /// The branch, tag or commit.
    #[arg(long, value_name = "COMMIT")]
    rev: Option<String>,
    /// The other repository's remote; its default one if absent.
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Print where the data lies on the remote, and bring nothing.
    #[arg(long)]
    show_url: bool,
    /// Files on their way at once.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Replace what is there.
    #[arg(short, long)]
    force: bool,
}

/// Bring a file or folder from a URL, without tracking it.
///
/// Examples:
///   lathe get-url https://example.com/data.csv
///   lathe get-url s3://bucket/images images
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct UrlArgs {
    /// `https://…`, `s3://…`, `gs://…`, `azure://…`, `ssh://…`, `remote://NAME/…`, or a path.
    url: String,
    /// Where it goes; its own name in this folder if absent.
    out: Option<String>,
    /// Files on their way at once.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Replace what is there.
    #[arg(short, long)]
    force: bool,
}

/// Brings it from a repository.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let name = args
        .path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    if args.show_url {
        let near = std::env::temp_dir();
        let foreign = Foreign::open(&args.url, args.rev.as_deref(), &call.folder, &near, None)?;
        let url = foreign.object_url(&args.path, args.remote.as_deref())?;
        match call.json {
            true => terminal::print_json(&json!({ "url": url }))?,
            false => tell!("{url}"),
        }
        return Ok(Outcome::Done);
    }
    let target = target(&call.folder, args.out.as_deref(), name, args.force)?;
    let near = target.parent().unwrap_or(Path::new("/"));
    let mut foreign = Foreign::open(&args.url, args.rev.as_deref(), &call.folder, near, None)?;
    foreign.jobs = args.jobs.map(usize::from);
    let found = foreign.bring(&args.path, args.remote.as_deref())?;
    lathe_data::remove_path(&target)?;
    moved(&found, &target)?;
    Ok(Outcome::Done)
}

/// Brings it from a URL.
pub fn from_url(args: &UrlArgs, call: &Call) -> anyhow::Result<Outcome> {
    let repo = Data::open(call).ok().map(|data| data.repo);
    let place = Place::find(&args.url, &call.folder, repo.as_ref())?;
    let target = target(&call.folder, args.out.as_deref(), &place.name(), args.force)?;
    let near = target.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(near)?;
    let scratch = tempfile::Builder::new().prefix("lathe-get-").tempdir_in(near)?;
    let fetched = scratch.path().join("data");
    place.fetch(&fetched, args.jobs.map(usize::from))?;
    lathe_data::remove_path(&target)?;
    moved(&fetched, &target)?;
    Ok(Outcome::Done)
}

fn target(folder: &Path, out: Option<&str>, name: &str, force: bool) -> anyhow::Result<PathBuf> {
    let mut target = folder.join(out.unwrap_or(name));
    if out.is_some() && target.is_dir() {
        target.push(name);
    }
    let target = lathe_data::normal_path(&target);
    if target.symlink_metadata().is_ok() && !force {
        return Err(hinted(
            format!("`{}` exists already", target.display()),
            "use `--force` to replace it, or `--out` for another place",
        ));
    }
    Ok(target)
}
