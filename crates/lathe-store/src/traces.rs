//! Traces: what is known of them, their spans, and how they are searched.

mod changes;
mod correlation;
mod metrics;
mod read;
mod search;
mod spans;

pub use correlation::TraceCounts;
pub use search::TraceSearch;

pub(crate) use read::number;

use read::whole;

use lathe_types::Millis;
use lathe_types::tags::Tag;
use lathe_types::traces::{
    ARTIFACTS_TAG, COST_METADATA, Cost, NAME_TAG, RUN_METADATA, SESSION_METADATA, SPANS_TAG, TokenUsage,
    TraceInfo, USAGE_METADATA,
};

use crate::{Result, Store, Tx, Value, assessments, experiments, rows};

impl Store {
    /// Keeps what a client tells of a whole trace. Spans of it may have come before; then what they said is replaced.
    pub async fn start_trace(
        &self,
        trace: TraceInfo,
        artifact_root: String,
        now: Millis,
    ) -> Result<TraceInfo> {
        self.write(move |tx| {
            let experiment = experiments::get_active(tx, trace.experiment_id)?;
            let artifacts = format!(
                "{}/traces/{}/artifacts",
                experiment.artifact_uri(&artifact_root),
                trace.id
            );
            let no = upsert(tx, &trace)?;
            let from_server = |tag: &&Tag| !matches!(tag.key.as_str(), NAME_TAG | ARTIFACTS_TAG | SPANS_TAG);
            set_pairs(tx, Pairs::Tags, no, trace.tags.iter().filter(from_server))?;
            set_pairs(
                tx,
                Pairs::Tags,
                no,
                [&Tag {
                    key: ARTIFACTS_TAG.into(),
                    value: artifacts,
                }],
            )?;
            set_pairs(tx, Pairs::Metadata, no, trace.metadata.iter())?;
            if let Some(run) = trace.metadata_value(RUN_METADATA) {
                link(tx, no, run)?;
            }
            for assessment in trace.assessments {
                assessments::insert(tx, no, &assessment, now)?;
            }
            whole(tx, no)
        })
        .await
    }
}

fn upsert(tx: &Tx<'_>, trace: &TraceInfo) -> Result<i64> {
    let tokens = trace
        .metadata_value(USAGE_METADATA)
        .and_then(TokenUsage::from_json);
    let cost = trace.metadata_value(COST_METADATA).and_then(Cost::from_json);
    let no = tx.query_opt(
        "INSERT INTO traces (trace_id, experiment_id, started_at, duration_ms, state, name, session,
                             client_request_id, request_preview, response_preview, input_tokens, output_tokens,
                             total_tokens, cache_read_tokens, cache_creation_tokens, input_cost, output_cost,
                             total_cost, told)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 1)
         ON CONFLICT (trace_id) DO UPDATE SET
             experiment_id = excluded.experiment_id, started_at = excluded.started_at,
             duration_ms = excluded.duration_ms, state = excluded.state,
             name = COALESCE(excluded.name, traces.name), session = COALESCE(excluded.session, traces.session),
             client_request_id = excluded.client_request_id,
             request_preview = COALESCE(excluded.request_preview, traces.request_preview),
             response_preview = COALESCE(excluded.response_preview, traces.response_preview),
             input_tokens = COALESCE(excluded.input_tokens, traces.input_tokens),
             output_tokens = COALESCE(excluded.output_tokens, traces.output_tokens),
             total_tokens = COALESCE(excluded.total_tokens, traces.total_tokens),
             cache_read_tokens = COALESCE(excluded.cache_read_tokens, traces.cache_read_tokens),
             cache_creation_tokens = COALESCE(excluded.cache_creation_tokens, traces.cache_creation_tokens),
             input_cost = COALESCE(excluded.input_cost, traces.input_cost),
             output_cost = COALESCE(excluded.output_cost, traces.output_cost),
             total_cost = COALESCE(excluded.total_cost, traces.total_cost),
             told = 1
         RETURNING trace_no",
        &[
            trace.id.as_str().into(),
            trace.experiment_id.number().into(),
            trace.started_at.0.into(),
            trace.duration_ms.into(),
            trace.state.as_str().into(),
            trace.tag_value(NAME_TAG).into(),
            trace.metadata_value(SESSION_METADATA).into(),
            trace.client_request_id.as_deref().into(),
            trace.request_preview.as_deref().into(),
            trace.response_preview.as_deref().into(),
            tokens.map(|tokens| tokens.input).into(),
            tokens.map(|tokens| tokens.output).into(),
            tokens.map(|tokens| tokens.total).into(),
            tokens.and_then(|tokens| tokens.cache_read).into(),
            tokens.and_then(|tokens| tokens.cache_creation).into(),
            cost.map(|cost| cost.input).into(),
            cost.map(|cost| cost.output).into(),
            cost.map(|cost| cost.total).into(),
        ],
        |row| row.get(0),
    )?;
    Ok(no.expect("an insert that returns has a row"))
}

#[derive(Clone, Copy)]
enum Pairs {
    Tags,
    Metadata,
}

/// Sets keys of a trace; the last of a key counts.
fn set_pairs<'a>(tx: &Tx<'_>, what: Pairs, no: i64, pairs: impl IntoIterator<Item = &'a Tag>) -> Result<()> {
    // One statement may not touch a row twice.
    let last: std::collections::BTreeMap<&str, &str> = pairs
        .into_iter()
        .map(|pair| (pair.key.as_str(), pair.value.as_str()))
        .collect();
    let into = match what {
        Pairs::Tags => "trace_tags (trace_no, key, value)",
        Pairs::Metadata => "trace_metadata (trace_no, key, value)",
    };
    let after = "ON CONFLICT (trace_no, key) DO UPDATE SET value = excluded.value";
    let values: Vec<Value> = last
        .into_iter()
        .flat_map(|(key, value)| [Value::Int(no), key.into(), value.into()])
        .collect();
    rows::insert(tx, into, 3, &values, after).map(drop)
}

/// Says that a trace belongs to a run.
fn link(tx: &Tx<'_>, no: i64, run: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO trace_runs (trace_no, run_id) VALUES (?1, ?2) ON CONFLICT (trace_no, run_id) DO NOTHING",
        &[no.into(), run.into()],
    )?;
    Ok(())
}
