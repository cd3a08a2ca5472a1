use serde_json::json;

use super::{Call, run};
use crate::exit::Outcome;
use crate::terminal;

/// Say what `run` would execute, and why.
///
/// Examples:
///   lathe status
///   lathe status --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Stages to look at, with what they need; all if absent.
    targets: Vec<String>,
}

/// Prints every stage with its reason.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let project = call.project()?;
    let repo = lathe_data::Repo::discover(&project.root)?;
    let pipelines = lathe_pipeline::Project::load(&repo)?;
    let options = lathe_pipeline::ExecuteOptions {
        targets: args.targets,
        ..Default::default()
    };
    let plan = lathe_pipeline::plan_project(&repo, &pipelines, &options)?;
    let lines = plan.lines();
    if call.json {
        terminal::print_json(&json!({ "up_to_date": !plan.executes_anything(), "stages": lines }))?;
    } else {
        run::print_plan(&lines);
        if !plan.executes_anything() {
            println!("everything is up to date");
        }
    }
    Ok(Outcome::Done)
}
