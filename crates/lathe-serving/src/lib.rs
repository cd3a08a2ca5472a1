//! Models that answer: load an MLflow model folder, predict without Python. Only this crate knows model file formats
//! and runtimes. It knows nothing of HTTP and nothing of the registry, and it never executes what a file holds:
//! model files are read as data, whatever Python would make of them. What executes them, or may break over them, are
//! other processes.

mod answers;
mod catboost;
mod choice;
mod combine;
mod error;
mod file;
mod forms;
mod handover;
mod lightgbm;
mod load;
mod mlmodel;
mod model;
mod nan;
mod objects;
mod onnx;
mod params;
mod predictor;
mod processes;
mod python;
mod signature;
mod sklearn;
mod table;
mod trees;
mod xgboost;

pub use answers::{Answers, Output, OutputSpec, Values};
pub use choice::{Choice, Measured};
pub use combine::{Misfit, gather, mean, vote};
pub use error::{LoadError, PredictError};
pub use forms::{gathered, mean_of, vote_of};
pub use load::{Runtimes, Wish};
pub use model::{Facts, Latency, Model, max_abs_diff, measure};
pub use nan::without_bare_nan;
pub use onnx::{OnnxRuntime, answer_over, library_of_wheel, onnxruntime_build};
pub use params::{Given, ParamSchema};
pub use processes::{Launcher, tell_failure};
pub use python::{Interpreter, PythonPermission};
pub use signature::{ColumnSpec, ColumnType, InputSpec, Signature, TensorSpec};
pub use table::{Column, Table};
