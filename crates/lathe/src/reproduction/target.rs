//! What is to be rebuilt, and what it should come out as.

use std::path::Path;

use anyhow::Context;
use lathe_types::executions::{Environment, Execution, HashedPath, PATCH_ARTIFACT, StageExecution};
use serde_json::Value;

use crate::client::{Client, segment};
use crate::exit::hinted;
use crate::tracking::{self, TrackedRun};
use crate::{git, project};

/// A run, or what a commit's `dvc.lock` says, to be rebuilt.
pub struct Target {
    /// The run that made it, where the records know one.
    pub run: Option<TrackedRun>,
    /// The commit that it was made at.
    pub commit: String,
    /// What the commit did not hold.
    pub patch: Option<Vec<u8>>,
    /// Where it was made.
    pub environment: Option<Environment>,
    /// The stages with their inputs and outputs, in the order of their dependencies; of a commit alone they are
    /// read once it is checked out.
    pub stages: Vec<StageExecution>,
    /// Those of them that are frozen, with what they made: nothing executes them, so that it is an input.
    pub frozen: Vec<StageExecution>,
}

impl Target {
    /// Finds a run, `runs:/ID`, `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or a git revision such as a tag
    /// `ARTIFACT@VERSION`.
    pub fn resolve(client: Option<&Client>, root: &Path, text: &str) -> anyhow::Result<Self> {
        let run_id = match text.strip_prefix("models:/") {
            Some(model) => Some(run_of_version(records(client, text)?, model)?),
            None => text
                .strip_prefix("runs:/")
                .or(Some(text).filter(|text| is_id(text)))
                .map(str::to_owned),
        };
        if let Some(run_id) = run_id {
            return Self::of_run(records(client, text)?, &run_id);
        }
        let commit = git::commit_of(root, text).ok_or_else(|| {
            hinted(
                format!("`{text}` is neither a run, a model version nor a git revision"),
                "name a run id, `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or a commit, branch or tag",
            )
        })?;
        Ok(Self {
            run: None,
            commit,
            patch: None,
            environment: None,
            stages: Vec::new(),
            frozen: Vec::new(),
        })
    }

    fn of_run(client: &Client, run_id: &str) -> anyhow::Result<Self> {
        let path = format!("/api/v1/executions/{}", segment(run_id));
        let execution: Execution = client.find(&path)?.ok_or_else(|| {
            hinted(
                format!("run `{run_id}` was not made by `lathe run`, so nothing says how to rebuild it"),
                "reproduce the commit it was made at: `lathe reproduce COMMIT`",
            )
        })?;
        let run = tracking::find_run(client, run_id)?;
        let commit = execution.commit.ok_or_else(|| {
            hinted(
                format!("run `{run_id}` was made without a commit"),
                "commit the project before `lathe run`: a rebuild starts from a commit",
            )
        })?;
        if execution.dirty && !execution.patched {
            return Err(hinted(
                format!("run `{run_id}` was made with changes that neither its commit nor a patch holds"),
                "commit them and run again: what nobody kept cannot be rebuilt",
            ));
        }
        let patch = execution
            .patched
            .then(|| tracking::artifact(client, &run, PATCH_ARTIFACT))
            .transpose()
            .with_context(|| format!("the patch of run `{run_id}` cannot be fetched"))?;
        Ok(Self {
            run: Some(run),
            commit,
            patch,
            environment: Some(execution.environment),
            stages: execution.stages,
            frozen: Vec::new(),
        })
    }

    /// Sets the frozen stages apart.
    pub fn set_frozen_apart(&mut self, is_frozen: impl Fn(&str) -> bool) {
        let frozen = self.stages.extract_if(.., |stage| is_frozen(&stage.stage));
        self.frozen.extend(frozen);
    }

    /// Inputs that no stage makes that is executed.
    pub fn inputs(&self) -> Vec<&HashedPath> {
        let made = |path: &str| {
            self.stages.iter().flat_map(|stage| &stage.outs).any(|out| {
                let inside = path.strip_prefix(out.path.as_str());
                inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let mut inputs: Vec<&HashedPath> = Vec::new();
        let deps = self.stages.iter().flat_map(|stage| &stage.deps);
        for dep in deps.chain(self.frozen.iter().flat_map(|stage| &stage.outs)) {
            // What lies behind URLs the commands get for themselves.
            let is_file = !dep.path.contains("://");
            if is_file && !made(&dep.path) && !inputs.iter().any(|known| known.path == dep.path) {
                inputs.push(dep);
            }
        }
        inputs
    }
}

fn records<'a>(client: Option<&'a Client>, text: &str) -> anyhow::Result<&'a Client> {
    client.ok_or_else(|| {
        hinted(
            format!("`{text}` is looked up in the records, and there are none here"),
            format!(
                "name the server with `--server`, or go to the folder of `{}`",
                project::FILE_NAME
            ),
        )
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn run_of_version(client: &Client, model: &str) -> anyhow::Result<String> {
    let malformed = || {
        hinted(
            format!("`models:/{model}` names no version"),
            "write `models:/NAME/VERSION` or `models:/NAME@ALIAS`",
        )
    };
    let path = if let Some((name, alias)) = model.split_once('@') {
        let (name, alias) = (segment(name), segment(alias));
        format!("/api/2.0/mlflow/registered-models/alias?name={name}&alias={alias}")
    } else {
        let (name, version) = model.rsplit_once('/').ok_or_else(malformed)?;
        let (name, version) = (segment(name), segment(version));
        format!("/api/2.0/mlflow/model-versions/get?name={name}&version={version}")
    };
    let answer: Value = client.get(&path)?;
    let run = answer["model_version"]["run_id"].as_str().unwrap_or_default();
    if run.is_empty() {
        return Err(hinted(
            format!("`models:/{model}` was registered without a run"),
            "register models with `lathe run`, which records how they were made",
        ));
    }
    Ok(run.to_owned())
}
