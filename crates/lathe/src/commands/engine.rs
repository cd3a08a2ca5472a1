use std::sync::Arc;

use lathe_pipeline::Elsewhere;
use lathe_types::RunId;
use lathe_types::project::EngineKind;

use super::Call;
use crate::exit::hinted;
use crate::project::ProjectFile;
use crate::settings::Place;
use crate::steps::WorkerEngine;

/// Where stages are executed.
#[derive(Debug, Default, Clone, clap::Args)]
#[group(skip)]
pub struct EngineArgs {
    /// Where stages are executed: `local`, or by a `worker` that takes them from the server; lathe.toml's
    /// `[project] engine` if absent, else local.
    #[arg(long, value_name = "WHERE", value_parser = parse)]
    engine: Option<EngineKind>,
}

fn parse(text: &str) -> Result<EngineKind, String> {
    match text {
        "local" => Ok(EngineKind::Local),
        "worker" => Ok(EngineKind::Worker),
        _ => Err("write `local` or `worker`".to_owned()),
    }
}

impl EngineArgs {
    /// The option that another process is given to do the same.
    pub fn to_argument(&self) -> Option<String> {
        self.engine.map(|engine| match engine {
            EngineKind::Local => "--engine=local".to_owned(),
            EngineKind::Worker => "--engine=worker".to_owned(),
        })
    }

    /// The server through which workers are reached, if they are to execute the stages.
    pub fn workers(
        &self,
        call: &Call,
        project: &ProjectFile,
        watches: bool,
    ) -> anyhow::Result<Option<Place>> {
        if self.engine.or(project.spec.project.engine) != Some(EngineKind::Worker) {
            return Ok(None);
        }
        if watches {
            return Err(hinted(
                "what stages read and write is watched on this machine, and workers are others",
                "add `--engine local`",
            ));
        }
        match call.place()? {
            place @ Place::Server(_) => Ok(Some(place)),
            Place::Embedded { .. } => Err(hinted(
                "workers take stages from a server, and none is named",
                "name it with `--server`, `LATHE_SERVER` or `[project] server`, or add `--engine local`",
            )),
        }
    }
}

/// Lets workers execute the stages of a run.
pub fn elsewhere(
    place: Place,
    repo: &lathe_data::Repo,
    project: &ProjectFile,
    run_id: &str,
    env: &[(String, String)],
) -> anyhow::Result<Elsewhere> {
    let engine = WorkerEngine::new(place, repo, project, RunId::parse(run_id)?, env)?;
    Ok(Elsewhere(Arc::new(engine)))
}
