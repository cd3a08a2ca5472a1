//! Inference graphs: models that answer together under one name, one after the other or side by side.

mod sizes;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Millis;
use crate::project::PayloadSpec;

pub use sizes::{GraphError, check};

/// Members that one graph names at most.
const MEMBERS_MAX: usize = 64;
/// Types that a column of a switch may have, as in MLflow's signatures.
const COLUMN_TYPES: [&str; 6] = ["boolean", "integer", "long", "float", "double", "string"];

/// A version of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionName {
    /// The model's name.
    pub model: String,
    /// The version.
    pub version: u32,
}

/// `NAME/VERSION`
impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.version)
    }
}

/// What a graph names as a part of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Member {
    /// `models:/NAME@ALIAS`: whichever version the alias names.
    Alias {
        /// The model's name.
        model: String,
        /// The alias.
        alias: String,
    },
    /// `models:/NAME/VERSION`
    Version(VersionName),
    /// `graph:/NAME`: another graph of the project.
    Graph {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias { model, alias } => write!(f, "models:/{model}@{alias}"),
            Self::Version(version) => write!(f, "models:/{version}"),
            Self::Graph { name } => write!(f, "graph:/{name}"),
        }
    }
}

impl From<Member> for String {
    fn from(member: Member) -> Self {
        member.to_string()
    }
}

impl TryFrom<String> for Member {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            if let Some(name) = text.strip_prefix("graph:/") {
                return (!name.is_empty() && !name.contains('/')).then(|| Self::Graph {
                    name: name.to_owned(),
                });
            }
            let named = text.strip_prefix("models:/")?;
            if let Some((model, alias)) = named.split_once('@') {
                let (model, alias) = (model.to_owned(), alias.to_owned());
                return (!model.is_empty() && !alias.is_empty()).then_some(Self::Alias { model, alias });
            }
            let (model, version) = named.rsplit_once('/')?;
            let version = version.parse().ok().filter(|version| 0 < *version)?;
            let model = model.to_owned();
            (!model.is_empty()).then_some(Self::Version(VersionName { model, version }))
        };
        read().ok_or_else(|| {
            format!(
                "`{text}` is no member of a graph; write `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `graph:/NAME`"
            )
        })
    }
}

/// How the answers of an ensemble become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// The mean of numbers: predictions, or probabilities class by class.
    Mean,
    /// The label that most members say; of labels with as many votes the one that was said first, in their order.
    Vote,
}

/// How members are put together: as declared, with every alias resolved, or loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape<M> {
    /// What one answers is asked of the next.
    Sequence {
        /// In their order; never empty.
        steps: Vec<M>,
    },
    /// All are asked the same.
    Ensemble {
        /// In their order; never empty.
        members: Vec<M>,
        /// How their answers become one.
        combine: Combine,
        /// As many as there are members; none if all count the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights: Option<Vec<f64>>,
        /// The output that is combined, of members that have several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
    },
    /// Each row is asked of one.
    Switch {
        /// A CEL expression over `input`, the row's columns, that says the case.
        on: String,
        /// Columns that the expression looks at and no member takes, with their types.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        columns: BTreeMap<String, String>,
        /// What the expression may say, with who answers then; never empty.
        cases: BTreeMap<String, M>,
        /// Who answers whatever is no case.
        #[serde(skip_serializing_if = "Option::is_none")]
        otherwise: Option<M>,
    },
}

impl<M> Shape<M> {
    /// The members in their order.
    pub fn members(&self) -> Vec<&M> {
        match self {
            Self::Sequence { steps: members } | Self::Ensemble { members, .. } => members.iter().collect(),
            Self::Switch { cases, otherwise, .. } => cases.values().chain(otherwise).collect(),
        }
    }

    /// The same shape of what each member becomes.
    pub fn try_map<N, E>(&self, mut change: impl FnMut(&M) -> Result<N, E>) -> Result<Shape<N>, E> {
        Ok(match self {
            Self::Sequence { steps } => Shape::Sequence {
                steps: steps.iter().map(change).collect::<Result<_, E>>()?,
            },
            Self::Ensemble {
                members,
                combine,
                weights,
                output,
            } => Shape::Ensemble {
                members: members.iter().map(change).collect::<Result<_, E>>()?,
                combine: *combine,
                weights: weights.clone(),
                output: output.clone(),
            },
            Self::Switch {
                on,
                columns,
                cases,
                otherwise,
            } => Shape::Switch {
                on: on.clone(),
                columns: columns.clone(),
                cases: cases
                    .iter()
                    .map(|(case, member)| Ok((case.clone(), change(member)?)))
                    .collect::<Result<_, E>>()?,
                otherwise: otherwise.as_ref().map(change).transpose()?,
            },
        })
    }
}

/// A member whose version is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A version of a model.
    Model(VersionName),
    /// A graph within the graph.
    Graph {
        /// Its name.
        name: String,
        /// What it is made of.
        shape: Box<Shape<Part>>,
    },
}

impl Shape<Part> {
    /// Every version that answers, in the order in which it is named, each once.
    pub fn versions(&self) -> Vec<VersionName> {
        fn add(shape: &Shape<Part>, found: &mut Vec<VersionName>) {
            for part in shape.members() {
                match part {
                    Part::Model(version) if found.contains(version) => {}
                    Part::Model(version) => found.push(version.clone()),
                    Part::Graph { shape, .. } => add(shape, found),
                }
            }
        }
        let mut found = Vec::new();
        add(self, &mut found);
        found
    }
}

/// A graph as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Its name: the `{name}` of `/v2/models/{name}`.
    pub name: String,
    /// What `lathe.toml` declares.
    pub spec: GraphSpec,
    /// What answers; none until every alias that it names was set once.
    pub shape: Option<Shape<Part>>,
    /// The member that names no version now.
    pub missing: Option<String>,
    /// Counts its changes: other members, or other versions of them.
    pub version: u32,
    /// When it last changed.
    pub updated_at: Millis,
}

/// `[graph.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "GraphKeys", into = "GraphKeys")]
pub struct GraphSpec {
    /// Its members, and how they are put together.
    pub shape: Shape<Member>,
    /// Requests and answers that are kept as files; none if absent.
    pub payloads: Option<PayloadSpec>,
}

/// The keys as written; one type, so that a wrong key is named in the error.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequence: Option<Vec<Member>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ensemble: Option<Vec<Member>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    combine: Option<Combine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    switch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cases: Option<BTreeMap<String, Member>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    otherwise: Option<Member>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payloads: Option<PayloadSpec>,
}

impl TryFrom<GraphKeys> for GraphSpec {
    type Error = String;

    fn try_from(keys: GraphKeys) -> Result<Self, String> {
        let of_ensembles = [
            ("combine", keys.combine.is_some()),
            ("weights", keys.weights.is_some()),
            ("output", keys.output.is_some()),
        ];
        let of_switches = [
            ("columns", keys.columns.is_some()),
            ("cases", keys.cases.is_some()),
            ("otherwise", keys.otherwise.is_some()),
        ];
        let refuse = |of_others: &[(&str, bool)], kind: &str| match of_others.iter().find(|(_, given)| *given)
        {
            None => Ok(()),
            Some((key, _)) => Err(format!("`{key}` has no meaning beside `{kind}`")),
        };
        let shape = match (keys.sequence, keys.ensemble, keys.switch) {
            (Some(steps), None, None) => {
                refuse(&[of_ensembles, of_switches].concat(), "sequence")?;
                Shape::Sequence { steps }
            }
            (None, Some(members), None) => {
                refuse(&of_switches, "ensemble")?;
                let combine = keys.combine.ok_or(
                    "an ensemble says how its answers become one: `combine = \"mean\"` or `combine = \"vote\"`",
                )?;
                if let Some(weights) = &keys.weights {
                    check_weights(weights, members.len())?;
                }
                Shape::Ensemble {
                    members,
                    combine,
                    weights: keys.weights,
                    output: keys.output,
                }
            }
            (None, None, Some(on)) => {
                refuse(&of_ensembles, "switch")?;
                let columns = keys.columns.unwrap_or_default();
                if let Some((column, kind)) = columns
                    .iter()
                    .find(|(_, kind)| !COLUMN_TYPES.contains(&kind.as_str()))
                {
                    return Err(format!(
                        "the column `{column}` is a `{kind}`; columns are {}",
                        COLUMN_TYPES.join(", ")
                    ));
                }
                Shape::Switch {
                    on,
                    columns,
                    cases: keys.cases.unwrap_or_default(),
                    otherwise: keys.otherwise,
                }
            }
            _ => return Err("a graph has one of `sequence`, `ensemble` and `switch`".into()),
        };
        let count = shape.members().len();
        match &shape {
            Shape::Switch { cases, .. } if cases.is_empty() => Err("a switch has `cases`".to_owned()),
            _ if count == 0 => Err("a graph has at least one member".to_owned()),
            _ if MEMBERS_MAX < count => Err(format!(
                "a graph names {count} members; at most {MEMBERS_MAX} are taken"
            )),
            _ => Ok(Self {
                shape,
                payloads: keys.payloads,
            }),
        }
    }
}

fn check_weights(weights: &[f64], members: usize) -> Result<(), String> {
    if weights.len() != members {
        return Err(format!(
            "there are {} `weights` for {members} members",
            weights.len()
        ));
    }
    let sound = weights.iter().all(|weight| weight.is_finite() && 0.0 <= *weight);
    match sound && 0.0 < weights.iter().sum() {
        true => Ok(()),
        false => Err("`weights` are numbers from 0 up, and not all 0".into()),
    }
}

impl From<GraphSpec> for GraphKeys {
    fn from(spec: GraphSpec) -> Self {
        let payloads = spec.payloads;
        let keys = Self {
            payloads,
            ..Self::default()
        };
        match spec.shape {
            Shape::Sequence { steps } => Self {
                sequence: Some(steps),
                ..keys
            },
            Shape::Ensemble {
                members,
                combine,
                weights,
                output,
            } => Self {
                ensemble: Some(members),
                combine: Some(combine),
                weights,
                output,
                ..keys
            },
            Shape::Switch {
                on,
                columns,
                cases,
                otherwise,
            } => Self {
                switch: Some(on),
                columns: (!columns.is_empty()).then_some(columns),
                cases: Some(cases),
                otherwise,
                ..keys
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::sizes::DEPTH_MAX;
    use super::*;

    fn read(keys: Value) -> Result<GraphSpec, String> {
        serde_json::from_value(keys).map_err(|error| error.to_string())
    }

    fn graphs(all: Value) -> BTreeMap<String, GraphSpec> {
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for keys in [
            json!({ "sequence": ["models:/scale@champion", "graph:/blend", "models:/a/b/3"] }),
            json!({ "ensemble": ["models:/a@x", "models:/b@x"], "combine": "mean", "weights": [1.0, 0.0], "output": "p" }),
            json!({ "ensemble": ["models:/a@x"], "combine": "vote", "payloads": { "sample": 0.5, "without": [], "file_rows": 5, "file_age": "5m" } }),
            json!({ "switch": "input.region", "columns": { "region": "string" }, "cases": { "eu": "models:/a@x" }, "otherwise": "models:/b@x" }),
        ] {
            assert_eq!(json!(read(keys.clone()).unwrap()), keys);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_is_wrong() {
        for (keys, told) in [
            (json!({}), "one of `sequence`, `ensemble` and `switch`"),
            (json!({ "sequence": [] }), "at least one member"),
            (
                json!({ "sequence": ["scale"] }),
                "`scale` is no member of a graph; write `models:/NAME@ALIAS`",
            ),
            (
                json!({ "sequence": ["models:/m/0"] }),
                "`models:/m/0` is no member",
            ),
            (
                json!({ "sequence": ["models:/m@a"], "ensemble": ["models:/m@a"] }),
                "one of",
            ),
            (
                json!({ "sequence": ["models:/m@a"], "weights": [1] }),
                "`weights` has no meaning beside `sequence`",
            ),
            (json!({ "ensemble": ["models:/m@a"] }), "`combine = \"mean\"`"),
            (
                json!({ "ensemble": ["models:/m@a"], "combine": "median" }),
                "unknown variant `median`",
            ),
            (
                json!({ "ensemble": ["models:/m@a"], "combine": "mean", "weights": [1, 2] }),
                "2 `weights` for 1 members",
            ),
            (
                json!({ "ensemble": ["models:/m@a"], "combine": "mean", "weights": [0] }),
                "not all 0",
            ),
            (
                json!({ "ensemble": ["models:/m@a"], "combine": "mean", "cases": {} }),
                "`cases` has no meaning",
            ),
            (json!({ "switch": "input.a" }), "a switch has `cases`"),
            (
                json!({ "switch": "input.a", "cases": { "a": "models:/m@a" }, "columns": { "a": "text" } }),
                "the column `a` is a `text`; columns are boolean",
            ),
            (json!({ "sequense": [] }), "unknown field `sequense`"),
            (json!({ "sequence": vec!["models:/m@a"; 65] }), "names 65 members"),
        ] {
            let error = read(keys.clone()).unwrap_err();
            assert!(error.contains(told), "{keys}: {error}");
        }
    }

    #[test]
    fn a_graph_that_names_itself_or_nobody_or_too_many_is_refused() {
        let told = |all| check(&graphs(all)).unwrap_err().to_string();
        assert_eq!(
            told(
                json!({ "a": { "sequence": ["graph:/b"] }, "b": { "sequence": ["models:/m@x", "graph:/a"] } })
            ),
            "`[graph.a]` is a part of itself: a → b → a"
        );
        assert_eq!(
            told(json!({ "a": { "sequence": ["graph:/c"] } })),
            "`[graph.a]` names the graph `c`, which is not declared"
        );
        // Each doubles the one before: named twice it is asked twice.
        let doubled = |n: usize| match n {
            0 => json!({ "sequence": ["models:/m@x", "models:/m@x"] }),
            n => json!({ "sequence": [format!("graph:/g{}", n - 1), format!("graph:/g{}", n - 1)] }),
        };
        let all = |count: usize| {
            graphs(
                (0..count)
                    .map(|n| (format!("g{n}"), doubled(n)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            )
        };
        assert_eq!(check(&all(8)), Ok(()));
        assert_eq!(check(&all(40)), Err(GraphError::TooLarge { graph: "g8".into() }));
    }

    #[test]
    fn graphs_within_graphs_end_somewhere() {
        // Each names the next; the names sort from the outermost inwards, or from the innermost outwards.
        let chain = |count: usize, inwards: bool| {
            let name = |n: usize| format!("g{:04}", if inwards { n } else { count - n });
            let keys = |n: usize| match n + 1 == count {
                true => json!({ "sequence": ["models:/m@x"] }),
                false => json!({ "sequence": [format!("graph:/{}", name(n + 1))] }),
            };
            graphs(
                (0..count)
                    .map(|n| (name(n), keys(n)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            )
        };
        for inwards in [true, false] {
            assert_eq!(check(&chain(DEPTH_MAX, inwards)), Ok(()));
            for count in [DEPTH_MAX + 1, 9000] {
                let told = check(&chain(count, inwards)).unwrap_err().to_string();
                assert!(told.ends_with("more than 16 levels deep"), "{told}");
            }
        }
    }

    #[test]
    fn the_deepest_graph_is_read_back() {
        let model = || {
            Part::Model(VersionName {
                model: "m".into(),
                version: 1,
            })
        };
        let switch = |part: Part| Shape::Switch {
            on: "input.a".into(),
            columns: BTreeMap::new(),
            cases: BTreeMap::from([("a".to_owned(), part)]),
            otherwise: None,
        };
        let shape = (1..DEPTH_MAX).fold(switch(model()), |inner, level| {
            switch(Part::Graph {
                name: format!("g{level}"),
                shape: Box::new(inner),
            })
        });
        let text = serde_json::to_string(&shape).unwrap();
        assert_eq!(serde_json::from_str::<Shape<Part>>(&text).unwrap(), shape);
    }
}
