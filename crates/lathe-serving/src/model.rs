use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::OutputSpec;
use crate::error::Fault;
use crate::mlmodel::{Flavor, MlModel};
use crate::predictor::Predictor;
use crate::python::{PythonModel, PythonPermission};
use crate::{
    Answers, ColumnSpec, LoadError, PredictError, Signature, Table, catboost, file, lightgbm, onnx, sklearn,
    xgboost,
};

/// What the names of model files end with.
const ENDINGS: [&str; 12] = [
    "bst", "cb", "cbm", "joblib", "json", "lgb", "onnx", "pickle", "pkl", "skops", "txt", "ubj",
];

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
    input_names: Vec<String>,
    outputs: Vec<OutputSpec>,
    class: String,
    size_bytes: u64,
    memory_bytes: u64,
    runtime: &'static str,
    processes: Option<usize>,
}

impl Facts {
    /// What is told of models that answer together.
    pub fn of_graph(signature: Signature, outputs: Vec<OutputSpec>, members: &[&Self]) -> Self {
        Self {
            input_names: signature.names().to_vec(),
            signature,
            outputs,
            class: "graph".into(),
            size_bytes: members.iter().map(|member| member.size_bytes).sum(),
            memory_bytes: members.iter().map(|member| member.memory_bytes).sum(),
            runtime: "graph",
            processes: None,
        }
    }

    /// What it takes.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The columns' names in its order.
    pub fn input_names(&self) -> &[String] {
        &self.input_names
    }

    /// What it answers with.
    pub fn outputs(&self) -> Vec<OutputSpec> {
        self.outputs.clone()
    }

    /// What its library calls it.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// What runs it: `native`, `python`, which executes what the model holds, or `graph`, whose members say it.
    pub fn runtime(&self) -> &'static str {
        self.runtime
    }

    /// Whether answering executes what the model holds.
    pub fn executes_code(&self) -> bool {
        self.runtime == "python"
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
    /// Loads an MLflow model folder, a plain model file or a folder with nothing but one, and warms it up on its input
    /// example.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        if path.is_file() {
            return Self::load_file(path);
        }
        match only_file_of(path)? {
            Some(file) => Self::load_file(&file),
            None => Self::load_folder(path),
        }
    }

    /// As [`Model::load`]; a folder that the native engine does not know is answered by Python, if that is permitted.
    pub fn load_with(path: &Path, python: Option<&PythonPermission>) -> Result<Self, LoadError> {
        let loaded = Self::load(path);
        let Err(LoadError::Unsupported { what }) = loaded else {
            return loaded;
        };
        if !MlModel::is_in(path) || !MlModel::load(path)?.is_python() {
            return Err(LoadError::Unsupported { what });
        }
        match python {
            Some(permission) => Self::load_python(path, permission),
            None => Err(LoadError::Unsupported {
                what: format!(
                    "{what}; with `--allow-python` a Python process answers for it, which executes what the model holds"
                ),
            }),
        }
    }

    fn load_python(folder: &Path, permission: &PythonPermission) -> Result<Self, LoadError> {
        // The processes have a working folder of their own.
        let folder = &std::path::absolute(folder).map_err(|source| LoadError::Read {
            path: folder.to_owned(),
            source,
        })?;
        let mlmodel = MlModel::load(folder)?;
        let tensors = mlmodel.tensors();
        // Signatures that are not understood here (lists, objects, open shapes) are left to MLflow to check.
        let saved = mlmodel.signature(folder, 0).ok().flatten();
        let signature = match saved {
            Some(columns) => Signature::new(numbered(columns)),
            None => Signature::open(),
        };
        let mut predictor = PythonModel::start(folder, tensors, !signature.is_open(), permission)?;
        let input_example = match signature.is_open() {
            true => None,
            // An example of another form than rows is for MLflow alone.
            false => mlmodel.input_example(folder, &signature).ok().flatten(),
        };
        if let Some(example) = &input_example {
            let answers = predictor.predict(example).map_err(|error| LoadError::Damaged {
                path: folder.join("MLmodel"),
                what: format!("the model cannot answer its own input example: {error}"),
            })?;
            predictor.learn_outputs(&answers);
        }
        Ok(Self::of(Box::new(predictor), signature, input_example, 0, 0))
    }

    fn load_folder(folder: &Path) -> Result<Self, LoadError> {
        let mlmodel = MlModel::load(folder)?;
        let flavor = mlmodel.flavor()?;
        let path = folder.join(flavor.file());
        let bytes = file::read(&path)?;
        let mut predictor = read_flavor(&flavor, &bytes, folder).map_err(|fault| fault.in_file(&path))?;
        let inputs = predictor.inputs();
        let damaged = |what| LoadError::Damaged {
            path: path.clone(),
            what,
        };
        let signature = match mlmodel.signature(folder, inputs.columns.len())? {
            Some(saved) => inputs.check(saved).map_err(damaged)?,
            None => inputs.signature(),
        };
        predictor.bind(&signature);
        predictor.inputs().check_types(&signature)?;
        let input_example = mlmodel.input_example(folder, &signature)?;
        let unpacked = unpacked(&bytes);
        let model = Self::of(predictor, signature, input_example, bytes.len(), unpacked);
        if let Some(example) = &model.input_example {
            model.predict(example).map_err(|error| {
                damaged(format!("the model cannot answer its own input example: {error}"))
            })?;
        }
        Ok(model)
    }

    fn load_file(path: &Path) -> Result<Self, LoadError> {
        let bytes = file::read(path)?;
        let predictor = read_plain(&bytes, path.parent()).map_err(|fault| fault.in_file(path))?;
        Ok(Self::plain(predictor, &bytes))
    }

    /// Reads a plain model file that lies in memory.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let predictor = read_plain(bytes, None).map_err(|fault| fault.in_file(Path::new("memory")))?;
        Ok(Self::plain(predictor, bytes))
    }

    fn plain(predictor: Box<dyn Predictor>, bytes: &[u8]) -> Self {
        let signature = predictor.inputs().signature();
        Self::of(predictor, signature, None, bytes.len(), unpacked(bytes))
    }

    fn of(
        predictor: Box<dyn Predictor>,
        signature: Signature,
        input_example: Option<Table>,
        size: usize,
        unpacked: u64,
    ) -> Self {
        let processes = predictor.processes();
        let facts = Facts {
            input_names: signature.names().to_vec(),
            signature,
            outputs: predictor.outputs(),
            class: predictor.inputs().class.clone(),
            size_bytes: size as u64,
            memory_bytes: predictor.memory_bytes().unwrap_or(unpacked),
            runtime: match processes {
                None => "native",
                Some(_) => "python",
            },
            processes,
        };
        Self {
            facts: Arc::new(facts),
            input_example,
            predictor,
        }
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

    /// What runs it: `native`, or `python`, which executes what the model holds.
    pub fn runtime(&self) -> &'static str {
        self.facts.runtime()
    }

    /// How many processes answer for it; none where it is answered in this one. Only a model that is answered here may
    /// be asked about the rows of several callers at once: others may look at all rows together.
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
        if !self.signature().is_open() && table.names().len() != self.input_names().len() {
            return Err(PredictError::Shape(format!(
                "the table has {} columns; the model takes {}",
                table.names().len(),
                self.input_names().len()
            )));
        }
        self.predictor.predict(table)
    }
}

/// The size of a file's content when it is unpacked.
fn unpacked(bytes: &[u8]) -> u64 {
    let size = bytes.len() as u64;
    match bytes {
        [b'P', b'K', ..] => {
            let archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok();
            archive
                .and_then(|archive| archive.decompressed_size())
                .map_or(size, |size| u64::try_from(size).unwrap_or(u64::MAX))
        }
        // What zlib and gzip make of numbers is seldom smaller than a fourth.
        [0x78, ..] | [0x1f, 0x8b, ..] => size.saturating_mul(4),
        _ => size,
    }
}

/// Columns without a name are called by their place.
fn numbered(mut columns: Vec<ColumnSpec>) -> Vec<ColumnSpec> {
    for (at, column) in columns.iter_mut().enumerate() {
        if column.name.is_empty() {
            column.name = at.to_string();
        }
    }
    columns
}

fn read_flavor(flavor: &Flavor, bytes: &[u8], folder: &Path) -> Result<Box<dyn Predictor>, Fault> {
    Ok(match flavor {
        Flavor::Catboost { class, .. } => {
            let mut booster = catboost::read(bytes)?;
            booster.answer_as(class)?;
            Box::new(booster)
        }
        Flavor::Lightgbm { .. } if lightgbm::is(bytes) => Box::new(lightgbm::read(bytes)?),
        Flavor::Lightgbm { .. } => sklearn::read(bytes, "predict")?,
        Flavor::Onnx { .. } => Box::new(onnx::read(bytes, Some(folder))?),
        Flavor::Sklearn { method, .. } => sklearn::read(bytes, method)?,
        Flavor::Xgboost { class, .. } => {
            let mut booster = xgboost::read(bytes)?;
            booster.answer_as(class);
            Box::new(booster)
        }
    })
}

/// The model file of a folder that holds nothing else of a model, as KServe hands models over; none in a folder of
/// MLflow's.
fn only_file_of(folder: &Path) -> Result<Option<PathBuf>, LoadError> {
    if MlModel::is_in(folder) || !folder.is_dir() {
        return Ok(None);
    }
    let failed = |source| LoadError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_model = path
            .extension()
            .is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if is_model && path.is_file() && path.file_name() != Some("requirements.txt".as_ref()) {
            files.push(path);
        }
    }
    files.sort();
    match files.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => {
            let names: Vec<String> = several
                .iter()
                .filter_map(|path| Some(format!("`{}`", path.file_name()?.display())))
                .collect();
            Err(LoadError::Unsupported {
                what: format!(
                    "`{}` has no `MLmodel`, and several files that may be the model: name one of {}",
                    folder.display(),
                    names.join(", ")
                ),
            })
        }
    }
}

/// A model file that stands alone: what it is can be seen from how it begins.
fn read_plain(bytes: &[u8], folder: Option<&Path>) -> Result<Box<dyn Predictor>, Fault> {
    if lightgbm::is(bytes) {
        return Ok(Box::new(lightgbm::read(bytes)?));
    }
    if catboost::is(bytes) {
        return Ok(Box::new(catboost::read(bytes)?));
    }
    if xgboost::is(bytes) {
        return Ok(Box::new(xgboost::read(bytes)?));
    }
    if onnx::is(bytes) {
        return Ok(Box::new(onnx::read(bytes, folder)?));
    }
    sklearn::read(bytes, "predict")
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
