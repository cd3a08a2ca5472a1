use std::path::PathBuf;

use lathe_store::Location;

use super::store_args::StoreArgs;
use super::{Call, data};
use crate::exit::{Outcome, hinted};
use crate::import::{self, FileStore, Overview, Reading, Report, Source, Target};
use crate::{terminal, wiring};

/// Bring data of another git repository and remember where it came from, or take over what MLflow kept.
///
/// `lathe update` brings what is new.
///
/// Examples:
///   lathe import https://github.com/me/data images --rev v2
///   lathe import ../other model.pkl -o models/other.pkl
///   lathe import mlflow sqlite:///mlflow.db
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    from: Option<From>,
    #[command(flatten)]
    repo: data::import::RepoArgs,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    Mlflow(MlflowArgs),
}

/// Take over experiments, runs, metrics with their histories, params, tags, datasets, logged and registered models.
///
/// The source is a database of MLflow's server or the folder `mlruns/` of its file store; it is only read. Ids, names,
/// times and life cycles stay. Artifacts stay where they lie, and are linked, or are copied. Doing it again takes over
/// what is new, and goes on after an interruption.
///
/// Examples:
///   lathe import mlflow sqlite:///mlflow.db
///   lathe import mlflow ./mlruns --copy
///   lathe import mlflow mlflow.db --artifacts ./mlartifacts --copy
///   lathe import mlflow mlflow.db --dry                           counts what would be taken over
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct MlflowArgs {
    /// `sqlite:///PATH`, an SQLite file, `postgresql://…`, or a folder.
    source: String,
    /// Copy artifacts into this server's own; else they stay where they lie.
    #[arg(long)]
    copy: bool,
    /// Where the other server keeps what it proxies (its `--artifacts-destination`): a folder or an object store.
    #[arg(long, value_name = "FOLDER|URL")]
    artifacts: Option<String>,
    /// Only count what would be taken over, and say what cannot be.
    #[arg(long)]
    dry: bool,
    /// What it is taken over into.
    #[command(flatten)]
    into: StoreArgs,
}

/// Takes over, and tells what.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let Some(From::Mlflow(args)) = args.from else {
        return data::import::from_repo(&args.repo, call);
    };
    let (source, reading) = open_source(&args, call)?;
    let overview = Overview::read(&source)?;
    if args.dry {
        tell(call, &overview.count(), "would be taken over")?;
        return Ok(Outcome::Done);
    }
    let (database, artifacts) = args.into.places(call)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let parts = wiring::open_parts(&database, &artifacts, wiring::PartOptions::default())?;
        let target = Target {
            store: parts.state.store,
            artifacts: parts.state.artifacts,
            copy: args.copy,
        };
        import::take_over(source, overview, reading, target).await
    })?;
    tell(call, &report, "taken over")?;
    Ok(Outcome::Done)
}

fn open_source(args: &MlflowArgs, call: &Call) -> anyhow::Result<(Source, Reading)> {
    let folder = call.folder.as_path();
    let reading = |base: PathBuf| Reading {
        base,
        behind: args.artifacts.clone(),
    };
    let path = folder.join(args.source.strip_prefix("file://").unwrap_or(&args.source));
    if path.is_dir() {
        let files = FileStore::open(&path).ok_or_else(|| {
            hinted(
                format!("`{}` is no folder of MLflow's file store", path.display()),
                "name the folder `mlruns`, with a folder for each experiment in it",
            )
        })?;
        return Ok((Source::Files(files), reading(import::base_of(&path, folder))));
    }
    let location = call.database_at(&args.source)?;
    let base = match &location {
        Location::Postgres(_) => folder.to_owned(),
        Location::Sqlite(database) if database.is_file() => import::base_of(database, folder),
        Location::Sqlite(database) => {
            return Err(hinted(
                format!("there is no database at `{}`", database.display()),
                "name it as `sqlite:///PATH`, or a folder `mlruns`",
            ));
        }
    };
    Ok((Source::open(location)?, reading(base)))
}

fn tell(call: &Call, report: &Report, done: &str) -> anyhow::Result<()> {
    if call.json {
        return terminal::print_json(report);
    }
    println!(
        "{done}: {} experiments, {} runs with {} points, {} logged models, {} registered models with {} versions",
        report.experiments,
        report.runs,
        report.points,
        report.logged_models,
        report.registered_models,
        report.versions
    );
    if report.runs_unchanged != 0 {
        println!("{} runs were here already", report.runs_unchanged);
    }
    if report.artifacts_copied != 0 {
        let mib = report.artifact_bytes >> 20;
        println!("{} artifacts copied ({mib} MiB)", report.artifacts_copied);
    }
    if !report.left_out.is_empty() {
        println!("not here as it was there:");
        for left in &report.left_out {
            println!("  {left}");
        }
    }
    Ok(())
}
