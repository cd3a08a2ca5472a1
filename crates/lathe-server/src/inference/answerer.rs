//! What answers for a target of a split: a model, or a graph of models.

use std::sync::Arc;
use std::time::Instant;

use lathe_serving::{Answers, Facts, Table};
use lathe_types::graphs::VersionName;

use super::answer::Refusal;
use super::graph::{Graph, Members, Reply};
use super::lane::Served;
use super::statistics::Totals;

#[derive(Clone)]
pub(super) enum Answerer {
    Model(Arc<Served>),
    Graph(Arc<Graph>),
}

impl Answerer {
    /// What it is.
    pub(super) fn facts(&self) -> &Arc<Facts> {
        match self {
            Self::Model(served) => served.facts(),
            Self::Graph(graph) => graph.facts(),
        }
    }

    pub(super) fn totals(&self) -> &Totals {
        match self {
            Self::Model(served) => &served.totals,
            Self::Graph(graph) => &graph.totals,
        }
    }

    /// The graph, if it is one.
    pub(super) fn graph(&self) -> Option<&Graph> {
        match self {
            Self::Model(_) => None,
            Self::Graph(graph) => Some(graph),
        }
    }

    /// Requests that wait for it; those of a graph wait for its members.
    pub(super) fn waiting(&self) -> u64 {
        match self {
            Self::Model(served) => served.waiting(),
            Self::Graph(graph) => graph.served().values().map(|served| served.waiting()).sum(),
        }
    }

    /// About what it takes of memory now.
    pub(super) fn memory_bytes(&self) -> u64 {
        let of = |served: &Served| match served.is_loaded() {
            true => served.facts().memory_bytes(),
            false => 0,
        };
        match self {
            Self::Model(served) => of(served),
            Self::Graph(graph) => graph.served().values().map(|served| of(served)).sum(),
        }
    }

    /// Whether answering executes what a model holds.
    pub(super) fn executes_code(&self) -> bool {
        match self {
            Self::Model(served) => served.facts().executes_code(),
            Self::Graph(graph) => graph
                .served()
                .values()
                .any(|served| served.facts().executes_code()),
        }
    }

    /// The loaded model of a version that it is made of; `own` is that of the target itself.
    pub(super) fn version(&self, wanted: &VersionName, own: &VersionName) -> Option<&Arc<Served>> {
        match self {
            Self::Model(served) => (wanted == own).then_some(served),
            Self::Graph(graph) => graph.served().get(wanted),
        }
    }

    /// Answers a table of rows, before the deadline if there is one; of a graph with who did.
    pub(super) async fn predict(
        &self,
        table: &Arc<Table>,
        deadline: Option<Instant>,
    ) -> Result<(Answers, Option<Members>), Refusal> {
        match self {
            Self::Model(served) => Ok((served.predict(table, deadline).await?, None)),
            Self::Graph(graph) => {
                let Reply { answers, members } = graph.predict(table, deadline).await?;
                Ok((answers, Some(members)))
            }
        }
    }
}
