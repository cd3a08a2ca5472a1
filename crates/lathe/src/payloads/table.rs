//! Answered rows as the columns of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use lathe_blob::ArtifactPath;
use lathe_parquet::{Assembly, Cells, Field, Kind, Unit};
use lathe_server::inference::Payload;
use lathe_serving::ColumnType;
use lathe_types::deployments::Role;
use serde_json::Value;

/// A file that was made.
pub struct File {
    pub path: ArtifactPath,
    pub rows: u64,
    pub bytes: Vec<u8>,
}

/// About how many bytes a row takes in memory.
pub fn bytes(payload: &Payload) -> usize {
    let sample = &payload.sample;
    let value = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.len() * 32,
        Value::Object(map) => map.len() * 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    let inputs: usize = sample
        .features
        .iter()
        .map(|(name, cell)| name.len() + 80 + value(cell))
        .sum();
    inputs + 400 + value(&sample.prediction)
}

/// A file for each day and version among the rows of one deployment.
pub fn files(rows: Vec<Payload>) -> anyhow::Result<Vec<File>> {
    let mut parts: BTreeMap<(String, u32), Vec<Payload>> = BTreeMap::new();
    for row in rows {
        let day = row.sample.at.to_string();
        // A time that no calendar has is no day either.
        let day = day.split_once('T').map_or("unknown", |(day, _)| day).to_owned();
        parts.entry((day, row.sample.version)).or_default().push(row);
    }
    parts
        .into_iter()
        .map(|((day, version), rows)| {
            let deployment = rows.first().map_or("", |row| row.sample.deployment.as_str());
            let name = super::file_name(version);
            let path = super::folder(deployment)?.join(&ArtifactPath::parse(&format!("date={day}/{name}"))?);
            Ok(File {
                path,
                rows: rows.len() as u64,
                bytes: table(&rows).with_context(|| format!("version {version}"))?,
            })
        })
        .collect()
}

/// The rows of one version as a Parquet file.
fn table(rows: &[Payload]) -> anyhow::Result<Vec<u8>> {
    let mut columns: Vec<(Field, Cells)> = Vec::new();
    let mut add = |name: &str, (kind, cells): (Kind, Cells)| {
        let name = name.to_owned();
        columns.push((Field { name, kind }, cells));
    };
    let samples = || rows.iter().map(|row| &row.sample);
    let long = |bits| Kind::Integer { bits, signed: true };
    let moment = Kind::Timestamp {
        unit: Unit::Millis,
        utc: true,
    };
    let texts = |each: &dyn Fn(&Payload) -> Arc<str>| {
        (
            Kind::Text,
            Cells::Texts(rows.iter().map(|row| Some(each(row))).collect()),
        )
    };
    add(
        "prediction_id",
        texts(&|row| row.sample.prediction_id.as_str().into()),
    );
    add(
        "at",
        (
            moment,
            Cells::Longs(samples().map(|sample| Some(sample.at.0)).collect()),
        ),
    );
    add("deployment", texts(&|row| row.sample.deployment.as_str().into()));
    add("model", texts(&|row| row.sample.model.as_str().into()));
    let versions = samples().map(|sample| Some(i64::from(sample.version)));
    add("version", (long(32), Cells::Longs(versions.collect())));
    if samples().any(|sample| !sample.members.is_empty()) {
        add("members", texts(&|row| members(row).into()));
    }
    let role = |role| match role {
        Role::Stable => "stable",
        Role::Canary => "canary",
        Role::Shadow => "shadow",
    };
    add("role", texts(&|row| role(row.sample.role).into()));
    let latencies = samples().map(|sample| i64::try_from(sample.latency_us).ok());
    add("latency_us", (long(64), Cells::Longs(latencies.collect())));
    for (name, kind) in inputs(rows) {
        let values = || samples().map(|sample| sample.features.get(name).unwrap_or(&Value::Null));
        let written = match kind {
            Some(ColumnType::Boolean) => (
                Kind::Boolean,
                Cells::Booleans(
                    values()
                        .map(|value| value.as_f64().map(|number| number != 0.0))
                        .collect(),
                ),
            ),
            Some(ColumnType::Integer | ColumnType::Long) => {
                (long(64), Cells::Longs(values().map(whole).collect()))
            }
            Some(ColumnType::Double | ColumnType::Float) => (
                Kind::Double,
                Cells::Doubles(values().map(Value::as_f64).collect()),
            ),
            Some(_) => (Kind::Text, Cells::Texts(values().map(text).collect())),
            None => found(values),
        };
        add(&format!("input.{name}"), written);
    }
    add("prediction", found(|| samples().map(|sample| &sample.prediction)));
    let (fields, cells): (Vec<Field>, Vec<Cells>) = columns.into_iter().unzip();
    let mut assembly = Assembly::new(fields)?;
    let mut bytes = assembly.push(&cells)?;
    bytes.extend(assembly.footer()?);
    Ok(bytes)
}

/// Who answered a row together: `scale/3, score/7`.
fn members(row: &Payload) -> String {
    let members: Vec<String> = row.sample.members.iter().map(ToString::to_string).collect();
    members.join(", ")
}

/// The columns that the version takes, else those that came, without those that are not kept.
fn inputs(rows: &[Payload]) -> Vec<(&str, Option<ColumnType>)> {
    let Some(kept) = rows.first().map(|row| &row.kept) else {
        return Vec::new();
    };
    let mut inputs: Vec<(&str, Option<ColumnType>)> = kept
        .inputs
        .iter()
        .map(|column| (column.name.as_str(), Some(column.kind)))
        .collect();
    if inputs.is_empty() {
        for name in rows.iter().flat_map(|row| row.sample.features.keys()) {
            if !inputs.iter().any(|(known, _)| known == name) {
                inputs.push((name, None));
            }
        }
    }
    inputs.retain(|(name, _)| !kept.spec.without.iter().any(|hidden| hidden == name));
    inputs
}

/// Values of which nobody said what they are.
fn found<'a, V: Iterator<Item = &'a Value>>(values: impl Fn() -> V) -> (Kind, Cells) {
    let all = |is: &dyn Fn(&Value) -> bool| values().all(|value| value.is_null() || is(value));
    let none = values().all(Value::is_null);
    let long = Kind::Integer {
        bits: 64,
        signed: true,
    };
    if !none && all(&Value::is_i64) {
        return (long, Cells::Longs(values().map(Value::as_i64).collect()));
    }
    if none || all(&Value::is_number) {
        return (
            Kind::Double,
            Cells::Doubles(values().map(Value::as_f64).collect()),
        );
    }
    if all(&Value::is_boolean) {
        return (
            Kind::Boolean,
            Cells::Booleans(values().map(Value::as_bool).collect()),
        );
    }
    (Kind::Text, Cells::Texts(values().map(text).collect()))
}

/// A number of the table that the model saw, where all are of 64 bits with a fraction.
fn whole(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|number| number as i64))
}

fn text(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.as_str().into()),
        other => Some(other.to_string().into()),
    }
}
