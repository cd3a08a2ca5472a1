//! Searches that learn from earlier trials: the tree-structured Parzen estimator of Optuna
//! (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011), in the project's own environment.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use lathe_data::Repo;
use serde_json::{Value as Json, json};

use super::overrides::{Override, Space};
use crate::exit::hinted;
use crate::revisions;

/// Whether less or more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Direction {
    /// Less.
    Minimize,
    /// More.
    Maximize,
}

/// The metric of a commit; nothing if it has none, or several of the name.
pub fn measure(repo: &Repo, commit: &str, metric: &str) -> anyhow::Result<Option<f64>> {
    let mut found = Vec::new();
    for (path, value) in revisions::state(repo, commit)?.metrics(&[])? {
        let Ok(value) = value else { continue };
        for (key, value) in lathe_pipeline::flat(&value) {
            let is_meant = key == metric || format!("{path}:{key}") == metric;
            found.extend(value.as_f64().filter(|_| is_meant));
        }
    }
    Ok(match found.as_slice() {
        [one] => Some(*one),
        _ => None,
    })
}

const PROGRAM: &str = r#"
import json, sys
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
spec = json.loads(sys.stdin.readline())
sampler = optuna.samplers.TPESampler(seed=spec["seed"], constant_liar=True, n_startup_trials=min(10, max(1, spec["trials"] // 3)))
study = optuna.create_study(direction=spec["direction"], sampler=sampler)
asked = {}
for line in sys.stdin:
    told = json.loads(line)
    if "number" in told:
        trial = asked.pop(told["number"])
        if told["value"] is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, told["value"])
        continue
    trial = study.ask()
    asked[trial.number] = trial
    values = []
    for number, space in enumerate(spec["spaces"]):
        name = str(number)
        if "count" in space:
            values.append(trial.suggest_categorical(name, list(range(space["count"]))))
        elif space["whole"]:
            values.append(trial.suggest_int(name, int(space["low"]), int(space["high"])))
        else:
            values.append(trial.suggest_float(name, space["low"], space["high"], log=space["log"]))
    print(json.dumps({"number": trial.number, "values": values}), flush=True)
"#;

/// A search that goes on in a child process.
pub struct Optuna {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    swept: Vec<Override>,
}

impl Optuna {
    /// Begins one over the overrides that have several values.
    pub fn start(
        python: &Path,
        overrides: &[Override],
        direction: Direction,
        trials: usize,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let swept: Vec<Override> = overrides
            .iter()
            .filter(|change| change.is_sweep())
            .cloned()
            .collect();
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start `{}`", python.display()))?;
        let spaces: Vec<Json> = swept
            .iter()
            .filter_map(|change| match change.space()? {
                Space::Fixed(_) => None,
                Space::Choices(values) => Some(json!({ "count": values.len() })),
                Space::Between {
                    low,
                    high,
                    log,
                    whole,
                } => Some(json!({ "low": low, "high": high, "log": log, "whole": whole })),
            })
            .collect();
        let direction = match direction {
            Direction::Minimize => "minimize",
            Direction::Maximize => "maximize",
        };
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the search has no pipes");
        };
        let mut search = Self {
            child,
            asks,
            answers: BufReader::new(answers),
            swept,
        };
        let spec = json!({ "direction": direction, "seed": seed, "trials": trials, "spaces": spaces });
        search.say(&spec);
        Ok(search)
    }

    fn say(&mut self, message: &Json) {
        // What stopped the search is told when its answer is missed.
        let _ = writeln!(self.asks, "{message}").and_then(|()| self.asks.flush());
    }

    /// The number of the next trial, and what it tries.
    pub fn ask(&mut self) -> anyhow::Result<(u64, Vec<Override>)> {
        self.say(&json!({}));
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let Ok(answer) = serde_json::from_str::<Json>(&line) else {
            return Err(self.complaint());
        };
        let number = answer["number"].as_u64().context("the search numbers no trial")?;
        let values = answer["values"].as_array().cloned().unwrap_or_default();
        let tried = self.swept.iter().zip(values).map(|(change, value)| {
            change.with(match change.space() {
                Some(Space::Choices(choices)) => {
                    let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
                    index
                        .and_then(|index| choices.get(index))
                        .cloned()
                        .unwrap_or_default()
                }
                _ => value,
            })
        });
        Ok((number, tried.collect()))
    }

    /// Tells how a trial did; nothing if it failed.
    pub fn tell(&mut self, number: u64, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        self.say(&json!({ "number": number, "value": value }));
    }

    fn complaint(&mut self) -> anyhow::Error {
        use std::io::Read;
        let mut text = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _ = pipe.read_to_string(&mut text);
        }
        if text.contains("No module named 'optuna'") {
            return hinted(
                "the environment has no `optuna`, which `--search tpe` needs",
                "add `optuna` to its requirements, or use `--search random`",
            );
        }
        anyhow::anyhow!("the search ended: {}", text.trim())
    }
}

impl Drop for Optuna {
    fn drop(&mut self) {
        // It keeps nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
