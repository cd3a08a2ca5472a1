//! The graph of a project as text, for people and for programs that draw.

mod boxes;

use std::collections::{BTreeMap, BTreeSet};

use crate::project::{Project, Selection};
use crate::{Result, Stage};

/// Nodes and what leads from which to which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dag {
    nodes: Vec<String>,
    /// From what is needed to what needs it.
    edges: BTreeSet<(usize, usize)>,
}

/// What a graph shows.
#[derive(Debug, Clone, Default)]
pub struct DagOptions {
    /// Stages to show, with what they need; all if there are none.
    pub selection: Selection,
    /// Also whatever else is connected with them.
    pub full: bool,
    /// Outputs in the place of stages.
    pub outs: bool,
    /// A group as one node.
    pub collapse: bool,
}

impl Dag {
    /// The graph of a project.
    pub fn of(project: &Project, options: &DagOptions) -> Result<Self> {
        let stages = &project.stages;
        let graph = &project.graph;
        let included = if options.selection.targets.is_empty() {
            vec![true; stages.len()]
        } else {
            let wanted = project.targets(&options.selection)?;
            if options.full {
                graph.connected(&wanted)
            } else {
                let mut included = vec![false; stages.len()];
                let order = graph.in_order(&wanted, |_| false).unwrap_or_default();
                order.into_iter().for_each(|index| included[index] = true);
                included
            }
        };
        let mut dag = Self::default();
        let mut by_name = BTreeMap::new();
        for (index, stage) in stages.iter().enumerate().filter(|(index, _)| included[*index]) {
            let own = dag.nodes_of(stage, options, &mut by_name);
            for &needed in graph.needs[index].iter().filter(|needed| included[**needed]) {
                let from = dag.nodes_of(&stages[needed], options, &mut by_name);
                let from = from
                    .into_iter()
                    .filter(|(_, at)| !options.outs || reads(stage, at));
                for (from, _) in from.collect::<Vec<_>>() {
                    let to = own.iter().map(|(to, _)| (from, *to));
                    dag.edges.extend(to.filter(|(from, to)| from != to));
                }
            }
        }
        dag.add_sources(project, options, &included, &mut by_name)?;
        Ok(dag)
    }

    /// The data that people added, as far as it is meant or the stages read it.
    fn add_sources(
        &mut self,
        project: &Project,
        options: &DagOptions,
        included: &[bool],
        by_name: &mut BTreeMap<String, usize>,
    ) -> Result<()> {
        let targets = &options.selection.targets;
        let mut meant: BTreeSet<usize> = BTreeSet::new();
        if targets.is_empty() {
            meant.extend(0..project.sources.len());
        }
        for target in targets {
            meant.extend(project.source(target, &options.selection)?);
        }
        let stages = project
            .stages
            .iter()
            .enumerate()
            .filter(|(index, _)| included.get(*index).copied().unwrap_or(false));
        let stages: Vec<_> = stages.collect();
        for (index, _) in &stages {
            meant.extend(&project.graph.reads[*index]);
        }
        for at in meant {
            let source = &project.sources[at];
            let names = if options.outs {
                source.outs.clone()
            } else {
                vec![source.path.clone()]
            };
            for (name, out) in names.into_iter().zip(&source.outs) {
                let from = self.node(name, by_name);
                for (index, stage) in &stages {
                    let is_read = project.graph.reads[*index].contains(&at);
                    if !is_read || (options.outs && !reads(stage, out)) {
                        continue;
                    }
                    for (to, _) in self.nodes_of(stage, options, by_name) {
                        self.edges.insert((from, to));
                    }
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, name: String, by_name: &mut BTreeMap<String, usize>) -> usize {
        let next = self.nodes.len();
        let node = *by_name.entry(name.clone()).or_insert(next);
        if node == next {
            self.nodes.push(name);
        }
        node
    }

    /// The nodes of a stage: itself or its outputs, with their paths.
    fn nodes_of(
        &mut self,
        stage: &Stage,
        options: &DagOptions,
        by_name: &mut BTreeMap<String, usize>,
    ) -> Vec<(usize, String)> {
        let names: Vec<(String, String)> = if options.outs {
            stage
                .outs
                .iter()
                .map(|out| (out.at.clone(), out.at.clone()))
                .collect()
        } else {
            let address = stage.address();
            let name = match address.rsplit_once('@') {
                Some((group, _)) if options.collapse => group.to_owned(),
                _ => address,
            };
            vec![(name, String::new())]
        };
        let nodes = names.into_iter().map(|(name, at)| (self.node(name, by_name), at));
        nodes.collect()
    }

    /// A flowchart of Mermaid.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart TD".to_owned();
        let mut number = 0;
        for mut nodes in self.parts() {
            nodes.sort_by_key(|node| &self.nodes[*node]);
            let ids: BTreeMap<usize, usize> = nodes
                .iter()
                .map(|node| {
                    number += 1;
                    (*node, number)
                })
                .collect();
            for node in &nodes {
                text.push_str(&format!("\n\tnode{}[\"{}\"]", ids[node], self.nodes[*node]));
            }
            let mut edges: Vec<&(usize, usize)> = self
                .edges
                .iter()
                .filter(|(from, _)| ids.contains_key(from))
                .collect();
            edges.sort_by_key(|(from, to)| (&self.nodes[*from], &self.nodes[*to]));
            for (from, to) in edges {
                text.push_str(&format!("\n\tnode{}-->node{}", ids[from], ids[to]));
            }
        }
        text
    }

    /// A graph of Graphviz.
    pub fn dot(&self) -> String {
        let quoted = |node: usize| {
            format!(
                "\"{}\"",
                self.nodes[node].replace('\\', "\\\\").replace('"', "\\\"")
            )
        };
        let mut text = "strict digraph {\n".to_owned();
        for node in 0..self.nodes.len() {
            text.push_str(&format!("{};\n", quoted(node)));
        }
        for &(from, to) in &self.edges {
            text.push_str(&format!("{} -> {};\n", quoted(from), quoted(to)));
        }
        text.push_str("}\n");
        text
    }

    /// Boxes with lines between them, each part of the graph below the one before.
    pub fn boxes(&self) -> String {
        let drawn = self.parts().into_iter().map(|nodes| {
            let positions: BTreeMap<usize, usize> =
                nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
            let names: Vec<&str> = nodes.iter().map(|node| self.nodes[*node].as_str()).collect();
            let edges: Vec<(usize, usize)> = self
                .edges
                .iter()
                .filter_map(|(from, to)| Some((*positions.get(from)?, *positions.get(to)?)))
                .collect();
            boxes::draw(&names, &edges)
        });
        drawn.collect::<Vec<_>>().join("\n")
    }

    /// A list in which everything is indented below one thing that it needs; what needs several names the others.
    pub fn tree(&self) -> String {
        let mut text = String::new();
        let mut parents = vec![Vec::new(); self.nodes.len()];
        let mut children = vec![Vec::new(); self.nodes.len()];
        for &(from, to) in &self.edges {
            parents[to].push(from);
            // Below the last of those that it needs.
            children[from].push(to);
        }
        let mut open: Vec<(usize, usize)> = (0..self.nodes.len())
            .rev()
            .filter(|node| parents[*node].is_empty())
            .map(|node| (node, 0))
            .collect();
        while let Some((node, depth)) = open.pop() {
            let others: Vec<&str> = parents[node]
                .iter()
                .rev()
                .skip(1)
                .map(|other| self.nodes[*other].as_str())
                .collect();
            let also = if others.is_empty() {
                String::new()
            } else {
                format!(" (also after {})", others.join(", "))
            };
            text.push_str(&format!("{}{}{also}\n", "  ".repeat(depth), self.nodes[node]));
            let below = children[node]
                .iter()
                .rev()
                .filter(|child| parents[**child].last() == Some(&node));
            open.extend(below.map(|child| (*child, depth + 1)));
        }
        text
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// From what is needed to what needs it, by name.
    pub fn edges(&self) -> Vec<(&str, &str)> {
        let edges = self.edges.iter();
        edges
            .map(|(from, to)| (self.nodes[*from].as_str(), self.nodes[*to].as_str()))
            .collect()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Groups of nodes that nothing connects with one another.
    fn parts(&self) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); self.nodes.len()];
        for &(from, to) in &self.edges {
            neighbours[from].push(to);
            neighbours[to].push(from);
        }
        let mut part_of = vec![None; self.nodes.len()];
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for start in 0..self.nodes.len() {
            if part_of[start].is_some() {
                continue;
            }
            let part = parts.len();
            let mut nodes = Vec::new();
            let mut open = vec![start];
            part_of[start] = Some(part);
            while let Some(node) = open.pop() {
                nodes.push(node);
                for &next in &neighbours[node] {
                    if part_of[next].is_none() {
                        part_of[next] = Some(part);
                        open.push(next);
                    }
                }
            }
            nodes.sort_unstable();
            parts.push(nodes);
        }
        parts
    }
}

/// Whether the stage reads what is at the path, around it or in it.
fn reads(stage: &Stage, at: &str) -> bool {
    let holds = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let deps = stage.deps.iter().map(|dep| &dep.at);
    deps.chain(stage.params.iter().map(|params| &params.at))
        .any(|dep| holds(dep, at) || holds(at, dep))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(edges: &[(&str, &str)]) -> Dag {
        let mut dag = Dag::default();
        for (from, to) in edges {
            let mut node = |name: &str| match dag.nodes.iter().position(|known| known == name) {
                Some(at) => at,
                None => {
                    dag.nodes.push(name.to_owned());
                    dag.nodes.len() - 1
                }
            };
            let edge = (node(from), node(to));
            dag.edges.insert(edge);
        }
        dag
    }

    #[test]
    fn a_graph_is_written_for_mermaid_graphviz_and_as_a_tree() {
        let dag = dag(&[("b", "c"), ("a", "c"), ("c", "d"), ("x", "y")]);
        assert_eq!(
            dag.mermaid(),
            "flowchart TD\n\tnode1[\"a\"]\n\tnode2[\"b\"]\n\tnode3[\"c\"]\n\tnode4[\"d\"]\n\tnode1-->node3\n\tnode2-->node3\n\tnode3-->node4\n\tnode5[\"x\"]\n\tnode6[\"y\"]\n\tnode5-->node6"
        );
        assert!(dag.dot().starts_with("strict digraph {\n\"b\";\n\"c\";\n"));
        assert!(dag.dot().contains("\"a\" -> \"c\";\n"));
        assert_eq!(dag.tree(), "b\na\n  c (also after b)\n    d\nx\n  y\n");
    }

    #[test]
    fn boxes_stand_below_what_they_need() {
        let diamond = [
            ("prepare", "train"),
            ("prepare", "split"),
            ("train", "evaluate"),
            ("split", "evaluate"),
        ];
        insta::assert_snapshot!(dag(&diamond).boxes(), @"
             ┌─────────┐
             │ prepare │
             └─────────┘
                  │
            ┌─────┴─────┐
            ▼           ▼
        ┌───────┐   ┌───────┐
        │ train │   │ split │
        └───────┘   └───────┘
            │           │
            └─────┬─────┘
                  ▼
            ┌──────────┐
            │ evaluate │
            └──────────┘
        ");
        // The line from `a` to `c` goes past `b`.
        let past = dag(&[("a", "b"), ("b", "c"), ("a", "c")]).boxes();
        let row = past.lines().find(|line| line.contains("│ b │")).unwrap();
        assert_eq!(row.matches('│').count(), 3, "{past}");
    }
}
