//! CatBoost models, in the binary form and as JSON: inputs and borders in f32, leaves and sums in f64, in the order of
//! the trees, as CatBoost adds them on a CPU.

mod answer;
mod cbm;
mod city;
mod columns;
mod ctr;
mod document;
mod flat;
mod json;
mod oblivious;

use crate::answers::{Answers, OutputSpec};
use crate::error::Fault;
use crate::predictor::{Input, Inputs, Predictor};
use crate::signature::ColumnType;
use crate::trees::{BLOCK, RawNode, Special, Test, Trees};
use crate::{PredictError, Table};
use answer::Answer;
use columns::{Columns, Split, place};
use document::{Branch, Document, Info, RawTrees};
use oblivious::Oblivious;

/// A booster, and what answers with it.
#[derive(Debug)]
pub(crate) struct Booster {
    inputs: Inputs,
    columns: Columns,
    forest: Forest,
    dimension: usize,
    scale: f64,
    bias: Vec<f64>,
    info: Info,
    answer: Answer,
}

#[derive(Debug)]
enum Forest {
    Oblivious(Oblivious),
    Branching(Trees<f32>),
}

/// Whether a file begins as a CatBoost model.
pub(crate) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(cbm::MAGIC) || json::is(bytes)
}

/// Reads a model, binary or JSON.
pub(crate) fn read(bytes: &[u8]) -> Result<Booster, Fault> {
    let document = match bytes.starts_with(cbm::MAGIC) {
        true => cbm::read(bytes)?,
        false => json::read(bytes)?,
    };
    build(document, bytes.len())
}

fn unsupported_inputs(what: &str) -> Fault {
    Fault::Unsupported(format!(
        "the model takes {what}; the native engine reads CatBoost models of numbers and categories"
    ))
}

fn build(mut document: Document, size: usize) -> Result<Booster, Fault> {
    let dimension = document.dimension;
    // Each dimension leaves its mark in the file; a small one cannot have many.
    if dimension == 0 || size < dimension {
        return Err(Fault::Damaged(format!(
            "{dimension} numbers a row are out of range"
        )));
    }
    if document.bias.len() == 1 && 1 < dimension {
        document.bias = vec![document.bias[0]; dimension];
    }
    if document.bias.len() != dimension {
        return Err(Fault::Damaged(format!(
            "it has {} biases for {dimension} numbers a row",
            document.bias.len()
        )));
    }
    let (columns, splits) = Columns::of(&mut document)?;
    let inputs = inputs(&document, &columns, size)?;
    let forest = match document.trees {
        RawTrees::Oblivious {
            splits: asked,
            depths,
            leaves,
        } => Forest::Oblivious(Oblivious::new(&splits, &asked, &depths, leaves, dimension)?),
        RawTrees::Branching { trees, leaves } => {
            Forest::Branching(branching(&splits, &trees, &leaves, columns.len(), dimension)?)
        }
    };
    Ok(Booster {
        inputs,
        columns,
        forest,
        dimension,
        scale: document.scale,
        bias: document.bias,
        answer: Answer::of("", &document.info, dimension)?,
        info: document.info,
    })
}

fn inputs(document: &Document, columns: &Columns, size: usize) -> Result<Inputs, Fault> {
    let floats = document
        .floats
        .iter()
        .map(|feature| (feature.flat, &feature.name));
    let categories = document
        .categories
        .iter()
        .map(|feature| (feature.flat, &feature.name));
    let mut named = Vec::new();
    for (flat, name) in floats.chain(categories) {
        named.push((place(flat)?, name));
    }
    let count = named.iter().map(|(place, _)| place + 1).max().unwrap_or_default();
    // Each column leaves its mark in the file, but for few that were dropped from it.
    if count == 0 || size < count {
        return Err(Fault::Damaged(format!("{count} columns are out of range")));
    }
    // A column that was dropped from the file since no tree asks for it is there nevertheless.
    let mut inputs: Vec<Input> = (0..count)
        .map(|place| Input {
            name: place.to_string(),
            kind: ColumnType::Double,
            words: false,
        })
        .collect();
    let mut seen = vec![false; count];
    for (place, name) in &named {
        if std::mem::replace(&mut seen[*place], true) {
            return Err(Fault::Damaged(format!("two columns have the number {place}")));
        }
        if !name.is_empty() {
            inputs[*place].name = (*name).clone();
        }
    }
    let by_name = named
        .iter()
        .any(|(place, name)| !name.is_empty() && **name != place.to_string())
        && seen.iter().all(|seen| *seen);
    for feature in &document.categories {
        let input = &mut inputs[place(feature.flat)?];
        input.words = true;
        input.kind = ColumnType::String;
    }
    if columns.categories().iter().any(|place| count <= *place) {
        return Err("it asks about a category that is no column".into());
    }
    Ok(Inputs {
        class: "CatBoost".into(),
        columns: inputs,
        by_name,
    })
}

fn branching(
    splits: &[Split],
    raw: &[Vec<Branch>],
    leaves: &[f64],
    columns: usize,
    dimension: usize,
) -> Result<Trees<f32>, Fault> {
    // Trees of leaves alone ask about nothing.
    let mut trees = Trees::new(dimension, columns.max(1))?;
    for (number, nodes) in raw.iter().enumerate() {
        let mut made = Vec::with_capacity(nodes.len());
        for node in nodes {
            made.push(match node {
                Branch::Leaf(at) if at.is_multiple_of(dimension) => RawNode::Leaf(at / dimension),
                Branch::Leaf(at) => {
                    return Err(Fault::Damaged(format!(
                        "tree {number}: a leaf begins at value {at}"
                    )));
                }
                Branch::Split { split, no, yes } => {
                    let split = splits.get(*split as usize).ok_or_else(|| {
                        Fault::Damaged(format!("tree {number} asks about what is not there"))
                    })?;
                    let (test, left, right) = match split.equal {
                        false => (Test::AtMost(split.value), *no, *yes),
                        true => (Test::Special(Special::Among(vec![split.value])), *yes, *no),
                    };
                    RawNode::Split {
                        feature: split.column as usize,
                        test,
                        left,
                        right,
                        // A number that is compared as it is exceeds no border when it is missing.
                        missing_left: !split.equal,
                    }
                }
            });
        }
        trees.push(&made, leaves)?;
    }
    trees.finish();
    Ok(trees)
}

impl Booster {
    /// Answers as this class of Python's does.
    pub(crate) fn answer_as(&mut self, class: &str) -> Result<(), Fault> {
        self.answer = Answer::of(class, &self.info, self.dimension)?;
        if !class.is_empty() {
            self.inputs.class = class.to_owned();
        }
        Ok(())
    }

    fn sums(&self, table: &Table) -> Result<Vec<f64>, PredictError> {
        let rows = table.rows();
        let mut sums = vec![0.0; rows * self.dimension];
        let mut block = Vec::new();
        let mut by_row = Vec::new();
        let mut start = 0;
        while start < rows {
            let count = BLOCK.min(rows - start);
            self.columns.fill(table, start, count, &mut block)?;
            let sums = &mut sums[start * self.dimension..(start + count) * self.dimension];
            match &self.forest {
                Forest::Oblivious(trees) => trees.add(&block, count, sums),
                Forest::Branching(trees) => {
                    let width = trees.features();
                    by_row.clear();
                    by_row.resize(count * width, 0.0);
                    for (column, values) in block.chunks_exact(count).enumerate() {
                        for (row, value) in values.iter().enumerate() {
                            by_row[row * width + column] = *value;
                        }
                    }
                    trees.for_each_leaf(&by_row, trees.len(), |row, _, leaf| {
                        let sums = &mut sums[row * self.dimension..];
                        for (sum, value) in sums.iter_mut().zip(trees.values(leaf)) {
                            *sum += value;
                        }
                    });
                }
            }
            start += count;
        }
        if self.scale != 1.0 || self.bias.iter().any(|bias| *bias != 0.0) {
            for row in sums.chunks_exact_mut(self.dimension) {
                for (sum, bias) in row.iter_mut().zip(&self.bias) {
                    *sum = *sum * self.scale + bias;
                }
            }
        }
        Ok(sums)
    }
}

impl Predictor for Booster {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![self.answer.output(self.dimension)]
    }

    fn memory_bytes(&self) -> Option<u64> {
        let trees = match &self.forest {
            Forest::Oblivious(trees) => trees.memory_bytes(),
            Forest::Branching(trees) => trees.memory_bytes(),
        };
        Some(trees + self.columns.memory_bytes())
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        Ok(self.answer.convert(self.sums(table)?, self.dimension))
    }
}
