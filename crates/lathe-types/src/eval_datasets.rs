//! Evaluation datasets: questions, and what is expected of their answers.

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::input::{check_length, truncate};
use crate::tags::Tag;
use crate::{ExperimentId, InputError, Millis};

/// The tag that names whoever made or changed something.
pub const USER_TAG: &str = "mlflow.user";
/// Records of one request at most.
const RECORDS_MAX: usize = 50_000;
const RECORD_BYTES_MAX: usize = 8 << 20;

/// A dataset without its records.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalDataset {
    /// `d-` and 32 hex digits.
    pub id: String,
    /// Its name; need not be unique.
    pub name: String,
    /// Changes whenever it does.
    pub digest: String,
    /// What its records hold, as JSON; none while it has none.
    pub schema: Option<String>,
    /// How many records it has.
    pub records: i64,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
    /// By key.
    pub tags: Vec<Tag>,
    /// Where it is used.
    pub experiments: Vec<ExperimentId>,
}

/// A record of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalRecord {
    /// `dr-` and 32 hex digits.
    pub id: String,
    /// What is asked.
    pub inputs: Json,
    /// What was answered.
    pub outputs: Option<Json>,
    /// What the answer should be.
    pub expectations: Option<Json>,
    /// By key.
    pub tags: Option<Json>,
    /// Where it comes from.
    pub source: Option<Json>,
    /// When it was added.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Who added it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
}

/// A record that a client adds, or merges with the one of the same inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvalRecord {
    fields: Map<String, Json>,
    hash: String,
}

impl NewEvalRecord {
    /// Reads the list of records that a client sends as a text.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, InputError> {
        let refuse = |reason: &str| InputError::Invalid {
            parameter: "records".into(),
            value: "…".into(),
            reason: reason.into(),
        };
        let records: Json =
            serde_json::from_str(text).map_err(|_| refuse("it must be a list of objects as JSON"))?;
        let Json::Array(records) = records else {
            return Err(refuse("it must be a list of objects as JSON"));
        };
        if RECORDS_MAX < records.len() {
            return Err(refuse(&format!(
                "a request can have at most {RECORDS_MAX} records"
            )));
        }
        let records = records.into_iter().map(|record| {
            let Json::Object(fields) = record else {
                return Err(refuse("each record must be an object"));
            };
            for name in ["inputs", "expectations", "tags", "source"] {
                if fields
                    .get(name)
                    .is_some_and(|value| !value.is_object() && !value.is_null())
                {
                    return Err(refuse(&format!("`{name}` of a record must be an object")));
                }
            }
            let inputs = sorted(
                fields
                    .get("inputs")
                    .filter(|inputs| !inputs.is_null())
                    .unwrap_or(&json!({})),
            );
            if RECORD_BYTES_MAX < Json::from(fields.clone()).to_string().len() {
                return Err(refuse("a record can have at most 8 MiB"));
            }
            Ok(Self {
                hash: hex(&Sha256::digest(inputs.to_string())),
                fields,
            })
        });
        records.collect()
    }

    /// The same for the same inputs, whatever the order of their keys.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn get(&self, name: &str) -> Option<&Json> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Who adds it.
    pub fn user(&self) -> Option<&str> {
        self.get("tags")?.get(USER_TAG)?.as_str()
    }

    /// A new record.
    pub fn create(&self, id: String, now: Millis) -> EvalRecord {
        let user = self.user().map(str::to_owned);
        EvalRecord {
            id,
            inputs: self.get("inputs").cloned().unwrap_or_else(|| json!({})),
            // What clients find where nothing was said.
            outputs: match self.fields.get("outputs") {
                None => Some(json!({})),
                Some(Json::Null) => None,
                Some(outputs) => Some(outputs.clone()),
            },
            expectations: self.get("expectations").cloned(),
            tags: self.get("tags").cloned(),
            source: self.get("source").cloned(),
            created_at: now,
            updated_at: now,
            created_by: user.clone(),
            updated_by: user,
        }
    }

    /// The record of the same inputs, with what this one says.
    pub fn merge(&self, mut into: EvalRecord, now: Millis) -> EvalRecord {
        if let Some(outputs) = self.fields.get("outputs") {
            into.outputs = (!outputs.is_null()).then(|| outputs.clone());
        }
        let extend = |old: Option<Json>, new: Option<&Json>| match (old, new) {
            (Some(Json::Object(mut old)), Some(Json::Object(new))) => {
                old.extend(new.clone());
                Some(Json::Object(old))
            }
            (old, new) => new.cloned().or(old),
        };
        into.expectations = extend(into.expectations, self.get("expectations"));
        into.tags = extend(into.tags, self.get("tags"));
        into.updated_at = now;
        if let Some(user) = self.user() {
            into.updated_by = Some(user.to_owned());
        }
        into
    }
}

/// What records hold, with what these hold added.
pub fn extend_schema(schema: Option<&str>, records: &[NewEvalRecord]) -> Option<String> {
    let known = schema.and_then(|schema| serde_json::from_str::<Json>(schema).ok());
    if known.is_none() && records.is_empty() {
        return None;
    }
    let mut schema =
        known.unwrap_or_else(|| json!({ "inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0" }));
    for record in records {
        for part in ["inputs", "outputs", "expectations"] {
            match (record.get(part), schema.get_mut(part)) {
                (Some(Json::Object(fields)), Some(Json::Object(types))) => {
                    for (key, value) in fields {
                        types.entry(key.clone()).or_insert_with(|| type_of(value).into());
                    }
                }
                (Some(value), Some(types)) if types.as_object().is_some_and(Map::is_empty) => {
                    *types = type_of(value).into();
                }
                _ => {}
            }
        }
    }
    Some(schema.to_string())
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// The same JSON with its keys in order.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Object(fields) => {
            let mut pairs: Vec<_> = fields.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs = pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
            Json::Object(pairs.collect())
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a dataset that last changed then.
pub fn digest(name: &str, updated_at: Millis) -> String {
    hex(&Sha256::digest(format!("{name}:{}", updated_at.0)))[..8].to_owned()
}

/// The name of a dataset.
pub fn dataset_name(name: String) -> Result<String, InputError> {
    check_length("name", &name, 255)?;
    if name.trim().is_empty() {
        return Err(InputError::Missing {
            parameter: "name".into(),
        });
    }
    Ok(name)
}

/// Reads the tags that a client sends as a text: an object of texts.
pub fn dataset_tags(text: &str) -> Result<Vec<Tag>, InputError> {
    let refuse =
        |reason: &str| InputError::invalid("tags", &text.chars().take(100).collect::<String>(), reason);
    let Ok(Json::Object(fields)) = serde_json::from_str(text) else {
        return Err(refuse("it must be an object as JSON"));
    };
    if 100 < fields.len() {
        return Err(refuse("a dataset can have at most 100 tags"));
    }
    let tags = fields.into_iter().map(|(key, value)| {
        check_length("tags.key", &key, 255)?;
        let mut value = match value {
            Json::String(text) => text,
            value => value.to_string(),
        };
        truncate(&mut value, 5_000);
        Ok(Tag { key, value })
    });
    tags.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> NewEvalRecord {
        NewEvalRecord::parse_all(&format!("[{text}]"))
            .unwrap()
            .pop()
            .unwrap()
    }

    #[test]
    fn the_same_inputs_are_the_same_record_whatever_the_order_of_keys() {
        let first = record(r#"{"inputs": {"a": 1, "b": {"c": [1], "d": 2}}, "expectations": {"x": 1}}"#);
        let again = record(
            r#"{"inputs": {"b": {"d": 2, "c": [1]}, "a": 1}, "expectations": {"y": 2}, "outputs": "o"}"#,
        );
        assert_eq!(first.hash(), again.hash());
        assert_ne!(first.hash(), record(r#"{"inputs": {"a": 2}}"#).hash());
        let merged = again.merge(first.create("dr-1".into(), Millis(1)), Millis(2));
        assert_eq!(merged.expectations, Some(json!({ "x": 1, "y": 2 })));
        assert_eq!(
            (merged.outputs, merged.created_at, merged.updated_at),
            (Some(json!("o")), Millis(1), Millis(2))
        );
    }

    #[test]
    fn a_schema_grows_with_its_records() {
        let schema = extend_schema(
            None,
            &[record(r#"{"inputs": {"q": "x", "n": 1}, "outputs": [1]}"#)],
        )
        .unwrap();
        let schema = extend_schema(
            Some(&schema),
            &[record(r#"{"inputs": {"f": 0.5}, "expectations": {"ok": true}}"#)],
        );
        let schema: Json = serde_json::from_str(&schema.unwrap()).unwrap();
        assert_eq!(
            schema["inputs"],
            json!({ "q": "string", "n": "integer", "f": "float" })
        );
        assert_eq!(
            (&schema["outputs"], &schema["expectations"]["ok"]),
            (&json!("array"), &json!("boolean"))
        );
        assert_eq!(extend_schema(None, &[]), None);
    }

    #[test]
    fn records_that_are_none_are_refused() {
        for text in ["", "{}", "[1]", r#"[{"inputs": 1}]"#, r#"[{"tags": []}]"#] {
            assert!(NewEvalRecord::parse_all(text).is_err(), "{text}");
        }
        assert!(dataset_tags("[]").is_err() && dataset_tags(r#"{"a": 1}"#).is_ok());
    }
}
