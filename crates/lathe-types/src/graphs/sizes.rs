//! Graphs of a project together: what each asks in the end, and that it ends.

use std::collections::BTreeMap;

use super::{GraphSpec, Member};

/// Models that answer one request at most, those of graphs within the graph included.
const MODELS_MAX: usize = 256;
/// Graphs within graphs at most, the outermost counted. What is stored of a graph nests five deep for each, and what
/// reads JSON stops at 128.
pub(super) const DEPTH_MAX: usize = 16;

/// Why the graphs of a project cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A graph names one that is not there.
    #[error("`[graph.{graph}]` names the graph `{member}`, which is not declared")]
    Unknown {
        /// Which.
        graph: String,
        /// What it names.
        member: String,
    },
    /// A graph is a part of itself.
    #[error("`[graph.{}]` is a part of itself: {}", .way[0], .way.join(" → "))]
    Cycle {
        /// The names from a graph back to it.
        way: Vec<String>,
    },
    /// A graph has too many models, those of graphs within it included.
    #[error("`[graph.{graph}]` asks more than {MODELS_MAX} models for one answer")]
    TooLarge {
        /// Which.
        graph: String,
    },
    /// A graph has too many graphs within graphs.
    #[error("`[graph.{graph}]` has graphs within graphs more than {DEPTH_MAX} levels deep")]
    TooDeep {
        /// Which.
        graph: String,
    },
}

/// Whether the graphs of a project can be: each names others that are there, none is a part of itself, and none is
/// larger or deeper than what can be answered.
pub fn check(graphs: &BTreeMap<String, GraphSpec>) -> Result<(), GraphError> {
    let mut sizes = BTreeMap::new();
    for name in graphs.keys() {
        size(graphs, name, &mut Vec::new(), &mut sizes)?;
    }
    Ok(())
}

/// How large a graph is.
#[derive(Clone, Copy)]
struct Size {
    /// Models that it asks.
    models: usize,
    /// Graphs within graphs, itself counted.
    depth: usize,
}

/// How large a graph is; each graph is looked at once.
fn size<'a>(
    graphs: &'a BTreeMap<String, GraphSpec>,
    name: &'a str,
    way: &mut Vec<&'a str>,
    sizes: &mut BTreeMap<&'a str, Size>,
) -> Result<Size, GraphError> {
    if let Some(known) = sizes.get(name) {
        return Ok(*known);
    }
    if let Some(start) = way.iter().position(|before| *before == name) {
        let way = way[start..].iter().chain([&name]).map(|name| (*name).to_owned());
        return Err(GraphError::Cycle { way: way.collect() });
    }
    let Some(spec) = graphs.get(name) else {
        return Err(GraphError::Unknown {
            graph: way.last().map_or_else(String::new, |graph| (*graph).to_owned()),
            member: name.to_owned(),
        });
    };
    // Before it goes deeper, so that no chain of graphs is followed to the end of the stack.
    if DEPTH_MAX <= way.len() {
        return Err(GraphError::TooDeep {
            graph: way[0].to_owned(),
        });
    }
    way.push(name);
    let mut whole = Size { models: 0, depth: 1 };
    for member in spec.shape.members() {
        match member {
            Member::Graph { name } => {
                let part = size(graphs, name, way, sizes)?;
                whole.models += part.models;
                whole.depth = whole.depth.max(1 + part.depth);
            }
            Member::Alias { .. } | Member::Version(_) => whole.models += 1,
        }
    }
    way.pop();
    if MODELS_MAX < whole.models {
        return Err(GraphError::TooLarge {
            graph: name.to_owned(),
        });
    }
    // What was known already may be deep.
    if DEPTH_MAX < whole.depth {
        return Err(GraphError::TooDeep {
            graph: name.to_owned(),
        });
    }
    sizes.insert(name, whole);
    Ok(whole)
}
