use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use lathe_data::{Repo, write_atomically};
use sha2::{Digest, Sha256};

use crate::lock::LockEntry;
use crate::yaml::{Node, Value, emit, read, to_python_json};
use crate::{Error, Result};

/// Finds what an earlier execution with the same command, deps and params made: the newest one, whether the cache still
/// holds all of it or not. Of `entry` the outputs' hashes do not count.
pub fn find(repo: &Repo, entry: &LockEntry) -> Result<Option<LockEntry>> {
    let folder = folder(repo, &key(entry));
    let listed = match fs::read_dir(&folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(&folder)(error)),
    };
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for file in listed {
        let file = file.map_err(Error::read(&folder))?;
        let path = file.path();
        let is_entry = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().len() == 64);
        let made_at = file
            .metadata()
            .and_then(|meta| meta.modified())
            .map_err(Error::read(&path))?;
        if is_entry && newest.as_ref().is_none_or(|(at, _)| *at < made_at) {
            newest = Some((made_at, path));
        }
    }
    let Some((_, path)) = newest else {
        return Ok(None);
    };
    let text = fs::read_to_string(&path).map_err(Error::read(&path))?;
    // DVC passes over an entry that it cannot read, and the stage is executed.
    Ok(read(&text).ok().and_then(|node| LockEntry::parse(&node)))
}

/// Remembers an execution.
pub fn save(repo: &Repo, entry: &LockEntry) -> Result<()> {
    let value = sha256(&without_sizes(&entry.to_node()));
    let path = folder(repo, &key(entry)).join(value);
    if !path.exists() {
        write_atomically(&path, emit(&entry.to_node()).as_bytes())?;
    }
    Ok(())
}

fn folder(repo: &Repo, key: &str) -> PathBuf {
    repo.cache().folder().join("runs").join(&key[..2]).join(key)
}

fn key(entry: &LockEntry) -> String {
    let mut node = without_sizes(&entry.to_node());
    let paths = entry.outs.iter().map(|out| Node::text(&out.path)).collect();
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|(key, _)| key.as_str() != Some("outs"));
        entries.push((Node::text("outs"), Node::new(Value::List(paths))));
    }
    sha256(&node)
}

fn without_sizes(node: &Node) -> Node {
    Node::new(match &node.value {
        Value::List(items) => Value::List(items.iter().map(without_sizes).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), Some("size" | "nfiles")))
                .map(|(key, value)| (key.clone(), without_sizes(value)))
                .collect(),
        ),
        other => other.clone(),
    })
}

fn sha256(node: &Node) -> String {
    hex::encode(Sha256::digest(to_python_json(node)))
}
