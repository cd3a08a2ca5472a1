//! What CatBoost's classes make of the sums of the trees.

use serde_json::Value;

use super::document::{Classes, Info};
use crate::answers::{Answers, OutputSpec, PREDICTIONS, Values};
use crate::error::Fault;

/// What is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    /// The sums.
    Raw {
        /// Where the training had announced classes that it did not see: the place of each dimension among all, and how
        /// many there are.
        among: Option<(Vec<usize>, usize)>,
    },
    Exponent,
    /// The mean, and the variance for its deviation's logarithm.
    Uncertainty,
    /// One of two classes.
    Either {
        border: f64,
        labels: Values,
    },
    /// The class of the greatest sum.
    Greatest {
        labels: Values,
    },
    /// For each dimension, whether it is positive.
    Each,
}

impl Answer {
    /// As a class of Python's answers; as the class that it was trained by where none is named.
    pub(super) fn of(class: &str, info: &Info, dimension: usize) -> Result<Self, Fault> {
        let class = match class {
            "" if info.classes.is_some() => "CatBoostClassifier",
            "" => "CatBoostRegressor",
            class => class,
        };
        match class {
            "CatBoostClassifier" => classes(info, dimension),
            "CatBoostRegressor" => {
                let loss = info.asked_loss.as_deref().unwrap_or_default();
                Ok(match loss {
                    "RMSEWithUncertainty" if dimension == 2 => Self::Uncertainty,
                    _ if loss.starts_with("Poisson") || loss.starts_with("Tweedie") => Self::Exponent,
                    _ => raw(info, dimension),
                })
            }
            "CatBoost" | "CatBoostRanker" => Ok(raw(info, dimension)),
            other => Err(Fault::Unsupported(format!(
                "the native engine does not know CatBoost's class `{other}`"
            ))),
        }
    }

    /// What the output looks like.
    pub(super) fn output(&self, dimension: usize) -> OutputSpec {
        let (datatype, width) = match self {
            Self::Raw {
                among: Some((_, count)),
            } => ("FP64", Some(*count)),
            Self::Raw { .. } | Self::Exponent | Self::Uncertainty => {
                ("FP64", (1 < dimension).then_some(dimension))
            }
            Self::Either { labels, .. } => (labels.datatype(), None),
            Self::Greatest { labels } => (labels.datatype(), Some(1)),
            Self::Each => ("INT64", Some(dimension)),
        };
        OutputSpec {
            name: PREDICTIONS.into(),
            datatype,
            width,
        }
    }

    /// Answers with the sums of all rows, `dimension` for each.
    pub(super) fn convert(&self, mut sums: Vec<f64>, dimension: usize) -> Answers {
        let values = match self {
            Self::Raw { among: None } => Values::Double(sums),
            Self::Raw {
                among: Some((places, count)),
            } => {
                let mut all = vec![f64::NEG_INFINITY; sums.len() / dimension * count];
                for (row, sums) in all.chunks_exact_mut(*count).zip(sums.chunks_exact(dimension)) {
                    for (place, sum) in places.iter().zip(sums) {
                        row[*place] = *sum;
                    }
                }
                Values::Double(all)
            }
            Self::Exponent => {
                sums.iter_mut().for_each(|sum| *sum = sum.exp());
                Values::Double(sums)
            }
            Self::Uncertainty => {
                for row in sums.chunks_exact_mut(2) {
                    row[1] = (2.0 * row[1]).exp();
                }
                Values::Double(sums)
            }
            Self::Either { border, labels } => {
                chosen(labels, sums.iter().map(|sum| usize::from(border < sum)))
            }
            Self::Greatest { labels } => chosen(
                labels,
                sums.chunks_exact(dimension).map(|row| {
                    let best = |best: usize, at: usize| if row[best] < row[at] { at } else { best };
                    (0..dimension).fold(0, best)
                }),
            ),
            Self::Each => Values::Long(sums.iter().map(|sum| i64::from(0.0 < *sum)).collect()),
        };
        Answers::only(self.output(dimension).width, values)
    }
}

fn raw(info: &Info, dimension: usize) -> Answer {
    let among = info.classes.as_ref().and_then(|classes| {
        let count = classes.count.max(classes.names.len());
        let fits = classes.labels.len() == dimension && classes.labels.iter().all(|label| *label < count);
        (1 < dimension && dimension < count && fits).then(|| (classes.labels.clone(), count))
    });
    Answer::Raw { among }
}

fn classes(info: &Info, dimension: usize) -> Result<Answer, Fault> {
    if 1 < dimension && matches!(info.loss.as_str(), "MultiLogloss" | "MultiCrossEntropy") {
        return Ok(Answer::Each);
    }
    let default = Classes::default();
    let classes = info.classes.as_ref().unwrap_or(&default);
    let labels = labels(classes, dimension.max(2))?;
    Ok(match dimension {
        1 => Answer::Either {
            border: info
                .threshold
                .map_or(0.0, |threshold| -(1.0 / threshold - 1.0).ln()),
            labels,
        },
        _ => Answer::Greatest { labels },
    })
}

/// The name of each of `count` classes.
fn labels(classes: &Classes, count: usize) -> Result<Values, Fault> {
    let label = |at: usize| classes.labels.get(at).copied().unwrap_or(at);
    if classes.names.is_empty() {
        return Ok(match classes.kind.as_str() {
            "Float" => Values::Double((0..count).map(|at| label(at) as f64).collect()),
            "String" => Values::Text((0..count).map(|at| label(at).to_string()).collect()),
            _ => Values::Long((0..count).map(|at| label(at) as i64).collect()),
        });
    }
    let names: Vec<&Value> = (0..count)
        .map(|at| classes.names.get(label(at)))
        .collect::<Option<_>>()
        .ok_or("it has fewer names of classes than classes")?;
    let bad = || {
        Fault::Damaged(format!(
            "the names of its classes are not of the type `{}`",
            classes.kind
        ))
    };
    let all = |values: Option<Values>| values.ok_or_else(bad);
    match classes.kind.as_str() {
        "Integer" => all(names
            .iter()
            .map(|name| name.as_i64())
            .collect::<Option<_>>()
            .map(Values::Long)),
        "Float" => all(names
            .iter()
            .map(|name| name.as_f64())
            .collect::<Option<_>>()
            .map(Values::Double)),
        "Boolean" => all(names
            .iter()
            .map(|name| name.as_bool())
            .collect::<Option<_>>()
            .map(Values::Boolean)),
        "String" => all(names
            .iter()
            .map(|name| Some(name.as_str()?.to_owned()))
            .collect::<Option<_>>()
            .map(Values::Text)),
        other => Err(Fault::Unsupported(format!(
            "the native engine does not know CatBoost's classes of the type `{other}`"
        ))),
    }
}

fn chosen(labels: &Values, rows: impl Iterator<Item = usize>) -> Values {
    match labels {
        Values::Long(labels) => Values::Long(rows.map(|class| labels[class]).collect()),
        Values::Double(labels) => Values::Double(rows.map(|class| labels[class]).collect()),
        Values::Boolean(labels) => Values::Boolean(rows.map(|class| labels[class]).collect()),
        other => {
            let words = other.words();
            Values::Text(rows.map(|class| words[class].clone()).collect())
        }
    }
}
