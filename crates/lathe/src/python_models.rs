//! The options that let models be answered by Python, and the Python that answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use lathe_serving::{Launcher, PythonPermission};
use lathe_types::Span;

use crate::exit::hinted;
use crate::{onnxruntime, python};

/// Variables of our own environment that models see; no others, since keys and tokens lie there.
const SEEN: [&str; 10] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "USER",
];

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Models that need Python")]
pub struct PythonArgs {
    /// Answer for models that the native engine does not know by Python processes, which execute what the models hold.
    #[arg(long, env = "LATHE_ALLOW_PYTHON", value_parser = FalseyValueParser::new())]
    allow_python: bool,
    /// Which Python: `active` (of VIRTUAL_ENV, else `python3` on PATH), `model` (an environment that uv makes of the
    /// model's `requirements.txt`), or the path of an interpreter. It needs `mlflow`.
    #[arg(long, default_value = "active", value_name = "WHICH")]
    python_env: String,
    /// Processes a model; each answers one request at a time.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    python_workers: u16,
    /// The address space that a process may take, in MiB; about 3000 are used by common libraries alone.
    #[arg(long, value_name = "MIB")]
    python_memory: Option<u64>,
    /// A process that takes longer over a request is ended and started again.
    #[arg(long, default_value = "60s", value_name = "SPAN")]
    python_timeout: Span,
    /// Let models use the network.
    #[arg(long)]
    python_network: bool,
}

impl PythonArgs {
    /// What models may, if anything.
    pub fn permission(&self) -> anyhow::Result<Option<PythonPermission>> {
        if !self.allow_python {
            return Ok(None);
        }
        if self.python_timeout.0 <= 0 {
            return Err(hinted(
                "`--python-timeout 0` leaves no time to answer",
                "say `60s`, for example",
            ));
        }
        let which = self.python_env.clone();
        let mut environment: Vec<(String, String)> = SEEN
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        // Processes are what makes a model use several cores.
        for threads in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            environment.push((threads.into(), "1".into()));
        }
        environment.push(("MLFLOW_DISABLE_TELEMETRY".into(), "true".into()));
        Ok(Some(PythonPermission {
            interpreter: Arc::new(move |folder| {
                interpreter(&which, folder).map_err(|error| format!("{error:#}"))
            }),
            launcher: Launcher {
                program: onnxruntime::own_program()?,
                arguments: vec!["confined".into()],
            },
            processes: self.python_workers.into(),
            memory_bytes_max: self.python_memory.map(|mib| mib << 20),
            timeout: Duration::from_millis(self.python_timeout.0.unsigned_abs()),
            network: self.python_network,
            environment,
        }))
    }
}

fn interpreter(which: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    match which {
        "active" => {
            let active = std::env::var_os("VIRTUAL_ENV").map(|root| PathBuf::from(root).join("bin/python"));
            active
                .filter(|python| python.is_file())
                .or_else(|| python::on_path("python3"))
                .ok_or_else(|| {
                    hinted(
                        "no `python3` on PATH",
                        "activate an environment that has `mlflow`",
                    )
                })
        }
        "model" => python::of_requirements(&folder.join("requirements.txt")),
        path => Ok(std::path::absolute(path)?),
    }
}
