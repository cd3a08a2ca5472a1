use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::forest::{Classes, Combine, Forest};
use crate::mlmodel::MlModel;
use crate::{Answers, LoadError, PredictError, Signature, Table, skops};

/// A loaded model. Predicting needs no lock: every thread may ask at once.
#[derive(Debug)]
pub struct Model {
    class: String,
    signature: Signature,
    input_names: Vec<String>,
    input_example: Option<Table>,
    forest: Forest,
    size_bytes: u64,
}

impl Model {
    /// Loads an MLflow model folder and warms it up on its input example.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let mlmodel = MlModel::load(folder)?;
        let file = folder.join(mlmodel.skops_file()?);
        let signature = mlmodel.signature(folder)?;
        let estimator = skops::load(&file)?;
        let input_names = signature.names();
        let damaged = |what| LoadError::Damaged {
            path: file.clone(),
            what,
        };
        if estimator.forest.features != input_names.len() {
            return Err(damaged(format!(
                "the model was fitted on {} columns, its signature has {}",
                estimator.forest.features,
                input_names.len()
            )));
        }
        if estimator
            .names
            .as_ref()
            .is_some_and(|fitted| *fitted != input_names)
        {
            return Err(damaged(
                "the signature's columns are not those that the model was fitted on".into(),
            ));
        }
        let size_bytes = std::fs::metadata(&file)
            .map(|metadata| metadata.len())
            .map_err(|source| LoadError::Read {
                path: file.clone(),
                source,
            })?;
        let input_example = mlmodel.input_example(folder, &signature)?;
        let model = Self {
            class: estimator.class,
            signature,
            input_names,
            input_example,
            forest: estimator.forest,
            size_bytes,
        };
        if let Some(example) = &model.input_example {
            model.predict(example).map_err(|error| {
                damaged(format!("the model cannot answer its own input example: {error}"))
            })?;
        }
        Ok(model)
    }

    /// What it takes.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The columns' names in its order.
    pub fn input_names(&self) -> &[String] {
        &self.input_names
    }

    /// The rows that were saved with it.
    pub fn input_example(&self) -> Option<Table> {
        self.input_example.clone()
    }

    /// What runs it.
    pub fn runtime(&self) -> &'static str {
        "native"
    }

    /// The estimator's class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The datatype of its answers in the Open Inference Protocol.
    pub fn output_datatype(&self) -> &'static str {
        match &self.forest.combine {
            Combine::Vote {
                classes: Classes::Whole(_),
            } => "INT64",
            Combine::Vote {
                classes: Classes::Words(_),
            } => "BYTES",
            Combine::Boost { .. } | Combine::Mean => "FP64",
        }
    }

    /// The model file's size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Answers every row.
    pub fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let mut answers = Vec::with_capacity(table.rows());
        let mut inputs = vec![0.0f32; self.forest.features];
        for index in 0..table.rows() {
            for (column, (input, value)) in inputs.iter_mut().zip(table.row(index)).enumerate() {
                *input = *value as f32;
                let missing = value.is_nan() && self.forest.missing_ok;
                if !input.is_finite() && !missing {
                    return Err(PredictError::NotFinite {
                        column: table.names()[column].clone(),
                        row: index,
                        missing_ok: self.forest.missing_ok,
                    });
                }
            }
            answers.push(self.forest.answer(&inputs));
        }
        Ok(match &self.forest.combine {
            Combine::Vote {
                classes: Classes::Whole(classes),
            } => Answers::Whole(answers.into_iter().map(|class| classes[class as usize]).collect()),
            Combine::Vote {
                classes: Classes::Words(classes),
            } => Answers::Words(
                answers
                    .into_iter()
                    .map(|class| classes[class as usize].clone())
                    .collect(),
            ),
            Combine::Boost { .. } | Combine::Mean => Answers::Numbers(answers),
        })
    }
}

/// How long a model takes for one row, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Answers that were timed.
    pub calls: usize,
}

/// Times single rows of the input example, for a tenth of a second.
pub fn measure(model: &Model) -> Result<Latency, PredictError> {
    let example = model
        .input_example()
        .filter(|example| 0 < example.rows())
        .ok_or_else(|| PredictError::Shape("the model has no input example to be timed on".into()))?;
    let rows: Vec<Table> = (0..example.rows()).map(|row| example.only(row)).collect();
    let mut took = Vec::new();
    let started = Instant::now();
    for row in rows.iter().cycle() {
        let call = Instant::now();
        std::hint::black_box(model.predict(row)?);
        took.push(call.elapsed());
        if 1_000 <= took.len() && Duration::from_millis(100) < started.elapsed() {
            break;
        }
    }
    took.sort_unstable();
    let quantile = |q: f64| took[((took.len() - 1) as f64 * q) as usize].as_secs_f64() * 1_000.0;
    Ok(Latency {
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        calls: took.len(),
    })
}

/// The greatest absolute difference of two lists of answers; NaN equals NaN.
pub fn max_abs_diff(ours: &[f64], theirs: &[f64]) -> Result<f64, PredictError> {
    if ours.len() != theirs.len() {
        return Err(PredictError::Shape(format!(
            "{} answers where the other side gives {}",
            ours.len(),
            theirs.len()
        )));
    }
    let differences = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| match (a.is_nan(), b.is_nan()) {
            (true, true) => 0.0,
            (false, false) if a == b => 0.0,
            (false, false) => (a - b).abs(),
            _ => f64::INFINITY,
        });
    Ok(differences.fold(0.0, f64::max))
}
