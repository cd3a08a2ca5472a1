//! A graph that answers rows which no request brings, such as those of a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lathe_serving::{Answers, Runtimes, Signature, Table};
use lathe_types::Millis;
use lathe_types::graphs::{Part, Shape, VersionName};

use super::graph::{Graph, Loaded};
use super::lane::WAITING_MAX;
use super::shelf::{Origin, Shelf};

/// A graph whose members are loaded, and stay so.
pub struct LoadedGraph {
    graph: Graph,
    callers_max: usize,
}

impl LoadedGraph {
    /// Loads every version from its folder, and joins them as for requests.
    pub async fn load(
        shape: &Shape<Part>,
        folders: &BTreeMap<VersionName, PathBuf>,
        runtimes: Runtimes,
        now: fn() -> Millis,
    ) -> Result<Self, String> {
        let shelf = Arc::new(Shelf::new(None, runtimes));
        let mut loaded = Loaded::new();
        for (version, folder) in folders {
            let served = shelf.load(folder, Origin::Folder(folder.clone())).await;
            loaded.insert(version.clone(), served);
        }
        Ok(Self {
            graph: Graph::join(shape, &loaded, now).await?,
            callers_max: (WAITING_MAX / models(shape).max(1)).max(1),
        })
    }

    /// What rows it takes.
    pub fn signature(&self) -> &Signature {
        self.graph.facts().signature()
    }

    /// How many may ask at once, so that every member has room for all of them.
    pub fn callers_max(&self) -> usize {
        self.callers_max
    }

    /// Answers as a request with these rows is answered.
    pub async fn predict(&self, table: Table) -> Result<Answers, String> {
        let reply = self.graph.predict(&Arc::new(table), None).await;
        reply
            .map(|reply| reply.answers)
            .map_err(|refusal| refusal.message())
    }
}

/// Models that one request asks, each as often as the graph names it.
fn models(shape: &Shape<Part>) -> usize {
    let of = |part: &Part| match part {
        Part::Model(_) => 1,
        Part::Graph { shape, .. } => models(shape),
    };
    shape.members().into_iter().map(of).sum()
}
