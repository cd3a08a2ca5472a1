use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lathe_data::relative_path;
use serde_json::{Value, json};

use super::foreign::Foreign;
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// List what a git repository has: files of git, and data.
///
/// Examples:
///   lathe list .
///   lathe list https://github.com/me/models data -R
///   lathe list . -T -L 2 --size             a tree with sizes
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
    /// As a tree.
    #[arg(short = 'T', long, conflicts_with = "recursive")]
    tree: bool,
    /// Only so many folders deep.
    #[arg(short = 'L', long, value_name = "DEPTH", value_parser = clap::value_parser!(u16).range(1..))]
    level: Option<u16>,
    /// Data only.
    #[arg(long)]
    dvc_only: bool,
    /// Show bytes, as far as they are written down.
    #[arg(long)]
    size: bool,
    /// The other repository's remote; its default one if absent.
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Show hashes of data.
    #[arg(long)]
    show_hash: bool,
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
    if args.tree && call.json {
        return Err(hinted("a tree is for people", "use `--recursive` with `--json`"));
    }
    let near = std::env::temp_dir();
    let foreign = Foreign::open(&args.url, args.rev.as_deref(), &call.folder, &near, None)?;
    let path = args.path.as_deref().unwrap_or("").trim_matches('/');
    let top = foreign.place(path)?;
    let depth = match (args.recursive || args.tree, args.level) {
        (false, _) => 1,
        (true, None) => usize::MAX,
        (true, Some(level)) => usize::from(level),
    };
    let all = collect(args, &foreign, path, &top, depth)?;
    let listed = cut(all, depth, args.tree, &top);
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
    let rows: Vec<(String, &Listed)> = match args.tree {
        true => tree_rows(path, &listed),
        false => listed.iter().map(|(path, one)| (path.clone(), one)).collect(),
    };
    print(args, &rows);
    Ok(Outcome::Done)
}

/// Files of git, and data: folders of data too, with what is in them if that is deep enough to be shown.
fn collect(
    args: &Args,
    foreign: &Foreign,
    path: &str,
    top: &Path,
    depth: usize,
) -> anyhow::Result<BTreeMap<String, Listed>> {
    let mut files = BTreeMap::new();
    if !args.dvc_only {
        walk(top, top, &mut files)?;
    }
    let Some(data) = foreign.data(path)? else {
        return Ok(files);
    };
    for out in data.all.iter().filter(|out| out.is_cached) {
        let Some(recorded) = &out.recorded else { continue };
        let shown = |at: &Path| at.starts_with(top).then(|| relative_path(at, top));
        let itself = Listed {
            is_folder: recorded.is_folder(),
            is_data: true,
            is_exec: recorded.is_exec,
            size: recorded.size,
            md5: Some(recorded.md5.clone()),
        };
        let name = shown(&out.at);
        let level = match name.as_deref() {
            None | Some(".") => 0,
            Some(name) => name.split('/').count(),
        };
        if let Some(name) = name {
            files.insert(name, itself);
        }
        // Only the lists of folders are needed.
        if recorded.is_folder() && level < depth && (top.starts_with(&out.at) || out.at.starts_with(top)) {
            for (relpath, md5) in foreign.files_of(&data, out, args.remote.as_deref())? {
                if let Some(name) = shown(&out.at.join(relpath)) {
                    let one = Listed {
                        is_data: true,
                        md5: Some(md5),
                        ..Listed::default()
                    };
                    files.insert(name, one);
                }
            }
        }
    }
    Ok(files)
}

/// What is shown of it: files so deep and no deeper, in the place of those below their folder; in a tree all folders.
fn cut(all: BTreeMap<String, Listed>, depth: usize, tree: bool, top: &Path) -> BTreeMap<String, Listed> {
    let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
    let mut folders = BTreeMap::new();
    for (name, one) in all {
        if name == "." {
            if !one.is_folder {
                listed.insert(top_name(top), one);
            }
            continue;
        }
        let parts: Vec<&str> = name.split('/').collect();
        for level in 1..parts.len() {
            if (tree && level <= depth) || level == depth {
                let folder = parts[..level].join("/");
                let entry = listed.entry(folder).or_default();
                entry.is_folder = true;
            }
        }
        if parts.len() <= depth {
            match one.is_folder {
                true => drop(folders.insert(name, one)),
                false => drop(listed.insert(name, one)),
            }
        }
    }
    for (name, one) in folders {
        let is_shown = tree || name.split('/').count() == depth || listed.contains_key(&name);
        if is_shown {
            listed.insert(name, one);
        }
    }
    listed
}

/// The names with what connects them before them, folder by folder.
fn tree_rows<'a>(path: &str, listed: &'a BTreeMap<String, Listed>) -> Vec<(String, &'a Listed)> {
    static TOP: Listed = Listed {
        is_folder: true,
        is_data: false,
        is_exec: false,
        size: None,
        md5: None,
    };
    let mut below: BTreeMap<&str, Vec<(&str, &str, &Listed)>> = BTreeMap::new();
    for (name, one) in listed {
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        below.entry(folder).or_default().push((last, name, one));
    }
    let mut rows = vec![((if path.is_empty() { "." } else { path }).to_owned(), &TOP)];
    // The last of a folder is taken first.
    let mut open: Vec<(&str, &str, &Listed, String, bool)> = Vec::new();
    let push = |open: &mut Vec<_>, folder: &str, prefix: &str| {
        let entries = below.get(folder).map_or(&[][..], Vec::as_slice);
        for (at, (last, name, one)) in entries.iter().enumerate().rev() {
            open.push((*last, *name, *one, prefix.to_owned(), at + 1 == entries.len()));
        }
    };
    push(&mut open, "", "");
    while let Some((last, name, one, prefix, is_last)) = open.pop() {
        let (edge, line) = match is_last {
            true => ("└── ", "    "),
            false => ("├── ", "│   "),
        };
        rows.push((format!("{prefix}{edge}{last}"), one));
        push(&mut open, name, &format!("{prefix}{line}"));
    }
    rows
}

fn print(args: &Args, rows: &[(String, &Listed)]) {
    let size = |one: &Listed| one.size.map(short).unwrap_or_default();
    let md5 = |one: &Listed| one.md5.clone().unwrap_or_else(|| "-".to_owned());
    let widest = |text: &dyn Fn(&Listed) -> String| {
        let widths = rows.iter().map(|(_, one)| text(one).len());
        widths.max().unwrap_or(0)
    };
    let (sizes, md5s) = (widest(&size), widest(&md5));
    let mut text = String::new();
    for (name, one) in rows {
        if args.size {
            text.push_str(&format!("{:>sizes$}  ", size(one)));
        }
        if args.show_hash {
            text.push_str(&format!("{:<md5s$}  ", md5(one)));
        }
        text.push_str(name);
        text.push('\n');
    }
    if !crate::terminal::is_quiet() {
        print!("{text}");
    }
}

/// Bytes as DVC tells them: `3`, `4.88k`, `1.91M`.
pub fn short(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    for unit in ["", "k", "M", "G", "T", "P"] {
        if value < 9.995 {
            return format!("{value:.2}{unit}");
        }
        if value < 99.95 {
            return format!("{value:.1}{unit}");
        }
        if value < 999.5 {
            return format!("{value:.0}{unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1}E")
}

fn top_name(top: &Path) -> String {
    top.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The bytes of files that git checked out, by their paths below `top`; `.` is `top` itself.
pub fn files_of_git(top: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut files = BTreeMap::new();
    walk(top, top, &mut files)?;
    let sized = files.into_iter().map(|(name, one)| (name, one.size.unwrap_or(0)));
    Ok(sized.collect())
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
