use super::{Node, Value, python_float, python_json_string};

/// As Python's `json.dumps(…, sort_keys=True)` writes it; the run cache's keys are hashes of this text.
pub fn to_python_json(node: &Node) -> String {
    let mut json = String::new();
    write(node, &mut json);
    json
}

fn write(node: &Node, json: &mut String) {
    match &node.value {
        Value::Null => json.push_str("null"),
        Value::Bool(b) => json.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => json.push_str(&i.to_string()),
        Value::Float(f) => json.push_str(&float(*f)),
        Value::Str(text) => json.push_str(&python_json_string(text)),
        Value::List(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if 0 < index {
                    json.push_str(", ");
                }
                write(item, json);
            }
            json.push(']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| match (&a.value, &b.value) {
                (Value::Int(a), Value::Int(b)) => a.cmp(b),
                _ => a.to_key().cmp(&b.to_key()),
            });
            json.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if 0 < index {
                    json.push_str(", ");
                }
                json.push_str(&python_json_string(&key.to_key()));
                json.push_str(": ");
                write(value, json);
            }
            json.push('}');
        }
    }
}

fn float(float: f64) -> String {
    if float.is_nan() {
        "NaN".to_owned()
    } else if float.is_infinite() {
        if 0.0 < float { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        python_float(float)
    }
}
