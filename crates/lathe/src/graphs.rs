//! Graphs of the records, as commands ask for them.

use anyhow::anyhow;
use lathe_types::graphs::Graph;
use serde::Deserialize;

use crate::client::Client;
use crate::exit::hinted;

#[derive(Deserialize)]
struct Listed {
    /// None of a server that knows no graphs.
    #[serde(default)]
    graphs: Vec<Graph>,
}

/// The graph of this name, if it is declared.
pub fn find(client: &Client, name: &str) -> anyhow::Result<Option<Graph>> {
    let listed: Listed = client.get("/api/v1/deployments")?;
    Ok(listed.graphs.into_iter().find(|graph| graph.name == name))
}

/// No graph is called so.
pub fn unknown(name: &str) -> anyhow::Error {
    hinted(
        format!("no graph is called `{name}`"),
        "declare it as `[graph.NAME]` in the `lathe.toml` of a project",
    )
}

/// A member of a graph names no version.
pub fn without_version(name: &str, member: &str) -> anyhow::Error {
    anyhow!("the graph `{name}` does not answer: its member `{member}` names no version")
}
