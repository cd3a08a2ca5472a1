//! ONNX Runtime, for graphs that the native engine does not know, or is slower at. Its shared library is loaded when a
//! model needs it, and by default only in processes of their own: it is a large program in C++ that reads files from
//! elsewhere. Where the library is found is for the binary to say.

mod engine;
mod session;
mod wheel;
mod wire;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use engine::start;
pub use wheel::library_of_wheel;
pub use worker::{answer_over, onnxruntime_build};

use super::message::Slot;
use crate::processes::Launcher;

/// Lets ONNX models be answered by ONNX Runtime.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    /// Its shared library.
    pub library: PathBuf,
    /// Makes our own program call [`answer_over`] with what follows.
    pub launcher: Launcher,
    /// Whether this process is to answer itself: without the way to another one, and with it when the library fails.
    pub in_process: bool,
    /// Processes a model, or sessions where this process answers.
    pub processes: usize,
    /// Threads that one request may use.
    pub threads: usize,
    /// What a process may take of the address space; no limit if none.
    pub memory_bytes_max: Option<u64>,
    /// A call that takes longer ends its process.
    pub timeout: Duration,
    /// The environment of the processes; they see no other variables.
    pub environment: Vec<(String, String)>,
}

/// What a graph takes and gives, as ONNX Runtime tells it.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Interface {
    pub(super) inputs: Vec<Slot>,
    pub(super) outputs: Vec<Slot>,
}
