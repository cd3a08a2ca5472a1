//! Which crate may use which, who alone knows a technology, and how long files are.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A crate and the crates of this workspace that it may use; the binary may use all.
const EDGES: [(&str, &[&str]); 10] = [
    ("lathe-types", &[]),
    ("lathe-api", &["lathe-types"]),
    ("lathe-store", &["lathe-types"]),
    ("lathe-blob", &["lathe-types"]),
    ("lathe-data", &["lathe-types", "lathe-blob"]),
    ("lathe-pipeline", &["lathe-types", "lathe-data"]),
    ("lathe-serving", &["lathe-types", "lathe-blob"]),
    ("lathe-monitor", &["lathe-types"]),
    (
        "lathe-automation",
        &["lathe-types", "lathe-store", "lathe-pipeline", "lathe-monitor"],
    ),
    (
        "lathe-server",
        &[
            "lathe-types",
            "lathe-api",
            "lathe-store",
            "lathe-blob",
            "lathe-serving",
        ],
    ),
];

/// A text that only the named rooms may hold, and why.
const ROOMS: [(&str, &[&str], &str); 9] = [
    ("rusqlite", &["lathe-store"], "only the store knows the database"),
    (
        "axum::",
        &["lathe-server", "lathe"],
        "only the server and its wiring know the web framework",
    ),
    ("ureq::", &["lathe"], "only the binary calls other servers"),
    (
        "std::env::var",
        &["lathe"],
        "only the binary reads the environment",
    ),
    (
        "SystemTime::now",
        &["lathe"],
        "time is passed in; only the binary reads the clock",
    ),
    (
        "Command::new",
        &["lathe", "lathe-pipeline"],
        "only the binary and the pipeline start programs",
    ),
    ("clap", &["lathe"], "only the binary knows arguments"),
    ("zip::", &["lathe-serving"], "only serving reads model files"),
    ("statrs", &["lathe-monitor"], "only the monitor knows statistics"),
];

/// Never, anywhere.
const NOWHERE: [&str; 3] = ["todo!(", "unimplemented!(", "dbg!("];

const LINES_REPORTED: usize = 400;
const LINES_MAX: usize = 600;

/// Reports long files; fails on anything that breaks a rule.
pub fn check() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the workspace")?;
    let mut broken = Vec::new();
    for (name, allowed) in EDGES {
        let path = root.join("crates").join(name).join("Cargo.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        broken.extend(edges(name, allowed, &text)?);
    }
    let mut files = Vec::new();
    collect(&root.join("crates"), &mut files)?;
    files.sort();
    for path in files {
        let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read `{relative}`"))?;
        broken.extend(file(&relative, &text));
        let lines = text.lines().count();
        if LINES_REPORTED < lines {
            println!("{lines:>5} lines  {relative}");
        }
    }
    if broken.is_empty() {
        println!("tidy");
        return Ok(());
    }
    for line in &broken {
        eprintln!("{line}");
    }
    bail!("{} rules are broken", broken.len())
}

/// The edges of one crate's manifest that are not allowed.
fn edges(name: &str, allowed: &[&str], manifest: &str) -> anyhow::Result<Vec<String>> {
    let manifest: toml::Table = manifest
        .parse()
        .with_context(|| format!("the manifest of `{name}`"))?;
    let mut broken = Vec::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let used = manifest.get(section).and_then(toml::Value::as_table);
        for used in used.into_iter().flat_map(toml::Table::keys) {
            if used.starts_with("lathe") && !allowed.contains(&used.as_str()) {
                broken.push(format!("{name}: may not use {used} ({section})"));
            }
        }
    }
    Ok(broken)
}

/// What one file breaks; `path` is relative to the workspace.
fn file(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let room = path.split('/').nth(1).unwrap_or_default();
    // Tests may look at anything, and a build script is no part of its crate.
    let is_source = path.contains("/src/");
    for (at, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let mut say = |what: String| broken.push(format!("{path}:{}: {what}", at + 1));
        for never in NOWHERE.iter().filter(|never| code.contains(**never)) {
            say(format!("`{never}…)` is not left behind"));
        }
        for (word, rooms, why) in ROOMS.iter().filter(|_| is_source) {
            if holds(code, word) && !rooms.contains(&room) {
                say(format!("`{word}`: {why}"));
            }
        }
    }
    if path.ends_with("src/lib.rs") && !text.starts_with("//!") {
        broken.push(format!(
            "{path}: starts with a paragraph that says what the room is for"
        ));
    }
    let lines = text.lines().count();
    if LINES_MAX < lines {
        broken.push(format!(
            "{path}: {lines} lines; split it along a real seam (at most {LINES_MAX})"
        ));
    }
    broken
}

/// Whether the code holds the word, not as the end of a longer one.
fn holds(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_is_not_allowed_is_named() {
        let manifest =
            "[dependencies]\nlathe-types.workspace = true\nlathe-store.workspace = true\nserde = \"1\"\n";
        let found = edges("lathe-monitor", &["lathe-types"], manifest).expect("the manifest is TOML");
        assert_eq!(found, ["lathe-monitor: may not use lathe-store (dependencies)"]);
    }

    #[test]
    fn a_technology_outside_its_room_is_named_with_its_line() {
        let found = file(
            "crates/lathe-api/src/x.rs",
            "use serde::Serialize;\nuse rusqlite::Row; // rusqlite\n",
        );
        assert_eq!(
            found,
            ["crates/lathe-api/src/x.rs:2: `rusqlite`: only the store knows the database"]
        );
        assert!(file("crates/lathe-store/src/x.rs", "use rusqlite::Row;").is_empty());
        assert!(file("crates/lathe-api/tests/it/x.rs", "use rusqlite::Row;").is_empty());
        assert!(file("crates/lathe-api/src/x.rs", "let unzip::x = 1; // zip::").is_empty());
    }

    #[test]
    fn long_files_and_leftovers_are_named() {
        assert_eq!(file("crates/a/src/x.rs", &"\n".repeat(601)).len(), 1);
        assert_eq!(file("crates/a/src/x.rs", "dbg!(1);").len(), 1);
        assert_eq!(file("crates/a/src/lib.rs", "mod x;").len(), 1);
    }
}
