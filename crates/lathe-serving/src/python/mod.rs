//! Models that only Python can answer: each has processes of its own, which load it with MLflow and answer over a
//! socket. They execute what the model holds, so they are started only where that is permitted. What they take is
//! checked here before; what they do to themselves ends with them.

mod frame;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::answers::{OutputSpec, PREDICTIONS};
use crate::predictor::{Inputs, Predictor};
use crate::processes::{Allowed, Launcher, Plan, Pool, confined};
use crate::signature::TensorSpec;
use crate::{Answers, LoadError, PredictError, Table};

/// What a process is taken to need where the system does not tell: MLflow and a common library.
const PROCESS_BYTES: u64 = 400 << 20;

/// Finds, or makes, the Python of a model's folder; says why not.
pub type Interpreter = Arc<dyn Fn(&Path) -> Result<PathBuf, String> + Send + Sync>;

/// Lets models be answered by Python, which executes what they hold.
#[derive(Clone)]
pub struct PythonPermission {
    /// Which Python answers for a model.
    pub interpreter: Interpreter,
    /// Makes our own program become the one that follows.
    pub launcher: Launcher,
    /// Processes a model.
    pub processes: usize,
    /// What a process may take of the address space; no limit if none.
    pub memory_bytes_max: Option<u64>,
    /// A call that takes longer ends its process.
    pub timeout: Duration,
    /// Whether models may use the network.
    pub network: bool,
    /// The environment of the processes; they see no other variables.
    pub environment: Vec<(String, String)>,
}

impl fmt::Debug for PythonPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PythonPermission")
            .field("processes", &self.processes)
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("timeout", &self.timeout)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// A model with its processes.
#[derive(Debug)]
pub(crate) struct PythonModel {
    inputs: Inputs,
    outputs: Vec<OutputSpec>,
    pool: Pool,
    tensors: Vec<TensorSpec>,
    processes: usize,
}

impl PythonModel {
    /// Starts the processes; returns when the first is ready. `checked` says that tables are as the signature wants
    /// them; else MLflow checks them.
    pub(crate) fn start(
        folder: &Path,
        tensors: Vec<TensorSpec>,
        checked: bool,
        permission: &PythonPermission,
    ) -> Result<Self, LoadError> {
        let failed = |what: String| LoadError::Damaged {
            path: folder.join("MLmodel"),
            what: format!("Python cannot load the model: {what}"),
        };
        let python = (permission.interpreter)(folder).map_err(failed)?;
        let settings = json!({
            "model": folder,
            "checked": checked,
        });
        let allowed = Allowed {
            memory_bytes_max: permission.memory_bytes_max,
            network: permission.network,
        };
        let what = vec![
            python.into_os_string(),
            "-c".into(),
            include_str!("worker.py").into(),
            settings.to_string().into(),
        ];
        let plan = Plan {
            name: "Python process",
            program: permission.launcher.program.clone(),
            arguments: confined(&permission.launcher, allowed, what),
            folder: folder.to_owned(),
            environment: permission.environment.clone(),
            processes: permission.processes.max(1),
            timeout: permission.timeout,
        };
        let (pool, _) = Pool::start(plan).map_err(failed)?;
        Ok(Self {
            inputs: Inputs {
                class: "MLflow pyfunc".into(),
                columns: Vec::new(),
                by_name: false,
            },
            outputs: vec![OutputSpec {
                name: PREDICTIONS.into(),
                datatype: "FP64",
                width: None,
            }],
            pool,
            tensors,
            processes: permission.processes.max(1),
        })
    }

    /// Takes over what answers look like from answers to the input example.
    pub(crate) fn learn_outputs(&mut self, answers: &Answers) {
        self.outputs = answers
            .outputs
            .iter()
            .map(|output| OutputSpec {
                name: output.name.clone(),
                datatype: output.values.datatype(),
                width: output.width,
            })
            .collect();
    }
}

impl Predictor for PythonModel {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        self.outputs.clone()
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let request = frame::request(table, &self.tensors)?;
        let (header, body) = self.pool.ask(&request)?;
        frame::answers(&header, &body)
    }

    fn memory_bytes(&self) -> Option<u64> {
        let one = self.pool.memory_bytes().unwrap_or(PROCESS_BYTES);
        Some(one.saturating_mul(self.processes as u64))
    }

    fn processes(&self) -> Option<usize> {
        Some(self.processes)
    }

    fn runtime(&self) -> &'static str {
        "python"
    }

    /// A model may look at all rows together.
    fn batches(&self) -> bool {
        false
    }
}
