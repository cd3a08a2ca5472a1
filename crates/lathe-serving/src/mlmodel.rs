//! The `MLmodel` file of an MLflow model folder, and the input example beside it.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::params::ParamSchema;
use crate::signature::{ColumnSpec, Signature, TensorSpec, kind_of};
use crate::{LoadError, Table, file, without_bare_nan};

/// What this crate needs of an `MLmodel` file.
#[derive(Debug, Deserialize)]
pub(crate) struct MlModel {
    flavors: Flavors,
    signature: Option<RawSignature>,
    saved_input_example_info: Option<ExampleInfo>,
    #[serde(default)]
    is_signature_from_type_hint: bool,
}

#[derive(Debug, Deserialize)]
struct Flavors {
    python_function: Option<PythonFunction>,
    sklearn: Option<Sklearn>,
    lightgbm: Option<Data>,
    xgboost: Option<Data>,
    onnx: Option<Data>,
    catboost: Option<Catboost>,
}

#[derive(Debug, Deserialize)]
struct PythonFunction {
    loader_module: Option<String>,
    predict_fn: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sklearn {
    pickled_model: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Catboost {
    data: String,
    model_type: Option<String>,
}

/// What the other flavors tell.
#[derive(Debug, Clone, Deserialize)]
struct Data {
    data: String,
    model_class: Option<String>,
}

/// The library that saved the model, and the file in which.
#[derive(Debug)]
pub(crate) enum Flavor {
    /// `method` is what answers: `predict`, `predict_proba`…
    Sklearn {
        file: String,
        method: String,
    },
    Lightgbm {
        file: String,
    },
    Onnx {
        file: String,
    },
    /// `class` is one of CatBoost's.
    Catboost {
        file: String,
        class: String,
    },
    /// `class` is scikit-learn's wrapper or the booster.
    Xgboost {
        file: String,
        class: String,
    },
}

impl Flavor {
    pub(crate) fn file(&self) -> &str {
        match self {
            Self::Sklearn { file, .. }
            | Self::Lightgbm { file }
            | Self::Onnx { file }
            | Self::Catboost { file, .. }
            | Self::Xgboost { file, .. } => file,
        }
    }
}

/// JSON inside YAML, as MLflow writes it.
#[derive(Debug, Deserialize)]
struct RawSignature {
    inputs: Option<String>,
    params: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ExampleInfo {
    #[serde(rename = "type")]
    kind: Option<String>,
    artifact_path: Option<String>,
    pandas_orient: Option<String>,
    format: Option<String>,
    /// There if the example has params.
    params: Option<Value>,
}

#[derive(Deserialize)]
struct WithParams {
    inputs: Value,
    params: Option<Map<String, Value>>,
}

/// Bounds what is read into memory; real ones have a few kilobytes.
const YAML_BYTES_MAX: u64 = 4 << 20;
/// Bounds what is read into memory.
const EXAMPLE_BYTES_MAX: u64 = 64 << 20;
/// Inputs that a tensor may have; images have fewer.
const TENSOR_WIDTH_MAX: usize = 1 << 24;

impl MlModel {
    /// Whether a folder is one of MLflow's.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join("MLmodel").is_file()
    }

    pub(crate) fn load(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("MLmodel");
        let text = file::read_text(&path, YAML_BYTES_MAX)?;
        Self::parse(&text).map_err(|what| LoadError::Damaged { path, what })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))
    }

    /// The flavor that MLflow itself would load.
    pub(crate) fn flavor(&self) -> Result<Flavor, LoadError> {
        let flavors = &self.flavors;
        let loader = flavors
            .python_function
            .as_ref()
            .and_then(|function| function.loader_module.as_deref());
        let method = flavors
            .python_function
            .as_ref()
            .and_then(|function| function.predict_fn.clone());
        let asked = |name: &str| loader.is_none_or(|loader| loader == format!("mlflow.{name}"));
        let flavor = if let Some(sklearn) = flavors.sklearn.as_ref().filter(|_| asked("sklearn")) {
            Flavor::Sklearn {
                file: sklearn.pickled_model.clone(),
                method: method.unwrap_or_else(|| "predict".into()),
            }
        } else if let Some(data) = flavors.lightgbm.clone().filter(|_| asked("lightgbm")) {
            Flavor::Lightgbm { file: data.data }
        } else if let Some(data) = flavors.onnx.clone().filter(|_| asked("onnx")) {
            Flavor::Onnx { file: data.data }
        } else if let Some(data) = flavors.xgboost.clone().filter(|_| asked("xgboost")) {
            Flavor::Xgboost {
                file: data.data,
                class: data.model_class.unwrap_or_default(),
            }
        } else if let Some(data) = flavors.catboost.clone().filter(|_| asked("catboost")) {
            Flavor::Catboost {
                file: data.data,
                // MLflow takes no folder that does not say it.
                class: data.model_type.unwrap_or_else(|| "CatBoost".into()),
            }
        } else {
            return Err(LoadError::Unsupported {
                what: format!(
                    "the model's flavor is `{}`; the native engine serves `sklearn`, `lightgbm`, `xgboost`, `catboost` and `onnx`",
                    loader.unwrap_or("unknown")
                ),
            });
        };
        let file = flavor.file();
        if file.contains(['/', '\\']) || file.starts_with('.') {
            return Err(LoadError::Unsupported {
                what: format!("the model's file `{file}` lies outside its folder"),
            });
        }
        Ok(flavor)
    }

    /// What the model takes, if it was saved with a signature. Columns without names have empty ones. A tensor that
    /// leaves its width open takes the `width` inputs that the model has.
    pub(crate) fn signature(
        &self,
        folder: &Path,
        width: usize,
    ) -> Result<Option<Vec<ColumnSpec>>, LoadError> {
        let Some(text) = self
            .signature
            .as_ref()
            .and_then(|signature| signature.inputs.as_ref())
        else {
            return Ok(None);
        };
        let damaged = |what: String| LoadError::Damaged {
            path: folder.join("MLmodel"),
            what: format!("the signature: {what}"),
        };
        let columns: Vec<Value> = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let mut inputs = Vec::new();
        for column in columns {
            if column["type"] == "tensor" {
                inputs.extend(tensor_columns(&column, width)?);
                continue;
            }
            let kind =
                serde_json::from_value(column["type"].clone()).map_err(|_| LoadError::Unsupported {
                    what: format!(
                        "the column {} is a {}; the native engine takes numbers and words",
                        column["name"], column["type"]
                    ),
                })?;
            inputs.push(ColumnSpec {
                name: column["name"].as_str().unwrap_or_default().to_owned(),
                kind,
                required: column["required"].as_bool().unwrap_or(true),
            });
        }
        match inputs.is_empty() {
            true => Ok(None),
            false => Ok(Some(inputs)),
        }
    }

    /// Whether MLflow can load it as a Python function.
    pub(crate) fn is_python(&self) -> bool {
        self.flavors.python_function.is_some()
    }

    /// Whether the signature was made of the type hints of the model's function.
    pub(crate) fn is_hinted(&self) -> bool {
        self.is_signature_from_type_hint
    }

    /// The params that the model takes, if any.
    pub(crate) fn params(&self, folder: &Path) -> Result<Option<ParamSchema>, LoadError> {
        let text = self
            .signature
            .as_ref()
            .and_then(|signature| signature.params.as_ref());
        text.map_or(Ok(None), |text| {
            ParamSchema::parse(text).map_err(|what| LoadError::Damaged {
                path: folder.join("MLmodel"),
                what: format!("the params of the signature: {what}"),
            })
        })
    }

    /// The signature's inputs where they are tensors; none where they are columns.
    pub(crate) fn tensors(&self) -> Vec<TensorSpec> {
        let text = self
            .signature
            .as_ref()
            .and_then(|signature| signature.inputs.as_ref());
        let inputs: Vec<Value> = text
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let size = |size: &Value| match size.as_i64() {
            Some(-1) => Some(None),
            size => Some(Some(usize::try_from(size?).ok()?)),
        };
        let tensor = |input: &Value| {
            let spec = &input["tensor-spec"];
            let (rows, rest) = spec["shape"].as_array()?.split_first()?;
            Some(TensorSpec {
                name: input["name"].as_str().unwrap_or_default().to_owned(),
                dtype: spec["dtype"].as_str()?.to_owned(),
                rows: size(rows)?,
                shape: rest.iter().map(size).collect::<Option<_>>()?,
            })
        };
        inputs
            .iter()
            .map(tensor)
            .collect::<Option<_>>()
            .unwrap_or_default()
    }

    /// The rows that were saved with the model.
    pub(crate) fn input_example(
        &self,
        folder: &Path,
        signature: &Signature,
    ) -> Result<Option<Table>, LoadError> {
        let Some(info) = &self.saved_input_example_info else {
            return Ok(None);
        };
        let Some(file) = &info.artifact_path else {
            return Ok(None);
        };
        if file.contains(['/', '\\']) || file.starts_with('.') {
            return Ok(None);
        }
        let split = info.pandas_orient.as_deref() == Some("split");
        // MLflow 2 says the one, MLflow 3 the other.
        let tensor = info.format.as_deref() == Some("tf-serving") || info.kind.as_deref() == Some("ndarray");
        if !split && !tensor {
            return Ok(None);
        }
        let path = folder.join(file);
        let text = file::read_text(&path, EXAMPLE_BYTES_MAX)?;
        let text = without_bare_nan(&text);
        let damaged = |what| LoadError::Damaged {
            path: path.clone(),
            what,
        };
        // An example with params has the rows beside them.
        let (rows, params) = match info.params {
            None => (text, None),
            Some(_) => {
                let both: WithParams =
                    serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
                (both.inputs.to_string().into(), both.params)
            }
        };
        let read = match split {
            true => split_example(&rows, signature),
            false => tensor_example(&rows, signature),
        };
        Ok(read.map_err(damaged)?.map(|table| table.with_params(params)))
    }
}

fn split_example(text: &str, signature: &Signature) -> Result<Option<Table>, String> {
    #[derive(Deserialize)]
    struct Split {
        columns: Option<Vec<Value>>,
        data: Vec<Vec<Value>>,
    }
    let split: Split = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let by_name = split
        .columns
        .filter(|columns| columns.iter().all(Value::is_string));
    let Some(names) = by_name else {
        return Table::from_rows(&split.data, signature)
            .map(Some)
            .map_err(|error| error.to_string());
    };
    let name = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let mut columns: Vec<(String, Vec<Value>)> =
        names.into_iter().map(|value| (name(value), Vec::new())).collect();
    for row in split.data {
        if row.len() != columns.len() {
            return Err("a row has not as many values as there are columns".into());
        }
        for ((_, column), value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    Table::from_columns(&columns, signature)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// `{"inputs": [[…], …]}`, or the rows alone, of which each may be nested; tensors by name are left out.
fn tensor_example(text: &str, signature: &Signature) -> Result<Option<Table>, String> {
    let rows = match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Value::Object(mut tensor) => tensor.remove("inputs").unwrap_or_default(),
        rows => rows,
    };
    let Value::Array(rows) = rows else {
        return Ok(None);
    };
    if !rows.iter().all(Value::is_array) {
        return Ok(None);
    }
    let flat = |row: Value| {
        let mut values = Vec::new();
        flatten(row, &mut values);
        values
    };
    let rows: Vec<Vec<Value>> = rows.into_iter().map(flat).collect();
    Table::from_rows(&rows, signature)
        .map(Some)
        .map_err(|error| error.to_string())
}

fn flatten(value: Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(values) => values.into_iter().for_each(|value| flatten(value, into)),
        value => into.push(value),
    }
}

/// A tensor of `[n, columns]` as columns.
fn tensor_columns(tensor: &Value, open: usize) -> Result<Vec<ColumnSpec>, LoadError> {
    let unsupported = |what: String| LoadError::Unsupported { what };
    let spec = &tensor["tensor-spec"];
    let dtype = spec["dtype"].as_str().unwrap_or_default();
    let kind = kind_of(dtype).ok_or_else(|| {
        unsupported(format!(
            "the model takes a tensor of {dtype}; the native engine takes numbers and words"
        ))
    })?;
    let shape = spec["shape"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut width = 1usize;
    for size in shape.get(1..).unwrap_or_default() {
        let size = match size.as_i64() {
            Some(-1) => open,
            Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        width = width.saturating_mul(size);
    }
    if width == 0 || TENSOR_WIDTH_MAX < width {
        return Err(unsupported(format!(
            "the model takes a tensor of the shape {}",
            spec["shape"]
        )));
    }
    let name = tensor["name"].as_str().unwrap_or_default();
    Ok((0..width)
        .map(|index| ColumnSpec {
            name: match (name, width) {
                ("", _) => String::new(),
                (name, 1) => name.to_owned(),
                (name, _) => format!("{name}_{index}"),
            },
            kind,
            required: true,
        })
        .collect())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
