use serde_json::json;

use super::selection::StageSelection;
use super::{Call, run};
use crate::environment_marks::EnvironmentMarks;
use crate::exit::Outcome;
use crate::stage_view::print_plan;
use crate::terminal;

/// Say what `run` would execute, and why.
///
/// Examples:
///   lathe status
///   lathe status --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    selection: StageSelection,
}

/// Prints every stage with its reason.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let project = call.project_or_repository()?;
    let repo = lathe_data::Repo::discover(&project.root)?;
    let pipelines = lathe_pipeline::Project::load(&repo)?;
    let options = lathe_pipeline::ExecuteOptions {
        selection: args.selection.select(call, repo.root()),
        ..Default::default()
    };
    let marks = EnvironmentMarks::load(&project.root);
    let options = lathe_pipeline::ExecuteOptions {
        environment: run::environment_mark(&project, &marks)?,
        ..options
    };
    let plan = lathe_pipeline::plan_project(&repo, &pipelines, &options)?;
    let lines = plan.lines();
    if call.json {
        terminal::print_json(&json!({ "up_to_date": !plan.executes_anything(), "stages": lines }))?;
    } else {
        print_plan(&lines);
        if !plan.executes_anything() {
            println!("everything is up to date");
        }
    }
    Ok(Outcome::Done)
}
