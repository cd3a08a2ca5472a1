//! Models as MLflow saves them, answered without Python. `tests/fixtures/make.py` made them and Python's answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::path::{Path, PathBuf};

use lathe_serving::{LoadError, Model, PredictError, Table};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn answers_of_python(name: &str) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(fixture(name).join("answers.json")).unwrap()).unwrap()
}

/// A fixture with one file changed.
fn changed(name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<Model, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let bytes = if entry.file_name() == file {
            change(bytes)
        } else {
            bytes
        };
        std::fs::write(folder.path().join(entry.file_name()), bytes).unwrap();
    }
    Model::load(folder.path())
}

fn replaced(name: &str, from: &str, to: &str) -> Result<Model, LoadError> {
    changed(name, "MLmodel", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    })
}

#[test]
fn answers_equal_those_of_scikit_learn_bit_by_bit() {
    for name in ["boosting", "forest", "missing", "tree", "whole", "words"] {
        let model = Model::load(&fixture(name)).unwrap();
        let answers = model.predict(&model.input_example().unwrap()).unwrap();
        assert_eq!(answers.values(), answers_of_python(name), "{name}");
    }
}

#[test]
fn a_linear_model_answers_too() {
    let model = Model::load(&fixture("ridge")).unwrap();
    assert_eq!(model.class(), "Ridge");
    let example = model.input_example().unwrap();
    assert_eq!(model.predict(&example).unwrap().rows(), example.rows());
}

#[test]
fn a_model_of_another_kind_is_refused_by_name() {
    let told = replaced(
        "tree",
        "loader_module: mlflow.sklearn",
        "loader_module: mlflow.pytorch",
    )
    .unwrap_err();
    assert!(matches!(told, LoadError::Unsupported { .. }));
    assert!(told.to_string().contains("mlflow.pytorch"), "{told}");
    let told = replaced("tree", "predict_fn: predict", "predict_fn: predict_proba").unwrap_err();
    assert!(told.to_string().contains("predict_proba"), "{told}");
    let told = replaced("tree", "pickled_model: model.skops", "pickled_model: ../x.skops").unwrap_err();
    assert!(told.to_string().contains("outside"), "{told}");
}

#[test]
fn a_damaged_file_is_named() {
    let told = changed("tree", "model.skops", |bytes| bytes[..bytes.len() / 2].to_vec()).unwrap_err();
    assert!(matches!(told, LoadError::Damaged { .. }), "{told}");
    assert!(told.to_string().contains("model.skops"), "{told}");
    let told = replaced("tree", "signature:", "signature: [").unwrap_err();
    assert!(told.to_string().contains("MLmodel"), "{told}");
    let told = Model::load(Path::new("/nonexistent")).unwrap_err();
    assert_eq!(told.kind(), lathe_types::ErrorKind::NotFound);
    // Every byte of the archive may be wrong; none may bring the process down.
    let bytes = std::fs::read(fixture("tree").join("model.skops")).unwrap();
    for position in (0..bytes.len()).step_by(97) {
        let _ = changed("tree", "model.skops", |mut bytes| {
            bytes[position] ^= 0xff;
            bytes
        });
    }
}

#[test]
fn a_missing_value_is_refused_where_scikit_learn_refuses_it() {
    let row = |value: Value| {
        json!({ "a": value, "b": 0, "c": 0, "d": 0 })
            .as_object()
            .unwrap()
            .clone()
    };
    let ask = |name: &str, value: Value| {
        let model = Model::load(&fixture(name)).unwrap();
        model.predict(&Table::from_records(&[row(value)], model.signature()).unwrap())
    };
    assert!(matches!(
        ask("boosting", Value::Null),
        Err(PredictError::NotFinite { .. })
    ));
    assert_eq!(ask("missing", Value::Null).unwrap().rows(), 1);
    assert!(matches!(
        ask("missing", json!(1e300)),
        Err(PredictError::NotFinite { .. })
    ));
}

#[test]
fn single_rows_are_timed() {
    let latency = lathe_serving::measure(&Model::load(&fixture("boosting")).unwrap()).unwrap();
    assert!(0.0 < latency.p50_ms && latency.p50_ms <= latency.p99_ms && 1_000 <= latency.calls);
}
