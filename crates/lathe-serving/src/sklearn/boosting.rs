//! Gradient boosting, of trees and of histograms.

use super::classes::Classes;
use super::compose::Columns;
use super::forest::{features, nodes, rounded};
use super::frame::Frame;
use super::matrix::{first_greatest, floats, logistic, softmax};
use super::{Estimate, Scores, Shape, Transform, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;
use crate::trees::{Bits, Category, RawNode, Special, Test, Trees};

/// What becomes of the raw sums.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    Identity,
    Exponential,
    /// `1 / (1 + exp(-scale × x))`.
    Logistic(f64),
    Softmax,
}

/// The last step of both kinds: raw sums into answers. `at_zero` is the class of a sum of exactly 0.
fn answers(
    mut raw: Vec<f64>,
    width: usize,
    loss: Loss,
    classes: Option<&Classes>,
    at_zero: bool,
    what: What,
) -> Scores {
    let Some(_) = classes else {
        if loss == Loss::Exponential {
            raw.iter_mut().for_each(|x| *x = x.exp());
        }
        return Scores::one(raw);
    };
    match what {
        What::Decision if width == 1 => Scores::one(raw),
        What::Decision => Scores::many(width, raw),
        What::Predict if width == 1 => {
            let class = |x: f64| usize::from(if at_zero { 0.0 <= x } else { 0.0 < x });
            Scores::Classes(raw.into_iter().map(class).collect())
        }
        What::Predict => Scores::Classes(raw.chunks_exact(width).map(first_greatest).collect()),
        What::Probabilities if width == 1 => {
            let scale = if let Loss::Logistic(scale) = loss {
                scale
            } else {
                1.0
            };
            let pairs = raw
                .into_iter()
                .map(|x| logistic(scale * x))
                .flat_map(|p| [1.0 - p, p]);
            Scores::many(2, pairs.collect())
        }
        What::Probabilities => {
            raw.chunks_exact_mut(width).for_each(softmax);
            Scores::many(width, raw)
        }
    }
}

/// `GradientBoostingRegressor`, `GradientBoostingClassifier`.
#[derive(Debug)]
pub(super) struct Boosting {
    trees: Trees<f32>,
    /// Trees a stage.
    width: usize,
    start: Start,
    scale: f64,
    loss: Loss,
    classes: Option<Classes>,
}

/// Where the sums begin.
#[derive(Debug)]
enum Start {
    Constant(Vec<f64>),
    /// An estimator of the user's own.
    Estimate(Box<dyn Estimate>),
}

impl Boosting {
    pub(super) fn read(node: Ref<'_>, classifier: bool, depth: usize) -> Result<Self, Fault> {
        let features = features(node)?;
        let stages = node.attr("estimators_")?;
        let width = match stages.shape().as_slice() {
            [_, width] => *width,
            _ => 1,
        };
        // An array of rows of trees, or a list of lists.
        let mut members = Vec::new();
        for item in stages.list()? {
            match item.list() {
                Ok(row) => members.extend(row),
                Err(_) => members.push(item),
            }
        }
        if members.is_empty() || width == 0 || !members.len().is_multiple_of(width) {
            return Err("the ensemble has no trees".into());
        }
        let mut trees = Trees::new(1, features)?;
        for member in members {
            let (nodes, values) = nodes(member, None)?;
            trees.push(&nodes, &values)?;
        }
        let classes = classifier.then(|| Classes::of(node)).transpose()?;
        let exponential = node.attr("loss")?.text().is_ok_and(|loss| loss == "exponential");
        let loss = match &classes {
            None => Loss::Identity,
            Some(classes) if classes.len() != 2 => Loss::Softmax,
            Some(_) if exponential => Loss::Logistic(2.0),
            Some(_) => Loss::Logistic(1.0),
        };
        let expected = if loss == Loss::Softmax {
            classes.as_ref().map_or(1, Classes::len)
        } else {
            1
        };
        if width != expected {
            return Err(Fault::Damaged(format!(
                "a stage has {width} trees where {expected} are expected"
            )));
        }
        Ok(Self {
            trees,
            width,
            start: start(node.attr("init_")?, width, loss, depth)?,
            scale: node.attr("learning_rate")?.float()?,
            loss,
            classes,
        })
    }
}

fn start(init: Ref<'_>, width: usize, loss: Loss, depth: usize) -> Result<Start, Fault> {
    Ok(match init.class() {
        "str" | "None" => Start::Constant(vec![0.0; width]),
        "DummyRegressor" => Start::Constant(vec![
            init.attr("constant_")?
                .floats()?
                .first()
                .copied()
                .unwrap_or_default(),
        ]),
        "DummyClassifier" if init.attr("strategy")?.text()? == "prior" => {
            let priors = init.attr("class_prior_")?.floats()?;
            let expected = if loss == Loss::Softmax { width } else { 2 };
            if priors.len() != expected {
                return Err("`class_prior_` does not fit the classes".into());
            }
            Start::Constant(linked(&priors, loss))
        }
        _ => Start::Estimate(super::build::estimator(init, depth + 1)?),
    })
}

/// Probabilities as raw sums.
fn linked(probabilities: &[f64], loss: Loss) -> Vec<f64> {
    let clip = |p: f64| p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    match loss {
        Loss::Softmax => {
            let logarithms: Vec<f64> = probabilities.iter().map(|p| clip(*p).ln()).collect();
            let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
            logarithms.into_iter().map(|x| x - mean).collect()
        }
        Loss::Logistic(scale) => {
            let p = clip(probabilities[1]);
            vec![(p / (1.0 - p)).ln() / scale]
        }
        _ => probabilities.to_vec(),
    }
}

impl Estimate for Boosting {
    fn shape(&self) -> Shape {
        self.classes.clone().map_or(Shape::Numbers(None), Shape::Classes)
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let width = self.width;
        let rows = rounded(frame, self.trees.features(), false)?;
        let mut sums = match &self.start {
            Start::Constant(start) => start.repeat(frame.rows),
            Start::Estimate(estimate) => match self.classes {
                None => estimate.scores(frame, What::Predict)?.numbers(None).1,
                Some(_) => {
                    let (classes, shares) = estimate.scores(frame, What::Probabilities)?.numbers(None);
                    shares
                        .chunks_exact(classes.max(2))
                        .flat_map(|shares| linked(shares, self.loss))
                        .collect()
                }
            },
        };
        if sums.len() != frame.rows * width {
            return Err(PredictError::Shape(
                "the estimator that boosting starts from does not fit it".into(),
            ));
        }
        self.trees.for_each_leaf(&rows, usize::MAX, |row, tree, leaf| {
            sums[row * width + tree % width] += self.scale * self.trees.value(leaf);
        });
        Ok(answers(sums, width, self.loss, self.classes.as_ref(), true, what))
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict || self.classes.is_some()
    }
}

/// `HistGradientBoostingRegressor`, `HistGradientBoostingClassifier`: all in f64.
#[derive(Debug)]
pub(super) struct Histogram {
    trees: Trees<f64>,
    width: usize,
    baseline: Vec<f64>,
    loss: Loss,
    classes: Option<Classes>,
    /// Numbers the categories.
    preprocessor: Option<Columns>,
}

impl Histogram {
    pub(super) fn read(node: Ref<'_>, classifier: bool, depth: usize) -> Result<Self, Fault> {
        let features = features(node)?;
        let classes = classifier.then(|| Classes::of(node)).transpose()?;
        let loss = match &classes {
            Some(classes) if 2 < classes.len() => Loss::Softmax,
            Some(_) => Loss::Logistic(1.0),
            None => match node.attr("loss")?.text().unwrap_or_default() {
                "squared_error" | "absolute_error" | "quantile" => Loss::Identity,
                "poisson" | "gamma" => Loss::Exponential,
                other => {
                    return Err(Fault::Unsupported(format!(
                        "the native engine does not know the loss `{other}` of histogram boosting"
                    )));
                }
            },
        };
        let width = if loss == Loss::Softmax {
            classes.as_ref().map_or(1, Classes::len)
        } else {
            1
        };
        let known = known_categories(node)?;
        let mut trees = Trees::new(1, features)?;
        for stage in node.attr("_predictors")?.list()? {
            let stage = stage.list()?;
            if stage.len() != width {
                return Err("a stage has another number of trees than there are classes".into());
            }
            for predictor in stage {
                let (nodes, values) = histogram_nodes(predictor, &known)?;
                trees.push(&nodes, &values)?;
            }
        }
        let preprocessor = match node.some("_preprocessor") {
            None => None,
            Some(preprocessor) => Some(Columns::read(preprocessor, depth + 1)?),
        };
        Ok(Self {
            trees,
            width,
            baseline: floats(node.attr("_baseline_prediction")?, width, "_baseline_prediction")?,
            loss,
            classes,
            preprocessor,
        })
    }
}

/// By input, the categories that training saw.
fn known_categories(node: Ref<'_>) -> Result<Vec<Option<Bits>>, Fault> {
    let Some(mapper) = node.some("_bin_mapper") else {
        return Ok(Vec::new());
    };
    let Some(flags) = mapper.some("is_categorical_") else {
        return Ok(Vec::new());
    };
    let flags = flags.integers()?;
    let thresholds = mapper.attr("bin_thresholds_")?.list()?;
    let mut known = Vec::new();
    for (flag, thresholds) in flags.iter().zip(thresholds) {
        known.push(match flag {
            0 => None,
            _ => {
                let categories: Vec<u32> = thresholds
                    .floats()?
                    .into_iter()
                    .map(|category| category as u32)
                    .collect();
                Some(Bits::of_members(&categories, 255)?)
            }
        });
    }
    Ok(known)
}

fn histogram_nodes(
    predictor: Ref<'_>,
    known: &[Option<Bits>],
) -> Result<(Vec<RawNode<f64>>, Vec<f64>), Fault> {
    let records = predictor.attr("nodes")?;
    let array = records.array()?;
    records.charge(array.len() * 300)?;
    let leaf = array.integers("is_leaf")?;
    let feature = array.integers("feature_idx")?;
    let threshold = array.floats("num_threshold")?;
    let missing = array.integers("missing_go_to_left")?;
    let (left, right) = (array.integers("left")?, array.integers("right")?);
    let categorical = match array.has("is_categorical") {
        true => array.integers("is_categorical")?,
        false => vec![0; array.len()],
    };
    let sets = match array.has("bitset_idx") {
        true => array.integers("bitset_idx")?,
        false => vec![0; array.len()],
    };
    let words = match predictor.some("raw_left_cat_bitsets") {
        Some(words) => words.integers()?,
        None => Vec::new(),
    };
    let mut read = Vec::with_capacity(array.len());
    for i in 0..array.len() {
        if leaf[i] != 0 {
            read.push(RawNode::Leaf(i));
            continue;
        }
        let index =
            |number: i64| usize::try_from(number).map_err(|_| "a node's number is out of range".to_owned());
        let feature = index(feature[i])?;
        let test = if categorical[i] == 0 {
            Test::AtMost(threshold[i])
        } else {
            // 256 bits a set.
            let start = index(sets[i])?.saturating_mul(8);
            let words = words
                .get(start..start.saturating_add(8))
                .ok_or("a node's categories are not there")?;
            Test::Special(Special::Category(Category {
                members: Bits::of_words(words.iter().map(|word| *word as u32).collect()),
                members_left: true,
                known: known.get(feature).cloned().flatten(),
            }))
        };
        read.push(RawNode::Split {
            feature,
            test,
            left: index(left[i])?,
            right: index(right[i])?,
            missing_left: missing[i] != 0,
        });
    }
    Ok((read, array.floats("value")?))
}

impl Estimate for Histogram {
    fn shape(&self) -> Shape {
        self.classes.clone().map_or(Shape::Numbers(None), Shape::Classes)
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let prepared;
        let frame = match &self.preprocessor {
            None => frame,
            Some(preprocessor) => {
                prepared = preprocessor.apply(frame.clone())?;
                &prepared
            }
        };
        frame.expect(self.trees.features())?;
        let rows = frame.any_numbers()?;
        let width = self.width;
        let mut sums = self.baseline.repeat(frame.rows);
        self.trees.for_each_leaf(rows, usize::MAX, |row, tree, leaf| {
            sums[row * width + tree % width] += self.trees.value(leaf);
        });
        Ok(answers(
            sums,
            width,
            self.loss,
            self.classes.as_ref(),
            false,
            what,
        ))
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict || self.classes.is_some()
    }

    fn takes_words(&self, column: usize) -> bool {
        self.preprocessor
            .as_ref()
            .is_some_and(|preprocessor| preprocessor.takes_words(column))
    }
}
