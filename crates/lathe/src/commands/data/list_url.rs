use std::collections::BTreeMap;
use std::path::Path;

use lathe_data::remote::{RemoteSettings, Store};
use serde_json::json;

use super::places::{Place, inside_of};
use super::{Data, list, stores};
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// List what lies behind a URL or at a path.
///
/// Examples:
///   lathe list-url s3://bucket/images -R
///   lathe list-url remote://store/shared --size
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// `s3://…`, `gs://…`, `azure://…`, `webdav://…`, `ssh://…`, `remote://NAME/…`, or a path.
    url: String,
    /// Also what is in folders.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Only so many folders deep.
    #[arg(short = 'L', long, value_name = "DEPTH", value_parser = clap::value_parser!(u16).range(1..))]
    level: Option<u16>,
    /// Show bytes.
    #[arg(long)]
    size: bool,
}

/// What a name stands for.
enum Found {
    File(Option<u64>),
    Folder,
}

/// Lists it.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let repo = Data::open(call).ok().map(|data| data.repo);
    let depth = match (args.recursive, args.level) {
        (false, _) => 1,
        (true, None) => usize::MAX,
        (true, Some(level)) => usize::from(level),
    };
    let found = match Place::find(&args.url, &call.folder, repo.as_ref()) {
        Ok(Place::Local(path)) => here(&path, depth)?,
        Ok(Place::Stored { store, key, .. }) => {
            match stored(args, store.as_ref(), &format!("{key}/"), depth) {
                Ok(found) => found,
                // It is no folder, or there are none.
                Err(error) => match store.look(&key)? {
                    Some(seen) => {
                        let name = key.rsplit('/').next().unwrap_or(&key).to_owned();
                        BTreeMap::from([(name, Found::File(seen.size))])
                    }
                    None => return Err(error),
                },
            }
        }
        // A whole bucket is no file of anything.
        Err(_)
            if args.url.starts_with("s3://")
                || args.url.starts_with("gs://")
                || args.url.starts_with("azure://") =>
        {
            let settings = RemoteSettings {
                name: args.url.clone(),
                url: args.url.trim_end_matches('/').to_owned(),
                settings: Vec::new(),
            };
            stored(args, stores::open_store(&settings)?.as_ref(), "", depth)?
        }
        Err(error) => return Err(error),
    };
    if call.json {
        let told: Vec<_> = found
            .iter()
            .map(|(path, one)| match one {
                Found::File(size) => json!({ "path": path, "isdir": false, "size": size }),
                Found::Folder => json!({ "path": path, "isdir": true, "size": null }),
            })
            .collect();
        terminal::print_json(&told)?;
        return Ok(Outcome::Done);
    }
    let sizes: Vec<String> = found
        .values()
        .map(|one| match one {
            Found::File(Some(size)) => list::short(*size),
            _ => String::new(),
        })
        .collect();
    let width = sizes.iter().map(String::len).max().unwrap_or(0);
    for (name, size) in found.keys().zip(&sizes) {
        match args.size {
            true => tell!("{size:>width$}  {name}"),
            false => tell!("{name}"),
        }
    }
    Ok(Outcome::Done)
}

fn nothing(place: &str) -> anyhow::Error {
    hinted(
        format!("there is nothing at `{place}`"),
        "check its name, and whether you may read it",
    )
}

fn here(top: &Path, depth: usize) -> anyhow::Result<BTreeMap<String, Found>> {
    let mut found = BTreeMap::new();
    if top.is_file() {
        let name = top.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(name, Found::File(Some(top.metadata()?.len())));
        return Ok(found);
    }
    if !top.is_dir() {
        return Err(nothing(&top.display().to_string()));
    }
    let mut open = vec![(top.to_owned(), String::new(), 1)];
    while let Some((folder, prefix, level)) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let Ok(meta) = std::fs::metadata(entry.path()) else {
                continue;
            };
            match meta.is_dir() {
                true if level < depth => open.push((entry.path(), format!("{name}/"), level + 1)),
                true => drop(found.insert(name, Found::Folder)),
                false => drop(found.insert(name, Found::File(Some(meta.len())))),
            }
        }
    }
    Ok(found)
}

fn stored(
    args: &Args,
    store: &dyn Store,
    prefix: &str,
    depth: usize,
) -> anyhow::Result<BTreeMap<String, Found>> {
    let listed = inside_of(prefix, store.list(prefix)?);
    if listed.is_empty() {
        return Err(nothing(&args.url));
    }
    let mut found = BTreeMap::new();
    for (inside, key) in listed {
        let parts: Vec<&str> = inside.split('/').collect();
        if depth < parts.len() {
            found.insert(parts[..depth].join("/"), Found::Folder);
            continue;
        }
        let size = match args.size {
            true => store.look(&key)?.and_then(|seen| seen.size),
            false => None,
        };
        found.insert(inside, Found::File(size));
    }
    Ok(found)
}
