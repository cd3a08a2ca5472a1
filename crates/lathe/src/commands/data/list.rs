use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lathe_data::relative_path;
use serde_json::{Value, json};

use super::foreign::Foreign;
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal;

/// List what a git repository has: files of git, and data.
///
/// Examples:
///   lathe list .
///   lathe list https://github.com/me/models data -R
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The repository: a URL or a path.
    url: String,
    /// A folder in it.
    path: Option<String>,
    /// The branch, tag or commit.
    #[arg(long, value_name = "COMMIT")]
    rev: Option<String>,
    /// Also what is in folders.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Data only.
    #[arg(long)]
    dvc_only: bool,
}

/// A path in the list.
#[derive(Default)]
struct Listed {
    is_folder: bool,
    is_data: bool,
    is_exec: bool,
    size: Option<u64>,
    md5: Option<String>,
}

/// Lists it.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let near = std::env::temp_dir();
    let foreign = Foreign::open(&args.url, args.rev.as_deref(), &call.folder, &near, None)?;
    let path = args.path.as_deref().unwrap_or("").trim_matches('/');
    let top = foreign.place(path)?;
    let mut files = BTreeMap::new();
    if !args.dvc_only {
        walk(&top, &top, &mut files)?;
    }
    if let Some(data) = foreign.data(path)? {
        // Only the lists of folders are needed.
        for out in data.all.iter().filter(|out| out.is_cached) {
            let Some(recorded) = &out.recorded else { continue };
            let shown = |at: &Path| at.starts_with(&top).then(|| relative_path(at, &top));
            if recorded.is_folder() {
                let inside = top.starts_with(&out.at) || args.recursive;
                if let Some(name) = shown(&out.at).filter(|_| !inside) {
                    files.insert(
                        format!("{name}/"),
                        Listed {
                            is_folder: true,
                            is_data: true,
                            md5: Some(recorded.md5.clone()),
                            ..Listed::default()
                        },
                    );
                    continue;
                }
                for (relpath, md5) in foreign.files_of(&data, out)? {
                    if let Some(name) = shown(&out.at.join(relpath)) {
                        files.insert(
                            name,
                            Listed {
                                is_data: true,
                                md5: Some(md5),
                                ..Listed::default()
                            },
                        );
                    }
                }
            } else if let Some(name) = shown(&out.at) {
                files.insert(
                    name,
                    Listed {
                        is_data: true,
                        is_exec: recorded.is_exec,
                        size: recorded.size,
                        md5: Some(recorded.md5.clone()),
                        is_folder: false,
                    },
                );
            }
        }
    }
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    for (name, one) in files {
        let bare = name.trim_end_matches('/');
        match bare.split_once('/') {
            Some((folder, _)) if !args.recursive => {
                let entry = listed.entry(folder.to_owned()).or_default();
                entry.is_folder = true;
            }
            _ => {
                let bare = if bare == "." {
                    top_name(&top)
                } else {
                    bare.to_owned()
                };
                listed.insert(bare, one);
            }
        }
    }
    if listed.is_empty() && !top.is_dir() {
        return Err(foreign.nothing(path));
    }
    if call.json {
        let all: Vec<Value> = listed
            .iter()
            .map(|(path, one)| {
                json!({
                    "isout": one.is_data, "isdir": one.is_folder, "isexec": one.is_exec, "size": one.size,
                    "md5": one.md5, "path": path,
                })
            })
            .collect();
        terminal::print_json(&all)?;
        return Ok(Outcome::Done);
    }
    for path in listed.keys() {
        println!("{path}");
    }
    Ok(Outcome::Done)
}

fn top_name(top: &Path) -> String {
    top.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Files that git checked out.
fn walk(at: &Path, top: &Path, files: &mut BTreeMap<String, Listed>) -> anyhow::Result<()> {
    let Ok(meta) = at.symlink_metadata() else {
        return Ok(());
    };
    if !meta.is_dir() {
        let one = Listed {
            is_exec: meta.permissions().mode() & 0o111 != 0,
            size: Some(meta.len()),
            ..Listed::default()
        };
        files.insert(relative_path(at, top), one);
        return Ok(());
    }
    for entry in std::fs::read_dir(at)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_str(), Some(".git" | ".dvc")) {
            walk(&entry.path(), top, files)?;
        }
    }
    Ok(())
}
