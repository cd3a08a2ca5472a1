use super::Call;
use crate::exit::{Outcome, hinted};
use crate::export::{Credentials, Export, Remote, Report};
use crate::terminal;

/// Write a run or a model into another MLflow server, through its API.
///
/// Metrics with their histories, params, tags, datasets and artifacts go along; of a model its versions with the runs
/// they came from, aliases and stages. What was written before is not written again.
///
/// Examples:
///   lathe export run 4f1c… --to http://tracking:5000
///   lathe export model bike-demand --to http://tracking:5000
///   lathe export model bike-demand/3 --to http://tracking:5000
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What is written.
    #[arg(value_enum)]
    what: What,
    /// Ids of runs, or names of models; `NAME/VERSION` is one version.
    #[arg(required = true, value_name = "ID|NAME")]
    which: Vec<String>,
    /// The other server; `MLFLOW_TRACKING_USERNAME`, `_PASSWORD` and `_TOKEN` say who to be there.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The experiment there; the one of the same name if absent.
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// Runs.
    Run,
    /// Registered models.
    Model,
}

/// Writes, and tells what.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    if !args.to.starts_with("http://") && !args.to.starts_with("https://") {
        return Err(hinted(
            format!("`{}` is not the address of a server", args.to),
            "write it as `http://127.0.0.1:5000`",
        ));
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("MLFLOW_TRACKING_USERNAME");
    let credentials = Credentials {
        basic: user.zip(variable("MLFLOW_TRACKING_PASSWORD")),
        token: variable("MLFLOW_TRACKING_TOKEN"),
    };
    // Kept: an embedded store listens as long as it lives.
    let client = call.client()?;
    let mut export = Export {
        from: Remote::new(&client.tracking_url()?, &Credentials::default()),
        to: Remote::new(&args.to, &credentials),
        experiment: args.experiment,
        report: Report::default(),
    };
    for which in &args.which {
        match args.what {
            What::Run => drop(export.run(which)?),
            What::Model => {
                let (name, version) = match which.rsplit_once('/') {
                    None => (which.as_str(), None),
                    Some((name, version)) => {
                        let number = version.parse().map_err(|_| {
                            hinted(format!("`{version}` is no version"), "name it as `NAME/3`")
                        })?;
                        (name, Some(number))
                    }
                };
                export.model(name, version)?;
            }
        }
    }
    let report = export.report;
    if call.json {
        terminal::print_json(&report)?;
        return Ok(Outcome::Done);
    }
    for (here, there) in report.runs.iter().chain(&report.versions) {
        println!("{here} is {there} there");
    }
    println!(
        "written: {} runs with {} points, {} versions, {} artifacts ({} MiB)",
        report.runs.len(),
        report.points,
        report.versions.len(),
        report.artifacts,
        report.artifact_bytes >> 20
    );
    for left in &report.left_out {
        println!("not there: {left}");
    }
    Ok(Outcome::Done)
}
