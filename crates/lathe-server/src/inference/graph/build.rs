//! Joins loaded models as a graph says, and finds out what it takes and answers with.

use std::sync::Arc;

use lathe_rules::Rule;
use lathe_serving::{ColumnSpec, ColumnType, OutputSpec, Signature, Table, gathered, mean_of, vote_of};
use lathe_types::graphs::{Combine, Part, Shape};
use serde_json::json;

use super::switch::Switch;
use super::{Joined, Kind, Loaded, Node, What};

pub(super) fn joined(shape: &Shape<Part>, loaded: &Loaded) -> Result<Joined, String> {
    match shape {
        Shape::Sequence { steps } => {
            let (first, rest) = steps.split_first().ok_or("a sequence has no steps")?;
            let first = node(first, "step 1, ", loaded)?;
            let rest: Result<Vec<Node>, String> = rest
                .iter()
                .enumerate()
                .map(|(at, step)| node(step, &format!("step {}, ", at + 2), loaded))
                .collect();
            Ok(Joined {
                signature: first.signature().clone(),
                kind: Kind::Sequence { first, rest: rest? },
            })
        }
        Shape::Ensemble {
            members,
            combine,
            weights,
            output,
        } => {
            let members = members
                .iter()
                .map(|member| node(member, "", loaded))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Joined {
                signature: union(&members)?,
                kind: Kind::Ensemble {
                    members,
                    combine: *combine,
                    weights: weights.clone(),
                    output: output.clone(),
                },
            })
        }
        Shape::Switch {
            on,
            columns,
            cases,
            otherwise,
        } => {
            let mut members = Vec::with_capacity(cases.len() + 1);
            for (case, member) in cases {
                members.push(node(member, &format!("case `{case}`, "), loaded)?);
            }
            if let Some(member) = otherwise {
                members.push(node(member, "", loaded)?);
            }
            let switch = Switch {
                rule: Rule::parse(on).map_err(|error| error.to_string())?,
                cases: cases.keys().cloned().collect(),
                has_other: otherwise.is_some(),
                outputs: gathered(&members.iter().map(Node::outputs).collect::<Vec<_>>()),
            };
            let mut more = Vec::new();
            for (name, kind) in columns {
                let kind: ColumnType = serde_json::from_value(json!(kind))
                    .map_err(|error| format!("the column `{name}` of the switch: {error}"))?;
                more.push(ColumnSpec {
                    name: name.clone(),
                    kind,
                    required: true,
                });
            }
            let (own, taken) = (Signature::new(more), union(&members)?);
            Ok(Joined {
                signature: Signature::union([("the members", &taken), ("the switch", &own)])?,
                kind: Kind::Switch(Arc::new(switch), members),
            })
        }
    }
}

fn union(members: &[Node]) -> Result<Signature, String> {
    Signature::union(
        members
            .iter()
            .map(|member| (member.label.as_str(), member.signature())),
    )
}

fn node(part: &Part, place: &str, loaded: &Loaded) -> Result<Node, String> {
    Ok(match part {
        Part::Model(version) => {
            let label = format!("{place}`models:/{version}`");
            let served = match loaded.get(version) {
                Some(Ok(served)) => served.clone(),
                Some(Err(reason)) => return Err(format!("{label}: {reason}")),
                None => return Err(format!("{label}: it is not loaded")),
            };
            let version = Arc::new(version.clone());
            Node {
                label,
                what: What::Model { version, served },
            }
        }
        Part::Graph { name, shape } => {
            let label = format!("{place}`graph:/{name}`");
            let joined = joined(shape, loaded).map_err(|reason| format!("{label}: {reason}"))?;
            Node {
                label,
                what: What::Graph(Box::new(joined)),
            }
        }
    })
}

impl Joined {
    /// What it answers with, as far as its members tell.
    pub(super) fn outputs(&self) -> Vec<OutputSpec> {
        let of = |members: &[Node]| members.iter().map(Node::outputs).collect::<Vec<_>>();
        match &self.kind {
            Kind::Sequence { first, rest } => rest.last().unwrap_or(first).outputs(),
            Kind::Ensemble {
                members,
                combine,
                output,
                ..
            } => match combine {
                Combine::Mean => mean_of(&of(members), output.as_deref()),
                Combine::Vote => vote_of(&of(members), output.as_deref()),
            },
            Kind::Switch(switch, _) => switch.outputs.clone(),
        }
    }

    /// Rows that it can answer, if a member was saved with such; of a switch nobody knows whether they are a case.
    pub(super) fn example(&self) -> Option<Table> {
        let of = |node: &Node| match &node.what {
            What::Model { served, .. } => served.example(),
            What::Graph(joined) => joined.example(),
        };
        let found = match &self.kind {
            Kind::Sequence { first, .. } => of(first),
            Kind::Ensemble { members, .. } => members.iter().find_map(of),
            Kind::Switch(..) => None,
        };
        let example = Arc::new(found.filter(|example| 0 < example.rows())?);
        // That of one member need not have the columns of all.
        let fitted = example.fit(&self.signature).ok()?;
        Some((*fitted).clone())
    }
}

impl Node {
    fn outputs(&self) -> Vec<OutputSpec> {
        match &self.what {
            What::Model { served, .. } => served.facts().outputs(),
            What::Graph(joined) => joined.outputs(),
        }
    }
}
