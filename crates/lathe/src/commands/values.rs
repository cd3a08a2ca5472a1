use std::path::Path;

use lathe_data::Repo;
use lathe_pipeline::{Change, Found, State, flat};
use serde_json::{Map, Value as Json, json};

use super::Call;
use crate::exit::Outcome;
use crate::revisions::{self, Commits, WORKSPACE};
use crate::terminal;

/// Values by dotted key.
type Flat = Vec<(String, Json)>;

/// What is shown of files of values: those of metrics or of params.
pub type Read<'a> = &'a dyn Fn(&State) -> lathe_pipeline::Result<Vec<(String, Found)>>;

/// How a table is written.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct TableStyle {
    /// As a table of Markdown.
    #[arg(long, global = true)]
    pub md: bool,
    /// Digits behind the point.
    #[arg(long, global = true, value_name = "DIGITS", default_value_t = 5)]
    pub precision: u32,
}

/// Which values are compared.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The commit to compare from.
    #[arg(default_value = "HEAD")]
    pub old: String,
    /// The commit to compare with; the files as they are if absent.
    #[arg(default_value = WORKSPACE)]
    pub new: String,
    /// Only these files.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub targets: Vec<String>,
    /// Also what did not change.
    #[arg(long)]
    pub all: bool,
    /// Leave the file out.
    #[arg(long)]
    no_path: bool,
}

/// The repository of a call, and the given paths as they are seen from its root.
pub fn repository(call: &Call, paths: &[String]) -> anyhow::Result<(Repo, Vec<String>)> {
    let repo = Repo::discover(&call.folder)?;
    let from_root = paths.iter().map(|path| from_root(&repo, &call.folder, path));
    let from_root = from_root.collect();
    Ok((repo, from_root))
}

fn from_root(repo: &Repo, folder: &Path, path: &str) -> String {
    let mut at: Vec<String> = Vec::new();
    let absolute = folder.join(path);
    for part in absolute
        .strip_prefix(repo.root())
        .unwrap_or(Path::new(path))
        .components()
    {
        match part.as_os_str().to_str() {
            Some("..") => drop(at.pop()),
            Some(".") | None => {}
            Some(name) => at.push(name.to_owned()),
        }
    }
    at.join("/")
}

/// Shows the values of the workspace, and of the commits that are asked for.
pub fn show(
    call: &Call,
    repo: &Repo,
    commits: Commits,
    style: TableStyle,
    read: Read<'_>,
) -> anyhow::Result<Outcome> {
    let others = revisions::names(repo, commits)?;
    let mut found: Vec<(String, Vec<(String, Found)>)> = Vec::new();
    // As in DVC, the only state that is shown has no name.
    let own_name = if others.is_empty() { "" } else { WORKSPACE };
    found.push((own_name.to_owned(), read(&revisions::state(repo, WORKSPACE)?)?));
    for name in others {
        found.push((name.clone(), read(&revisions::state(repo, &name)?)?));
    }
    if call.json {
        let states: Map<String, Json> = found
            .into_iter()
            .map(|(name, values)| (name, json_of(&values)))
            .collect();
        terminal::print_json(&Json::Object(states))?;
        return Ok(Outcome::Done);
    }
    let mut keys: Vec<String> = Vec::new();
    // State, file, values.
    let mut rows: Vec<(String, String, Flat)> = Vec::new();
    for (name, values) in &found {
        for (path, value) in values {
            match value {
                Ok(value) => {
                    let value = flat(value);
                    let new = value.iter().map(|(key, _)| key).filter(|key| !keys.contains(key));
                    let new: Vec<String> = new.cloned().collect();
                    keys.extend(new);
                    rows.push((name.clone(), path.clone(), value));
                }
                Err(problem) => eprintln!("{path}: {problem}"),
            }
        }
    }
    let has_states = 1 < found.len();
    let mut header: Vec<&str> = if has_states {
        vec!["Revision", "Path"]
    } else {
        vec!["Path"]
    };
    header.extend(keys.iter().map(String::as_str));
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, path, values)| {
            let mut row = if has_states {
                vec![short(&name), path]
            } else {
                vec![path]
            };
            row.extend(keys.iter().map(|key| {
                let value = values.iter().find(|(known, _)| known == key);
                value.map_or("-".to_owned(), |(_, value)| cell(value, style.precision))
            }));
            row
        })
        .collect();
    print_table(&header, &rows, style);
    Ok(Outcome::Done)
}

/// What changed from one state to the other; nothing before the first commit.
pub fn changes(repo: &Repo, args: &DiffArgs, read: Read<'_>) -> anyhow::Result<Vec<Change>> {
    if !revisions::has_commits(repo) {
        return Ok(Vec::new());
    }
    let old = read(&revisions::state(repo, &args.old)?)?;
    let new = read(&revisions::state(repo, &args.new)?)?;
    Ok(lathe_pipeline::diff(&old, &new, args.all))
}

/// Compares the values of two states.
pub fn diff(
    call: &Call,
    repo: &Repo,
    args: &DiffArgs,
    style: TableStyle,
    noun: &str,
    read: Read<'_>,
) -> anyhow::Result<Outcome> {
    let changes = changes(repo, args, read)?;
    if call.json {
        terminal::print_json(&changes_json(&changes))?;
        return Ok(Outcome::Done);
    }
    let has_numbers = noun == "Metric";
    let mut header = if args.no_path {
        vec![noun]
    } else {
        vec!["Path", noun]
    };
    let (old, new) = (short(&args.old), short(&args.new));
    header.extend([old.as_str(), new.as_str()]);
    if has_numbers {
        header.push("Change");
    }
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|change| {
            let mut row = if args.no_path {
                vec![]
            } else {
                vec![change.path.clone()]
            };
            row.push(change.key.clone());
            row.extend([&change.old, &change.new].map(|value| match value {
                Json::Null => "-".to_owned(),
                value => cell(value, style.precision),
            }));
            if has_numbers {
                row.push(match &change.diff {
                    Json::Null => "-".to_owned(),
                    value => cell(value, style.precision),
                });
            }
            row
        })
        .collect();
    if !rows.is_empty() {
        print_table(&header, &rows, style);
    }
    Ok(Outcome::Done)
}

/// As DVC writes it: by file and key, `diff` only for numbers.
pub fn changes_json(changes: &[Change]) -> Json {
    let mut by_path: Map<String, Json> = Map::new();
    for change in changes {
        let of_path = by_path.entry(change.path.clone()).or_insert_with(|| json!({}));
        let mut told = json!({ "old": change.old, "new": change.new });
        if !change.diff.is_null() {
            told["diff"] = change.diff.clone();
        }
        of_path[change.key.as_str()] = told;
    }
    Json::Object(by_path)
}

/// As DVC writes it: by file, the values or why there are none.
pub fn json_of(values: &[(String, Found)]) -> Json {
    json!({ "data": files_json(values) })
}

/// What is in the files, by path.
pub fn files_json(values: &[(String, Found)]) -> Json {
    let files: Map<String, Json> = values
        .iter()
        .map(|(path, value)| {
            let told = match value {
                Ok(value) => json!({ "data": value }),
                Err(problem) => json!({ "error": { "type": "FileNotFoundError", "msg": problem } }),
            };
            (path.clone(), told)
        })
        .collect();
    Json::Object(files)
}

/// A commit by its first seven digits, anything else whole.
pub fn short(name: &str) -> String {
    let is_commit = name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if is_commit {
        name[..7].to_owned()
    } else {
        name.to_owned()
    }
}

/// A value as it stands in a table.
pub fn cell(value: &Json, precision: u32) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Number(number) if number.is_f64() => {
            let scale = 10_f64.powi(i32::try_from(precision.min(15)).unwrap_or(5));
            let number = number.as_f64().unwrap_or(f64::NAN);
            let rounded = (number * scale).round() / scale;
            // A small number is not nothing.
            if rounded == 0.0 && number != 0.0 {
                format!("{number:e}")
            } else {
                format!("{rounded}")
            }
        }
        _ => value.to_string(),
    }
}

/// Prints a table.
pub fn print_table(header: &[&str], rows: &[Vec<String>], style: TableStyle) {
    if !style.md {
        println!("{}", terminal::table(header, rows));
        return;
    }
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    let escaped: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect())
        .collect();
    for row in &escaped {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        println!("| {} |", cells.join(" | "));
    };
    line(&mut header.iter().copied());
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    println!("|{}|", rules.join("|"));
    for row in &escaped {
        line(&mut row.iter().map(String::as_str));
    }
}
