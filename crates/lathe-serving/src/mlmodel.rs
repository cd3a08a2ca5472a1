//! The `MLmodel` file of an MLflow model folder, and the input example beside it.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::signature::{ColumnSpec, ColumnType, Signature};
use crate::{LoadError, Table, without_bare_nan};

/// What this crate needs of an `MLmodel` file.
#[derive(Debug, Deserialize)]
pub(crate) struct MlModel {
    flavors: Flavors,
    signature: Option<RawSignature>,
    saved_input_example_info: Option<ExampleInfo>,
}

#[derive(Debug, Deserialize)]
struct Flavors {
    python_function: Option<PythonFunction>,
    sklearn: Option<Sklearn>,
}

#[derive(Debug, Deserialize)]
struct PythonFunction {
    loader_module: Option<String>,
    predict_fn: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sklearn {
    pickled_model: String,
    serialization_format: Option<String>,
}

/// JSON inside YAML, as MLflow writes it.
#[derive(Debug, Deserialize)]
struct RawSignature {
    inputs: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ExampleInfo {
    artifact_path: Option<String>,
    pandas_orient: Option<String>,
}

/// Bounds what is read into memory; real ones have a few kilobytes.
const YAML_BYTES_MAX: u64 = 4 << 20;
/// Bounds what is read into memory.
const EXAMPLE_BYTES_MAX: u64 = 64 << 20;

impl MlModel {
    pub(crate) fn load(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join("MLmodel");
        let text = read_text(&path, YAML_BYTES_MAX)?;
        serde_saphyr::from_str(&text).map_err(|error| LoadError::Damaged {
            path,
            what: first_line(&error.to_string()),
        })
    }

    /// The skops file of a scikit-learn model.
    pub(crate) fn skops_file(&self) -> Result<&str, LoadError> {
        let unsupported = |what: String| Err(LoadError::Unsupported { what });
        let Some(sklearn) = &self.flavors.sklearn else {
            let loader = self
                .flavors
                .python_function
                .as_ref()
                .and_then(|f| f.loader_module.clone());
            return unsupported(format!(
                "the model's flavor is `{}`; the native engine serves `sklearn`",
                loader.unwrap_or_else(|| "unknown".into())
            ));
        };
        let predict = self
            .flavors
            .python_function
            .as_ref()
            .and_then(|f| f.predict_fn.as_deref());
        if let Some(other) = predict.filter(|name| *name != "predict") {
            return unsupported(format!(
                "the model answers with `{other}`; the native engine answers with `predict`"
            ));
        }
        let format = sklearn.serialization_format.as_deref().unwrap_or("pickle");
        if format != "skops" {
            return unsupported(format!(
                "the model is stored as {format}, which only Python can read; \
                 save it with `serialization_format=\"skops\"`"
            ));
        }
        let file = sklearn.pickled_model.as_str();
        if file.contains(['/', '\\']) || file.starts_with('.') {
            return unsupported(format!("the model's file `{file}` lies outside its folder"));
        }
        Ok(file)
    }

    /// What the model takes.
    pub(crate) fn signature(&self, folder: &Path) -> Result<Signature, LoadError> {
        let unsupported = |what: String| Err(LoadError::Unsupported { what });
        let Some(inputs) = self
            .signature
            .as_ref()
            .and_then(|signature| signature.inputs.as_ref())
        else {
            return unsupported(
                "the model has no signature; save it with `signature=` or `input_example=`".into(),
            );
        };
        let damaged = |what: String| LoadError::Damaged {
            path: folder.join("MLmodel"),
            what,
        };
        let columns: Vec<Value> =
            serde_json::from_str(inputs).map_err(|error| damaged(format!("the signature: {error}")))?;
        let mut inputs = Vec::new();
        for column in columns {
            if column["type"] == "tensor" {
                return unsupported("the model takes a tensor; the native engine takes named columns".into());
            }
            let spec: ColumnSpec =
                serde_json::from_value(column).map_err(|error| damaged(format!("the signature: {error}")))?;
            if matches!(
                spec.kind,
                ColumnType::String | ColumnType::Binary | ColumnType::Datetime
            ) {
                return unsupported(format!(
                    "the column `{}` is a {}; the native engine takes numbers",
                    spec.name,
                    spec.kind.name()
                ));
            }
            inputs.push(spec);
        }
        if inputs.is_empty() {
            return unsupported("the model's signature has no inputs".into());
        }
        Ok(Signature { inputs })
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
        let (Some(file), Some("split")) = (&info.artifact_path, info.pandas_orient.as_deref()) else {
            return Ok(None);
        };
        if file.contains(['/', '\\']) || file.starts_with('.') {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Split {
            columns: Vec<String>,
            data: Vec<Vec<Value>>,
        }
        let path = folder.join(file);
        let text = read_text(&path, EXAMPLE_BYTES_MAX)?;
        let damaged = |what: String| LoadError::Damaged {
            path: path.clone(),
            what,
        };
        let split: Split =
            serde_json::from_str(&without_bare_nan(&text)).map_err(|error| damaged(error.to_string()))?;
        let mut columns: Vec<(String, Vec<Value>)> =
            split.columns.into_iter().map(|name| (name, Vec::new())).collect();
        for row in split.data {
            if row.len() != columns.len() {
                return Err(damaged(
                    "a row has not as many values as there are columns".into(),
                ));
            }
            for ((_, column), value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        Table::from_columns(&columns, signature)
            .map(Some)
            .map_err(|error| damaged(error.to_string()))
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn read_text(path: &Path, bytes_max: u64) -> Result<String, LoadError> {
    use std::io::Read;
    let read = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut text = String::new();
    let size = file.take(bytes_max + 1).read_to_string(&mut text).map_err(read)?;
    if bytes_max < size as u64 {
        return Err(LoadError::Damaged {
            path: path.to_owned(),
            what: format!("it is larger than {bytes_max} bytes"),
        });
    }
    Ok(text)
}
