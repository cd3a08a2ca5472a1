//! LightGBM models as their own text (`Booster.save_model`), answered as `Booster.predict` does: inputs, thresholds
//! and sums in f64, in the order of the trees.

mod objective;
mod text;

use std::sync::Arc;

use crate::answers::{Answers, OutputSpec, PREDICTIONS, Values};
use crate::error::Fault;
use crate::predictor::{Input, Inputs, Predictor};
use crate::signature::ColumnType;
use crate::trees::Trees;
use crate::{PredictError, Table};
use objective::Objective;

/// A booster.
#[derive(Debug)]
pub(crate) struct Booster {
    inputs: Inputs,
    trees: Trees<f64>,
    /// Trees an iteration: one a class.
    classes: usize,
    /// Iterations that count.
    iterations: usize,
    average: bool,
    objective: Objective,
    /// What the leaves compute, by the number of the leaf; none for leaves of trees that are not linear.
    linear: Option<Vec<Option<Linear>>>,
    /// By input: the categories that pandas numbered.
    categories: Vec<Option<Categories>>,
}

/// A leaf's own regression.
#[derive(Debug, Clone, Default)]
struct Linear {
    constant: f64,
    terms: Vec<(u32, f64)>,
}

/// What pandas called the categories, in the order of their numbers.
#[derive(Debug, Clone, PartialEq)]
enum Categories {
    Words(Vec<Arc<str>>),
    Numbers(Vec<f64>),
}

/// Whether a file begins as a LightGBM model.
pub(crate) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(b"tree\n") || bytes.starts_with(b"tree\r\n")
}

/// Reads a model.
pub(crate) fn read(bytes: &[u8]) -> Result<Booster, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    text::parse(text)
}

impl Booster {
    /// Answers with the first iterations only, as early stopping chose.
    pub(crate) fn limit(&mut self, iterations: usize) {
        self.iterations = self.iterations.min(iterations);
    }

    /// How many numbers a row gets.
    pub(crate) fn width(&self) -> usize {
        self.classes
    }

    /// Whether its answers are probabilities of one class against the other.
    pub(crate) fn is_binary(&self) -> bool {
        self.objective.is_binary()
    }

    /// `width` numbers a row.
    pub(crate) fn answers(&self, table: &Table) -> Vec<f64> {
        let coded;
        let rows = match self.categories.is_empty() {
            true => table.numbers(),
            false => {
                coded = self.coded(table);
                &coded
            }
        };
        self.raw(rows, table.rows())
    }

    /// Answers rows of numbers, row-major.
    pub(crate) fn raw(&self, rows: &[f64], count: usize) -> Vec<f64> {
        let classes = self.classes;
        let mut sums = vec![0.0; count * classes];
        let trees = self.iterations * classes;
        match &self.linear {
            None => self.trees.for_each_leaf(rows, trees, |row, tree, leaf| {
                sums[row * classes + tree % classes] += self.trees.value(leaf);
            }),
            Some(linear) => {
                let features = self.trees.features();
                self.trees.for_each_leaf(rows, trees, |row, tree, leaf| {
                    let inputs = &rows[row * features..(row + 1) * features];
                    let own = linear[leaf as usize].as_ref();
                    let value = own
                        .and_then(|own| own.answer(inputs))
                        .unwrap_or(self.trees.value(leaf));
                    sums[row * classes + tree % classes] += value;
                });
            }
        }
        for row in sums.chunks_exact_mut(classes) {
            if self.average {
                row.iter_mut().for_each(|sum| *sum /= self.iterations as f64);
            }
            self.objective.convert(row);
        }
        sums
    }

    /// The table with categories as the numbers that pandas gave them; unknown ones are missing.
    fn coded(&self, table: &Table) -> Vec<f64> {
        let width = self.trees.features();
        let mut values = table.numbers().to_vec();
        for (column, categories) in self.categories.iter().enumerate() {
            let Some(categories) = categories else { continue };
            for row in 0..table.rows() {
                let value = &mut values[row * width + column];
                let code = match (categories, table.words(column)) {
                    (Categories::Words(known), Some(words)) => words[row]
                        .as_ref()
                        .and_then(|word| known.iter().position(|known| known == word)),
                    (Categories::Numbers(known), None) => known.iter().position(|known| known == value),
                    (Categories::Numbers(known), Some(words)) => words[row]
                        .as_ref()
                        .and_then(|word| word.parse::<f64>().ok())
                        .and_then(|number| known.iter().position(|known| *known == number)),
                    (Categories::Words(_), None) => None,
                };
                *value = code.map_or(f64::NAN, |code| code as f64);
            }
        }
        values
    }
}

impl Linear {
    /// None where an input is missing.
    fn answer(&self, inputs: &[f64]) -> Option<f64> {
        let mut sum = self.constant;
        for (feature, coefficient) in &self.terms {
            let input = inputs[*feature as usize];
            if input.is_nan() {
                return None;
            }
            sum += coefficient * input;
        }
        Some(sum)
    }
}

impl Predictor for Booster {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![OutputSpec {
            name: PREDICTIONS.into(),
            datatype: "FP64",
            width: (1 < self.classes).then_some(self.classes),
        }]
    }

    fn memory_bytes(&self) -> Option<u64> {
        let term =
            |leaf: &Option<Linear>| 40 + leaf.as_ref().map_or(0, |leaf| 16 * leaf.terms.capacity() as u64);
        let linear = self.linear.iter().flatten().map(term).sum::<u64>();
        Some(self.trees.memory_bytes() + linear)
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let width = (1 < self.classes).then_some(self.classes);
        Ok(Answers::only(width, Values::Double(self.answers(table))))
    }
}

fn inputs(names: Vec<String>, categories: &[Option<Categories>]) -> Inputs {
    let columns = names.into_iter().enumerate().map(|(index, name)| {
        let words = matches!(categories.get(index), Some(Some(Categories::Words(_))));
        Input {
            name,
            kind: if words {
                ColumnType::String
            } else {
                ColumnType::Double
            },
            words: matches!(categories.get(index), Some(Some(_))),
        }
    });
    Inputs {
        class: "LightGBM Booster".into(),
        columns: columns.collect(),
        by_name: false,
    }
}
