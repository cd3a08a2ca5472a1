//! The Python environment of a project: made from its lock file by uv, kept by digest, shared by every worktree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use lathe_types::executions::Environment;
use lathe_types::project::{EnvironmentSpec, PythonManager};
use sha2::{Digest, Sha256};

use crate::exit::{hint, hinted};
use crate::{process, settings};

/// An environment that stages run in.
#[derive(Debug, Clone)]
pub struct Python {
    /// Its `bin` folder, put first on PATH; none where the caller's own PATH serves.
    pub bin: Option<PathBuf>,
    /// What is recorded with the run.
    pub record: Environment,
}

impl Python {
    /// The PATH of the stages: the environment's programs come first.
    pub fn path(&self) -> Option<String> {
        let bin = self.bin.as_ref()?;
        Some(match std::env::var("PATH") {
            Ok(path) => format!("{}:{path}", bin.display()),
            Err(_) => bin.display().to_string(),
        })
    }

    /// The interpreter.
    pub fn interpreter(&self) -> PathBuf {
        match &self.bin {
            Some(bin) => bin.join("python"),
            None => PathBuf::from("python3"),
        }
    }
}

/// Makes the environment that the project declares, unless it is there already. `tell` hears what takes time.
pub fn prepare(
    spec: Option<&EnvironmentSpec>,
    root: &Path,
    tell: &mut dyn FnMut(&str),
) -> anyhow::Result<Python> {
    let platform = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    let Some(EnvironmentSpec { python }) = spec else {
        let interpreter = process::output_of("python3", &["--version"], root).ok();
        let digest = digest_of(&["none", &platform, interpreter.as_deref().unwrap_or("")]);
        let record = Environment {
            digest,
            manager: "none".into(),
            lock_path: None,
            lock_sha256: None,
            interpreter,
            platform,
        };
        return Ok(Python { bin: None, record });
    };
    let PythonManager::Uv = python.manager;
    let lock = root.join(&python.requirements);
    let text = std::fs::read(&lock).map_err(|error| {
        anyhow::Error::new(error).context(hint(
            format!(
                "the lock file `{}` named in `[environment]` cannot be read",
                lock.display()
            ),
            "make it with `uv pip compile requirements.in -o requirements.lock`, or correct its path",
        ))
    })?;
    let base = base_interpreter(root)?;
    let interpreter = process::output_of(&base, &["--version"], root)?;
    let lock_sha256 = hex(&Sha256::digest(&text));
    let digest = digest_of(&["uv", &platform, &interpreter, &lock_sha256]);
    let record = Environment {
        digest: digest.clone(),
        manager: "uv".into(),
        lock_path: Some(python.requirements.clone()),
        lock_sha256: Some(lock_sha256),
        interpreter: Some(interpreter),
        platform,
    };
    let environments = settings::cache_folder()?.join("environments");
    let folder = environments.join(&digest[..16]);
    if !folder.join(READY_MARK).is_file() {
        tell(&format!(
            "making the Python environment from {} ({})",
            python.requirements,
            &digest[..12]
        ));
        create(&environments, &folder, &base, &lock)?;
    }
    Ok(Python {
        bin: Some(folder.join("bin")),
        record,
    })
}

/// Its presence says that the environment was completed.
const READY_MARK: &str = ".lathe-ready";

/// Made in a folder of its own and renamed when complete; of two who make the same, the first one's stays.
fn create(environments: &Path, folder: &Path, base: &Path, lock: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(environments)
        .with_context(|| format!("failed to create `{}`", environments.display()))?;
    let guard = std::fs::File::create(folder.with_extension("lock"))?;
    guard
        .lock()
        .with_context(|| format!("failed to lock `{}`", folder.display()))?;
    if folder.join(READY_MARK).is_file() {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| {
            format!(
                "failed to remove the unfinished environment `{}`",
                folder.display()
            )
        })?;
    }
    let uv = find_uv(environments)?;
    uv_command(
        &uv,
        &["venv", "--quiet", "--python"],
        &[base.as_os_str(), folder.as_os_str()],
    )?;
    let python = folder.join("bin/python");
    uv_command(
        &uv,
        &["pip", "sync", "--quiet", "--python"],
        &[python.as_os_str(), lock.as_os_str()],
    )?;
    std::fs::write(folder.join(READY_MARK), "")?;
    Ok(())
}

fn uv_command(uv: &Path, args: &[&str], paths: &[&std::ffi::OsStr]) -> anyhow::Result<()> {
    let output = Command::new(uv)
        .args(args)
        .args(paths)
        .output()
        .with_context(|| format!("failed to start `{}`", uv.display()))?;
    if !output.status.success() {
        bail!(
            "`uv {}` failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// uv on PATH, else the one from its PyPI package, installed once beside the environments.
fn find_uv(environments: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = on_path("uv") {
        return Ok(found);
    }
    let tools = environments.join("uv-tool");
    let uv = tools.join("bin/uv");
    let guard = std::fs::File::create(environments.join("uv-tool.lock"))?;
    guard
        .lock()
        .context("failed to lock the folder of Python environments")?;
    if !uv.is_file() {
        let base = base_interpreter(environments)?;
        process::output_of(&base, &["-m", "venv", &tools.to_string_lossy()], environments)?;
        let pip = tools.join("bin/python");
        process::output_of(pip, &["-m", "pip", "install", "--quiet", "uv"], environments).map_err(
            |error| error.context(hint("uv could not be installed", "install uv and put it on PATH")),
        )?;
    }
    Ok(uv)
}

/// Runs a program of a PyPI package in an environment of its own, which uv keeps; returns what it printed.
pub fn run_tool(package: &str, args: &[&str], folder: &Path) -> anyhow::Result<String> {
    let environments = settings::cache_folder()?.join("environments");
    std::fs::create_dir_all(&environments)?;
    let uv = find_uv(&environments)?;
    let run = ["tool", "run", "--quiet", "--from", package];
    process::output_of(uv, &[run.as_slice(), args].concat(), folder)
}

fn base_interpreter(folder: &Path) -> anyhow::Result<PathBuf> {
    let python = on_path("python3").ok_or_else(|| {
        hinted(
            "no `python3` on PATH",
            "install Python 3.11 or newer; the project's stages need it",
        )
    })?;
    let version = process::output_of(
        &python,
        &["-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        folder,
    )?;
    let new_enough = version
        .split_once('.')
        .is_some_and(|(major, minor)| (3, 11) <= (major.parse().unwrap_or(0), minor.parse().unwrap_or(0)));
    if !new_enough {
        return Err(hinted(
            format!("`python3` is {version}"),
            "install Python 3.11 or newer",
        ));
    }
    Ok(python)
}

/// The first executable of this name on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn digest_of(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
