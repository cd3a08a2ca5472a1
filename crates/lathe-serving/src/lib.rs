//! Models that answer: load an MLflow model folder, predict without Python. Only this crate knows model file formats
//! and runtimes. It knows nothing of HTTP and nothing of the registry, and it never executes what a file holds:
//! model files are read as data, whatever Python would make of them.

mod answers;
mod catboost;
mod combine;
mod error;
mod file;
mod handover;
mod lightgbm;
mod mlmodel;
mod model;
mod nan;
mod objects;
mod onnx;
mod predictor;
mod python;
mod signature;
mod sklearn;
mod table;
mod trees;
mod xgboost;

pub use answers::{Answers, Output, OutputSpec, Values};
pub use combine::{Misfit, gather, gathered, mean, mean_of, vote, vote_of};
pub use error::{LoadError, PredictError};
pub use model::{Facts, Latency, Model, max_abs_diff, measure};
pub use nan::without_bare_nan;
pub use python::{Interpreter, PythonPermission};
pub use signature::{ColumnSpec, ColumnType, Signature};
pub use table::{Column, Table};
