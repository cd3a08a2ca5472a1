use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::foreign::Foreign;
use super::list;
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Show how many bytes a git repository has, data included.
///
/// Examples:
///   lathe du .
///   lathe du https://github.com/me/models data
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
    /// Only the sum.
    #[arg(short, long)]
    summarize: bool,
    /// The other repository's remote; its default one if absent.
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
}

/// Adds them up.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let near = std::env::temp_dir();
    let foreign = Foreign::open(&args.url, args.rev.as_deref(), &call.folder, &near, None)?;
    let path = args.path.as_deref().unwrap_or("").trim_matches('/');
    let top = foreign.place(path)?;
    let mut files = list::files_of_git(&top)?;
    // As DVC: the files that track data are not counted.
    let tracks = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or(name);
        last.ends_with(lathe_data::SUFFIX) || matches!(last, "dvc.yaml" | ".dvcignore")
    };
    files.retain(|name, _| !tracks(name));
    if let Some(data) = foreign.data(path)? {
        for out in data.all.iter().filter(|out| out.is_cached) {
            let Some(recorded) = &out.recorded else { continue };
            if out.at.starts_with(&top) {
                let name = lathe_data::relative_path(&out.at, &top);
                let size = recorded.size.ok_or_else(|| unknown(&name))?;
                files.insert(name, size);
            } else if top.starts_with(&out.at) {
                return Err(unknown(path));
            }
        }
    }
    if files.is_empty() && !top.is_dir() {
        return Err(foreign.nothing(path));
    }
    let total: u64 = files.values().sum();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, size) in &files {
        let first = name.split('/').next().unwrap_or_default();
        *sums.entry(joined(path, first)).or_default() += size;
    }
    let mut told: Vec<(String, u64)> = match args.summarize || files.contains_key(".") {
        true => Vec::new(),
        false => sums.into_iter().collect(),
    };
    told.push((
        if path.is_empty() {
            ".".to_owned()
        } else {
            path.to_owned()
        },
        total,
    ));
    if call.json {
        let told: Vec<_> = told
            .iter()
            .map(|(path, size)| json!({ "path": path, "size": size }))
            .collect();
        terminal::print_json(&told)?;
        return Ok(Outcome::Done);
    }
    let width = told
        .iter()
        .map(|(_, size)| list::short(*size).len())
        .max()
        .unwrap_or(0);
    for (path, size) in told {
        tell!("{:>width$}  {path}", list::short(size));
    }
    Ok(Outcome::Done)
}

fn joined(path: &str, name: &str) -> String {
    match path.is_empty() {
        true => name.to_owned(),
        false => Path::new(path).join(name).display().to_string(),
    }
}

fn unknown(path: &str) -> anyhow::Error {
    hinted(
        format!("the bytes of `{path}` are written down nowhere"),
        "name the folder that a `.dvc` file or a stage tracks",
    )
}
