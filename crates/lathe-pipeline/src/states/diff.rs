use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::Found;
use crate::yaml::python_float;

/// A value that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The file.
    pub path: String,
    /// The dotted key in it.
    pub key: String,
    /// What it was; null if it was not there.
    pub old: Json,
    /// What it is; null if it is not there.
    pub new: Json,
    /// How much it grew; null if it is no number.
    pub diff: Json,
}

/// What changed between two states, by file and key; with `all` also what did not.
pub fn diff(old: &[(String, Found)], new: &[(String, Found)], all: bool) -> Vec<Change> {
    let by_path = |values: &[(String, Found)]| -> BTreeMap<String, BTreeMap<String, Json>> {
        let found = values
            .iter()
            .filter_map(|(path, value)| Some((path.clone(), value.as_ref().ok()?)));
        found
            .map(|(path, value)| (path, flat(value).into_iter().collect()))
            .collect()
    };
    let (old, new) = (by_path(old), by_path(new));
    let mut changes = Vec::new();
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    let empty = BTreeMap::new();
    for path in paths {
        let (old, new) = (old.get(path).unwrap_or(&empty), new.get(path).unwrap_or(&empty));
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let before = old.get(key).cloned().unwrap_or(Json::Null);
            let now = new.get(key).cloned().unwrap_or(Json::Null);
            if all || !is_same(&before, &now) {
                changes.push(Change {
                    path: path.clone(),
                    key: key.clone(),
                    diff: difference(&before, &now),
                    old: before,
                    new: now,
                });
            }
        }
    }
    changes
}

/// Equal as Python's values are: `1` is `1.0`.
fn is_same(a: &Json, b: &Json) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn difference(old: &Json, new: &Json) -> Json {
    if let (Some(old), Some(new)) = (old.as_i64(), new.as_i64()) {
        return old
            .checked_neg()
            .and_then(|old| new.checked_add(old))
            .map_or(Json::Null, Json::from);
    }
    match (old.as_f64(), new.as_f64()) {
        (Some(old), Some(new)) => json!(new - old),
        _ => Json::Null,
    }
}

/// Values by dotted key, lists as Python writes them.
pub fn flat(value: &Json) -> Vec<(String, Json)> {
    let mut found = Vec::new();
    add_flat("", value, &mut found);
    found
}

fn add_flat(key: &str, value: &Json, found: &mut Vec<(String, Json)>) {
    match value {
        Json::Object(entries) => {
            for (inner, value) in entries {
                let key = if key.is_empty() {
                    inner.clone()
                } else {
                    format!("{key}.{inner}")
                };
                add_flat(&key, value, found);
            }
        }
        Json::Array(_) => found.push((key.to_owned(), Json::String(python_text(value)))),
        _ => found.push((key.to_owned(), value.clone())),
    }
}

fn python_text(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) if number.is_f64() => python_float(number.as_f64().unwrap_or(f64::NAN)),
        Json::Number(number) => number.to_string(),
        Json::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') {
                '"'
            } else {
                '\''
            };
            let mut escaped = text
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t");
            if quote == '\'' {
                escaped = escaped.replace('\'', "\\'");
            }
            format!("{quote}{escaped}{quote}")
        }
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(python_text).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| {
                    format!(
                        "{}: {}",
                        python_text(&Json::String(key.clone())),
                        python_text(value)
                    )
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told_with_how_much_it_grew() {
        let old = [(
            "m.json".to_owned(),
            Ok(json!({"a": {"b": 1, "c": 2.0}, "gone": "x", "l": [1, "y"]})),
        )];
        let new = [(
            "m.json".to_owned(),
            Ok(json!({"a": {"b": 3, "c": 2}, "l": [1, "z"], "n": 0.5})),
        )];
        let told: Vec<(String, Json)> = diff(&old, &new, false)
            .into_iter()
            .map(|change| (change.key, json!([change.old, change.new, change.diff])))
            .collect();
        assert_eq!(
            told,
            [
                ("a.b".to_owned(), json!([1, 3, 2])),
                ("gone".to_owned(), json!(["x", null, null])),
                ("l".to_owned(), json!(["[1, 'y']", "[1, 'z']", null])),
                ("n".to_owned(), json!([null, 0.5, null])),
            ]
        );
        assert_eq!(diff(&old, &new, true).len(), 5);
    }
}
