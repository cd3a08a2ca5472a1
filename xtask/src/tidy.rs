//! `cargo xtask tidy`: loads the repository once, lets every check look at it, tells what was found.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::edges::{self, Manifest};
use crate::{rooms, sizes};

/// A file of the repository.
pub struct File {
    /// Relative to the root, `/` separated.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What a check has to say.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// To be mended.
    Fault(String),
    /// To be known.
    Note(String),
}

/// What is written by hand and grows by hand.
const ENDINGS: [&str; 6] = [".rs", ".ts", ".tsx", ".mjs", ".py", ".sh"];

/// Checks the repository; an error if anything has to be mended.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let files = load_files(root)?;
    let manifests = load_manifests(root)?;
    let mut findings = edges::check(&manifests);
    findings.extend(rooms::check(&files));
    findings.extend(sizes::check(&files));
    let mut faults = 0;
    for finding in &findings {
        match finding {
            Finding::Note(text) => println!("note: {text}"),
            Finding::Fault(text) => {
                faults += 1;
                println!("fault: {text}");
            }
        }
    }
    if 0 < faults {
        bail!("{faults} faults; the rules and their exceptions are tables in `xtask/src`");
    }
    println!("tidy: {} files, {} crates", files.len(), manifests.len());
    Ok(())
}

/// Every source file that git knows or would know.
fn load_files(root: &Path) -> anyhow::Result<Vec<File>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("failed to start git")?;
    if !output.status.success() {
        bail!(
            "git cannot list the files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let listed = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let mut files = Vec::new();
    for path in listed
        .split('\0')
        .filter(|path| ENDINGS.iter().any(|ending| path.ends_with(ending)))
    {
        // Listed and deleted is not yet committed.
        if !root.join(path).is_file() {
            continue;
        }
        let text =
            std::fs::read_to_string(root.join(path)).with_context(|| format!("failed to read `{path}`"))?;
        files.push(File {
            path: path.to_owned(),
            text,
        });
    }
    Ok(files)
}

fn load_manifests(root: &Path) -> anyhow::Result<Vec<Manifest>> {
    let crates = root.join("crates");
    let entries =
        std::fs::read_dir(&crates).with_context(|| format!("failed to list `{}`", crates.display()))?;
    let mut manifests = Vec::new();
    for entry in entries {
        let path = entry?.path().join("Cargo.toml");
        if !path.is_file() {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        manifests.push(Manifest::parse(&text).with_context(|| format!("in `{}`", path.display()))?);
    }
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(manifests)
}
