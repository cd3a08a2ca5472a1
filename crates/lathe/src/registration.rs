//! What a successful run leaves behind for a model: its files as artifacts, a version in the registry, and the facts
//! that gates and monitors need: metrics, the native engine's agreement with Python, its latency, the drift reference.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use lathe_monitor::{Cell, RawColumn, Reference};
use lathe_serving::{Model, Table};
use lathe_types::Millis;
use lathe_types::drift::ColumnKind;
use lathe_types::project::ModelSpec;
use serde_json::{Map, Value, json};

use crate::client::{Client, Refused, segment};
use crate::exit::hinted;
use crate::python::Python;
use crate::runtimes;
use crate::tracking::{self, TrackedRun};

/// A version as it was registered.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The model's name.
    pub model: String,
    /// Its new version.
    pub version: u32,
    /// What gates can see of it.
    pub facts: Value,
}

/// Registers what the run made as the next version of the model `name`.
pub fn register(
    client: &Client,
    root: &Path,
    name: &str,
    spec: &ModelSpec,
    run: &TrackedRun,
    python: &Python,
) -> anyhow::Result<Registered> {
    let folder = root.join(&spec.path);
    let model = Model::load_with(&folder, &runtimes::by_default()?)
        .with_context(|| format!("the model `{name}` in `{}` cannot be served", folder.display()))?;
    let metrics = numbers_of(&root.join(&spec.metrics))?;
    let parity = compare_with_python(&model, &folder, python)
        .with_context(|| format!("the check of `{name}` against Python failed"))?;
    let latency = lathe_serving::measure(&model)?;
    let reference = reference_of(&root.join(&spec.reference), &model, spec)?;
    let facts = json!({
        "run_id": run.run_id,
        "metrics": metrics,
        "parity": parity,
        "latency": latency,
        "signature": model.signature(),
        "runtime": model.runtime(),
        "size_bytes": model.size_bytes(),
    });

    tracking::log_folder(client, run, &folder, "model")?;
    let version = create_version(client, name, run)?;
    let path = format!("/api/v1/models/{}/versions/{version}", segment(name));
    client.put(&format!("{path}/reference"), &reference)?;
    client.put(&format!("{path}/facts"), &facts)?;
    Ok(Registered {
        model: name.to_owned(),
        version,
        facts,
    })
}

fn create_version(client: &Client, name: &str, run: &TrackedRun) -> anyhow::Result<u32> {
    let created: anyhow::Result<Value> = client.post(
        "/api/2.0/mlflow/registered-models/create",
        &json!({ "name": name }),
    );
    if let Err(error) = created {
        let exists = error
            .downcast_ref::<Refused>()
            .is_some_and(|refused| refused.to_string().contains("exists"));
        if !exists {
            return Err(error);
        }
    }
    let body = json!({ "name": name, "source": format!("{}/model", run.artifact_uri), "run_id": run.run_id });
    let answer: Value = client.post("/api/2.0/mlflow/model-versions/create", &body)?;
    Ok(tracking::text(&answer["model_version"], "version")?.parse()?)
}

/// The numbers of a metrics file, nested keys joined with dots.
fn numbers_of(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the metrics `{}`", path.display()))?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", path.display()))?;
    let mut numbers = Map::new();
    collect_numbers("", &value, &mut numbers);
    Ok(numbers)
}

fn collect_numbers(prefix: &str, value: &Value, numbers: &mut Map<String, Value>) {
    match value {
        Value::Number(_) => drop(numbers.insert(prefix.to_owned(), value.clone())),
        Value::Object(entries) => {
            for (key, entry) in entries {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                collect_numbers(&path, entry, numbers);
            }
        }
        _ => {}
    }
}

/// Loads the model with MLflow in the project's own environment and predicts the model's input example.
const PREDICT_EXAMPLE: &str = "
import json, sys
import numpy, pandas
import mlflow.pyfunc
from mlflow.models import Model
folder = sys.argv[1]
example = Model.load(folder).load_input_example(folder)
answers = mlflow.pyfunc.load_model(folder).predict(example)
if isinstance(answers, dict):
    # ONNX: by output, rows of values or of values by class.
    rows = lambda output: [list(row.values()) if isinstance(row, dict) else row for row in output]
    flat = lambda row: row[0] if isinstance(row, list) and len(row) == 1 else row
    outputs = [[flat(row) for row in rows(numpy.asarray(output).tolist())] for output in answers.values()]
    told = [flat(list(row)) for row in zip(*outputs)]
elif isinstance(answers, pandas.DataFrame) and answers.shape[1] > 1:
    answers = answers.to_dict(orient='records')
    told = [[row[name] for name in row] for row in answers]
else:
    told = numpy.asarray(answers)
    if told.ndim == 2 and told.shape[1] == 1:
        told = told.ravel()
    told = told.tolist()
print(json.dumps(told, default=lambda value: numpy.asarray(value).tolist()))
";

/// The greatest difference between the native engine's answers and Python's, on the input example.
fn compare_with_python(model: &Model, folder: &Path, python: &Python) -> anyhow::Result<Value> {
    let Some(example) = model.input_example() else {
        return Err(hinted(
            "the model has no input example",
            "save it with `input_example=` so that its answers can be checked",
        ));
    };
    let interpreter = python.interpreter();
    let output = Command::new(&interpreter)
        .args(["-c", PREDICT_EXAMPLE])
        .arg(folder)
        .output()
        .with_context(|| format!("failed to start `{}`", interpreter.display()))?;
    if !output.status.success() {
        bail!(
            "Python could not predict: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = lathe_serving::without_bare_nan(printed.lines().last().unwrap_or_default());
    let theirs: Vec<Value> = serde_json::from_str(&last).context("Python's answer is not a list")?;
    let ours: Vec<Value> = model.predict(&example)?.values().into_iter().map(flat).collect();
    let difference = lathe_serving::max_abs_diff(&ours, &theirs)?;
    if difference.is_infinite() {
        return Err(hinted(
            "Python answers other classes than the native engine",
            "tell us: this is a fault of the engine",
        ));
    }
    Ok(json!({ "max_abs_diff": difference, "rows": ours.len(), "runtime": model.runtime() }))
}

/// An answer without the names of its outputs and classes; one of one value is the value.
fn flat(answer: Value) -> Value {
    let values: Vec<Value> = match answer {
        Value::Object(outputs) => outputs.into_iter().map(|(_, value)| flat(value)).collect(),
        Value::Array(values) => values,
        single => return single,
    };
    match <[Value; 1]>::try_from(values) {
        Ok([only]) => only,
        Err(values) => Value::Array(values),
    }
}

/// The drift reference: the model's input columns of the training rows.
fn reference_of(path: &Path, model: &Model, spec: &ModelSpec) -> anyhow::Result<Reference> {
    let place = || format!("the reference `{}`", path.display());
    if path.extension().is_none_or(|extension| extension != "csv") {
        return Err(hinted(
            format!("{} is not a CSV file", place()),
            "name a `.csv` output in `[model]` `reference`",
        ));
    }
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("failed to read {}", place()))?;
    let header = reader.headers()?.clone();
    let position = |name: &str| {
        header.iter().position(|column| column == name).ok_or_else(|| {
            hinted(
                format!("{} has no column `{name}`", place()),
                "the training rows must hold every input of the model",
            )
        })
    };
    let names = model.input_names();
    let positions = names
        .iter()
        .map(|name| position(name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let time = spec.time.as_deref().map(position).transpose()?;
    let mut cells = vec![Vec::new(); names.len()];
    let mut times = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.with_context(|| format!("failed to read {}", place()))?;
        for (column, position) in cells.iter_mut().zip(&positions) {
            column.push(cell(record.get(*position).unwrap_or_default()));
        }
        if let Some(time) = time {
            let text = record.get(time).unwrap_or_default();
            times.push(
                Millis::parse(text)
                    .with_context(|| format!("{}, row {}: `{text}` is not a time", place(), index + 2))?,
            );
        }
    }
    let columns = names.iter().zip(cells).map(|(name, cells)| {
        let text = cells.iter().any(|cell| matches!(cell, Cell::Text(_)));
        let categorical = text || spec.categorical.contains(name);
        let kind = if categorical {
            ColumnKind::Categorical
        } else {
            ColumnKind::Numeric
        };
        RawColumn {
            name: name.clone(),
            kind,
            cells,
        }
    });
    let reference = Reference::build(columns.collect(), time.is_some().then_some(&times[..]));
    reference.with_context(|| format!("{} cannot be profiled", place()))
}

/// A CSV field as a value: empty is missing, a number is a number.
pub fn cell(text: &str) -> Cell {
    match text.trim() {
        "" | "NA" | "NaN" | "nan" | "null" => Cell::Missing,
        trimmed => trimmed
            .parse()
            .map_or_else(|_| Cell::Text(trimmed.to_owned()), Cell::Number),
    }
}

/// A table of rows as they were answered, for scoring them again.
pub fn table_of(model: &Model, rows: &[Map<String, Value>]) -> anyhow::Result<Table> {
    Ok(Table::from_records(rows, model.signature())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_metrics_become_dotted_numbers() {
        let mut numbers = Map::new();
        collect_numbers(
            "",
            &json!({ "rmse": 1.5, "by": { "hour": 2, "note": "x" } }),
            &mut numbers,
        );
        assert_eq!(Value::Object(numbers), json!({ "rmse": 1.5, "by.hour": 2 }));
    }
}
