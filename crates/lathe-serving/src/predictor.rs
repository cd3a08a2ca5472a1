use std::fmt::Debug;

use crate::answers::OutputSpec;
use crate::signature::{ColumnSpec, ColumnType, InputSpec, Signature};
use crate::{Answers, LoadError, PredictError, Table};

/// What a reader makes of a model file. Predicting needs no lock.
pub(crate) trait Predictor: Debug + Send + Sync {
    /// What it takes.
    fn inputs(&self) -> &Inputs;
    /// What it answers with.
    fn outputs(&self) -> Vec<OutputSpec>;
    /// Answers every row of a table whose columns are the inputs.
    fn predict(&self, table: &Table) -> Result<Answers, PredictError>;
    /// How many processes answer; none where it is answered in this one.
    fn processes(&self) -> Option<usize> {
        None
    }
    /// What it is called.
    fn runtime(&self) -> &'static str {
        "native"
    }
    /// Whether the rows of several callers may be answered together.
    fn batches(&self) -> bool {
        true
    }
    /// Tensors that its columns are parts of, if it has any that are more than a column.
    fn tensors(&self) -> Option<Vec<InputSpec>> {
        None
    }
    /// Whether requests say how many columns there are.
    fn is_open(&self) -> bool {
        false
    }
    /// How much memory it takes, where that is known.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }
    /// Tells it which columns tables will have, where that is for the signature to say.
    fn bind(&mut self, _signature: &Signature) {}
}

/// What a model file says of its inputs.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// What the model is called by its library.
    pub(crate) class: String,
    pub(crate) columns: Vec<Input>,
    /// Whether columns go by their names; else a request's order counts.
    pub(crate) by_name: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: String,
    /// The type where no signature tells it.
    pub(crate) kind: ColumnType,
    /// Whether words make sense here.
    pub(crate) words: bool,
}

impl Inputs {
    /// The signature of a model that was saved without one.
    pub(crate) fn signature(&self) -> Signature {
        let column = |input: &Input| ColumnSpec {
            name: input.name.clone(),
            kind: input.kind,
            required: true,
        };
        Signature::new(self.columns.iter().map(column).collect())
    }

    /// Checks a saved signature against what the model was fitted on, and completes it where it gives no names.
    pub(crate) fn check(&self, saved: Vec<ColumnSpec>) -> Result<Signature, String> {
        if saved.len() != self.columns.len() {
            return Err(format!(
                "the model was fitted on {} columns, its signature has {}",
                self.columns.len(),
                saved.len()
            ));
        }
        let named = saved.into_iter().zip(&self.columns).map(|(mut column, input)| {
            if column.name.is_empty() {
                column.name = input.name.clone();
            }
            column
        });
        let signature = Signature::new(named.collect());
        let differs = |(column, input): (&ColumnSpec, &Input)| column.name != input.name;
        if self.by_name && signature.inputs.iter().zip(&self.columns).any(differs) {
            return Err("the signature's columns are not those that the model was fitted on".into());
        }
        Ok(signature)
    }

    /// Refuses columns of a type that the model cannot take.
    pub(crate) fn check_types(&self, signature: &Signature) -> Result<(), LoadError> {
        for (column, input) in signature.inputs.iter().zip(&self.columns) {
            let takes = match column.kind {
                ColumnType::Binary | ColumnType::Datetime => false,
                ColumnType::String => input.words,
                _ => true,
            };
            if !takes {
                return Err(LoadError::Unsupported {
                    what: format!(
                        "the column `{}` is a {}; the native engine takes {} there",
                        column.name,
                        column.kind.name(),
                        if input.words {
                            "numbers or words"
                        } else {
                            "numbers"
                        }
                    ),
                });
            }
        }
        Ok(())
    }
}

/// `f0`, `f1`, …: inputs that have no names.
pub(crate) fn unnamed(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{prefix}{index}")).collect()
}
