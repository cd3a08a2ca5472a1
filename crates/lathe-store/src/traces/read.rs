//! Traces as they are told, from their rows.

use std::collections::HashMap;

use lathe_types::tags::Tag;
use lathe_types::traces::{NAME_TAG, TraceId, TraceInfo, TraceState};
use lathe_types::{ExperimentId, Millis};

use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx, assessments};

pub(super) const COLUMNS: &str =
    "SELECT traces.trace_no, traces.trace_id, traces.experiment_id, traces.started_at, traces.duration_ms,
            traces.state, traces.name, traces.client_request_id, traces.request_preview, traces.response_preview
     FROM traces";

/// Ids of one question to the database.
const IDS_A_QUERY: usize = 500;

impl Store {
    /// The trace without its spans.
    pub async fn get_trace(&self, id: TraceId) -> Result<TraceInfo> {
        self.read(move |tx| whole(tx, number(tx, &id)?)).await
    }

    /// Those of these traces that are there, in this order; only of these experiments, if any are named.
    pub async fn list_traces(
        &self,
        ids: Vec<TraceId>,
        experiments: Option<Vec<ExperimentId>>,
    ) -> Result<Vec<TraceInfo>> {
        self.read(move |tx| {
            let mut found = Vec::new();
            for ids in ids.chunks(IDS_A_QUERY) {
                let mut sql = Sql::new(COLUMNS);
                sql.push(" WHERE traces.trace_id IN ");
                sql.bind_list(ids.iter().map(TraceId::as_str));
                found.extend(sql.all(tx, read)?);
            }
            if let Some(experiments) = experiments {
                found.retain(|(_, trace)| experiments.contains(&trace.experiment_id));
            }
            let mut places = HashMap::new();
            for (at, id) in ids.iter().enumerate() {
                places.entry(id.clone()).or_insert(at);
            }
            found.sort_by_key(|(_, trace)| places.get(&trace.id).copied());
            read_all(tx, found)
        })
        .await
    }
}

/// The number of the trace of this id.
pub(crate) fn number(tx: &Tx<'_>, id: &TraceId) -> Result<i64> {
    let found = tx.query_opt(
        "SELECT trace_no FROM traces WHERE trace_id = ?1",
        &[id.as_str().into()],
        |row| row.get(0),
    )?;
    found.ok_or_else(|| Error::NotFound {
        noun: "trace",
        id: id.to_string(),
    })
}

/// The trace of this number.
pub(super) fn whole(tx: &Tx<'_>, no: i64) -> Result<TraceInfo> {
    let found = tx.query(
        &format!("{COLUMNS} WHERE traces.trace_no = ?1"),
        &[no.into()],
        read,
    )?;
    let mut all = read_all(tx, found)?;
    all.pop().ok_or_else(|| Error::NotFound {
        noun: "trace",
        id: no.to_string(),
    })
}

/// Adds to traces what lies in other tables, by few questions for all of them.
pub(super) fn read_all(tx: &Tx<'_>, found: Vec<(i64, TraceInfo)>) -> Result<Vec<TraceInfo>> {
    let numbers: Vec<i64> = found.iter().map(|(no, _)| *no).collect();
    let mut tags = HashMap::new();
    let mut metadata = HashMap::new();
    let mut judged = HashMap::new();
    for numbers in numbers.chunks(IDS_A_QUERY) {
        pairs(
            tx,
            "SELECT trace_no, key, value FROM trace_tags",
            numbers,
            &mut tags,
        )?;
        pairs(
            tx,
            "SELECT trace_no, key, value FROM trace_metadata",
            numbers,
            &mut metadata,
        )?;
        assessments::of_traces(tx, numbers, &mut judged)?;
    }
    let filled = found.into_iter().map(|(no, mut trace)| {
        let name = trace.tags.pop();
        trace.tags = tags.remove(&no).unwrap_or_default();
        trace.tags.extend(name);
        trace.metadata = metadata.remove(&no).unwrap_or_default();
        trace.assessments = judged.remove(&no).unwrap_or_default();
        trace
    });
    Ok(filled.collect())
}

fn pairs(
    tx: &Tx<'_>,
    select: &'static str,
    numbers: &[i64],
    into: &mut HashMap<i64, Vec<Tag>>,
) -> Result<()> {
    let mut sql = Sql::new(select);
    sql.push(" WHERE trace_no IN ");
    sql.bind_list(numbers.iter().copied());
    sql.push(" ORDER BY trace_no, key");
    let rows = sql.all(tx, |row| {
        let tag = Tag {
            key: row.get(1)?,
            value: row.get(2)?,
        };
        Ok((row.get::<i64>(0)?, tag))
    })?;
    for (no, tag) in rows {
        into.entry(no).or_default().push(tag);
    }
    Ok(())
}

/// A trace with its number, without what lies in other tables; its name is its only tag.
pub(super) fn read(row: &Row<'_>) -> Result<(i64, TraceInfo)> {
    let id: String = row.get(1)?;
    let state: String = row.get(5)?;
    let name: Option<String> = row.get(6)?;
    let id = TraceId::parse("trace_id", &id).map_err(|error| Error::Invalid {
        message: error.to_string(),
    })?;
    let trace = TraceInfo {
        id,
        experiment_id: ExperimentId::new(row.get(2)?),
        started_at: Millis(row.get(3)?),
        duration_ms: row.get(4)?,
        state: TraceState::from_name(&state).unwrap_or(TraceState::Unspecified),
        client_request_id: row.get(7)?,
        request_preview: row.get(8)?,
        response_preview: row.get(9)?,
        metadata: Vec::new(),
        tags: name
            .map(|value| Tag {
                key: NAME_TAG.into(),
                value,
            })
            .into_iter()
            .collect(),
        assessments: Vec::new(),
    };
    Ok((row.get(0)?, trace))
}
