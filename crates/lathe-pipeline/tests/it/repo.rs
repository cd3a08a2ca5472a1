use std::fs;
use std::path::PathBuf;

use lathe_data::Repo;
use lathe_pipeline::{Error, ExecuteOptions, Project, StageEvent, execute, plan_project};
use lathe_types::executions::StageExecution;
use tempfile::TempDir;

/// A repository in a folder of its own.
pub struct TestRepo {
    folder: TempDir,
    pub repo: Repo,
}

/// Two stages, the second after the first, and one beside them.
pub const PIPELINE: &str = "
stages:
  prepare:
    cmd: tr a-z A-Z < raw.csv > clean.csv && echo . >> prepared.log
    deps: [raw.csv]
    outs: [clean.csv]
  train:
    cmd: cat clean.csv params.yaml > model && echo . >> trained.log
    deps: [clean.csv]
    params: [train.trees]
    outs: [model]
  notes:
    cmd: cp text.md notes.html
    deps: [text.md]
    outs: [notes.html]
";

impl TestRepo {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        let repo = Repo::init(folder.path()).unwrap();
        let made = Self { folder, repo };
        for (path, text) in files {
            made.write(path, text);
        }
        made
    }

    /// With [`PIPELINE`] and what it needs.
    pub fn with_pipeline() -> Self {
        Self::new(&[
            ("dvc.yaml", PIPELINE),
            ("params.yaml", "train:\n  trees: 10\n"),
            ("raw.csv", "a,b\n"),
            ("text.md", "text\n"),
        ])
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub fn load(&self) -> Result<Project, Error> {
        Project::load(&self.repo)
    }

    /// The plan, one line a stage.
    pub fn plan(&self) -> String {
        let project = self.load().unwrap();
        let plan = plan_project(&self.repo, &project, &ExecuteOptions::default()).unwrap();
        let lines: Vec<String> = plan
            .lines()
            .into_iter()
            .map(|line| {
                let verb = if line.executes { "execute" } else { "keep" };
                format!("{verb} {} ({})", line.stage, line.reason)
            })
            .collect();
        lines.join("\n")
    }

    pub fn try_execute(
        &self,
        options: ExecuteOptions,
    ) -> (Vec<StageEvent>, Result<Vec<StageExecution>, Error>) {
        let mut events = Vec::new();
        let result = self
            .load()
            .and_then(|project| execute(&self.repo, &project, options, &mut |event| events.push(event)))
            .and_then(|mut report| match report.failures.pop() {
                Some((_, error)) => Err(error),
                None => Ok(report.stages),
            });
        // What is told now and then depends on the clock.
        events.retain(|event| !matches!(event, StageEvent::Progress { .. }));
        (events, result)
    }

    /// What was done, one line a stage.
    pub fn execute_with(&self, options: ExecuteOptions) -> String {
        let lines: Vec<String> = self
            .try_execute(options)
            .1
            .unwrap()
            .iter()
            .map(|stage| format!("{:?} {} ({})", stage.outcome, stage.stage, stage.reason))
            .collect();
        lines.join("\n")
    }

    pub fn execute(&self) -> String {
        self.execute_with(ExecuteOptions::default())
    }

    /// The error that executing ends with: message and hint.
    pub fn error(&self) -> String {
        let error = self.try_execute(ExecuteOptions::default()).1.unwrap_err();
        let mut text = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            text.push_str(&format!(": {cause}"));
        }
        if let Some(hint) = error.hint() {
            text.push_str(&format!(" [{hint}]"));
        }
        text
    }
}
