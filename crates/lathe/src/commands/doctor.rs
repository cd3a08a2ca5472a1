use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::Call;
use crate::exit::Outcome;
use crate::settings::{Place, STATE_FOLDER};
use crate::terminal::{self, Style, paint};
use crate::{clock, onnxruntime, process, python};

/// Check this machine: ports, disk, fsync speed, clock, database, Python, versions.
///
/// Every check says what it found and, if something is wrong, what to do. Exits with 1 if any check failed.
///
/// Examples:
///   lathe doctor
///   lathe doctor --port 5001 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The port that `lathe server` would use.
    #[arg(long, default_value_t = 5000)]
    port: u16,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    health: Health,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn bad(name: &'static str, health: Health, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            name,
            health,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Runs every check.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let state = call.folder.join(STATE_FOLDER);
    let probe_folder = if state.is_dir() {
        state
    } else {
        call.folder.clone()
    };
    let checks = vec![
        Check::ok("lathe", concat!(env!("CARGO_PKG_VERSION"), " ")),
        port(args.port),
        disk(&probe_folder),
        fsync(&probe_folder),
        clock_check(),
        database(call),
        python_check(&call.folder),
        uv(),
        onnx_runtime(),
        tool(
            "git",
            &call.folder,
            Health::Fail,
            "install git: runs record their commit",
        ),
        tool("dvc", &call.folder, Health::Ok, ""),
    ];
    let failed = checks.iter().any(|check| check.health == Health::Fail);
    if call.json {
        terminal::print_json(&checks)?;
    } else {
        for check in &checks {
            let mark = match check.health {
                Health::Ok => paint("ok  ", Style::Good),
                Health::Warn => paint("warn", Style::Warn),
                Health::Fail => paint("FAIL", Style::Bad),
            };
            println!("{mark} {:<9} {}", check.name, check.found.trim());
            if let Some(remedy) = &check.remedy {
                println!("               {remedy}");
            }
        }
    }
    if failed {
        anyhow::bail!("this machine is not ready");
    }
    Ok(Outcome::Done)
}

fn port(port: u16) -> Check {
    match TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))) {
        Ok(_) => Check::ok("port", format!("127.0.0.1:{port} is free")),
        Err(error) => Check::bad(
            "port",
            Health::Warn,
            format!("127.0.0.1:{port} cannot be used: {error}"),
            "start `lathe server` with another `--port`",
        ),
    }
}

fn disk(folder: &Path) -> Check {
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let free_gib = (stat.f_bavail * stat.f_frsize) as f64 / f64::from(1 << 30);
            let found = format!("{free_gib:.1} GiB free in {}", folder.display());
            if free_gib < 1.0 {
                Check::bad(
                    "disk",
                    Health::Fail,
                    found,
                    "make room: artifacts and the database need it",
                )
            } else {
                Check::ok("disk", found)
            }
        }
        Err(error) => Check::bad(
            "disk",
            Health::Fail,
            error.to_string(),
            "check that the folder exists",
        ),
    }
}

fn fsync(folder: &Path) -> Check {
    const ROUNDS: u32 = 20;
    let measure = || -> std::io::Result<f64> {
        use std::io::Write;
        let mut file = tempfile::tempfile_in(folder)?;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
        }
        Ok(start.elapsed().as_secs_f64() * 1_000.0 / f64::from(ROUNDS))
    };
    match measure() {
        Ok(ms) if ms < 20.0 => Check::ok("fsync", format!("{ms:.2} ms for 4 KiB")),
        Ok(ms) => Check::bad(
            "fsync",
            Health::Warn,
            format!("{ms:.1} ms for 4 KiB"),
            "every acknowledged write waits for this; keep the database on a faster disk",
        ),
        Err(error) => Check::bad(
            "fsync",
            Health::Fail,
            error.to_string(),
            "the folder must be writable",
        ),
    }
}

fn clock_check() -> Check {
    // 2024-01-01: this program is younger.
    const OLDEST: i64 = 1_704_067_200_000;
    let now = clock::now();
    if now.0 < OLDEST {
        return Check::bad(
            "clock",
            Health::Fail,
            now.to_string(),
            "set the clock: records carry its times",
        );
    }
    Check::ok("clock", now.to_string())
}

fn database(call: &Call) -> Check {
    match call.place() {
        Ok(Place::Server(url)) => match call
            .client()
            .and_then(|client| client.get::<serde_json::Value>("/api/v1/about"))
        {
            Ok(about) => Check::ok("server", format!("{url} answers: {about}")),
            Err(error) => Check::bad(
                "server",
                Health::Fail,
                format!("{error:#}"),
                "start it with `lathe server`",
            ),
        },
        Ok(Place::Embedded { database, .. }) if !database.exists() => {
            Check::ok("database", "none yet; the first run makes it")
        }
        Ok(Place::Embedded { database, .. }) => {
            match lathe_store::Store::open(&lathe_store::Location::Sqlite(database.clone())) {
                Ok(_) => Check::ok("database", format!("{} opens", database.display())),
                Err(error) => Check::bad(
                    "database",
                    Health::Fail,
                    format!("{:#}", anyhow::Error::from(error)),
                    "check the file's rights, and that no newer Lathe wrote it",
                ),
            }
        }
        Err(error) => Check::bad(
            "project",
            Health::Fail,
            format!("{error:#}"),
            "correct `lathe.toml`",
        ),
    }
}

fn python_check(folder: &Path) -> Check {
    match process::output_of("python3", &["--version"], folder) {
        Ok(version) => Check::ok("python", version),
        Err(_) => Check::bad(
            "python",
            Health::Warn,
            "no `python3` on PATH",
            "install Python 3.11 or newer if your stages need it; serving does not",
        ),
    }
}

fn uv() -> Check {
    match python::on_path("uv") {
        Some(path) => Check::ok("uv", path.display().to_string()),
        None => Check::ok(
            "uv",
            "not on PATH; taken from its Python package when an environment is made",
        ),
    }
}

fn onnx_runtime() -> Check {
    match onnxruntime::unnamed().first() {
        Some(found) => Check::ok("onnxruntime", found.path.display().to_string()),
        None => Check::ok(
            "onnxruntime",
            "not found; `lathe runtime install` gets it for the ONNX models that need it",
        ),
    }
}

fn tool(name: &'static str, folder: &Path, missing: Health, remedy: &str) -> Check {
    match process::output_of(name, &["--version"], folder) {
        Ok(version) => Check::ok(name, version.lines().next().unwrap_or_default()),
        Err(_) if missing == Health::Ok => Check::ok(name, "not found, not needed"),
        Err(_) => Check::bad(name, missing, "not found", remedy),
    }
}
