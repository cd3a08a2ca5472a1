//! Getting ONNX Runtime: one wheel of PyPI for each platform, known by its hash, of which the shared library is kept.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::Found;
use super::index::Index;
use crate::exit::{hint, hinted};

/// A wheel whose library is known to work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wheel {
    platform: (&'static str, &'static str),
    pub version: &'static str,
    pub file: &'static str,
    sha256: &'static str,
}

const WHEELS: [Wheel; 3] = [
    Wheel {
        platform: ("linux", "x86_64"),
        version: "1.32.0",
        file: "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
    },
    Wheel {
        platform: ("linux", "aarch64"),
        version: "1.32.0",
        file: "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        sha256: "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
    },
    Wheel {
        platform: ("macos", "aarch64"),
        version: "1.32.0",
        file: "onnxruntime-1.32.0-cp311-cp311-macosx_14_0_arm64.whl",
        sha256: "366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c",
    },
];

impl Wheel {
    /// The one for this machine.
    pub fn of_this_platform() -> anyhow::Result<&'static Self> {
        let platform = (std::env::consts::OS, std::env::consts::ARCH);
        WHEELS
            .iter()
            .find(|wheel| wheel.platform == platform)
            .ok_or_else(|| {
                hinted(
                    format!("no ONNX Runtime is known for {} on {}", platform.0, platform.1),
                    "get one elsewhere and name its library with `--onnxruntime PATH`",
                )
            })
    }

    fn check(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let found: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found != self.sha256 {
            return Err(hinted(
                format!(
                    "`{}` has the SHA-256 {found}, not {}: it is not used",
                    self.file, self.sha256
                ),
                "the file was damaged or replaced; try again, or another index with `--index`",
            ));
        }
        Ok(())
    }
}

/// Puts the library of this platform into `folder`, from a wheel that is here or from an index, and makes sure that it
/// can be loaded. Nothing if it is there already.
pub fn install(folder: &Path, index: &str, from: Option<&Path>) -> anyhow::Result<(Found, bool)> {
    let wheel = Wheel::of_this_platform()?;
    let folder = folder.join(wheel.version);
    let found = |path: PathBuf| Found {
        path,
        place: "Lathe's data folder",
    };
    if let Some(path) = super::newest_in(&folder) {
        return Ok((found(path), false));
    }
    let bytes = match from {
        Some(file) => std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?,
        None => Index::open(index)?.file("onnxruntime", wheel.file)?,
    };
    wheel.check(&bytes)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let mut file = tempfile::NamedTempFile::new_in(&folder)
        .with_context(|| format!("failed to write into `{}`", folder.display()))?;
    let name = match lathe_serving::library_of_wheel(&bytes, file.as_file_mut()) {
        Ok(name) => name,
        Err(what) => bail!("`{}`: {what}", wheel.file),
    };
    file.flush()?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o755))?;
    file.as_file().sync_all()?;
    let candidate = found(file.path().to_owned());
    candidate.build().map_err(|error| {
        error.context(hint(
            "the library was unpacked, and this machine cannot load it",
            "get one that fits it elsewhere and name it with `--onnxruntime PATH`",
        ))
    })?;
    let path = folder.join(name);
    file.persist(&path)
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok((found(path), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_known_by_its_hash() {
        for wheel in WHEELS {
            assert!(wheel.file.starts_with(&format!("onnxruntime-{}-", wheel.version)));
            let told = wheel.check(b"something else").unwrap_err().to_string();
            assert!(told.contains(wheel.file) && told.contains(wheel.sha256), "{told}");
        }
    }
}
