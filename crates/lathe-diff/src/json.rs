use serde_json::Value;

use crate::{Places, Rules};

/// Compares value by value; nothing if a side is no JSON.
pub(crate) fn compare(expected: &[u8], found: &[u8], rules: &Rules) -> Option<Places> {
    let expected: Value = serde_json::from_slice(expected).ok()?;
    let found: Value = serde_json::from_slice(found).ok()?;
    let mut places = Places::default();
    values(&mut places, "", &expected, &found, rules);
    if places.is_empty() {
        places.add("layout", "the same values", "written differently", true);
    }
    Some(places)
}

/// Adds the places where two values differ. Keys are joined with dots, as metrics are named.
pub(crate) fn values(places: &mut Places, key: &str, expected: &Value, found: &Value, rules: &Rules) {
    let below = |name: &str| match key {
        "" => name.to_owned(),
        _ => format!("{key}.{name}"),
    };
    match (expected, found) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                match right.get(name) {
                    Some(other) => values(places, &below(name), value, other, rules),
                    None => places.matters(below(name), value.to_string(), "absent"),
                }
            }
            for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                places.matters(below(name), "absent", value.to_string());
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            if left.len() != right.len() {
                places.matters(
                    key,
                    format!("{} items", left.len()),
                    format!("{} items", right.len()),
                );
            }
            for (index, (value, other)) in left.iter().zip(right).enumerate() {
                values(places, &below(&index.to_string()), value, other, rules);
            }
        }
        (left, right) if left == right => {}
        (left, right) => {
            let near = match (left.as_f64(), right.as_f64()) {
                (Some(a), Some(b)) => rules.allows(key, a, b),
                _ => false,
            };
            places.add(key, left.to_string(), right.to_string(), near);
        }
    }
}
