//! What answers: a model, or a graph of models.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use lathe_server::inference::LoadedGraph;
use lathe_serving::{Answers, Model, ParamSchema, Runtimes, Signature, Table};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use super::Call;
use super::journal::digest_of;
use crate::model_source::{self, Local};
use crate::{clock, graphs};

/// What answers, with the files that it was loaded from: processes that are started again read them again.
pub struct Answering {
    what: What,
    /// Tells it from everything that may answer otherwise.
    pub identity: String,
    _files: Vec<Local>,
}

enum What {
    Model(Box<Model>),
    Graph(Box<LoadedGraph>, Runtime),
}

impl Answering {
    /// Brings what `named` names to this machine, and loads it.
    pub fn open(call: &Call, named: &str, runtimes: Runtimes) -> anyhow::Result<Self> {
        match named.strip_prefix("graph:/") {
            Some(name) => Self::open_graph(call, name, runtimes),
            None => Self::open_model(call, named, &runtimes),
        }
    }

    fn open_model(call: &Call, named: &str, runtimes: &Runtimes) -> anyhow::Result<Self> {
        let source = model_source::find(call, named)?;
        let model = Model::load_with(&source.path, runtimes)
            .with_context(|| format!("the model `{named}` cannot be used"))?;
        Ok(Self {
            what: What::Model(Box::new(model)),
            identity: digest_of(&source.path)?,
            _files: vec![source],
        })
    }

    /// Its identity is what it is declared as, with the versions that its aliases name now, and the files of those.
    fn open_graph(call: &Call, name: &str, runtimes: Runtimes) -> anyhow::Result<Self> {
        let graph = graphs::find(&call.client()?, name)?.ok_or_else(|| graphs::unknown(name))?;
        let shape = graph
            .shape
            .ok_or_else(|| graphs::without_version(name, graph.missing.as_deref().unwrap_or_default()))?;
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&shape)?);
        let (mut files, mut folders) = (Vec::new(), BTreeMap::new());
        for version in shape.versions() {
            let source = model_source::find(call, &format!("models:/{version}"))?;
            hash.update(digest_of(&source.path)?);
            folders.insert(version, source.path.clone());
            files.push(source);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let loading = LoadedGraph::load(&shape, &folders, runtimes, clock::now);
        let loaded = runtime
            .block_on(loading)
            .map_err(|reason| anyhow!(reason).context(format!("the graph `{name}` cannot be used")))?;
        Ok(Self {
            what: What::Graph(Box::new(loaded), runtime),
            identity: hex::encode(hash.finalize()),
            _files: files,
        })
    }

    /// What rows it takes.
    pub fn signature(&self) -> &Signature {
        match &self.what {
            What::Model(model) => model.signature(),
            What::Graph(graph, _) => graph.signature(),
        }
    }

    /// What params it takes; a graph takes none.
    pub fn params(&self) -> Option<&ParamSchema> {
        match &self.what {
            What::Model(model) => model.facts().params(),
            What::Graph(..) => None,
        }
    }

    /// Threads that ask it: as many as are wanted, else as there are processes of the model, or cores.
    pub fn threads(&self, wanted: Option<u16>) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = wanted.map(usize::from);
        match &self.what {
            What::Model(model) => wanted.or(model.processes()).unwrap_or_else(cores),
            What::Graph(graph, _) => wanted.unwrap_or_else(cores).min(graph.callers_max()),
        }
    }

    /// Answers a table of rows.
    pub fn predict(&self, table: Table) -> anyhow::Result<Answers> {
        match &self.what {
            What::Model(model) => Ok(model.predict(&table)?),
            What::Graph(graph, runtime) => runtime
                .block_on(graph.predict(table))
                .map_err(|reason| anyhow!(reason)),
        }
    }
}
