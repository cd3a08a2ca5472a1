use clap::Parser;
use lathe_data::RepoLock;
use lathe_pipeline::{NewOut, NewStage, OutKind, Project, Stage};
use serde_json::json;

use super::Call;
use super::selection::{StageSelection, folder_of_pipeline};
use crate::cli::Cli;
use crate::exit::Outcome;
use crate::terminal;

/// Longer descriptions are cut.
const DESCRIPTION_CHARS_MAX: usize = 80;

/// Add a stage to dvc.yaml, or list the stages.
///
/// Examples:
///   lathe stage add -n train -d data.csv -p lr,epochs -o model.pkl python train.py
///   lathe stage list
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a stage to the dvc.yaml of this folder.
    ///
    /// Examples:
    ///   lathe stage add -n train -d train.py -d data -o model.pkl -M metrics.json python train.py
    #[command(verbatim_doc_comment)]
    Add(Box<Add>),
    /// List the stages.
    ///
    /// Examples:
    ///   lathe stage list --all
    #[command(verbatim_doc_comment)]
    List {
        #[command(flatten)]
        selection: StageSelection,
        /// Those of every pipeline file.
        #[arg(long)]
        all: bool,
        /// Names alone.
        #[arg(long, alias = "names-only")]
        name_only: bool,
        /// Nothing: a pipeline that is not sound is always an error.
        #[arg(long, hide = true)]
        fail: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The stage's name.
    #[arg(short, long)]
    name: String,
    /// Replace a stage of the same name.
    #[arg(short, long)]
    force: bool,
    /// An input.
    #[arg(short, long = "deps", value_name = "PATH")]
    deps: Vec<String>,
    /// Parameters: `key,key` of params.yaml, `FILE:key,key`, `FILE:` for a whole file.
    #[arg(short, long = "params", value_name = "[FILE:]KEYS")]
    params: Vec<String>,
    /// An output.
    #[arg(short, long = "outs", value_name = "PATH")]
    outs: Vec<String>,
    /// An output kept out of the cache.
    #[arg(short = 'O', long, value_name = "PATH")]
    outs_no_cache: Vec<String>,
    /// An output that is not removed before the stage is executed.
    #[arg(long, value_name = "PATH")]
    outs_persist: Vec<String>,
    /// An output that is neither removed nor cached.
    #[arg(long, value_name = "PATH")]
    outs_persist_no_cache: Vec<String>,
    /// A file of metrics.
    #[arg(short, long = "metrics", value_name = "PATH")]
    metrics: Vec<String>,
    /// A file of metrics kept out of the cache.
    #[arg(short = 'M', long, value_name = "PATH")]
    metrics_no_cache: Vec<String>,
    /// A plot.
    #[arg(long = "plots", value_name = "PATH")]
    plots: Vec<String>,
    /// A plot kept out of the cache.
    #[arg(long, value_name = "PATH")]
    plots_no_cache: Vec<String>,
    /// The folder that the command is executed in.
    #[arg(short, long, value_name = "FOLDER")]
    wdir: Option<String>,
    /// Execute it every time.
    #[arg(long)]
    always_changed: bool,
    /// What it is for.
    #[arg(long)]
    desc: Option<String>,
    /// Execute it at once.
    #[arg(long)]
    run: bool,
    /// The command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Adds or lists stages.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.action {
        Action::Add(add) => add_stage(*add, call),
        Action::List {
            selection,
            all,
            name_only,
            fail: _,
        } => {
            let repo = lathe_data::Repo::discover(&call.folder)?;
            let project = Project::load(&repo)?;
            let mut wanted = selection.select(call, repo.root());
            wanted.all |= all;
            let listed = match wanted.all {
                true => (0..project.stages().len()).collect(),
                false => project.targets(&wanted)?,
            };
            list(
                listed.into_iter().map(|index| &project.stages()[index]),
                name_only,
                call,
            )
        }
    }
}

fn list<'a>(
    stages: impl Iterator<Item = &'a Stage>,
    name_only: bool,
    call: &Call,
) -> anyhow::Result<Outcome> {
    if call.json {
        let listed: Vec<_> = stages
            .map(|stage| json!({ "stage": stage.address(), "description": description(stage) }))
            .collect();
        terminal::print_json(&listed)?;
        return Ok(Outcome::Done);
    }
    let stages: Vec<&Stage> = stages.collect();
    let width = stages
        .iter()
        .map(|stage| stage.address().chars().count())
        .max()
        .unwrap_or(0);
    for stage in stages {
        let address = stage.address();
        match name_only {
            true => tell!("{address}"),
            false => tell!("{address:<width$}  {}", description(stage)),
        }
    }
    Ok(Outcome::Done)
}

/// What people wrote of a stage, else what it makes.
fn description(stage: &Stage) -> String {
    let first = stage
        .desc
        .as_deref()
        .and_then(|desc| desc.lines().find(|line| !line.trim().is_empty()));
    let paths = |wanted: &dyn Fn(OutKind) -> bool| {
        let outs = stage.outs.iter().filter(|out| wanted(out.kind));
        outs.map(|out| out.path.as_str()).collect::<Vec<_>>().join(", ")
    };
    let text = match first {
        Some(line) => line.trim().to_owned(),
        None if stage.outs.is_empty() && stage.deps.is_empty() => "No outputs or dependencies".to_owned(),
        None if stage.outs.is_empty() => {
            let deps: Vec<&str> = stage.deps.iter().map(|dep| dep.path.as_str()).collect();
            format!("Depends on {}", deps.join(", "))
        }
        None => {
            let outs = paths(&|kind| kind == OutKind::Data);
            let reports = paths(&|kind| kind != OutKind::Data);
            let parts = [("Outputs", outs), ("Reports", reports)];
            let parts = parts.iter().filter(|(_, paths)| !paths.is_empty());
            parts
                .map(|(word, paths)| format!("{word} {paths}"))
                .collect::<Vec<_>>()
                .join("; ")
        }
    };
    match text.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn add_stage(add: Add, call: &Call) -> anyhow::Result<Outcome> {
    let repo = lathe_data::Repo::discover(&call.folder)?;
    let lock = RepoLock::acquire(&repo)?;
    let folder = call
        .folder
        .strip_prefix(repo.root())
        .unwrap_or(std::path::Path::new(""));
    let folder = match call.folder.join("dvc.yaml").is_file() {
        true => folder.to_string_lossy().into_owned(),
        false => folder_of_pipeline(call, repo.root(), &["./".to_owned()]),
    };
    let outs = |plain: Vec<String>, no_cache: Vec<String>| {
        let plain = plain.into_iter().map(|path| (path, false));
        let all = plain.chain(no_cache.into_iter().map(|path| (path, true)));
        let made = all.map(|(path, no_cache)| NewOut {
            path,
            no_cache,
            persist: false,
        });
        made.collect::<Vec<_>>()
    };
    let mut kept = outs(add.outs, add.outs_no_cache);
    let persistent = outs(add.outs_persist, add.outs_persist_no_cache);
    kept.extend(persistent.into_iter().map(|out| NewOut { persist: true, ..out }));
    let stage = NewStage {
        name: add.name,
        commands: vec![command_of(&add.command)],
        wdir: add.wdir,
        deps: add.deps,
        params: add.params,
        outs: kept,
        metrics: outs(add.metrics, add.metrics_no_cache),
        plots: outs(add.plots, add.plots_no_cache),
        always_changed: add.always_changed,
        desc: add.desc,
    };
    let file = lathe_pipeline::add_stage(&repo, &folder, &stage, add.force)?;
    let project = Project::load(&repo)?;
    let added = project
        .stages()
        .iter()
        .filter(|known| *known.file == *file && known.name == stage.name);
    let mut written = super::data::written_by(&repo, added);
    written.push(repo.root().join(&file));
    super::data::autostage(&repo, &written)?;
    if call.json {
        terminal::print_json(&json!({ "stage": stage.name, "file": file }))?;
    } else {
        tell!("added stage {} to {file}", stage.name);
    }
    drop(lock);
    if add.run {
        let at = repo.root().join(&folder).display().to_string();
        let target = format!("dvc.yaml:{}", stage.name);
        return super::execute(Cli::try_parse_from(["lathe", "--cd", &at, "run", "-s", &target])?);
    }
    Ok(Outcome::Done)
}

/// One word is the command as it is; of several those with blanks are quoted.
fn command_of(words: &[String]) -> String {
    let quoted = |word: &String| match word.contains(' ') && !word.contains('"') {
        true => format!("\"{word}\""),
        false => word.clone(),
    };
    match words {
        [only] => only.clone(),
        _ => words.iter().map(quoted).collect::<Vec<_>>().join(" "),
    }
}
