//! The example project, carried in the binary.

use std::path::Path;

use anyhow::Context;
use rust_embed::RustEmbed;

use crate::exit::hinted;
use crate::git;
use crate::process::output_of;

#[derive(RustEmbed)]
#[folder = "../../examples/bike-demand"]
struct Example;

/// Marks a folder as the demo's own, so that nothing else is ever replaced.
const MARKER: &str = ".lathe-demo";
/// What runs of the pipeline leave in a developer's checkout of the example.
const LEFTOVERS: [&str; 9] = [
    ".dvc/cache/",
    ".dvc/tmp/",
    ".lathe/",
    "model/",
    "src/__pycache__/",
    "data/test.csv",
    "data/train.csv",
    "dvc.lock",
    "metrics.json",
];

/// Writes the project into `folder` and commits it.
pub fn make(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let empty = std::fs::read_dir(folder)?.next().is_none();
        if !empty && !folder.join(MARKER).exists() {
            return Err(hinted(
                format!("`{}` exists, and no demo made it", folder.display()),
                "choose another folder with `--into`",
            ));
        }
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("failed to replace `{}`", folder.display()))?;
    }
    for name in Example::iter().filter(|name| !LEFTOVERS.iter().any(|leftover| name.starts_with(leftover))) {
        let file = Example::get(&name).with_context(|| format!("the example's `{name}` is missing"))?;
        let path = folder.join(&*name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, &file.data).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    std::fs::write(folder.join(MARKER), "")?;
    output_of("git", &["init", "--quiet"], folder)?;
    output_of("git", &["add", "--all"], folder)?;
    git::commit_tracked(folder, "Start with the bike rental example")?;
    Ok(())
}
