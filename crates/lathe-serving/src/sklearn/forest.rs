//! Decision trees and what averages them. Inputs are rounded to f32 and compared with thresholds; leaf values are
//! added in f64 in the order of the trees, so that answers are equal bit by bit.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::first_greatest;
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;
use crate::trees::{RawNode, Test, Trees, f32_at_most};

/// The nodes of a fitted tree, its leaves numbered as its nodes; and the values of all nodes.
pub(super) fn nodes(
    estimator: Ref<'_>,
    columns: Option<&[usize]>,
) -> Result<(Vec<RawNode<f32>>, Vec<f64>), Fault> {
    let tree = estimator.attr("tree_")?;
    let records = tree.attr("nodes")?;
    let array = records.array()?;
    records.charge(array.len() * 200)?;
    let left = array.integers("left_child")?;
    let right = array.integers("right_child")?;
    let feature = array.integers("feature")?;
    let threshold = array.floats("threshold")?;
    // scikit-learn before 1.3 knew no missing values.
    let missing = match array.has("missing_go_to_left") {
        true => array.integers("missing_go_to_left")?,
        false => vec![0; array.len()],
    };
    let index =
        |number: i64| usize::try_from(number).map_err(|_| "a node's number is out of range".to_owned());
    let mut read = Vec::with_capacity(array.len());
    for i in 0..array.len() {
        // -1 is no child: scikit-learn's leaves have none.
        if left[i] < 0 {
            read.push(RawNode::Leaf(i));
            continue;
        }
        let feature = index(feature[i])?;
        let feature = match columns {
            None => feature,
            Some(columns) => *columns
                .get(feature)
                .ok_or_else(|| format!("a node reads input {feature} of {}", columns.len()))?,
        };
        if threshold[i].is_nan() {
            return Err("a node compares with NaN".into());
        }
        read.push(RawNode::Split {
            feature,
            test: Test::AtMost(f32_at_most(threshold[i])),
            left: index(left[i])?,
            right: index(right[i])?,
            missing_left: missing[i] != 0,
        });
    }
    let values = tree.attr("values")?.floats()?;
    Ok((read, values))
}

/// The inputs that an estimator was fitted on.
pub(super) fn features(estimator: Ref<'_>) -> Result<usize, Fault> {
    let names = ["n_features_in_", "n_features_"];
    let found = names.iter().find_map(|name| estimator.some(name));
    found
        .ok_or_else(|| Fault::Damaged("`n_features_in_` is not there: not fitted?".into()))?
        .usize()
}

/// The rows as f32, as trees read them.
pub(super) fn rounded(frame: &Frame, features: usize, missing_ok: bool) -> Result<Vec<f32>, PredictError> {
    frame.expect(features)?;
    let values = frame.numbers_of_f32(missing_ok)?;
    Ok(values.iter().map(|value| *value as f32).collect())
}

/// A tree or a forest.
#[derive(Debug)]
pub(super) struct Forest {
    trees: Trees<f32>,
    /// Values a leaf: one an output, or one a class.
    width: usize,
    classes: Option<Classes>,
    missing_ok: bool,
}

impl Forest {
    pub(super) fn read(node: Ref<'_>, classifier: bool) -> Result<Self, Fault> {
        let features = features(node)?;
        let outputs = node.attr("n_outputs_")?.usize()?;
        let classes = match classifier {
            true if outputs != 1 => {
                return Err(Fault::Unsupported(format!(
                    "the model has {outputs} outputs; the native engine answers with one class"
                )));
            }
            true => Some(Classes::of(node)?),
            false => None,
        };
        let width = classes.as_ref().map_or(outputs, Classes::len);
        let members = match node.find("estimators_") {
            Some(list) => list.list()?,
            None => vec![node],
        };
        if members.is_empty() {
            return Err("the ensemble has no trees".into());
        }
        let mut trees = Trees::new(width, features)?;
        for member in members {
            let (nodes, values) = nodes(member, None)?;
            trees.push(&nodes, &values)?;
        }
        if classifier {
            trees.change_values(normalise);
        }
        let criterion = node
            .some("criterion")
            .and_then(|text| text.text().ok())
            .unwrap_or_default();
        Ok(Self {
            trees,
            width,
            classes,
            missing_ok: criterion != "absolute_error" && node.some("monotonic_cst").is_none(),
        })
    }

    /// The means of the leaves.
    fn means(&self, frame: &Frame) -> Result<Vec<f64>, PredictError> {
        let rows = rounded(frame, self.trees.features(), self.missing_ok)?;
        let width = self.width;
        let mut sums = vec![0.0; frame.rows * width];
        if width == 1 {
            self.trees.for_each_leaf(&rows, usize::MAX, |row, _, leaf| {
                sums[row] += self.trees.value(leaf)
            });
        } else {
            self.trees.for_each_leaf(&rows, usize::MAX, |row, _, leaf| {
                let sums = &mut sums[row * width..(row + 1) * width];
                for (sum, value) in sums.iter_mut().zip(self.trees.values(leaf)) {
                    *sum += value;
                }
            });
        }
        let trees = self.trees.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= trees);
        Ok(sums)
    }
}

/// Makes a leaf's values sum to 1: scikit-learn before 1.3 stored counts.
fn normalise(values: &mut [f64]) {
    let sum: f64 = values.iter().sum();
    if sum != 0.0 && (sum - 1.0).abs() > 1e-9 {
        values.iter_mut().for_each(|value| *value /= sum);
    }
}

impl Estimate for Forest {
    fn shape(&self) -> Shape {
        match &self.classes {
            Some(classes) => Shape::Classes(classes.clone()),
            None => Shape::Numbers((1 < self.width).then_some(self.width)),
        }
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let values = self.means(frame)?;
        Ok(match (what, &self.classes) {
            (What::Predict, Some(_)) => {
                Scores::Classes(values.chunks_exact(self.width).map(first_greatest).collect())
            }
            (_, Some(_)) => Scores::many(self.width, values),
            (_, None) => Scores::Numbers {
                width: (1 < self.width).then_some(self.width),
                values,
            },
        })
    }

    fn can(&self, what: What) -> bool {
        match what {
            What::Predict => true,
            What::Probabilities => self.classes.is_some(),
            What::Decision => false,
        }
    }
}

/// Rows that few splits set apart are outliers.
#[derive(Debug)]
pub(super) struct Isolation {
    /// A leaf's value is the length of the path to it.
    trees: Trees<f32>,
    denominator: f64,
    offset: f64,
}

impl Isolation {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let features = features(node)?;
        let members = node.attr("estimators_")?.list()?;
        let columns = node.attr("estimators_features_")?.list()?;
        let paths = node.attr("_decision_path_lengths")?.list()?;
        let averages = node.attr("_average_path_length_per_tree")?.list()?;
        if members.is_empty()
            || [columns.len(), paths.len(), averages.len()]
                .iter()
                .any(|len| *len != members.len())
        {
            return Err("the forest's lists have different lengths".into());
        }
        let mut trees = Trees::new(1, features)?;
        for (index, member) in members.iter().enumerate() {
            let (nodes, _) = nodes(*member, Some(&columns[index].indices()?))?;
            let lengths = paths[index].floats()?;
            let averages = averages[index].floats()?;
            let values: Vec<f64> = lengths
                .iter()
                .zip(&averages)
                .map(|(length, average)| length + average - 1.0)
                .collect();
            trees.push(&nodes, &values)?;
        }
        let samples = node
            .find("_max_samples")
            .map_or_else(|| node.attr("max_samples_"), Ok)?
            .float()?;
        Ok(Self {
            denominator: trees.len() as f64 * average_path_length(samples),
            trees,
            offset: node.attr("offset_")?.float()?,
        })
    }
}

/// Of an unsuccessful search in a tree of `n`, which an isolation tree resembles.
fn average_path_length(n: f64) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    if n <= 1.0 {
        0.0
    } else if n == 2.0 {
        1.0
    } else {
        2.0 * ((n - 1.0).ln() + EULER_GAMMA) - 2.0 * (n - 1.0) / n
    }
}

impl Estimate for Isolation {
    fn shape(&self) -> Shape {
        Shape::Longs
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let rows = rounded(frame, self.trees.features(), true)?;
        let mut depths = vec![0.0; frame.rows];
        self.trees.for_each_leaf(&rows, usize::MAX, |row, _, leaf| {
            depths[row] += self.trees.value(leaf)
        });
        let decision = depths.into_iter().map(|depth| {
            let share = if self.denominator == 0.0 {
                1.0
            } else {
                depth / self.denominator
            };
            -(-share).exp2() - self.offset
        });
        Ok(match what {
            What::Predict => Scores::Longs(decision.map(|score| if score < 0.0 { -1 } else { 1 }).collect()),
            _ => Scores::one(decision.collect()),
        })
    }

    fn can(&self, what: What) -> bool {
        what != What::Probabilities
    }
}
