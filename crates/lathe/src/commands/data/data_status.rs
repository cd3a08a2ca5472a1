use lathe_data::Algorithm;
use lathe_data::ops::{self, Differences, Index};
use serde_json::{Map, Value, json};

use super::Data;
use super::sync::RemoteArgs;
use crate::commands::Call;
use crate::exit::Outcome;
use crate::git;

/// About data.
///
/// Examples:
///   lathe data status
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how the last commit, the `.dvc` and lock files, and the workspace differ.
    ///
    /// Examples:
    ///   lathe data status
    ///   lathe data status --granular --json images
    #[command(verbatim_doc_comment)]
    Status(StatusArgs),
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    /// Only these paths.
    targets: Vec<String>,
    /// Show files of folders.
    #[arg(long)]
    granular: bool,
    /// Also show what is the same everywhere.
    #[arg(long)]
    unchanged: bool,
    /// Also show files that neither git nor DVC tracks.
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_value = "no", default_missing_value = "all",
          value_parser = ["no", "all"])]
    untracked_files: String,
    /// Also show what the remote does not have.
    #[arg(long)]
    not_in_remote: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Nothing: a remote is always asked.
    #[arg(long, hide = true)]
    no_remote_refresh: bool,
}

/// Shows the state of data.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let Command::Status(args) = args.command;
    let data = Data::open(call)?;
    let limits = data.paths_from_root(&args.targets);
    let limited = |index: Index| index.limited_to(&limits);
    let records = limited(ops::index_of_records(&data.repo, &data.all, args.granular)?);
    let workspace = limited(ops::index_of_workspace(&data.repo, &data.all, args.granular)?);
    let has_commits = git::has_commits(data.repo.root());
    let committed = match has_commits {
        true => {
            let head = data.at_revision("HEAD")?;
            ops::compare(
                &limited(ops::index_of_records(&data.repo, &head, args.granular)?),
                &records,
            )
        }
        false => ops::compare(&Index::default(), &records),
    };
    let uncommitted = ops::compare(&records, &workspace);
    let mut not_in_cache = Vec::new();
    for (path, entry) in &records.entries {
        if !data.repo.cache().holds_one(&entry.md5)? {
            not_in_cache.push(format!("{path}{}", if entry.is_folder() { "/" } else { "" }));
        }
    }
    let unchanged: Vec<&String> = uncommitted
        .unchanged
        .iter()
        .filter(|path| committed.unchanged.contains(path))
        .collect();
    let mut status = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty =
            value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
        if !is_empty {
            status.insert(key.to_owned(), value);
        }
    };
    put("not_in_cache", json!(not_in_cache));
    if args.not_in_remote {
        put(
            "not_in_remote",
            json!(not_in_remote(&data, &args.remote, &records)?),
        );
    }
    put("committed", changes(&committed));
    put("uncommitted", changes(&uncommitted));
    if args.untracked_files == "all" {
        put("untracked", json!(git::untracked(&data.folder)?));
    }
    if args.unchanged {
        put("unchanged", json!(unchanged));
    }
    let status = Value::Object(status);
    if call.json {
        println!("{status}");
    } else {
        print(&status, has_commits);
    }
    Ok(Outcome::Done)
}

/// What is written down and to be sent, and is not on the remote.
fn not_in_remote(data: &Data, remote: &RemoteArgs, records: &Index) -> anyhow::Result<Vec<String>> {
    let remote = remote.open(data)?;
    let kept: Vec<String> = data
        .all
        .iter()
        .filter(|out| !out.is_pushed)
        .map(|out| lathe_data::relative_path(&out.at, data.repo.root()))
        .collect();
    let is_kept = |path: &str| {
        let below = |top: &String| {
            path.strip_prefix(top.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        kept.iter().any(below)
    };
    let sent: Vec<_> = records
        .entries
        .iter()
        .filter(|(path, _)| !is_kept(path))
        .collect();
    let md5s: Vec<String> = sent.iter().map(|(_, entry)| entry.md5.clone()).collect();
    let there = remote.exist(&md5s, Algorithm::Md5)?;
    let absent = sent.into_iter().zip(there).filter(|(_, there)| !there);
    Ok(absent
        .map(|((path, entry), _)| format!("{path}{}", if entry.is_folder() { "/" } else { "" }))
        .collect())
}

fn changes(found: &Differences) -> Value {
    let mut all = Map::new();
    let first = |list: &[(String, String)]| list.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    let modified: Vec<&String> = found.modified.iter().map(|(path, _, _)| path).collect();
    let renamed: Vec<Value> = found
        .renamed
        .iter()
        .map(|(old, new, _)| json!({ "old": old, "new": new }))
        .collect();
    let lists = [
        ("modified", json!(modified)),
        ("added", json!(first(&found.added))),
        ("deleted", json!(first(&found.deleted))),
        ("renamed", json!(renamed)),
        ("unknown", json!(found.unknown)),
    ];
    for (key, list) in lists {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            all.insert(key.to_owned(), list);
        }
    }
    Value::Object(all)
}

fn print(status: &Value, has_commits: bool) {
    let sections = [
        (
            "not_in_cache",
            "Not in cache",
            "use \"lathe fetch <file>...\" to download files",
        ),
        (
            "not_in_remote",
            "Not in remote",
            "use \"lathe push <file>...\" to upload files",
        ),
        (
            "committed",
            "DVC committed changes",
            "git commit the corresponding dvc files to update the repo",
        ),
        (
            "uncommitted",
            "DVC uncommitted changes",
            "use \"lathe commit <file>...\" to track changes, \"lathe checkout <file>...\" to discard them",
        ),
        (
            "untracked",
            "Untracked files",
            "use \"git add <file> ...\" or \"lathe add <file>...\" to commit to git or to dvc",
        ),
        ("unchanged", "DVC unchanged files", ""),
    ];
    let mut any = false;
    for (key, label, hint) in sections {
        let Some(section) = status.get(key) else { continue };
        if any {
            tell!();
        }
        any = true;
        tell!("{label}:");
        if !hint.is_empty() {
            tell!("  ({hint})");
        }
        match section {
            Value::Object(states) => {
                for (state, paths) in states {
                    for path in paths.as_array().into_iter().flatten() {
                        tell!("        {state}: {}", shown(path));
                    }
                }
            }
            paths => {
                for path in paths.as_array().into_iter().flatten() {
                    tell!("        {}", shown(path));
                }
            }
        }
    }
    if !any {
        tell!(
            "No changes{}.",
            if has_commits { "" } else { " in an empty git repo" }
        );
    }
}

fn shown(path: &Value) -> String {
    match path.as_str() {
        Some(path) => path.to_owned(),
        None => format!(
            "{} -> {}",
            path["old"].as_str().unwrap_or_default(),
            path["new"].as_str().unwrap_or_default()
        ),
    }
}
