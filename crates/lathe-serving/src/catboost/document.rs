//! A model as its file says it, whichever form the file has.

use serde_json::Value;

use super::ctr::{Prior, Projection, Statistics};

#[derive(Debug, Default)]
pub(super) struct Document {
    /// Numbers a row.
    pub(super) dimension: usize,
    pub(super) scale: f64,
    /// One a dimension.
    pub(super) bias: Vec<f64>,
    pub(super) floats: Vec<FloatFeature>,
    pub(super) categories: Vec<Category>,
    pub(super) one_hots: Vec<OneHot>,
    pub(super) ctrs: Vec<Ctr>,
    pub(super) statistics: Vec<Statistics>,
    pub(super) trees: RawTrees,
    pub(super) info: Info,
}

/// A column of numbers.
#[derive(Debug)]
pub(super) struct FloatFeature {
    /// Among the columns of numbers.
    pub(super) index: i32,
    /// Among all columns.
    pub(super) flat: i32,
    pub(super) name: String,
    pub(super) borders: Vec<f32>,
    /// What stands for a missing number; none where it is compared as it is.
    pub(super) missing: Option<f32>,
}

/// A column of categories.
#[derive(Debug)]
pub(super) struct Category {
    /// Among the columns of categories.
    pub(super) index: i32,
    /// Among all columns.
    pub(super) flat: i32,
    pub(super) name: String,
}

/// Categories that are asked for one by one.
#[derive(Debug)]
pub(super) struct OneHot {
    /// The number of the column of categories.
    pub(super) category: i32,
    pub(super) values: Vec<i32>,
}

/// A number that stands for categories.
#[derive(Debug)]
pub(super) struct Ctr {
    pub(super) projection: Projection,
    pub(super) prior: Prior,
    /// The number of its statistics in the document.
    pub(super) statistics: usize,
    pub(super) borders: Vec<f32>,
}

/// Splits are numbered: all borders of the columns of numbers, all one-hot values, all borders of ctrs.
#[derive(Debug)]
pub(super) enum RawTrees {
    /// All nodes of a level ask the same.
    Oblivious {
        /// Of tree after tree, level by level.
        splits: Vec<u32>,
        depths: Vec<usize>,
        /// Of tree after tree, leaf by leaf, one a dimension.
        leaves: Vec<f64>,
    },
    Branching {
        trees: Vec<Vec<Branch>>,
        leaves: Vec<f64>,
    },
}

impl Default for RawTrees {
    fn default() -> Self {
        Self::Oblivious {
            splits: Vec::new(),
            depths: Vec::new(),
            leaves: Vec::new(),
        }
    }
}

/// A node of a tree; the first is the root.
#[derive(Debug)]
pub(super) enum Branch {
    /// The place of its first value.
    Leaf(usize),
    Split {
        split: u32,
        no: usize,
        yes: usize,
    },
}

/// What was noted beside the trees.
#[derive(Debug, Default)]
pub(super) struct Info {
    /// As the caller of the training gave it, if it did.
    pub(super) asked_loss: Option<String>,
    /// What was trained for.
    pub(super) loss: String,
    pub(super) classes: Option<Classes>,
    pub(super) threshold: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Classes {
    pub(super) names: Vec<Value>,
    /// The class of each dimension.
    pub(super) labels: Vec<usize>,
    pub(super) kind: String,
    /// How many were announced, if they were.
    pub(super) count: usize,
}

impl Info {
    /// Takes a note. Its value is JSON as a text in one form of files, and a value in the other.
    pub(super) fn note(&mut self, name: &str, value: Value) -> Result<(), String> {
        let tree = |value: Value| match value {
            Value::String(text) => {
                serde_json::from_str(&text).map_err(|error| format!("`{name}` is not JSON: {error}"))
            }
            other => Ok(other),
        };
        match name {
            "params" => {
                let value = tree(value)?;
                self.asked_loss = value["flat_params"]["loss_function"].as_str().map(str::to_owned);
                self.loss = value["loss_function"]["type"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
            }
            "class_params" => {
                let value = tree(value)?;
                let labels = value["class_to_label"].as_array().map(Vec::as_slice);
                let label = |label: &Value| {
                    let whole = label.as_f64().filter(|label| label.fract() == 0.0);
                    whole
                        .filter(|label| (0.0..1e6).contains(label))
                        .map(|label| label as usize)
                };
                let labels = labels
                    .unwrap_or_default()
                    .iter()
                    .map(label)
                    .collect::<Option<_>>();
                self.classes = Some(Classes {
                    names: value["class_names"].as_array().cloned().unwrap_or_default(),
                    labels: labels.ok_or("`class_to_label` is not a list of places")?,
                    kind: value["class_label_type"].as_str().unwrap_or_default().to_owned(),
                    count: value["classes_count"]
                        .as_u64()
                        .and_then(|count| usize::try_from(count).ok())
                        .filter(|count| *count < 1_000_000)
                        .unwrap_or_default(),
                });
            }
            "binclass_probability_threshold" => {
                let given = match &value {
                    Value::String(text) => text.trim().parse().ok(),
                    other => other.as_f64(),
                };
                let inside = given.filter(|threshold| 0.0 < *threshold && *threshold < 1.0);
                self.threshold = Some(inside.ok_or_else(|| format!("the probability threshold is {value}"))?);
            }
            _ => {}
        }
        Ok(())
    }
}
