use lathe_data::ops::{self, Differences};
use serde_json::{Value, json};

use super::Data;
use crate::commands::Call;
use crate::exit::Outcome;
use crate::git;
use crate::terminal;

/// Show which tracked files two commits, or a commit and the workspace, differ in.
///
/// Examples:
///   lathe diff                     the last commit and the workspace
///   lathe diff v1.0 main           two commits
///   lathe diff --json --show-hash
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The old commit.
    #[arg(default_value = "HEAD")]
    a_rev: String,
    /// The new commit; the workspace if absent.
    b_rev: Option<String>,
    /// Only these paths.
    #[arg(long, num_args = 0.., value_name = "PATH")]
    targets: Vec<String>,
    /// Show hashes too.
    #[arg(long)]
    show_hash: bool,
    /// Print a table in Markdown.
    #[arg(long)]
    md: bool,
    /// Do not show what is not in the cache.
    #[arg(long)]
    hide_missing: bool,
}

/// Compares.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    if !git::has_commits(data.repo.root()) {
        if call.json {
            terminal::print_json(&json!({}))?;
        }
        return Ok(Outcome::Done);
    }
    let limits = data.paths_from_root(&args.targets);
    let before = data.at_revision(&args.a_rev)?;
    let old = ops::index_of_records(&data.repo, &before, true)?.limited_to(&limits);
    let new = match &args.b_rev {
        Some(revision) => ops::index_of_records(&data.repo, &data.at_revision(revision)?, true)?,
        None => ops::index_of_workspace(&data.repo, &data.all, true)?,
    };
    let new = new.limited_to(&limits);
    let differences = ops::compare(&old, &new);
    let mut missing = Vec::new();
    if args.b_rev.is_none() && !args.hide_missing {
        for (path, entry) in &old.entries {
            if !data.repo.cache().holds_one(&entry.md5)? {
                let ending = if entry.is_folder() { "/" } else { "" };
                missing.push((format!("{path}{ending}"), entry.md5.clone()));
            }
        }
    }
    let shown = to_json(
        &differences,
        &missing,
        args.show_hash,
        args.b_rev.is_none() && !args.hide_missing,
    );
    if call.json {
        println!("{shown}");
    } else if args.md {
        print_markdown(&shown, args.show_hash);
    } else {
        print(&shown);
    }
    Ok(Outcome::Done)
}

fn to_json(found: &Differences, missing: &[(String, String)], hashes: bool, with_missing: bool) -> Value {
    let one = |(path, md5): &(String, String)| match hashes {
        true => json!({ "path": path, "hash": md5 }),
        false => json!({ "path": path }),
    };
    let modified = found.modified.iter().map(|(path, old, new)| match hashes {
        true => json!({ "path": path, "hash": { "old": old, "new": new } }),
        false => json!({ "path": path }),
    });
    let renamed = found.renamed.iter().map(|(old, new, md5)| {
        let path = json!({ "old": old, "new": new });
        match hashes {
            true => json!({ "path": path, "hash": md5 }),
            false => json!({ "path": path }),
        }
    });
    let added: Vec<Value> = found.added.iter().map(one).collect();
    let deleted: Vec<Value> = found.deleted.iter().map(one).collect();
    let modified: Vec<Value> = modified.collect();
    let renamed: Vec<Value> = renamed.collect();
    let missing: Vec<Value> = missing.iter().map(one).collect();
    let nothing = [&added, &deleted, &modified, &renamed, &missing]
        .iter()
        .all(|list| list.is_empty());
    if nothing {
        return json!({});
    }
    let mut all = json!({ "added": added, "deleted": deleted, "modified": modified, "renamed": renamed });
    if with_missing && let Some(all) = all.as_object_mut() {
        all.insert("not in cache".into(), missing.into());
    }
    all
}

const STATES: [&str; 5] = ["added", "deleted", "renamed", "modified", "not in cache"];

fn entries<'a>(shown: &'a Value, state: &str) -> &'a [Value] {
    shown[state].as_array().map_or(&[], Vec::as_slice)
}

fn path_of(entry: &Value) -> String {
    match entry["path"].as_str() {
        Some(path) => path.to_owned(),
        None => format!(
            "{} -> {}",
            entry["path"]["old"].as_str().unwrap_or_default(),
            entry["path"]["new"].as_str().unwrap_or_default()
        ),
    }
}

fn hash_of(entry: &Value) -> String {
    let short = |hash: &Value| {
        hash.as_str()
            .unwrap_or_default()
            .chars()
            .take(8)
            .collect::<String>()
    };
    match &entry["hash"] {
        Value::Object(both) => format!("{}..{}", short(&both["old"]), short(&both["new"])),
        hash => short(hash),
    }
}

fn print(shown: &Value) {
    let mut counts = Vec::new();
    for state in STATES {
        let entries = entries(shown, state);
        if entries.is_empty() {
            continue;
        }
        let mut name = state.to_owned();
        name[..1].make_ascii_uppercase();
        tell!("{name}:");
        for entry in entries {
            let hash = hash_of(entry);
            let gap = if hash.is_empty() { "" } else { "  " };
            tell!("    {hash}{gap}{}", path_of(entry));
        }
        tell!();
        let files = entries
            .iter()
            .filter(|entry| !path_of(entry).ends_with('/'))
            .count();
        if 0 < files {
            counts.push(format!("{files} {state}"));
        }
    }
    if !counts.is_empty() {
        tell!("files summary: {}", counts.join(", "));
    }
}

fn print_markdown(shown: &Value, hashes: bool) {
    tell!(
        "{}",
        if hashes {
            "| Status | Hash | Path |\n|---|---|---|"
        } else {
            "| Status | Path |\n|---|---|"
        }
    );
    for state in STATES {
        for entry in entries(shown, state) {
            let hash = if hashes {
                format!(" {} |", hash_of(entry))
            } else {
                String::new()
            };
            tell!("| {state} |{hash} {} |", path_of(entry));
        }
    }
}
