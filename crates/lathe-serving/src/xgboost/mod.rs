//! XGBoost models as JSON or UBJSON (`Booster.save_model`), answered in f32 and in the order in which XGBoost adds, by
//! all boosters: trees, dart and linear.

mod document;
mod load;
mod objective;
mod ubj;

use std::sync::Arc;

use crate::answers::{Answers, OutputSpec, PREDICTIONS, Values};
use crate::predictor::{Inputs, Predictor};
use crate::trees::{BLOCK, Trees};
use crate::{PredictError, Table};
use objective::Objective;

pub(crate) use load::{is, read};

/// A booster, and what answers with it.
#[derive(Debug)]
pub(crate) struct Booster {
    inputs: Inputs,
    gradient: Gradient,
    /// Numbers a row: one a class or target.
    groups: usize,
    /// What each group starts from.
    start: Vec<f32>,
    objective: Objective,
    /// Trees that count, when answering as scikit-learn's wrapper does: early stopping may have chosen fewer.
    best_trees: usize,
    wrapper: Wrapper,
    /// By input: the categories in the order of their numbers.
    categories: Vec<Option<Categories>>,
}

#[derive(Debug)]
enum Gradient {
    Trees {
        trees: Trees<f32>,
        /// The group that each tree adds to; none where each leaf has a value for each group.
        group: Option<Vec<u32>>,
        /// The weight of each tree, of dart.
        weights: Option<Vec<f32>>,
    },
    /// One weight an input and group, then one a group.
    Linear { weights: Vec<f32> },
}

/// How Python would answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wrapper {
    /// As `Booster.predict`.
    Booster,
    /// As scikit-learn's regressors and rankers.
    Estimator,
    /// As `XGBClassifier.predict`: whole numbers.
    Classifier,
}

#[derive(Debug, Clone, PartialEq)]
enum Categories {
    Words(Vec<Arc<str>>),
    Numbers(Vec<f64>),
}

impl Booster {
    /// Answers as this class of Python's does.
    pub(crate) fn answer_as(&mut self, class: &str) {
        let name = class.rsplit('.').next().unwrap_or_default();
        self.wrapper = match name {
            "XGBClassifier" | "XGBRFClassifier" => Wrapper::Classifier,
            "" | "Booster" => Wrapper::Booster,
            _ => Wrapper::Estimator,
        };
        if !name.is_empty() {
            self.inputs.class = format!("XGBoost {name}");
        }
    }

    /// How many classes it tells apart.
    pub(crate) fn classes(&self) -> usize {
        match self.groups {
            1 => 2,
            groups => groups,
        }
    }

    /// Numbers a row, before a class is chosen: `(width, values)`.
    pub(crate) fn scores(&self, table: &Table) -> Result<(usize, Vec<f32>), PredictError> {
        let width = self.inputs.columns.len();
        let count = table.rows();
        let mut answers = Vec::with_capacity(count * self.groups);
        let mut block = Vec::with_capacity(BLOCK.min(count) * width);
        let mut start = 0;
        while start < count {
            let end = count.min(start + BLOCK);
            block.clear();
            for row in start..end {
                self.fill(table, row, &mut block)?;
            }
            self.margins(&block, end - start, &mut answers);
            start = end;
        }
        Ok(self.objective.convert(answers, self.groups))
    }

    /// Adds a row as XGBoost sees it: f32, categories as their numbers.
    fn fill(&self, table: &Table, row: usize, block: &mut Vec<f32>) -> Result<(), PredictError> {
        for (column, value) in table.row(row).iter().enumerate() {
            let number = match self.categories.get(column) {
                Some(Some(categories)) => {
                    categories.code(*value, table.words(column).map(|words| words[row].as_deref()))
                }
                _ => *value as f32,
            };
            if number.is_infinite() {
                return Err(PredictError::NotFinite {
                    column: table.names()[column].clone(),
                    row,
                    missing_ok: true,
                });
            }
            block.push(number);
        }
        Ok(())
    }

    fn margins(&self, rows: &[f32], count: usize, answers: &mut Vec<f32>) {
        let groups = self.groups;
        let base = answers.len();
        for _ in 0..count {
            answers.extend_from_slice(&self.start);
        }
        let sums = &mut answers[base..];
        match &self.gradient {
            Gradient::Trees {
                trees,
                group,
                weights,
            } => {
                let limit = match self.wrapper {
                    Wrapper::Booster => trees.len(),
                    _ => self.best_trees,
                };
                match (group, weights) {
                    (Some(group), None) => trees.for_each_leaf(rows, limit, |row, tree, leaf| {
                        sums[row * groups + group[tree] as usize] += trees.value(leaf) as f32;
                    }),
                    (Some(group), Some(weights)) => trees.for_each_leaf(rows, limit, |row, tree, leaf| {
                        sums[row * groups + group[tree] as usize] += weights[tree] * trees.value(leaf) as f32;
                    }),
                    (None, weights) => trees.for_each_leaf(rows, limit, |row, tree, leaf| {
                        let weight = weights.as_ref().map_or(1.0, |weights| weights[tree]);
                        for (sum, value) in sums[row * groups..].iter_mut().zip(trees.values(leaf)) {
                            *sum += weight * *value as f32;
                        }
                    }),
                }
            }
            Gradient::Linear { weights } => {
                let width = self.inputs.columns.len();
                for (row, sums) in rows.chunks_exact(width).zip(sums.chunks_exact_mut(groups)) {
                    for (group, sum) in sums.iter_mut().enumerate() {
                        *sum += weights[width * groups + group];
                        for (input, value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                            *sum += value * weights[input * groups + group];
                        }
                    }
                }
            }
        }
    }
}

impl Categories {
    fn code(&self, value: f64, word: Option<Option<&str>>) -> f32 {
        let code = match (self, word) {
            (Self::Words(known), Some(Some(word))) => known.iter().position(|known| **known == *word),
            (Self::Numbers(known), None) => known.iter().position(|known| *known == value),
            (Self::Words(_), None) if 0.0 <= value => return value as f32,
            _ => None,
        };
        code.map_or(f32::NAN, |code| code as f32)
    }
}

impl Predictor for Booster {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        let width = self.objective.width(self.groups);
        let (datatype, width) = match self.wrapper {
            Wrapper::Classifier => ("INT64", None),
            _ => ("FP32", (1 < width).then_some(width)),
        };
        vec![OutputSpec {
            name: PREDICTIONS.into(),
            datatype,
            width,
        }]
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(match &self.gradient {
            Gradient::Trees {
                trees,
                group,
                weights,
            } => {
                let lists = group.as_ref().map_or(0, Vec::len) + weights.as_ref().map_or(0, Vec::len);
                trees.memory_bytes() + 4 * lists as u64
            }
            Gradient::Linear { weights } => 4 * weights.len() as u64,
        })
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let (width, scores) = self.scores(table)?;
        if self.wrapper != Wrapper::Classifier {
            return Ok(Answers::only((1 < width).then_some(width), Values::Float(scores)));
        }
        let labels = match width {
            1 if self.objective.answers_classes() => scores.iter().map(|class| *class as i64).collect(),
            1 => scores.iter().map(|score| i64::from(0.5 < *score)).collect(),
            _ => scores
                .chunks_exact(width)
                .map(|row| first_greatest(row) as i64)
                .collect(),
        };
        Ok(Answers::only(None, Values::Long(labels)))
    }
}

/// The place of the greatest; the first of equals.
fn first_greatest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if values[best] < *value {
            best = index;
        }
    }
    best
}
