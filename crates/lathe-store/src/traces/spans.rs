//! Spans: kept as they come, each once, and what they say of their trace.

use std::collections::{BTreeMap, HashSet};

use lathe_types::tags::Tag;
use lathe_types::traces::{
    ARTIFACTS_TAG, COST_METADATA, Cost, NewSpan, SESSION_METADATA, SPANS_TAG, SpanHead, SpanId, SpanStatus,
    SpanSummary, TokenUsage, TraceId, TraceState, USAGE_METADATA, USER_METADATA, summarise, trace_cost,
    trace_usage,
};
use lathe_types::{ExperimentId, RunId};

use super::{Pairs, link, number, set_pairs};
use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx, Value, experiments, rows, runs};

const HEADS: &str =
    "SELECT span_id, parent_id, name, kind, status, started_at_ns, ended_at_ns, tokens, cost, model, provider
                     FROM spans WHERE trace_no = ?1";
/// Spans of one answer, in bytes: they are put together in memory.
const ANSWER_BYTES_MAX: i64 = 512 << 20;

impl Store {
    /// Keeps spans, all or none; traces that nobody knew begin in this experiment. A run that is named is linked to
    /// every trace whose root is among the spans.
    pub async fn log_spans(
        &self,
        experiment: ExperimentId,
        spans: Vec<NewSpan>,
        run: Option<RunId>,
        artifact_root: String,
    ) -> Result<()> {
        self.write(move |tx| {
            let experiment = experiments::get_active(tx, experiment)?;
            let artifacts = format!("{}/traces", experiment.artifact_uri(&artifact_root));
            if let Some(run) = &run {
                runs::numbered(tx, run)?;
            }
            let mut traces: BTreeMap<TraceId, Vec<NewSpan>> = BTreeMap::new();
            for span in spans {
                traces.entry(span.trace.clone()).or_default().push(span);
            }
            for (id, spans) in traces {
                let summary = summarise(id, &spans);
                let trace = open(tx, experiment.id, &summary, &artifacts)?;
                let no = trace.no;
                insert(tx, no, spans)?;
                describe(tx, &trace, &summary)?;
                if let Some(run) = run.as_ref().filter(|_| summary.root_state.is_some()) {
                    link(tx, no, run.as_str())?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The spans of a trace as JSON, its root first, then as they started.
    pub async fn list_spans(&self, id: TraceId) -> Result<Vec<String>> {
        self.read(move |tx| {
            let no = number(tx, &id)?;
            let bytes: Option<i64> = tx
                .query_opt(
                    "SELECT CAST(SUM(bytes) AS BIGINT) FROM spans WHERE trace_no = ?1",
                    &[no.into()],
                    |row| row.get(0),
                )?
                .flatten();
            if ANSWER_BYTES_MAX < bytes.unwrap_or_default() {
                return Err(Error::Invalid {
                    message: format!(
                        "the spans of trace `{id}` are more than {} MiB; ask for them one by one",
                        ANSWER_BYTES_MAX >> 20
                    ),
                });
            }
            tx.query(
                "SELECT c.content FROM spans AS s JOIN span_contents AS c
                 ON c.trace_no = s.trace_no AND c.span_id = s.span_id WHERE s.trace_no = ?1
                 ORDER BY CASE WHEN s.parent_id IS NULL THEN 0 ELSE 1 END, s.started_at_ns, s.span_id",
                &[no.into()],
                |row| row.get(0),
            )
        })
        .await
    }

    /// How many spans of a trace are here.
    pub async fn count_spans(&self, id: TraceId) -> Result<usize> {
        self.read(move |tx| {
            let no = number(tx, &id)?;
            let count: Option<i64> = tx.query_opt(
                "SELECT COUNT(*) FROM spans WHERE trace_no = ?1",
                &[no.into()],
                |row| row.get(0),
            )?;
            Ok(count.unwrap_or_default() as usize)
        })
        .await
    }

    /// What lists show of the spans of a trace, as they started; at most `limit`.
    pub async fn list_span_heads(&self, id: TraceId, limit: usize) -> Result<Vec<SpanHead>> {
        self.read(move |tx| {
            let sql = format!("{HEADS} ORDER BY started_at_ns, span_id LIMIT ?2");
            tx.query(&sql, &[number(tx, &id)?.into(), (limit as i64).into()], head)
        })
        .await
    }

    /// One span as JSON.
    pub async fn get_span(&self, id: TraceId, span: SpanId) -> Result<String> {
        self.read(move |tx| {
            let found = tx.query_opt(
                "SELECT content FROM span_contents WHERE trace_no = ?1 AND span_id = ?2",
                &[number(tx, &id)?.into(), span.to_string().into()],
                |row| row.get(0),
            )?;
            found.ok_or_else(|| Error::NotFound {
                noun: "span",
                id: span.to_string(),
            })
        })
        .await
    }
}

/// A trace that spans are written to.
struct Opened {
    no: i64,
    /// Whether its client has told of the whole of it.
    told: bool,
    started_at: i64,
    duration_ms: Option<i64>,
}

/// The trace of these spans; a new one begins as they say. Nobody else changes it until the transaction ends.
fn open(tx: &Tx<'_>, experiment: ExperimentId, summary: &SpanSummary, artifacts: &str) -> Result<Opened> {
    let state = summary.root_state.unwrap_or(TraceState::InProgress);
    let duration_ms = summary.ended_at.map(|ended| ended.since(summary.started_at).0);
    let created = tx.query_opt(
        "INSERT INTO traces (trace_id, experiment_id, started_at, duration_ms, state, told)
         VALUES (?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT (trace_id) DO NOTHING RETURNING trace_no",
        &[
            summary.id.as_str().into(),
            experiment.number().into(),
            summary.started_at.0.into(),
            duration_ms.into(),
            state.as_str().into(),
        ],
        |row| row.get(0),
    )?;
    if let Some(no) = created {
        let place = Tag {
            key: ARTIFACTS_TAG.into(),
            value: format!("{artifacts}/{}/artifacts", summary.id),
        };
        set_pairs(tx, Pairs::Tags, no, [&place])?;
        return Ok(Opened {
            no,
            told: false,
            started_at: summary.started_at.0,
            duration_ms,
        });
    }
    let known = tx.query_opt(
        "UPDATE traces SET told = told WHERE trace_id = ?1 RETURNING trace_no, told, started_at, duration_ms",
        &[summary.id.as_str().into()],
        |row| {
            Ok(Opened {
                no: row.get(0)?,
                told: row.get::<i64>(1)? == 1,
                started_at: row.get(2)?,
                duration_ms: row.get(3)?,
            })
        },
    )?;
    known.ok_or_else(|| Error::NotFound {
        noun: "trace",
        id: summary.id.to_string(),
    })
}

/// Writes the rows of spans; of a span that comes again, the last counts.
fn insert(tx: &Tx<'_>, no: i64, spans: Vec<NewSpan>) -> Result<()> {
    let mut last: BTreeMap<SpanId, NewSpan> = BTreeMap::new();
    for span in spans {
        last.insert(span.head.id, span);
    }
    forget_attributes(tx, no, last.keys())?;
    let heads: Vec<Value> = last
        .iter()
        .flat_map(|(id, span)| {
            let head = &span.head;
            [
                no.into(),
                id.to_string().into(),
                head.parent.map(|id| id.to_string()).into(),
                (&head.name).into(),
                (&head.kind).into(),
                head.status.as_str().into(),
                head.started_at_ns.into(),
                head.ended_at_ns.into(),
                head.tokens.map(TokenUsage::to_json).into(),
                head.cost.map(Cost::to_json).into(),
                head.model.as_deref().into(),
                head.provider.as_deref().into(),
                (span.content.len() as i64).into(),
            ]
        })
        .collect();
    rows::insert(
        tx,
        "spans (trace_no, span_id, parent_id, name, kind, status, started_at_ns, ended_at_ns, tokens, cost, model,
                provider, bytes)",
        13,
        &heads,
        "ON CONFLICT (trace_no, span_id) DO UPDATE SET
             parent_id = excluded.parent_id, name = excluded.name, kind = excluded.kind, status = excluded.status,
             started_at_ns = excluded.started_at_ns, ended_at_ns = excluded.ended_at_ns, tokens = excluded.tokens,
             cost = excluded.cost, model = excluded.model, provider = excluded.provider, bytes = excluded.bytes",
    )?;
    let attributes: Vec<Value> = last
        .iter()
        .flat_map(|(id, span)| {
            span.attributes
                .iter()
                .flat_map(move |(key, value)| [no.into(), id.to_string().into(), key.into(), value.into()])
        })
        .collect();
    rows::insert(
        tx,
        "span_attributes (trace_no, span_id, key, value)",
        4,
        &attributes,
        "ON CONFLICT (trace_no, span_id, key) DO NOTHING",
    )?;
    let contents: Vec<Value> = last
        .into_iter()
        .flat_map(|(id, span)| [no.into(), id.to_string().into(), Value::Text(span.content)])
        .collect();
    rows::insert(
        tx,
        "span_contents (trace_no, span_id, content)",
        3,
        &contents,
        "ON CONFLICT (trace_no, span_id) DO UPDATE SET content = excluded.content",
    )
    .map(drop)
}

/// A span that comes again may have lost attributes.
fn forget_attributes<'a>(tx: &Tx<'_>, no: i64, ids: impl Iterator<Item = &'a SpanId>) -> Result<()> {
    let mut known: HashSet<String> = HashSet::new();
    let ids: Vec<String> = ids.map(SpanId::to_string).collect();
    for ids in ids.chunks(500) {
        let mut sql = Sql::new("SELECT span_id FROM spans WHERE trace_no = ");
        sql.bind(no).push(" AND span_id IN ").bind_list(ids);
        known.extend(sql.all(tx, |row| row.get::<String>(0))?);
    }
    for id in known {
        tx.execute(
            "DELETE FROM span_attributes WHERE trace_no = ?1 AND span_id = ?2",
            &[no.into(), id.into()],
        )?;
    }
    Ok(())
}

/// Writes down what the spans say of their trace, where its client has not said better.
fn describe(tx: &Tx<'_>, trace: &Opened, summary: &SpanSummary) -> Result<()> {
    let no = trace.no;
    if !trace.told {
        let started = trace.started_at.min(summary.started_at.0);
        let ended_before = trace
            .duration_ms
            .map(|duration| trace.started_at.saturating_add(duration));
        let ended = ended_before.max(summary.ended_at.map(|ended| ended.0));
        tx.execute(
            "UPDATE traces SET started_at = ?2, duration_ms = ?3 WHERE trace_no = ?1",
            &[
                no.into(),
                started.into(),
                ended.map(|ended| ended.saturating_sub(started)).into(),
            ],
        )?;
    }
    let name = summary.name_tag.as_deref().or(summary.root_name.as_deref());
    tx.execute(
        "UPDATE traces SET
             state = CASE WHEN state IN ('IN_PROGRESS', 'STATE_UNSPECIFIED') THEN COALESCE(?2, state) ELSE state END,
             name = COALESCE(name, ?3), request_preview = COALESCE(request_preview, ?4),
             response_preview = COALESCE(response_preview, ?5), session = COALESCE(session, ?6)
         WHERE trace_no = ?1",
        &[
            no.into(),
            summary.root_state.map(TraceState::as_str).into(),
            name.into(),
            summary.request_preview.as_deref().into(),
            summary.response_preview.as_deref().into(),
            summary.session.as_deref().into(),
        ],
    )?;
    let kept_here = Tag {
        key: SPANS_TAG.into(),
        value: "TRACKING_STORE".into(),
    };
    set_pairs(tx, Pairs::Tags, no, summary.tags.iter().chain([&kept_here]))?;
    if let Some(session) = &summary.session {
        set_once(tx, no, SESSION_METADATA, session)?;
    }
    if let Some(user) = &summary.user {
        set_once(tx, no, USER_METADATA, user)?;
    }
    if summary.has_usage || summary.root_state.is_some() {
        count_usage(tx, no)?;
    }
    Ok(())
}

/// Metadata that no client has set.
fn set_once(tx: &Tx<'_>, no: i64, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO trace_metadata (trace_no, key, value) VALUES (?1, ?2, ?3) ON CONFLICT (trace_no, key) DO NOTHING",
        &[no.into(), key.into(), value.into()],
    )?;
    Ok(())
}

/// Counts the tokens and dollars of a whole tree, unless its client has said how many. While spans come one by one,
/// only the root's arrival is worth counting, since frameworks write sums on parents, which come last.
fn count_usage(tx: &Tx<'_>, no: i64) -> Result<()> {
    let told: Vec<String> = tx.query(
        "SELECT m.key FROM trace_metadata AS m JOIN traces AS t ON t.trace_no = m.trace_no
         WHERE m.trace_no = ?1 AND m.key IN (?2, ?3) AND t.told = 1",
        &[no.into(), USAGE_METADATA.into(), COST_METADATA.into()],
        |row| row.get(0),
    )?;
    let wanted = |key: &str| !told.iter().any(|known| known == key);
    if !wanted(USAGE_METADATA) && !wanted(COST_METADATA) {
        return Ok(());
    }
    let rooted: Option<i64> = tx.query_opt(
        "SELECT 1 FROM spans WHERE trace_no = ?1 AND parent_id IS NULL LIMIT 1",
        &[no.into()],
        |row| row.get(0),
    )?;
    let uses: Option<i64> = tx.query_opt(
        "SELECT 1 FROM spans WHERE trace_no = ?1 AND (tokens IS NOT NULL OR cost IS NOT NULL) LIMIT 1",
        &[no.into()],
        |row| row.get(0),
    )?;
    if rooted.is_none() || uses.is_none() {
        return Ok(());
    }
    let spans = tx.query(HEADS, &[no.into()], head)?;
    let mut metadata = Vec::new();
    if let Some(usage) = trace_usage(&spans).filter(|_| wanted(USAGE_METADATA)) {
        tx.execute(
            "UPDATE traces SET input_tokens = ?2, output_tokens = ?3, total_tokens = ?4, cache_read_tokens = ?5,
                               cache_creation_tokens = ?6 WHERE trace_no = ?1",
            &[
                no.into(),
                usage.input.into(),
                usage.output.into(),
                usage.total.into(),
                usage.cache_read.into(),
                usage.cache_creation.into(),
            ],
        )?;
        metadata.push((USAGE_METADATA, usage.to_json()));
    }
    if let Some(cost) = trace_cost(&spans).filter(|_| wanted(COST_METADATA)) {
        tx.execute(
            "UPDATE traces SET input_cost = ?2, output_cost = ?3, total_cost = ?4 WHERE trace_no = ?1",
            &[
                no.into(),
                cost.input.into(),
                cost.output.into(),
                cost.total.into(),
            ],
        )?;
        metadata.push((COST_METADATA, cost.to_json()));
    }
    let metadata: Vec<Tag> = metadata
        .into_iter()
        .map(|(key, value)| Tag {
            key: key.into(),
            value,
        })
        .collect();
    set_pairs(tx, Pairs::Metadata, no, &metadata)
}

fn head(row: &Row<'_>) -> Result<SpanHead> {
    let span_id = |text: String| SpanId::parse(&text).unwrap_or(SpanId::from_bits(0));
    let status: String = row.get(4)?;
    Ok(SpanHead {
        id: span_id(row.get(0)?),
        parent: row.get::<Option<String>>(1)?.map(span_id),
        name: row.get(2)?,
        kind: row.get(3)?,
        status: SpanStatus::from_word(&status).unwrap_or(SpanStatus::Unset),
        started_at_ns: row.get(5)?,
        ended_at_ns: row.get(6)?,
        tokens: row
            .get::<Option<String>>(7)?
            .as_deref()
            .and_then(TokenUsage::from_json),
        cost: row.get::<Option<String>>(8)?.as_deref().and_then(Cost::from_json),
        model: row.get(9)?,
        provider: row.get(10)?,
    })
}
