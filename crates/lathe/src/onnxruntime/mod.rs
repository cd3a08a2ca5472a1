//! Where ONNX Runtime's shared library is found, and how one gets into Lathe's data folder. What is done with it is for
//! the room of serving to know.

mod index;
mod install;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::exit::hinted;
use crate::{python, settings};

pub use install::{Wheel, install};

/// A library that may be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The file, or a name that the system's loader knows.
    pub path: PathBuf,
    /// Where it was found, for people.
    pub place: &'static str,
}

impl Found {
    /// Its version, where the file's name tells.
    pub fn version(&self) -> Option<String> {
        let name = self.path.file_name()?.to_str()?;
        let rest = name.strip_prefix("libonnxruntime.")?;
        let version = rest.strip_prefix("so.").or_else(|| rest.strip_suffix(".dylib"))?;
        Some(version.to_owned())
    }

    /// How it says it was built; looks in another process, which a broken library may end.
    pub fn build(&self) -> anyhow::Result<String> {
        let looked = Command::new(own_program()?)
            .args(["onnx-worker", "--build-of"])
            .arg(&self.path)
            .env_clear()
            .envs(environment_seen())
            .stdin(Stdio::null())
            .output()?;
        if looked.status.success() {
            return Ok(String::from_utf8_lossy(&looked.stdout).trim().to_owned());
        }
        match String::from_utf8_lossy(&looked.stderr).trim() {
            "" => bail!("loading it ended the process: {}", looked.status),
            complaint => bail!("{}", complaint.trim_start_matches("error: ")),
        }
    }
}

/// The library to use: the named one, else the first that is there. The text says why there is none.
pub fn find(path: Option<&OsStr>) -> anyhow::Result<Result<Found, String>> {
    // An empty variable is no path.
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        return named(Path::new(path)).map(Ok);
    }
    Ok(unnamed().into_iter().next().ok_or_else(|| {
        "there is no ONNX Runtime here; `lathe runtime install` gets one, `--onnxruntime PATH` names one"
            .into()
    }))
}

/// The library that the option or the variable names.
pub fn named(path: &Path) -> anyhow::Result<Found> {
    let found = if path.is_dir() {
        newest_in(path)
    } else if path.is_file() {
        Some(path.to_owned())
    } else {
        None
    };
    let place = "`--onnxruntime` or ORT_DYLIB_PATH";
    match found {
        Some(file) => Ok(Found {
            path: std::path::absolute(file)?,
            place,
        }),
        // The system's loader knows a mere name, or says that it does not.
        None if path.components().count() == 1 => Ok(Found {
            path: path.to_owned(),
            place,
        }),
        None => Err(hinted(
            format!("there is no ONNX Runtime at `{}`", path.display()),
            "name `libonnxruntime.so` or its folder, or leave it out: `lathe runtime install` gets one",
        )),
    }
}

/// The libraries that are found where nothing is named, those to be preferred first.
pub fn unnamed() -> Vec<Found> {
    let mut found = Vec::new();
    // Without a home folder nothing was installed.
    let installed = installed_folder().ok();
    let mut versions: Vec<PathBuf> = installed.iter().flat_map(|folder| entries(folder)).collect();
    versions.sort_by_key(|folder| numbers(&folder.to_string_lossy()));
    for folder in versions.iter().rev() {
        found.extend(newest_in(folder).map(|path| Found {
            path,
            place: "Lathe's data folder",
        }));
    }
    if let Some(root) = environment() {
        for python in entries(&root.join("lib")) {
            let folder = python.join("site-packages/onnxruntime/capi");
            found.extend(newest_in(&folder).map(|path| Found {
                path,
                place: "the active Python environment",
            }));
        }
    }
    found
}

/// Where `lathe runtime install` puts what it gets.
pub fn installed_folder() -> anyhow::Result<PathBuf> {
    Ok(settings::data_folder()?.join("onnxruntime"))
}

/// Our own program, also when its file was replaced meanwhile.
pub fn own_program() -> anyhow::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    match running.exists() {
        true => Ok(running),
        false => Ok(std::env::current_exe()?),
    }
}

/// What processes that load the library see of our environment: what finds the libraries that it needs.
pub fn environment_seen() -> Vec<(String, String)> {
    let seen = ["LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];
    let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    seen.into_iter().filter_map(variable).collect()
}

/// The Python environment of the caller.
fn environment() -> Option<PathBuf> {
    let named = ["VIRTUAL_ENV", "CONDA_PREFIX"].map(std::env::var_os);
    let named = named.into_iter().flatten().find(|root| !root.is_empty());
    named
        .map(PathBuf::from)
        .or_else(|| Some(python::on_path("python3")?.parent()?.parent()?.to_owned()))
}

fn newest_in(folder: &Path) -> Option<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix("libonnxruntime.");
        rest.is_some_and(|rest| rest.starts_with("so") || rest.ends_with("dylib"))
    };
    entries(folder)
        .into_iter()
        .filter(is_library)
        .max_by_key(|path| numbers(&path.file_name().unwrap_or_default().to_string_lossy()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The numbers in a name, so that 1.10 comes after 1.9.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_is_taken_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.10.2",
            "libonnxruntime_providers_shared.so",
            "onnxruntime_pybind11_state.so",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = named(folder.path()).unwrap();
        assert_eq!(found.path, folder.path().join("libonnxruntime.so.1.10.2"));
        assert_eq!(found.version().unwrap(), "1.10.2");
    }

    #[test]
    fn a_named_library_that_is_not_there_is_told_with_its_path() {
        let told = named(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
        assert_eq!(
            told.to_string(),
            "there is no ONNX Runtime at `/nowhere/libonnxruntime.so`"
        );
        // The loader of the system looks for a mere name.
        assert_eq!(
            named(Path::new("libonnxruntime.so")).unwrap().path,
            Path::new("libonnxruntime.so")
        );
    }
}
