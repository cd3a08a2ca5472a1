//! Rows for figures over many traces.

use lathe_types::Millis;
use lathe_types::search::{MetricFilter, SpanField, TraceField};
use lathe_types::trace_metrics::{DataPoint, Gathered, MetricQuery, MetricView};
use lathe_types::traces::Cost;

use super::search::restrict_all;
use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx};

const TRACES: &str =
    "SELECT traces.started_at, traces.name, traces.state, traces.session, traces.duration_ms,
            traces.input_tokens, traces.output_tokens, traces.total_tokens, traces.cache_read_tokens,
            traces.cache_creation_tokens, traces.input_cost, traces.output_cost, traces.total_cost
     FROM traces";
const SPANS: &str =
    "SELECT p.started_at_ns, p.ended_at_ns, p.name, p.kind, p.status, p.model, p.provider, p.cost
     FROM spans AS p JOIN traces ON traces.trace_no = p.trace_no";
const ASSESSMENTS: &str = "SELECT traces.started_at, a.name, a.value, a.number
     FROM assessments AS a JOIN traces ON traces.trace_no = a.trace_no";

impl Store {
    /// Figures over many traces, spans or assessments.
    pub async fn trace_metrics(&self, query: MetricQuery) -> Result<Vec<DataPoint>> {
        if query.experiments.is_empty() {
            return Ok(Vec::new());
        }
        self.read(move |tx| {
            let mut gathered = Gathered::new(&query);
            rows(tx, &query)?.each(tx, |row| {
                let Some((at, dimensions, value, session)) = read(&query, row)? else {
                    return Ok(());
                };
                gathered
                    .add(at, dimensions, value, session)
                    .map_err(|error| Error::Invalid {
                        message: error.to_string(),
                    })
            })?;
            Ok(gathered.points())
        })
        .await
    }
}

fn rows(tx: &Tx<'_>, query: &MetricQuery) -> Result<Sql> {
    let mut sql = Sql::new(match query.view {
        MetricView::Traces => TRACES,
        MetricView::Spans => SPANS,
        MetricView::Assessments => ASSESSMENTS,
    });
    sql.push(" WHERE traces.experiment_id IN ");
    sql.bind_list(query.experiments.iter().map(|id| id.number()));
    sql.push(" AND ")
        .visible_in(tx, "traces.experiment_id", |sees| sees.traces);
    if let Some(start) = query.start {
        sql.push(" AND traces.started_at >= ").bind(start.0);
    }
    if let Some(end) = query.end {
        sql.push(" AND traces.started_at <= ").bind(end.0);
    }
    if query.view == MetricView::Assessments {
        sql.push(" AND a.valid = 1 AND a.kind <> 'issue'");
    }
    for filter in &query.filters {
        sql.push(" AND ");
        match filter {
            MetricFilter::Trace(condition) => match &condition.field {
                // Of the span that is counted itself, not of a trace that has such a span.
                TraceField::Span(SpanField::Name) => drop(sql.test("p.name", &condition.test)),
                TraceField::Span(SpanField::Kind) => drop(sql.test("p.kind", &condition.test)),
                TraceField::Span(_) => drop(sql.test("p.status", &condition.test)),
                _ => restrict_all(&mut sql, std::slice::from_ref(condition))?,
            },
            MetricFilter::AssessmentName(name) => drop(sql.push("a.name = ").bind(name)),
            MetricFilter::AssessmentKind(kind) => drop(sql.push("a.kind = ").bind(kind)),
        }
    }
    Ok(sql)
}

type Read = (Millis, Vec<String>, f64, Option<String>);

/// A row as when, dimensions and value; none where the value or a dimension is missing.
fn read(query: &MetricQuery, row: &Row<'_>) -> Result<Option<Read>> {
    let mut dimensions = Vec::with_capacity(query.dimensions.len());
    for name in &query.dimensions {
        let index = match (query.view, name.as_str()) {
            (MetricView::Traces, "trace_name") => 1,
            (MetricView::Traces, _) => 2,
            (MetricView::Spans, "span_name") => 2,
            (MetricView::Spans, "span_type") => 3,
            (MetricView::Spans, "span_status") => 4,
            (MetricView::Spans, "span_model_name") => 5,
            (MetricView::Spans, _) => 6,
            (MetricView::Assessments, "assessment_name") => 1,
            (MetricView::Assessments, _) => 2,
        };
        match row.get::<Option<String>>(index)? {
            Some(text) => dimensions.push(text),
            None => return Ok(None),
        }
    }
    let started: i64 = row.get(0)?;
    let whole =
        |index: usize| -> Result<Option<f64>> { Ok(row.get::<Option<i64>>(index)?.map(|n| n as f64)) };
    let mut session = None;
    let (at, value) = match query.view {
        MetricView::Traces => {
            let value = match query.metric.as_str() {
                "trace_count" => Some(1.0),
                "session_count" => {
                    session = row.get::<Option<String>>(3)?;
                    session.as_ref().map(|_| 1.0)
                }
                "latency" => whole(4)?,
                "input_tokens" => whole(5)?,
                "output_tokens" => whole(6)?,
                "total_tokens" => whole(7)?,
                "cache_read_input_tokens" => whole(8)?,
                "cache_creation_input_tokens" => whole(9)?,
                "input_cost" => row.get(10)?,
                "output_cost" => row.get(11)?,
                _ => row.get(12)?,
            };
            (Millis(started), value)
        }
        MetricView::Spans => {
            let ended: Option<i64> = row.get(1)?;
            let cost = || -> Result<Option<Cost>> {
                Ok(row.get::<Option<String>>(7)?.as_deref().and_then(Cost::from_json))
            };
            let value = match query.metric.as_str() {
                "span_count" => Some(1.0),
                "latency" => ended.map(|ended| (ended.saturating_sub(started) / 1_000_000) as f64),
                "input_cost" => cost()?.map(|cost| cost.input),
                "output_cost" => cost()?.map(|cost| cost.output),
                _ => cost()?.map(|cost| cost.total),
            };
            (Millis(started.div_euclid(1_000_000)), value)
        }
        MetricView::Assessments => {
            let value = match query.metric.as_str() {
                "assessment_count" => Some(1.0),
                _ => row.get(3)?,
            };
            (Millis(started), value)
        }
    };
    Ok(value.map(|value| (at, dimensions, value, session)))
}
