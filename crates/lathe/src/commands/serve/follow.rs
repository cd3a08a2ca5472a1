//! `lathe serve` in step with a server: deployments or an alias that move are followed; while the server is away, what
//! is loaded goes on, and after a start without it what was answered with last; when it is back it is told what was
//! answered meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lathe_server::inference::{Counts, Deployments, Folders, Split};
use lathe_types::deployments::{Deployment, Role, Target, TargetStats};
use lathe_types::graphs::Graph;
use lathe_types::samples::Sample;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cache::Cache;
use crate::client::{Client, Refused, segment};
use crate::exit::hint;
use crate::settings::Place;
use crate::{graphs, tracking};

/// How soon a change on the server is seen.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A server that takes longer to say what is deployed is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Samples of one report.
const REPORTED: usize = 1_000;

/// What is followed.
pub enum Followed {
    /// Every deployment and every graph.
    Deployments,
    /// One graph, answered under `name`.
    Graph { name: String, graph: String },
    /// A version by its alias, answered under `name`.
    Alias {
        name: String,
        model: String,
        alias: String,
    },
}

/// Follows a server.
pub struct Follower {
    followed: Followed,
    /// Asks what is deployed, and gives up soon.
    client: Client,
    /// Brings files, and is patient; none where the other does.
    fetching: Option<Client>,
    cache: Cache,
    deployments: Deployments,
    runtime: tokio::runtime::Handle,
    samples: mpsc::Receiver<Sample>,
    counts: Counts,
    /// What the server is still to be told.
    untold_samples: Vec<Sample>,
    untold_stats: BTreeMap<(String, i64, usize, u32, Role), TargetStats>,
    away_since: Option<Instant>,
}

#[derive(Deserialize)]
struct Listed {
    deployments: Vec<Deployment>,
    /// None of a server that knows no graphs.
    #[serde(default)]
    graphs: Vec<Graph>,
}

impl Follower {
    /// Connects nowhere yet.
    pub fn new(
        place: &Place,
        followed: Followed,
        deployments: Deployments,
        samples: mpsc::Receiver<Sample>,
        runtime: tokio::runtime::Handle,
    ) -> anyhow::Result<Self> {
        let what = match &followed {
            Followed::Deployments => String::new(),
            Followed::Alias { name, model, alias } => format!("{model}@{alias} as {name}"),
            Followed::Graph { name, graph } => format!("graph {graph} as {name}"),
        };
        let (server, fetching) = match place {
            Place::Server(url) => (url.clone(), Some(Client::open(place)?)),
            Place::Embedded { database, .. } => (database.display().to_string(), None),
        };
        Ok(Self {
            followed,
            client: Client::open_within(place, ANSWER_WITHIN)?,
            fetching,
            cache: Cache::open(&server, &what)?,
            deployments,
            runtime,
            samples,
            counts: Counts::default(),
            untold_samples: Vec::new(),
            untold_stats: BTreeMap::new(),
            away_since: None,
        })
    }

    /// Loads what the server says, or, while it is away, what was answered with last.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let error = match self.look() {
            Ok(splits) => return self.begin_with(splits),
            Err(error) => error,
        };
        if is_refused(&error) {
            return Err(error);
        }
        let splits: Vec<Split> = self.cache.state.splits.values().cloned().collect();
        if splits.is_empty() {
            return Err(error.context(hint(
                "the server is away, and nothing of it was served here before",
                "start the server, or look at its address",
            )));
        }
        tracing::warn!("{error:#}; answering with what was answered with last");
        self.away_since = Some(Instant::now());
        for split in splits {
            let versions = split.versions().into_iter();
            let folders = versions
                .map(|version| {
                    let known = self.cache.known(&version);
                    let gone =
                        || "its files are not in the cache any more, and the server is away".to_owned();
                    (version, known.ok_or_else(gone))
                })
                .collect();
            self.take_over(split, &folders);
        }
        Ok(())
    }

    /// The first time, what cannot be loaded is told at once where only that was asked for.
    fn begin_with(&mut self, splits: Vec<Split>) -> anyhow::Result<()> {
        if let (Followed::Graph { graph, .. }, []) = (&self.followed, splits.as_slice()) {
            return Err(graphs::unknown(graph));
        }
        if let (Followed::Alias { .. } | Followed::Graph { .. }, [split]) =
            (&self.followed, splits.as_slice())
        {
            if let (Some(member), None) = (&split.missing, &split.graph) {
                return Err(graphs::without_version(&split.model, member));
            }
            let client = self.fetching.as_ref().unwrap_or(&self.client);
            let mut folders = Folders::new();
            for version in split.versions() {
                let folder = self.cache.fetch(client, &version)?;
                folders.insert(version, Ok(folder));
            }
            self.take_over(split.clone(), &folders);
            if let Some(reason) = self.deployments.failure(&split.name) {
                anyhow::bail!(
                    "version {} of `{}` cannot be served: {reason}",
                    split.revision,
                    split.model
                );
            }
        }
        self.apply(splits);
        Ok(())
    }

    /// Follows until asked to stop, then reports once more.
    pub fn run(mut self, stop: &Arc<AtomicBool>) {
        loop {
            std::thread::park_timeout(LOOK_EVERY);
            if stop.load(Ordering::SeqCst) {
                break;
            }
            match self.look() {
                Ok(splits) => {
                    if let Some(since) = self.away_since.take() {
                        tracing::warn!("the server is back after {} s", since.elapsed().as_secs());
                    }
                    self.apply(splits);
                    self.report();
                }
                Err(error) => {
                    if self.away_since.is_none() {
                        tracing::warn!("{error:#}; what is loaded goes on");
                        self.away_since = Some(Instant::now());
                    }
                }
            }
        }
        if self.away_since.is_none() {
            self.report();
        }
    }

    /// What the server says is to be answered with.
    fn look(&self) -> anyhow::Result<Vec<Split>> {
        match &self.followed {
            Followed::Deployments => {
                let listed: Listed = self.client.get("/api/v1/deployments")?;
                let of_graphs = listed.graphs.iter().map(Split::of_graph);
                Ok(listed
                    .deployments
                    .iter()
                    .filter_map(Split::of)
                    .chain(of_graphs)
                    .collect())
            }
            Followed::Graph { name, graph } => {
                let split = graphs::find(&self.client, graph)?.map(|found| Split {
                    name: name.clone(),
                    ..Split::of_graph(&found)
                });
                Ok(split.into_iter().collect())
            }
            Followed::Alias { name, model, alias } => {
                let path = format!(
                    "/api/2.0/mlflow/registered-models/alias?name={}&alias={}",
                    segment(model),
                    segment(alias)
                );
                let found: Value = self.client.get(&path)?;
                let version = tracking::text(&found["model_version"], "version")?;
                let version: u32 = version.parse().context("the server told of no version")?;
                Ok(vec![Split {
                    name: name.clone(),
                    model: model.clone(),
                    revision: version.into(),
                    rollout: 0,
                    step: 0,
                    targets: vec![Target {
                        version,
                        role: Role::Stable,
                        weight: 1.0,
                        fault: None,
                    }],
                    payloads: None,
                    graph: None,
                    missing: None,
                }])
            }
        }
    }

    fn apply(&mut self, splits: Vec<Split>) {
        let names: BTreeSet<String> = splits.iter().map(|split| split.name.clone()).collect();
        let mut kept = BTreeMap::new();
        for split in splits {
            if let Some(versions) = self.deployments.wanted(&split) {
                let client = self.fetching.as_ref().unwrap_or(&self.client);
                let mut folders = Folders::new();
                for version in versions {
                    let folder = self.cache.fetch(client, &version);
                    folders.insert(version, folder.map_err(|error| format!("{error:#}")));
                }
                self.take_over(split.clone(), &folders);
            }
            let before = self.cache.state.splits.get(&split.name).cloned();
            let taken = self.deployments.has_taken(&split).then_some(split);
            if let Some(split) = taken.or(before) {
                kept.insert(split.name.clone(), split);
            }
        }
        self.deployments.retain(&names);
        if let Err(error) = self.cache.keep(kept) {
            tracing::error!("{error:#}; a start without the server would not find it");
        }
    }

    fn take_over(&self, split: Split, folders: &Folders) {
        self.runtime.block_on(self.deployments.take_over(split, folders));
    }

    /// Tells the server what was answered. If it does not listen, it is told later.
    fn report(&mut self) {
        if !matches!(self.followed, Followed::Deployments) {
            return;
        }
        for stats in self.counts.take(&self.deployments) {
            let key = (
                stats.deployment.clone(),
                stats.rollout,
                stats.step,
                stats.version,
                stats.role,
            );
            match self.untold_stats.get_mut(&key) {
                None => drop(self.untold_stats.insert(key, stats)),
                Some(known) => {
                    known.requests += stats.requests;
                    known.errors += stats.errors;
                    known.latency.merge(&stats.latency);
                }
            }
        }
        loop {
            while self.untold_samples.len() < REPORTED
                && let Ok(sample) = self.samples.try_recv()
            {
                self.untold_samples.push(sample);
            }
            if self.untold_samples.is_empty() && self.untold_stats.is_empty() {
                return;
            }
            let stats: Vec<&TargetStats> = self.untold_stats.values().collect();
            let report = json!({ "stats": stats, "samples": self.untold_samples });
            let told: anyhow::Result<Value> = self.client.post("/api/v1/serving/reports", &report);
            match told {
                Err(error) if !is_refused(&error) => {
                    tracing::warn!("{error:#}; the server is told later what was answered");
                    return;
                }
                Err(error) => tracing::error!("{error:#}; what was answered is not kept"),
                Ok(_) => {}
            }
            self.untold_samples.clear();
            self.untold_stats.clear();
        }
    }
}

/// Whether the server answered, and said no.
fn is_refused(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.status < 500)
}
