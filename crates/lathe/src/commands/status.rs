use lathe_data::Repo;
use serde_json::json;

use super::selection::StageSelection;
use super::{Call, data, run};
use crate::environment_marks::EnvironmentMarks;
use crate::exit::Outcome;
use crate::stage_view::print_plan;
use crate::{external, terminal};

/// Say what changed: what `run` would execute, and why, and which data differs from its `.dvc` file.
///
/// With `--cloud` the cache is compared with a remote instead.
///
/// Examples:
///   lathe status
///   lathe status --json
///   lathe status --quiet && echo clean     exit code 1 if anything changed
///   lathe status --no-updates              without asking where imports come from
///   lathe status --cloud -r store          what `push` and `pull` would move
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    selection: StageSelection,
    #[command(flatten)]
    cloud: data::status::CloudOptions,
    /// Do not ask other repositories whether imported data is newer there.
    #[arg(long)]
    no_updates: bool,
}

/// Prints every stage with its reason, then the data.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let targets = args.selection.targets.clone();
    if args.cloud.is_wanted() {
        return data::status::cloud(&args.cloud.scope(args.selection.is_recursive()), &targets, call);
    }
    let project = call.project_or_repository()?;
    let repo = Repo::discover(&project.root)?;
    let (of_data, of_stages) = data::status::divide(&repo, &targets, &call.folder);
    let mut lines = Vec::new();
    let mut executes = false;
    // A project may hold data alone; one that holds nothing is told to make a pipeline.
    let has_pipeline = !lathe_data::pipeline_files(&repo)?.is_empty() || data::status::tracks_nothing(&repo)?;
    if has_pipeline && (targets.is_empty() || !of_stages.is_empty()) {
        let mut selection = args.selection;
        selection.targets = of_stages;
        // As of data, all is meant that the repository holds.
        selection.take_all_if_none_is_named();
        let pipelines = lathe_pipeline::Project::load(&repo)?.reaching(external::reach(&repo));
        let marks = EnvironmentMarks::load(&project.root);
        let options = lathe_pipeline::ExecuteOptions {
            selection: selection.select(call, repo.root()),
            environment: run::environment_mark(&project, &marks)?,
            ..Default::default()
        };
        let plan = lathe_pipeline::plan_project(&repo, &pipelines, &options)?;
        executes = plan.executes_anything();
        lines = plan.lines();
    }
    let changes = match targets.is_empty() || !of_data.is_empty() {
        true => data::status::changes(call, &of_data, !args.no_updates)?,
        false => serde_json::Map::new(),
    };
    let up_to_date = !executes && changes.is_empty();
    if call.json {
        terminal::print_json(&json!({ "up_to_date": up_to_date, "stages": lines, "data": changes }))?;
        return Ok(Outcome::Done);
    }
    if call.quiet {
        return Ok(if up_to_date {
            Outcome::Done
        } else {
            Outcome::Changed
        });
    }
    print_plan(&lines);
    data::status::print(&changes);
    if up_to_date {
        println!("everything is up to date");
    }
    Ok(Outcome::Done)
}
