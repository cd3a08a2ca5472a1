//! Which traces fit a filter. Bodies of spans are read only by conditions on them.

use lathe_types::ExperimentId;
use lathe_types::search::{SpanField, Test, TraceAttribute, TraceCondition, TraceField, TraceOrder};
use lathe_types::tags::{Page, PageRequest};
use lathe_types::traces::TraceInfo;

use super::read::{COLUMNS, read, read_all};
use crate::sql::Sql;
use crate::{Result, Store};

/// Which traces are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSearch {
    /// Traces of these experiments; none: no traces.
    pub experiments: Vec<ExperimentId>,
    /// What the traces must be.
    pub conditions: Vec<TraceCondition>,
    /// What comes first; then the newest.
    pub order: Vec<TraceOrder>,
    /// Which part.
    pub page: PageRequest,
}

const TAG: &str = "trace_tags AS g WHERE g.trace_no = traces.trace_no AND g.key = ";
const METADATA: &str = "trace_metadata AS m WHERE m.trace_no = traces.trace_no AND m.key = ";
const RUN: &str = "trace_runs AS r WHERE r.trace_no = traces.trace_no";
const ENDED_AT: &str = "(traces.started_at + COALESCE(traces.duration_ms, 0))";

impl Store {
    /// The traces that fit, without their spans.
    pub async fn search_traces(&self, search: TraceSearch) -> Result<Page<TraceInfo>> {
        if search.experiments.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        self.read(move |tx| {
            let mut sql = Sql::new(COLUMNS);
            sql.push(" WHERE traces.experiment_id IN ");
            sql.bind_list(search.experiments.iter().map(|id| id.number()));
            sql.push(" AND ").visible_in(tx, "traces.experiment_id", |_| None);
            sql.push(" AND ");
            restrict_all(&mut sql, &search.conditions)?;
            sql.push(" ORDER BY ");
            for order in &search.order {
                sort(&mut sql, order);
            }
            sql.push("traces.started_at DESC, traces.trace_id");
            let found = sql.page(tx, search.page, read)?;
            Ok(Page {
                items: read_all(tx, found.items)?,
                next: found.next,
            })
        })
        .await
    }
}

/// The condition that a row of `traces` fits all of these.
pub(super) fn restrict_all(sql: &mut Sql, conditions: &[TraceCondition]) -> Result<()> {
    sql.push("1 = 1");
    let mut of_spans = Vec::new();
    for TraceCondition { field, test } in conditions {
        sql.check(test)?;
        match field {
            // All conditions on spans must hold for the same span.
            TraceField::Span(field) => of_spans.push((field, test)),
            field => {
                sql.push(" AND ");
                restrict(sql, field, test);
            }
        }
    }
    if !of_spans.is_empty() {
        sql.push(" AND EXISTS (SELECT 1 FROM spans AS s WHERE s.trace_no = traces.trace_no");
        for (field, test) in of_spans {
            sql.push(" AND ");
            restrict_span(sql, field, test);
        }
        sql.push(")");
    }
    Ok(())
}

fn restrict(sql: &mut Sql, field: &TraceField, test: &Test) {
    match field {
        TraceField::Attribute(attribute) => sql.test(column(*attribute), test),
        TraceField::Tag(key) => sql.test_keyed(TAG, "g.value", key, test),
        TraceField::Metadata(key) => sql.test_keyed(METADATA, "m.value", key, test),
        TraceField::Run => {
            if matches!(test, Test::Missing { negated: false }) {
                sql.push("NOT ");
            }
            sql.push("EXISTS (SELECT 1 FROM ").push(RUN);
            if !matches!(test, Test::Missing { .. }) {
                sql.push(" AND ").test("r.run_id", test);
            }
            sql.push(")")
        }
        TraceField::Prompt => sql
            .push("EXISTS (SELECT 1 FROM trace_prompts AS p WHERE p.trace_no = traces.trace_no AND ")
            .test("p.prompt", test)
            .push(")"),
        TraceField::Issue => sql
            .push("EXISTS (SELECT 1 FROM assessments AS a WHERE a.trace_no = traces.trace_no AND a.kind = 'issue' AND ")
            .test("a.name", test)
            .push(")"),
        TraceField::Feedback(name) => judged(sql, "feedback", name, test),
        TraceField::Expectation(name) => judged(sql, "expectation", name, test),
        // Put together by the caller.
        TraceField::Span(_) => sql,
    };
}

fn restrict_span(sql: &mut Sql, field: &SpanField, test: &Test) {
    match field {
        SpanField::Name => sql.test("s.name", test),
        SpanField::Kind => sql.test("s.kind", test),
        SpanField::Status => sql.test("s.status", test),
        SpanField::Content => sql
            .push("EXISTS (SELECT 1 FROM span_contents AS c WHERE c.trace_no = s.trace_no AND c.span_id = s.span_id AND ")
            .test("c.content", test)
            .push(")"),
        SpanField::Attribute(key) => sql
            .push("EXISTS (SELECT 1 FROM span_attributes AS b WHERE b.trace_no = s.trace_no AND b.span_id = s.span_id AND b.key = ")
            .bind(key)
            .push(" AND ")
            .test("b.value", test)
            .push(")"),
    };
}

/// What was said of the trace itself, or of its whole session on any trace of it.
fn judged<'a>(sql: &'a mut Sql, kind: &'static str, name: &str, test: &Test) -> &'a mut Sql {
    let missing = matches!(test, Test::Missing { negated: false });
    sql.push(if missing { "NOT (" } else { "(" });
    sql.push("EXISTS (SELECT 1 FROM assessments AS a WHERE a.trace_no = traces.trace_no");
    said(sql, kind, name, test);
    sql.push(
        ") OR (traces.session IS NOT NULL AND EXISTS (SELECT 1 FROM traces AS o
         JOIN assessments AS a ON a.trace_no = o.trace_no
         WHERE o.session = traces.session AND o.experiment_id = traces.experiment_id AND a.session IS NOT NULL",
    );
    said(sql, kind, name, test);
    sql.push(")))")
}

fn said(sql: &mut Sql, kind: &'static str, name: &str, test: &Test) {
    sql.push(" AND a.valid = 1 AND a.kind = ").bind(kind);
    sql.push(" AND a.name = ").bind(name);
    match test {
        Test::Missing { .. } => sql,
        Test::Number(..) => sql.push(" AND a.is_number = 1 AND ").test("a.number", test),
        _ => sql.push(" AND ").test("a.text", test),
    };
}

fn sort(sql: &mut Sql, order: &TraceOrder) {
    let descending = order.descending;
    match &order.field {
        TraceField::Attribute(attribute) => sql.order(column(*attribute), descending),
        TraceField::Tag(key) => sql.order_keyed("g.value", TAG, key, descending),
        TraceField::Metadata(key) => sql.order_keyed("m.value", METADATA, key, descending),
        TraceField::Run => sql.order(
            "(SELECT MIN(r.run_id) FROM trace_runs AS r WHERE r.trace_no = traces.trace_no)",
            descending,
        ),
        // The grammar sorts by none of these.
        TraceField::Span(_)
        | TraceField::Feedback(_)
        | TraceField::Expectation(_)
        | TraceField::Issue
        | TraceField::Prompt => sql,
    };
}

fn column(attribute: TraceAttribute) -> &'static str {
    match attribute {
        TraceAttribute::Id => "traces.trace_id",
        TraceAttribute::ExperimentId => "CAST(traces.experiment_id AS TEXT)",
        TraceAttribute::StartedAt => "traces.started_at",
        TraceAttribute::Duration => "traces.duration_ms",
        TraceAttribute::EndedAt => ENDED_AT,
        TraceAttribute::State => "traces.state",
        TraceAttribute::Name => "traces.name",
        TraceAttribute::Session => "traces.session",
        TraceAttribute::ClientRequestId => "traces.client_request_id",
    }
}
