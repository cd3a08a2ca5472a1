//! YAML of people and of DVC: every text is read or refused; what was read can be written and read again, and a text
//! into which nothing is put stays as it is.

use lathe_yaml::{Node, Value, emit, in_order_of, read, to_python_json, updated};

/// Reads it; panics if what comes out breaks a promise.
pub fn check(text: &str) {
    let node = match read(text) {
        Ok(node) => node,
        Err(error) => {
            assert!(error.to_string().len() <= text.len() + 1_000);
            return;
        }
    };
    let _ = to_python_json(&node);
    let _ = node.to_json();
    if holds_nan(&node) {
        // Equal to nothing, itself included.
        return;
    }
    if let Some(same) = updated(text, &node, &node) {
        assert_eq!(same, text);
    }
    let written = emit(&node);
    let again = read(&written).unwrap_or_else(|error| panic!("{written:?} cannot be read: {error}"));
    assert_eq!(kinds(&again), kinds(&node), "{written:?}");
    let mut changed = node.clone();
    if let Value::Map(entries) = &mut changed.value {
        entries.push((Node::text("added"), Node::new(Value::Int(1))));
    }
    if let Some(new) = updated(text, &node, &changed) {
        assert_eq!(read(&new).ok(), Some(changed.clone()));
    }
    let _ = in_order_of(&node, &changed);
}

/// The shape of a value. Of texts only that they are some: as with DVC's writer, blanks at the end of a line that is
/// wrapped are not kept.
fn kinds(node: &Node) -> String {
    match &node.value {
        Value::Null => "n".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => format!("{float:e}"),
        Value::Str(_) => "s".to_owned(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(kinds).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| match &key.value {
                    // Becomes its text.
                    Value::List(_) | Value::Map(_) => format!("s:{}", kinds(value)),
                    _ => format!("{}:{}", kinds(key), kinds(value)),
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

fn holds_nan(node: &Node) -> bool {
    match &node.value {
        Value::Float(float) => float.is_nan(),
        Value::List(items) => items.iter().any(holds_nan),
        Value::Map(entries) => entries
            .iter()
            .any(|(key, value)| holds_nan(key) || holds_nan(value)),
        _ => false,
    }
}
