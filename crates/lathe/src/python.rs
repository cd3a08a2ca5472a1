//! The Python environment of a project: made from its lock file by uv, venv, conda or pixi, kept by digest, shared by
//! every worktree; or one that is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use lathe_types::executions::Environment;
use lathe_types::project::{EnvironmentSpec, PythonManager, PythonSpec};
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
    let Some(EnvironmentSpec { python }) = spec.filter(|spec| spec.python.manager != PythonManager::None)
    else {
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
    let inputs = Inputs::load(python, root)?;
    if let Some(folder) = &python.path {
        return there(&root.join(folder), &inputs, platform);
    }
    let base = match python.manager {
        PythonManager::Uv | PythonManager::Venv => Some(base_interpreter(root)?),
        _ => None,
    };
    let interpreter = match &base {
        Some(base) => process::output_of(base, &["--version"], root)?,
        None => String::new(),
    };
    let manager = python.manager.name();
    let digest = digest_of(&[manager, &platform, &interpreter, &inputs.sha256]);
    let record = Environment {
        digest: digest.clone(),
        manager: manager.into(),
        lock_path: Some(inputs.path.clone()),
        lock_sha256: Some(inputs.sha256.clone()),
        interpreter: base.is_some().then_some(interpreter),
        platform,
    };
    let environments = settings::cache_folder()?.join("environments");
    let folder = match python.manager {
        // pixi keeps its environments where the project is.
        PythonManager::Pixi => root.join(".pixi/envs/default"),
        _ => environments.join(&digest[..16]),
    };
    let is_ready = folder.join(READY_MARK).is_file() && python.manager != PythonManager::Pixi;
    if !is_ready {
        tell(&format!(
            "making the Python environment from {} ({})",
            inputs.path,
            &digest[..12]
        ));
        create(&environments, &folder, &inputs, base.as_deref(), root)?;
    }
    Ok(Python {
        bin: Some(folder.join("bin")),
        record,
    })
}

/// The interpreter of an environment that has what a list of requirements asks for; made by uv, kept by digest.
pub fn of_requirements(file: &Path) -> anyhow::Result<PathBuf> {
    let text = std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let environments = settings::cache_folder()?.join("environments");
    std::fs::create_dir_all(&environments)
        .with_context(|| format!("failed to create `{}`", environments.display()))?;
    let base = base_interpreter(&environments)?;
    let version = process::output_of(&base, &["--version"], &environments)?;
    let digest = digest_of(&["requirements", &version, &hex::encode(Sha256::digest(&text))]);
    let folder = environments.join(&digest[..16]);
    let guard = std::fs::File::create(folder.with_extension("lock"))?;
    guard
        .lock()
        .with_context(|| format!("failed to lock `{}`", folder.display()))?;
    let python = folder.join("bin/python");
    if folder.join(READY_MARK).is_file() {
        return Ok(python);
    }
    let uv = find_uv(&environments)?;
    uv_command(
        &uv,
        &["venv", "--quiet", "--clear", "--python"],
        &[base.as_os_str(), folder.as_os_str()],
    )?;
    uv_command(
        &uv,
        &["pip", "install", "--quiet", "--python"],
        &[python.as_os_str(), "--requirement".as_ref(), file.as_os_str()],
    )?;
    std::fs::write(folder.join(READY_MARK), "")?;
    Ok(python)
}

/// A digest of what the project declares, without starting anything: what a stage was executed in, last, is compared
/// with it. Nothing if the caller's own Python is used.
pub fn fingerprint(spec: Option<&EnvironmentSpec>, root: &Path) -> anyhow::Result<Option<String>> {
    match spec {
        Some(EnvironmentSpec { python }) if python.manager != PythonManager::None => {
            let inputs = Inputs::load(python, root)?;
            Ok(Some(digest_of(&[python.manager.name(), &inputs.sha256])))
        }
        _ => Ok(None),
    }
}

/// The files that another machine needs to make the environment.
pub fn files_of(spec: &EnvironmentSpec, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let python = &spec.python;
    if python.manager == PythonManager::None {
        return Ok(Vec::new());
    }
    if let Some(path) = &python.path {
        return Err(hinted(
            format!("`[environment]` names the folder `{path}`, which other machines do not have"),
            "name `requirements` or a `lock` in its place, so that they can make it",
        ));
    }
    let mut files = vec![Inputs::load(python, root)?.file];
    // Managers with a lock of their own read it beside these.
    let beside = ["pyproject.toml", "pixi.toml"].map(|name| root.join(name));
    files.extend(beside.into_iter().filter(|file| file.is_file()));
    Ok(files)
}

/// What an environment is made from: a lock file, or what is installed in one that is there.
struct Inputs {
    manager: PythonManager,
    /// As the project names it.
    path: String,
    /// The file.
    file: PathBuf,
    sha256: String,
    /// Whether the file is a lock of uv, and not a list of requirements.
    is_lock: bool,
}

impl Inputs {
    fn load(spec: &PythonSpec, root: &Path) -> anyhow::Result<Self> {
        if let Some(path) = &spec.path {
            let installed = installed(&root.join(path))?;
            return Ok(Self {
                manager: spec.manager,
                path: path.clone(),
                file: root.join(path),
                sha256: digest_of(&installed.iter().map(String::as_str).collect::<Vec<_>>()),
                is_lock: false,
            });
        }
        let path = match (&spec.lock, &spec.requirements) {
            (Some(lock), _) => lock,
            (None, Some(requirements)) => requirements,
            (None, None) => "pixi.lock",
        };
        let file = root.join(path);
        let text = std::fs::read(&file).map_err(|error| {
            anyhow::Error::new(error).context(hint(
                format!(
                    "the lock file `{}` named in `[environment]` cannot be read",
                    file.display()
                ),
                "make it with `uv pip compile requirements.in -o requirements.lock`, or correct its path",
            ))
        })?;
        Ok(Self {
            manager: spec.manager,
            path: path.to_owned(),
            sha256: hex::encode(Sha256::digest(&text)),
            file,
            is_lock: spec.lock.is_some(),
        })
    }
}

/// The names and versions of what is installed in an environment of venv or conda.
fn installed(folder: &Path) -> anyhow::Result<Vec<String>> {
    let names = |at: &Path, suffix: &str| -> Vec<String> {
        let entries = std::fs::read_dir(at).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(suffix)).collect()
    };
    let mut found = names(&folder.join("conda-meta"), ".json");
    for python in names(&folder.join("lib"), "")
        .into_iter()
        .filter(|name| name.starts_with("python"))
    {
        found.extend(names(
            &folder.join("lib").join(&python).join("site-packages"),
            ".dist-info",
        ));
        found.push(python);
    }
    if !folder.join("bin").is_dir() {
        return Err(hinted(
            format!("`{}` of `[environment]` is no environment", folder.display()),
            "make it with `python3 -m venv`, `uv venv` or `conda create -p`, or correct its path",
        ));
    }
    found.sort();
    Ok(found)
}

/// An environment that somebody else takes care of.
fn there(folder: &Path, inputs: &Inputs, platform: String) -> anyhow::Result<Python> {
    let interpreter = process::output_of(folder.join("bin/python"), &["--version"], folder).ok();
    let manager = inputs.manager.name();
    let digest = digest_of(&[
        manager,
        &platform,
        interpreter.as_deref().unwrap_or(""),
        &inputs.sha256,
    ]);
    let record = Environment {
        digest,
        manager: manager.into(),
        lock_path: None,
        lock_sha256: Some(inputs.sha256.clone()),
        interpreter,
        platform,
    };
    Ok(Python {
        bin: Some(folder.join("bin")),
        record,
    })
}

/// Its presence says that the environment was completed.
const READY_MARK: &str = ".lathe-ready";

/// One at a time makes it; of two who want the same, the second finds it made.
fn create(
    environments: &Path,
    folder: &Path,
    inputs: &Inputs,
    base: Option<&Path>,
    root: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(environments)
        .with_context(|| format!("failed to create `{}`", environments.display()))?;
    if inputs.manager == PythonManager::Pixi {
        tool(&["pixi"], &["install", "--frozen", "--quiet"], root)?;
        return Ok(());
    }
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
    let at = folder.to_string_lossy();
    let file = inputs.file.to_string_lossy();
    match (inputs.manager, base) {
        (PythonManager::Uv, Some(base)) => with_uv(environments, folder, inputs, base, root)?,
        (PythonManager::Venv, Some(base)) => {
            process::output_of(base, &["-m", "venv", &at], root)?;
            let pip = ["-m", "pip", "install", "--quiet", "--requirement", &file];
            process::output_of(folder.join("bin/python"), &pip, root)?;
        }
        _ => {
            let conda = ["conda", "mamba", "micromamba"];
            tool(
                &conda,
                &[
                    "env", "create", "--quiet", "--yes", "--prefix", &at, "--file", &file,
                ],
                root,
            )?;
        }
    }
    std::fs::write(folder.join(READY_MARK), "")?;
    Ok(())
}

fn with_uv(
    environments: &Path,
    folder: &Path,
    inputs: &Inputs,
    base: &Path,
    root: &Path,
) -> anyhow::Result<()> {
    let uv = find_uv(environments)?;
    if !inputs.is_lock {
        uv_command(
            &uv,
            &["venv", "--quiet", "--python"],
            &[base.as_os_str(), folder.as_os_str()],
        )?;
        let python = folder.join("bin/python");
        return uv_command(
            &uv,
            &["pip", "sync", "--quiet", "--python"],
            &[python.as_os_str(), inputs.file.as_os_str()],
        );
    }
    // The project itself is not installed: the environment is shared by every checkout of it.
    let output = Command::new(&uv)
        .args([
            "sync",
            "--frozen",
            "--quiet",
            "--no-install-project",
            "--all-groups",
            "--python",
        ])
        .arg(base)
        .current_dir(inputs.file.parent().unwrap_or(root))
        .env("UV_PROJECT_ENVIRONMENT", folder)
        .output()
        .with_context(|| format!("failed to start `{}`", uv.display()))?;
    if !output.status.success() {
        bail!(
            "`uv sync` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Runs the first of these programs that is on PATH.
fn tool(names: &[&str], args: &[&str], folder: &Path) -> anyhow::Result<()> {
    let program = names.iter().find_map(|name| on_path(name)).ok_or_else(|| {
        hinted(
            format!("`{}` of `[environment]` is not on PATH", names[0]),
            format!("install {}, or declare another manager", names.join(" or ")),
        )
    })?;
    process::output_of(program, args, folder).map(drop)
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
    hex::encode(hasher.finalize())
}
