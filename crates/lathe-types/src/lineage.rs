//! The way back from an answer to the commit, as nodes and edges.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineageNode {
    /// `prediction`, `deployment`, `graph`, `model version`, `run`, `stage`, `data`, `environment`, `commit`.
    pub kind: String,
    /// Unique in its graph.
    pub id: String,
    /// For people.
    pub title: String,
    /// For programs, and for people who look closer.
    pub details: Value,
}

/// `from` is explained by `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageEdge {
    /// A node's id.
    pub from: String,
    /// A node's id.
    pub to: String,
    /// `answered by`, `made by`, `executed`, `read`, `wrote`, `ran in`, `at`.
    pub relation: String,
}

/// The way back, nearest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LineageGraph {
    /// In the order they are reached.
    pub nodes: Vec<LineageNode>,
    /// How they hang together.
    pub edges: Vec<LineageEdge>,
}
