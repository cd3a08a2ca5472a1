//! The side of `lathe worker`: claims steps from the server, as many at once as it was told, until it is asked to end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use lathe_data::Repo;
use lathe_data::remote::{Remote, RemoteSettings};
use lathe_pipeline::Interruption;
use lathe_types::Span;
use lathe_types::steps::{ClaimedStep, Step, StepResult};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cache_limit::CacheLimit;
use super::claim::Claim;
use super::execution::{Stopped, Surroundings};
use super::{ASK_AGAIN, may_pass, refusal};
use crate::client::{self, Client};
use crate::commands::data::stores;
use crate::exit::hint;
use crate::settings::{Place, STATE_FOLDER};
use crate::{clock, process};

/// How often the server is asked for a step.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How often it is looked whether the worker is to end.
const NOTICE_EVERY: Duration = Duration::from_millis(50);

/// What a worker is told.
pub struct Settings {
    /// Only steps of this project.
    pub project: Option<String>,
    /// Steps at once.
    pub jobs: u16,
    /// A step is given to somebody else when nothing was heard for so long.
    pub lease: Span,
    /// Bytes of what steps brought and made that are kept; none for all of it.
    pub cache_bytes: Option<u64>,
}

/// A worker.
pub struct Worker {
    /// Its name, which no other has.
    pub name: String,
    settings: Settings,
    place: Place,
    repo: Repo,
    remote: Remote,
    folder: PathBuf,
    interruption: Interruption,
    limit: CacheLimit,
}

#[derive(Deserialize)]
struct Answer {
    claimed: Option<ClaimedStep>,
}

/// What became of a step.
pub struct Ended {
    /// The stage's address.
    pub stage: String,
    /// The step's number.
    pub id: i64,
    /// In words.
    pub how: String,
    /// How long it took.
    pub took: Duration,
}

impl Worker {
    /// In a repository, whose cache and remotes serve.
    pub fn new(
        settings: Settings,
        place: Place,
        repo: Repo,
        remote: &RemoteSettings,
    ) -> anyhow::Result<Self> {
        let remote = stores::open(remote, None)?;
        let folder = repo.root().join(STATE_FOLDER).join("steps");
        let host = process::output_of("uname", &["-n"], repo.root())
            .context("failed to learn this machine's name")?;
        let name = format!("{host}-{}-{:x}", std::process::id(), clock::now().0);
        Ok(Self {
            name,
            limit: CacheLimit::open(&repo, settings.cache_bytes),
            settings,
            place,
            repo,
            remote,
            folder,
            interruption: Interruption::watch().context("failed to watch for signals")?,
        })
    }

    /// Takes steps until it is asked to end. `tell` hears what became of each.
    pub fn work(&self, tell: &(dyn Fn(&Ended) + Sync)) -> anyhow::Result<()> {
        // What is there was begun by a worker of this folder that is gone: two at once would take each other's.
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("failed to create `{}`", self.folder.display()))?;
        let path = self.folder.join("worker.lock");
        let lock =
            std::fs::File::create(&path).with_context(|| format!("failed to write `{}`", path.display()))?;
        if lock.try_lock().is_err() {
            return Err(crate::exit::hinted(
                format!("another worker is at work in `{}`", self.repo.root().display()),
                "let one do several steps at once with `--jobs`, or start the other in a folder of its own",
            ));
        }
        for entry in std::fs::read_dir(&self.folder)?.flatten() {
            if entry.path() != path {
                lathe_data::remove_path(&entry.path())?;
            }
        }
        std::thread::scope(|scope| {
            let slots: Vec<_> = (0..self.settings.jobs)
                .map(|slot| scope.spawn(move || self.take_steps(slot, tell)))
                .collect();
            let mut result = Ok(());
            for slot in slots {
                let ended = slot
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("the worker broke")));
                result = result.and(ended);
            }
            result
        })
    }

    fn take_steps(&self, slot: u16, tell: &(dyn Fn(&Ended) + Sync)) -> anyhow::Result<()> {
        let client = Client::open(&self.place)?;
        let mut is_away = false;
        while !self.interruption.came() {
            let worker = format!("{}.{slot}", self.name);
            let asked = json!({
                "worker": worker, "lease_ms": self.settings.lease.0, "project": self.settings.project,
            });
            let asked_at = Instant::now();
            let working = self.limit.begin(&self.repo);
            match client.post::<Answer>("/api/v1/steps/claim", &asked) {
                Ok(Answer {
                    claimed: Some(claimed),
                }) => {
                    is_away = false;
                    let claim = Claim::new(claimed.id, claimed.attempt, worker, self.settings.lease);
                    let (how, is_able) = self.perform(&client, &claim, &claimed.step);
                    drop(working);
                    tell(&Ended {
                        stage: claimed.step.stage,
                        id: claim.id,
                        how,
                        took: asked_at.elapsed(),
                    });
                    if !is_able {
                        self.rest(ASK_AGAIN);
                    }
                }
                Ok(Answer { claimed: None }) => {
                    drop(working);
                    is_away = false;
                    self.rest(LOOK_EVERY);
                }
                Err(error) if may_pass(&error) => {
                    drop(working);
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "no steps come; the server is asked again"
                        );
                    }
                    self.rest(ASK_AGAIN);
                }
                Err(error) if matches!(refusal(&error), Some(401 | 403)) => {
                    return Err(error.context(hint(
                        "the server lets this worker have no steps",
                        "set `LATHE_TOKEN` to a token with scope `write` of a user whose role is `editor` or more",
                    )));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Executes a step; says in words what became of it, and whether the worker could do its part.
    fn perform(&self, client: &Client, claim: &Claim, step: &Step) -> (String, bool) {
        let result = std::thread::scope(|scope| {
            scope.spawn(|| match Client::open(&self.place) {
                Ok(client) => claim.keep_alive(&client),
                Err(error) => tracing::error!(error = format!("{error:#}"), "the claim cannot be kept"),
            });
            let result = self.environment(client).and_then(|env| {
                let surroundings = Surroundings {
                    repo: &self.repo,
                    remote: &self.remote,
                    folder: &self.folder,
                    env: &env,
                    interruption: &self.interruption,
                };
                surroundings.execute(claim, step)
            });
            claim.close();
            result
        });
        self.limit.note(&self.repo, &step.inputs);
        if let Ok(result) = &result {
            self.limit.note(&self.repo, &result.outs);
        }
        if claim.is_lost() {
            return ("lost: somebody else has it, or nobody wants it".to_owned(), true);
        }
        let (end, how, is_able) = match result {
            Ok(result) => (json!({ "result": result }), words(&result), true),
            Err(error) if error.is::<Stopped>() => {
                (json!({ "released": true }), "given back".to_owned(), true)
            }
            Err(error) => {
                let problem = format!("{error:#} (worker {})", claim.worker);
                (
                    json!({ "problem": problem }),
                    format!("not done: {error:#}"),
                    false,
                )
            }
        };
        match self.end(client, claim, end) {
            Ok(()) => (how, is_able),
            Err(error) => (format!("{how}; the server did not take that: {error:#}"), is_able),
        }
    }

    /// Tells the server how a claim ends, for as long as it may still count.
    fn end(&self, client: &Client, claim: &Claim, mut end: Value) -> anyhow::Result<()> {
        end["worker"] = json!(claim.worker);
        let path = format!("/api/v1/steps/{}/end", claim.id);
        let begun = Instant::now();
        let patience = Duration::from_millis(self.settings.lease.0.unsigned_abs());
        loop {
            match client.post::<Value>(&path, &end) {
                Ok(_) => return Ok(()),
                Err(error) if may_pass(&error) && begun.elapsed() < patience => {
                    std::thread::sleep(ASK_AGAIN.min(patience / 4));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Unchanged MLflow code logs to the run, with the worker's own rights.
    fn environment(&self, client: &Client) -> anyhow::Result<Vec<(String, String)>> {
        let mut env = vec![("MLFLOW_TRACKING_URI".to_owned(), client.tracking_url()?)];
        env.extend(client::token().map(|token| ("MLFLOW_TRACKING_TOKEN".to_owned(), token)));
        Ok(env)
    }

    fn rest(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.interruption.came() {
            std::thread::sleep(NOTICE_EVERY);
        }
    }
}

fn words(result: &StepResult) -> String {
    match &result.failure {
        None => format!("executed, {}", lathe_data::counted(result.outs.len(), "output")),
        Some(failure) => format!("failed: `{}` {}", failure.command, failure.ending),
    }
}
