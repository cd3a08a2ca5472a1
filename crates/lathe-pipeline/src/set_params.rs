use std::path::Path;

use lathe_data::write_atomically;
use serde_json::Value as Json;

use crate::yaml::{Node, Value, emit_scalar, read};
use crate::{Error, Result};

/// Reads a value as params.yaml would: `200`, `0.1`, `text`, `[1, 2]`.
pub fn parse_param(text: &str) -> Result<Json> {
    let node = read(text).map_err(|source| Error::ParamValue {
        text: text.to_owned(),
        source,
    })?;
    Ok(node.to_json())
}

/// Sets parameters by dotted key, leaving everything else in the file as it is: comments, order, layout. Keys that
/// are not there are added.
pub fn set_params(path: &Path, changes: &[(String, Json)]) -> Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::read(path)(error)),
    };
    let file = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut text = old.clone();
    for (key, value) in changes {
        let root = read(&text).map_err(|source| Error::Syntax {
            file: file.clone(),
            source,
        })?;
        let set = with_param(&text, &root, key, value);
        text = set.map_err(|problem| Error::SetParam {
            file: file.clone(),
            key: key.clone(),
            problem,
        })?;
        let is_set = read(&text)
            .ok()
            .and_then(|root| root.find_path(key).cloned())
            .is_some_and(|node| node == Node::from_json(value));
        if !is_set {
            return Err(Error::SetParam {
                file,
                key: key.clone(),
                problem: "its layout is not understood, so set it by hand".to_owned(),
            });
        }
    }
    if text != old {
        write_atomically(path, text.as_bytes())?;
    }
    Ok(())
}

fn with_param(text: &str, root: &Node, key: &str, value: &Json) -> Result<String, String> {
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err("a key has names between its dots".to_owned());
    }
    if let Some(node) = root.find_path(key) {
        if is_empty(node) {
            return Ok(filled(text, root, key, value));
        }
        return replaced(text, node, value);
    }
    // The deepest map on the way that is there takes the rest of the key.
    let parts: Vec<&str> = key.split('.').collect();
    let mut parent = root;
    let mut depth = 0;
    while let Some(next) = parent.find(parts[depth]) {
        depth += 1;
        match &next.value {
            Value::Map(_) => parent = next,
            Value::Null if is_empty(next) => {
                let inner = nested(&parts[depth..], value);
                return Ok(filled(text, root, &parts[..depth].join("."), &inner));
            }
            Value::Null => return replaced(text, next, &nested(&parts[depth..], value)),
            _ => {
                return Err(format!(
                    "`{}` is {}, not a map",
                    parts[..depth].join("."),
                    next.kind()
                ));
            }
        }
    }
    match parent.as_map() {
        Some(entries) if parent.span.flow => {
            let at = byte_of(text, parent.span.end).saturating_sub(1);
            let comma = if entries.is_empty() { "" } else { ", " };
            let inner = flow(&nested(&parts[depth + 1..], value));
            let added = format!("{comma}{}: {inner}", scalar(parts[depth]));
            Ok(format!("{}{added}{}", &text[..at].trim_end(), &text[at..]))
        }
        Some([]) | None if depth == 0 => Ok(format!("{}{}", line_ended(text), block(&parts, value, 0))),
        Some(entries) => {
            let column = entries[0].0.span.column;
            let at = end_of_block(text, entries);
            let (before, after) = text.split_at(at);
            let added = block(&parts[depth..], value, column);
            Ok(format!("{}{added}{after}", line_ended(before)))
        }
        None => Err("the file holds no map".to_owned()),
    }
}

/// Whether nothing is written where the value belongs: `key:`.
fn is_empty(node: &Node) -> bool {
    matches!(node.value, Value::Null) && node.span.start == node.span.end
}

/// The text with a value after the colon of a key that has none.
fn filled(text: &str, root: &Node, key: &str, value: &Json) -> String {
    let (parent, name) = match key.rsplit_once('.') {
        Some((parent, name)) => (root.find_path(parent), name),
        None => (Some(root), key),
    };
    let entries = parent.and_then(Node::as_map).unwrap_or_default();
    let key = entries.iter().find(|(key, _)| key.as_str() == Some(name));
    let after_key = key.map_or(text.len(), |(key, _)| byte_of(text, key.span.end));
    let at = text[after_key..]
        .find(':')
        .map_or(text.len(), |colon| after_key + colon + 1);
    format!("{} {}{}", &text[..at], flow(value), &text[at..])
}

/// The text with another value where `node` is; it must be on one line, as what cannot be put back is not taken away.
fn replaced(text: &str, node: &Node, value: &Json) -> Result<String, String> {
    let start = byte_of(text, node.span.start);
    let end = byte_of(text, node.span.end);
    let written = &text[start..end];
    let in_block = matches!(&node.value, Value::List(items) if !items.is_empty() && !node.span.flow)
        || matches!(&node.value, Value::Map(entries) if !entries.is_empty() && !node.span.flow);
    if in_block || written.trim_end().contains('\n') {
        return Err(format!("it is {} of several lines", node.kind()));
    }
    let kept = written.trim_end().len();
    Ok(format!(
        "{}{}{}",
        &text[..start],
        flow(value),
        &text[start + kept..]
    ))
}

/// After the last line that belongs to the entries; blank lines and comments below them stay below.
pub(crate) fn end_of_block(text: &str, entries: &[(Node, Node)]) -> usize {
    let mut end = 0;
    for (key, value) in entries {
        end = end.max(last_char(key)).max(last_char(value));
    }
    let at = byte_of(text, end);
    let written = text[..at].trim_end().len();
    text[written..]
        .find('\n')
        .map_or(text.len(), |line| written + line + 1)
}

fn last_char(node: &Node) -> usize {
    match &node.value {
        Value::List(items) if !node.span.flow => items.iter().map(last_char).max().unwrap_or(0),
        Value::Map(entries) if !node.span.flow => entries
            .iter()
            .map(|(key, value)| last_char(key).max(last_char(value)))
            .max()
            .unwrap_or(0),
        _ => node.span.end,
    }
}

pub(crate) fn byte_of(text: &str, chars: usize) -> usize {
    text.char_indices()
        .nth(chars)
        .map_or(text.len(), |(byte, _)| byte)
}

pub(crate) fn line_ended(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}")
}

fn block(parts: &[&str], value: &Json, column: usize) -> String {
    let mut lines = String::new();
    for (depth, part) in parts.iter().enumerate() {
        let indent = " ".repeat(column + 2 * depth);
        if depth + 1 == parts.len() {
            lines.push_str(&format!("{indent}{}: {}\n", scalar(part), flow(value)));
        } else {
            lines.push_str(&format!("{indent}{}:\n", scalar(part)));
        }
    }
    lines
}

fn nested(parts: &[&str], value: &Json) -> Json {
    parts.iter().rev().fold(value.clone(), |inner, part| {
        Json::Object([((*part).to_owned(), inner)].into_iter().collect())
    })
}

fn scalar(text: &str) -> String {
    emit_scalar(&Node::text(text))
}

/// On one line: scalars as YAML writes them, lists and maps as JSON, which YAML reads.
fn flow(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::Array(_) | Json::Object(_) => value.to_string(),
        _ => emit_scalar(&Node::from_json(value)),
    }
}
