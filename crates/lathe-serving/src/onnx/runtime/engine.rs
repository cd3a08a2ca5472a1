//! What asks ONNX Runtime: processes of their own, or this one.

use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use super::super::Engine;
use super::super::tensor::Tensor;
use super::session::{Session, Unanswered};
use super::wire::{decode, encode};
use super::worker::Settings;
use super::{Interface, OnnxRuntime};
use crate::PredictError;
use crate::processes::{Allowed, Plan, Pool, confined};

/// What a process is taken to need where the system does not tell.
const PROCESS_BYTES: u64 = 60 << 20;

/// Makes a graph ready; says what it takes and gives.
pub(in super::super) fn start(
    model: &Path,
    runtime: &OnnxRuntime,
) -> Result<(Box<dyn Engine>, Interface), String> {
    // The processes have a working folder of their own.
    let told = |error: std::io::Error| format!("`{}`: {error}", model.display());
    let model = &std::path::absolute(model).map_err(told)?;
    match runtime.in_process {
        true => Here::start(model, runtime),
        false => Apart::start(model, runtime),
    }
}

/// Processes answer.
#[derive(Debug)]
struct Apart {
    pool: Pool,
    processes: usize,
}

impl Apart {
    fn start(model: &Path, runtime: &OnnxRuntime) -> Result<(Box<dyn Engine>, Interface), String> {
        let settings = Settings {
            library: runtime.library.clone(),
            model: model.to_owned(),
            threads: runtime.threads,
        };
        let settings = serde_json::to_string(&settings).map_err(|error| error.to_string())?;
        // No model needs the network to answer.
        let allowed = Allowed {
            memory_bytes_max: runtime.memory_bytes_max,
            network: false,
        };
        let processes = runtime.processes.max(1);
        let plan = Plan {
            name: "ONNX Runtime process",
            program: runtime.launcher.program.clone(),
            arguments: confined(&runtime.launcher, allowed, vec![settings.into()]),
            folder: model.parent().unwrap_or(Path::new("/")).to_owned(),
            environment: runtime.environment.clone(),
            processes,
            timeout: runtime.timeout,
        };
        let (pool, ready) = Pool::start(plan)?;
        let interface = serde_json::from_value(ready.about).map_err(|error| error.to_string())?;
        Ok((Box::new(Self { pool, processes }), interface))
    }
}

impl Engine for Apart {
    fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, PredictError> {
        let request = encode(&inputs).map_err(PredictError::Failed)?;
        let (header, body) = self.pool.ask(&request)?;
        if let Some(what) = header.refused {
            return Err(PredictError::Shape(what));
        }
        if let Some(what) = header.raised {
            return Err(PredictError::Raised(what));
        }
        if let Some(what) = header.failed {
            return Err(PredictError::Failed(what));
        }
        decode(header.outputs, &body).map_err(|what| {
            PredictError::Failed(format!(
                "the model's process answers with something that is no answer: {what}"
            ))
        })
    }

    fn runtime(&self) -> &'static str {
        "onnxruntime"
    }

    fn processes(&self) -> Option<usize> {
        Some(self.processes)
    }

    fn memory_bytes(&self) -> Option<u64> {
        let one = self.pool.memory_bytes().unwrap_or(PROCESS_BYTES);
        Some(one.saturating_mul(self.processes as u64))
    }
}

/// This process answers. A session answers one request at a time: the binding does not trust more.
#[derive(Debug)]
struct Here {
    free: Mutex<Vec<Session>>,
    freed: Condvar,
}

impl Here {
    fn start(model: &Path, runtime: &OnnxRuntime) -> Result<(Box<dyn Engine>, Interface), String> {
        let sessions = (0..runtime.processes.max(1))
            .map(|_| Session::open(&runtime.library, model, runtime.threads))
            .collect::<Result<Vec<_>, _>>()?;
        let interface = sessions.first().map(Session::interface).unwrap_or_default();
        let here = Self {
            free: Mutex::new(sessions),
            freed: Condvar::new(),
        };
        Ok((Box::new(here), interface))
    }
}

impl Engine for Here {
    fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, PredictError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let session = loop {
            match free.pop() {
                Some(session) => break session,
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        // It goes back also when the binding panics.
        let mut lent = Lent {
            here: self,
            session: Some(session),
        };
        let made = lent.session.as_mut().map(|session| session.run(inputs));
        match made.unwrap_or_else(|| Err(Unanswered::Raised("it has no session".into()))) {
            Ok(outputs) => Ok(outputs),
            Err(Unanswered::Refused(what)) => Err(PredictError::Shape(what)),
            Err(Unanswered::Raised(what)) => Err(PredictError::Raised(what)),
        }
    }

    fn runtime(&self) -> &'static str {
        "onnxruntime"
    }
}

struct Lent<'a> {
    here: &'a Here,
    session: Option<Session>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut free = self.here.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.extend(self.session.take());
        self.here.freed.notify_one();
    }
}
