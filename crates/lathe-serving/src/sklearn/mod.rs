//! scikit-learn's fitted estimators, from skops files and pickles, answered without Python. Each family has its file;
//! `build` knows the classes by name. Estimators that only hold others (pipelines, searches, ensembles of several
//! kinds) are in `compose` and `meta`.

mod bayes;
mod boosting;
mod build;
mod classes;
mod compose;
mod encode;
mod ensemble;
mod forest;
mod frame;
mod impute;
mod linear;
mod matrix;
mod meta;
mod neighbors;
mod neural;
mod project;
mod scale;
mod svm;
mod transformer;
mod wrapped;

use std::fmt::Debug;

use crate::answers::{Answers, OutputSpec, PREDICTIONS, Values};
use crate::error::Fault;
use crate::objects::{Objects, Ref};
use crate::predictor::{Input, Inputs, Predictor, unnamed};
use crate::signature::ColumnType;
use crate::{PredictError, Table};
use classes::Classes;
use frame::Frame;

/// Changes columns.
trait Transform: Debug + Send + Sync {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError>;

    /// Whether it takes words in this column.
    fn takes_words(&self, _column: usize) -> bool {
        false
    }
}

/// Answers rows.
trait Estimate: Debug + Send + Sync {
    /// What `predict` answers with.
    fn shape(&self) -> Shape;

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError>;

    /// Whether it can answer so; asked before [`Estimate::scores`].
    fn can(&self, what: What) -> bool;

    /// Whether it takes words in this column.
    fn takes_words(&self, _column: usize) -> bool {
        false
    }
}

/// What is asked of an estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Predict,
    Probabilities,
    Decision,
}

/// What `predict` answers with.
#[derive(Debug, Clone)]
enum Shape {
    /// Numbers: one, or a list of so many, a row.
    Numbers(Option<usize>),
    Classes(Classes),
    /// Numbers of clusters.
    Integers,
    /// 1 and -1.
    Longs,
}

/// What an estimator found.
#[derive(Debug)]
enum Scores {
    Numbers {
        width: Option<usize>,
        values: Vec<f64>,
    },
    /// By the class's number.
    Classes(Vec<usize>),
    Integers(Vec<i32>),
    Longs(Vec<i64>),
}

impl Scores {
    fn one(values: Vec<f64>) -> Self {
        Self::Numbers { width: None, values }
    }

    fn many(width: usize, values: Vec<f64>) -> Self {
        Self::Numbers {
            width: Some(width),
            values,
        }
    }

    /// The numbers and how many a row has.
    fn numbers(self, classes: Option<&Classes>) -> (usize, Vec<f64>) {
        match self {
            Self::Numbers { width, values } => (width.unwrap_or(1), values),
            Self::Classes(found) => {
                let number = |class: usize| classes.map_or(class as f64, |classes| classes.number(class));
                (1, found.into_iter().map(number).collect())
            }
            Self::Integers(found) => (1, found.into_iter().map(f64::from).collect()),
            Self::Longs(found) => (1, found.into_iter().map(|number| number as f64).collect()),
        }
    }
}

/// A whole model: an estimator and the method that answers.
#[derive(Debug)]
pub(crate) struct Model {
    inputs: Inputs,
    estimate: Box<dyn Estimate>,
    what: What,
    /// Of `predict_log_proba`.
    logarithm: bool,
}

/// Reads a model that answers with `method`.
pub(crate) fn read(bytes: &[u8], method: &str) -> Result<Box<dyn Predictor>, Fault> {
    let objects = Objects::read(bytes)?;
    let root = objects.root();
    match method {
        "transform" => Ok(Box::new(transformer::Transformer::read(root)?)),
        _ => Ok(Box::new(read_estimator(root, method)?)),
    }
}

fn read_estimator(root: Ref<'_>, method: &str) -> Result<Model, Fault> {
    let (what, logarithm) = match method {
        "predict" => (What::Predict, false),
        "predict_proba" => (What::Probabilities, false),
        "predict_log_proba" => (What::Probabilities, true),
        "decision_function" => (What::Decision, false),
        other => {
            return Err(Fault::Unsupported(format!(
                "the model answers with `{other}`; the native engine answers with `predict`, `predict_proba`, \
                 `predict_log_proba`, `decision_function` and `transform`"
            )));
        }
    };
    let estimate = build::estimator(root, 0)?;
    if !estimate.can(what) {
        return Err(Fault::Unsupported(format!(
            "`{}` has no `{method}`",
            root.class()
        )));
    }
    let inputs = inputs(root, |column| estimate.takes_words(column))?;
    Ok(Model {
        inputs,
        estimate,
        what,
        logarithm,
    })
}

fn inputs(root: Ref<'_>, takes_words: impl Fn(usize) -> bool) -> Result<Inputs, Fault> {
    let (names, count) = fitted_on(root, 0).ok_or_else(|| {
        Fault::Damaged(format!(
            "`{}` does not tell how many columns it was fitted on",
            root.class()
        ))
    })?;
    let by_name = names.is_some();
    let names = names.unwrap_or_else(|| unnamed("x", count));
    let columns = names.into_iter().enumerate().map(|(index, name)| Input {
        name,
        kind: match takes_words(index) {
            true => ColumnType::String,
            false => ColumnType::Double,
        },
        words: true,
    });
    Ok(Inputs {
        class: root.class().to_owned(),
        columns: columns.collect(),
        by_name,
    })
}

/// The names and the number of the columns that an estimator, or the first that it holds, was fitted on.
fn fitted_on(node: Ref<'_>, depth: usize) -> Option<(Option<Vec<String>>, usize)> {
    const HOLDERS: [&str; 8] = [
        "best_estimator_",
        "regressor_",
        "estimator_",
        "estimators_",
        "steps",
        "transformer_list",
        "calibrated_classifiers_",
        "estimator",
    ];
    if 16 < depth {
        return None;
    }
    let count = ["n_features_in_", "_n_features_in", "_n_features"]
        .iter()
        .find_map(|name| node.some(name)?.usize().ok());
    let names = node
        .some("feature_names_in_")
        .and_then(|names| names.texts().ok());
    match (names, count) {
        (Some(names), _) => {
            let count = names.len();
            return Some((Some(names), count));
        }
        (None, Some(count)) if count <= 1 << 24 => return Some((None, count)),
        _ => {}
    }
    HOLDERS
        .iter()
        .filter_map(|name| node.some(name))
        .find_map(|held| {
            // A list of estimators, or of pairs of a name and an estimator.
            let first = held.list().ok().and_then(|list| list.first().copied());
            match first {
                Some(first) => {
                    let pair = first.list().ok().and_then(|pair| pair.get(1).copied());
                    fitted_on(pair.unwrap_or(first), depth + 1)
                }
                None => fitted_on(held, depth + 1),
            }
        })
}

impl Model {
    fn shape(&self) -> Shape {
        match (self.what, self.estimate.shape()) {
            (What::Predict, shape) => shape,
            (What::Probabilities, Shape::Classes(classes)) => Shape::Numbers(Some(classes.len())),
            (What::Decision, Shape::Classes(classes)) if 2 < classes.len() => {
                Shape::Numbers(Some(classes.len()))
            }
            _ => Shape::Numbers(None),
        }
    }
}

impl Predictor for Model {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let (datatype, width) = match self.shape() {
            Shape::Numbers(width) => ("FP64", width),
            Shape::Classes(classes) => (classes.datatype(), None),
            Shape::Integers => ("INT32", None),
            Shape::Longs => ("INT64", None),
        };
        vec![OutputSpec {
            name: PREDICTIONS.into(),
            datatype,
            width,
        }]
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let scores = self.estimate.scores(&Frame::of_table(table), self.what)?;
        let (width, values) = match (scores, self.shape()) {
            (Scores::Classes(found), Shape::Classes(classes)) => (None, classes.values(&found)),
            (Scores::Classes(found), _) => (
                None,
                Values::Long(found.into_iter().map(|class| class as i64).collect()),
            ),
            (Scores::Integers(values), _) => (None, Values::Integer(values)),
            (Scores::Longs(values), _) => (None, Values::Long(values)),
            (Scores::Numbers { width, mut values }, _) => {
                if self.logarithm {
                    values.iter_mut().for_each(|value| *value = value.ln());
                }
                (width, Values::Double(values))
            }
        };
        Ok(Answers::only(width, values))
    }
}
