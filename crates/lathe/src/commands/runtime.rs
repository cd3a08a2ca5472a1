use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Call;
use crate::exit::Outcome;
use crate::onnxruntime::{self, Found, Wheel};
use crate::terminal;

/// ONNX Runtime, which answers for ONNX models that Lathe's own engine does not know, or is slower at.
///
/// Examples:
///   lathe runtime list                       which libraries there are, and which is used
///   lathe runtime install                    from PyPI, or the index that PIP_INDEX_URL names
///   lathe runtime install --from onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Get the shared library of ONNX Runtime into Lathe's data folder (LATHE_DATA_DIR, else ~/.local/share/lathe).
    ///
    /// It is taken from a wheel of PyPI's `onnxruntime`, of one version, known by its hash; Python is not needed.
    ///
    /// Examples:
    ///   lathe runtime install
    ///   lathe runtime install --index https://mirror.example/simple
    #[command(verbatim_doc_comment)]
    Install {
        /// The package index, as pip's `--index-url` names it.
        #[arg(
            long,
            env = "PIP_INDEX_URL",
            hide_env_values = true,
            default_value = "https://pypi.org/simple",
            value_name = "URL"
        )]
        index: String,
        /// A wheel that is here already; no index is asked.
        #[arg(long, value_name = "WHEEL")]
        from: Option<PathBuf>,
    },
    /// Show the libraries that are found, in the order in which they are taken, and which is used.
    ///
    /// Examples:
    ///   lathe runtime list --json
    #[command(verbatim_doc_comment, visible_alias = "status")]
    List {
        /// The library that would be named to `lathe serve`, or its folder.
        #[arg(long, env = "ORT_DYLIB_PATH", value_name = "PATH")]
        onnxruntime: Option<OsString>,
    },
}

/// Gets, or shows.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match args.act {
        Act::Install { index, from } => {
            let wheel = Wheel::of_this_platform()?;
            if !call.quiet && !call.json {
                eprintln!("getting {}", wheel.file);
            }
            let from = from.map(|path| call.folder.join(path));
            let (found, is_new) =
                onnxruntime::install(&onnxruntime::installed_folder()?, &index, from.as_deref())?;
            if call.json {
                terminal::print_json(
                    &json!({ "path": found.path, "version": wheel.version, "installed": is_new }),
                )?;
            } else {
                let how = if is_new { "installed" } else { "is there already" };
                println!("ONNX Runtime {} {how}: {}", wheel.version, found.path.display());
            }
        }
        Act::List { onnxruntime } => {
            let mut all = Vec::new();
            if let Some(path) = onnxruntime.filter(|path| !path.is_empty()) {
                all.push(onnxruntime::named(Path::new(&path))?);
            }
            all.extend(onnxruntime::unnamed());
            let told: Vec<Value> = all
                .iter()
                .enumerate()
                .map(|(at, found)| tell(found, at == 0))
                .collect();
            if call.json {
                terminal::print_json(&json!({ "libraries": told }))?;
            } else if told.is_empty() {
                println!("there is no ONNX Runtime here; `lathe runtime install` gets one");
            } else {
                for one in told {
                    let text = |name: &str| one[name].as_str().unwrap_or("?").to_owned();
                    let used = if one["used"] == true {
                        "used    "
                    } else {
                        "not used"
                    };
                    println!("{used}  {}  {}  ({})", text("version"), text("path"), text("why"));
                }
            }
        }
    }
    Ok(Outcome::Done)
}

fn tell(found: &Found, is_first: bool) -> Value {
    let (build, error) = match found.build() {
        Ok(build) => (Some(build), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let why = match (&error, is_first) {
        (Some(error), _) => format!("of {}, and cannot be loaded: {error}", found.place),
        (None, true) => format!("of {}, which comes first", found.place),
        (None, false) => format!("of {}, which comes later", found.place),
    };
    json!({
        "path": found.path,
        "place": found.place,
        "version": found.version(),
        "build": build,
        "used": is_first,
        "error": error,
        "why": why,
    })
}
