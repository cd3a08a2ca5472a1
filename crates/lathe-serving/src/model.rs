use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::OutputSpec;
use crate::choice::Choice;
use crate::params::ParamSchema;
use crate::predictor::Predictor;
use crate::{Answers, ColumnSpec, InputSpec, PredictError, Signature, Table};

/// A loaded model. Predicting needs no lock: every thread may ask at once.
#[derive(Debug)]
pub struct Model {
    facts: Arc<Facts>,
    input_example: Option<Table>,
    predictor: Box<dyn Predictor>,
}

/// What a model is, told without asking it; may be kept when the model is let go.
#[derive(Debug)]
pub struct Facts {
    signature: Signature,
    params: Option<ParamSchema>,
    input_names: Vec<String>,
    inputs: Vec<InputSpec>,
    outputs: Vec<OutputSpec>,
    class: String,
    size_bytes: u64,
    memory_bytes: u64,
    runtime: &'static str,
    batches: bool,
    choice: Option<Choice>,
    processes: Option<usize>,
}

impl Facts {
    /// What is told of models that answer together.
    pub fn of_graph(signature: Signature, outputs: Vec<OutputSpec>, members: &[&Self]) -> Self {
        Self {
            inputs: signature.inputs.iter().map(input_of).collect(),
            input_names: signature.names().to_vec(),
            signature,
            params: None,
            outputs,
            class: "graph".into(),
            size_bytes: members.iter().map(|member| member.size_bytes).sum(),
            memory_bytes: members.iter().map(|member| member.memory_bytes).sum(),
            runtime: "graph",
            batches: members.iter().all(|member| member.batches),
            choice: None,
            processes: None,
        }
    }

    /// What it takes.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What a request may say beside its rows, if anything.
    pub fn params(&self) -> Option<&ParamSchema> {
        self.params.as_ref()
    }

    /// Whether requests of both are read the same.
    pub fn is_asked_as(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || self.signature == other.signature && self.inputs == other.inputs && self.params == other.params
    }

    /// The columns' names in its order.
    pub fn input_names(&self) -> &[String] {
        &self.input_names
    }

    /// What it takes as clients of the Open Inference Protocol see it: its columns, or the tensors that they are parts of.
    pub fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    /// What it answers with.
    pub fn outputs(&self) -> Vec<OutputSpec> {
        self.outputs.clone()
    }

    /// What its library calls it.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// What runs it: `native`, `onnxruntime`, `python`, which executes what the model holds, or `graph`, whose members say it.
    pub fn runtime(&self) -> &'static str {
        self.runtime
    }

    /// Whether answering executes what the model holds.
    pub fn executes_code(&self) -> bool {
        self.runtime == "python"
    }

    /// Why that runs it, where something else might.
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// Whether the rows of several callers may be answered together: a model of Python may look at all rows at once.
    pub fn batches(&self) -> bool {
        self.batches
    }

    /// The model file's size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// About how much memory it takes: trees are counted, processes measured, and anything else is guessed from the
    /// unpacked file.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// How many processes answer for it; none where it is answered in this one.
    pub fn processes(&self) -> Option<usize> {
        self.processes
    }
}

impl Model {
    pub(crate) fn of(
        predictor: Box<dyn Predictor>,
        signature: Signature,
        input_example: Option<Table>,
        size: usize,
        unpacked: u64,
    ) -> Self {
        let facts = Facts {
            inputs: inputs(&*predictor, &signature),
            input_names: signature.names().to_vec(),
            signature,
            params: None,
            outputs: predictor.outputs(),
            class: predictor.inputs().class.clone(),
            size_bytes: size as u64,
            memory_bytes: predictor.memory_bytes().unwrap_or(unpacked),
            runtime: predictor.runtime(),
            batches: predictor.batches(),
            choice: None,
            processes: predictor.processes(),
        };
        Self {
            facts: Arc::new(facts),
            input_example,
            predictor,
        }
    }

    /// Says what a request may say beside its rows.
    pub(crate) fn taking(mut self, params: Option<ParamSchema>) -> Self {
        if let Some(facts) = Arc::get_mut(&mut self.facts) {
            facts.params = params;
        }
        self
    }

    /// Says why this engine answers for it.
    pub(crate) fn because(mut self, choice: Choice) -> Self {
        if let Some(facts) = Arc::get_mut(&mut self.facts) {
            facts.choice = Some(choice);
        }
        self
    }

    /// What it is.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// What it takes.
    pub fn signature(&self) -> &Signature {
        self.facts.signature()
    }

    /// The columns' names in its order.
    pub fn input_names(&self) -> &[String] {
        self.facts.input_names()
    }

    /// The rows that were saved with it.
    pub fn input_example(&self) -> Option<Table> {
        self.input_example.clone()
    }

    /// What runs it: `native`, `onnxruntime`, or `python`, which executes what the model holds.
    pub fn runtime(&self) -> &'static str {
        self.facts.runtime()
    }

    /// How many processes answer for it; none where it is answered in this one.
    pub fn processes(&self) -> Option<usize> {
        self.facts.processes()
    }

    /// What its library calls it.
    pub fn class(&self) -> &str {
        self.facts.class()
    }

    /// What it answers with.
    pub fn outputs(&self) -> Vec<OutputSpec> {
        self.facts.outputs()
    }

    /// The model file's size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.facts.size_bytes()
    }

    /// Answers every row.
    pub fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        if table.sent().is_some() {
            if !self.signature().reads_sent() {
                return Err(PredictError::Invalid(
                    "the model takes columns of numbers and words".into(),
                ));
            }
        } else if !self.signature().is_open() && table.names().len() != self.input_names().len() {
            return Err(PredictError::Shape(format!(
                "the table has {} columns; the model takes {}",
                table.names().len(),
                self.input_names().len()
            )));
        }
        self.predictor.predict(table)
    }
}

/// Tensors are told where their columns have no names of their own.
fn inputs(predictor: &dyn Predictor, signature: &Signature) -> Vec<InputSpec> {
    let own = predictor.inputs().columns.iter().map(|input| &input.name);
    let is_unnamed = signature.is_open() || own.eq(signature.inputs.iter().map(|column| &column.name));
    match predictor.tensors().filter(|_| is_unnamed) {
        Some(tensors) => tensors,
        None => signature.inputs.iter().map(input_of).collect(),
    }
}

fn input_of(column: &ColumnSpec) -> InputSpec {
    InputSpec {
        name: column.name.clone(),
        datatype: column.kind.oip_datatype(),
        shape: vec![-1],
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
        let enough = 1_000 <= took.len() && Duration::from_millis(100) < started.elapsed();
        if enough || Duration::from_secs(2) < started.elapsed() {
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

/// The greatest absolute difference of two lists of answers. Missing equals missing; words that differ are infinitely
/// far apart.
pub fn max_abs_diff(ours: &[Value], theirs: &[Value]) -> Result<f64, PredictError> {
    if ours.len() != theirs.len() {
        return Err(PredictError::Shape(format!(
            "{} answers where the other side gives {}",
            ours.len(),
            theirs.len()
        )));
    }
    let mut greatest = 0.0f64;
    for (a, b) in ours.iter().zip(theirs) {
        greatest = greatest.max(match (a, b) {
            (Value::Array(a), Value::Array(b)) => max_abs_diff(a, b)?,
            (Value::Number(_) | Value::Bool(_), Value::Number(_) | Value::Bool(_)) => {
                (number(a) - number(b)).abs()
            }
            _ if a == b => 0.0,
            _ => f64::INFINITY,
        });
    }
    Ok(greatest)
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| f64::from(u8::from(value.as_bool().unwrap_or_default())))
}
