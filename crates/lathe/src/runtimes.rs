//! The options that say what answers for models beside the native engine.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use lathe_serving::{Launcher, OnnxRuntime, Runtimes, Wish};
use lathe_types::Span;

use crate::exit::hinted;
use crate::onnxruntime::{self, Found};
use crate::python_models::PythonArgs;

#[derive(Debug, Clone, clap::Args)]
pub struct RuntimeArgs {
    #[command(flatten)]
    onnx: OnnxArgs,
    #[command(flatten)]
    python: PythonArgs,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "ONNX models")]
struct OnnxArgs {
    /// What answers for ONNX models: `auto` (what knows the model; if both do, what answers its input example sooner),
    /// `native` or `onnxruntime`.
    #[arg(long, default_value = "auto", value_name = "WHICH")]
    runtime: RuntimeWish,
    /// The shared library of ONNX Runtime, or its folder. Absent: of Lathe's data folder (`lathe runtime install`), else of
    /// the active Python environment.
    #[arg(long, env = "ORT_DYLIB_PATH", value_name = "PATH")]
    onnxruntime: Option<OsString>,
    /// Processes of ONNX Runtime a model; each answers one request at a time.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    onnxruntime_workers: u16,
    /// Threads that one request may use.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    onnxruntime_threads: u16,
    /// The address space that a process may take, in MiB.
    #[arg(long, value_name = "MIB")]
    onnxruntime_memory: Option<u64>,
    /// A process that takes longer over a request is ended and started again.
    #[arg(long, default_value = "60s", value_name = "SPAN")]
    onnxruntime_timeout: Span,
    /// Let this process answer itself, without the way to another: a model that ends ONNX Runtime then ends everything,
    /// and no request is ended for its time.
    #[arg(long, conflicts_with_all = ["onnxruntime_memory"])]
    onnxruntime_in_process: bool,
}

/// As [`Wish`], on the command line.
#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum RuntimeWish {
    /// What knows the model, or answers sooner.
    Auto,
    /// Lathe's own engine.
    Native,
    /// ONNX Runtime.
    #[value(name = "onnxruntime")]
    OnnxRuntime,
}

impl RuntimeArgs {
    /// What may answer for models.
    pub fn runtimes(&self) -> anyhow::Result<Runtimes> {
        let args = &self.onnx;
        if args.onnxruntime_timeout.0 <= 0 {
            return Err(hinted(
                "`--onnxruntime-timeout 0` leaves no time to answer",
                "say `60s`, for example",
            ));
        }
        let python = self.python.permission()?;
        let onnx = match onnxruntime::find(args.onnxruntime.as_deref())? {
            Ok(found) => Ok(OnnxRuntime {
                in_process: args.onnxruntime_in_process,
                processes: args.onnxruntime_workers.into(),
                threads: args.onnxruntime_threads.into(),
                memory_bytes_max: args.onnxruntime_memory.map(|mib| mib << 20),
                timeout: Duration::from_millis(args.onnxruntime_timeout.0.unsigned_abs()),
                ..of(found)?
            }),
            Err(missing) => Err(missing),
        };
        if python.is_some() || onnx.is_ok() {
            keep_broken_pipes_harmless()?;
        }
        Ok(Runtimes {
            python,
            onnx,
            wish: match args.runtime {
                RuntimeWish::Auto => Wish::Auto,
                RuntimeWish::Native => Wish::Native,
                RuntimeWish::OnnxRuntime => Wish::OnnxRuntime,
            },
        })
    }
}

/// What may answer for models where no options say it: no Python, and ONNX Runtime where it is found.
pub fn by_default() -> anyhow::Result<Runtimes> {
    let onnx = match onnxruntime::find(std::env::var_os("ORT_DYLIB_PATH").as_deref())? {
        Ok(found) => {
            keep_broken_pipes_harmless()?;
            Ok(of(found)?)
        }
        Err(missing) => Err(missing),
    };
    Ok(Runtimes {
        python: None,
        onnx,
        wish: Wish::Auto,
    })
}

fn of(found: Found) -> anyhow::Result<OnnxRuntime> {
    Ok(OnnxRuntime {
        library: found.path,
        launcher: Launcher {
            program: onnxruntime::own_program()?,
            arguments: vec!["onnx-worker".into()],
        },
        in_process: false,
        processes: 1,
        threads: 1,
        memory_bytes_max: None,
        timeout: Duration::from_secs(60),
        environment: onnxruntime::environment_seen(),
    })
}

/// A process that ended while a request is written to it must not end us.
fn keep_broken_pipes_harmless() -> anyhow::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::new(AtomicBool::new(false)))
        .context("signals cannot be heard")?;
    Ok(())
}
