//! What traces are searched by: more entities than other nouns have, patterns, and values whose type nobody fixed.

use super::cursor::Cursor;
use super::filter::{CONDITIONS_MAX, Operator, pattern, read_operator, read_text, read_texts};
use super::order::{KEYS_MAX, end};
use super::{Comparison, Test};
use crate::InputError;
use crate::traces::{NAME_TAG, RUN_METADATA, SESSION_METADATA};

/// Something that a search for traces can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceField {
    /// A property of the trace itself.
    Attribute(TraceAttribute),
    /// The tag of this key.
    Tag(String),
    /// The metadata of this key.
    Metadata(String),
    /// A property of one of its spans.
    Span(SpanField),
    /// The feedback of this name.
    Feedback(String),
    /// The expectation of this name.
    Expectation(String),
    /// The issue that it shows.
    Issue,
    /// The run that it was made in or linked to.
    Run,
    /// A prompt version that it used, as `name/version`.
    Prompt,
}

/// A property of a trace itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceAttribute {
    /// Its id.
    Id,
    /// Where it belongs.
    ExperimentId,
    /// When it started, in milliseconds.
    StartedAt,
    /// How long it took, in milliseconds.
    Duration,
    /// When it ended, in milliseconds.
    EndedAt,
    /// How it ended.
    State,
    /// What it is called.
    Name,
    /// Its session.
    Session,
    /// What the application calls the request.
    ClientRequestId,
}

/// A property of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanField {
    /// What was done.
    Name,
    /// What kind of step.
    Kind,
    /// How it ended.
    Status,
    /// All of it, as text.
    Content,
    /// The attribute of this key.
    Attribute(String),
}

/// One condition; a filter is all of them at once.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceCondition {
    /// What is tested.
    pub field: TraceField,
    /// What it must be.
    pub test: Test,
}

/// One key to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceOrder {
    /// What is compared.
    pub field: TraceField,
    /// Largest first.
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    OptionalText,
    /// A judge may have said a number or a text.
    Judged,
    /// Only equal to one text.
    Key,
    /// Only like a pattern: whole bodies are never equal.
    Body,
}

/// Reads a filter: conditions joined by `AND`. An empty text has none.
pub fn parse_trace_filter(filter: &str) -> Result<Vec<TraceCondition>, InputError> {
    parse(&mut Cursor::new(filter)).map_err(|reason| InputError::invalid("filter", filter, reason))
}

fn parse(cursor: &mut Cursor<'_>) -> Result<Vec<TraceCondition>, String> {
    let mut conditions = Vec::new();
    if cursor.at_end() {
        return Ok(conditions);
    }
    loop {
        if conditions.len() == CONDITIONS_MAX {
            return Err(format!("a filter can have at most {CONDITIONS_MAX} conditions"));
        }
        conditions.push(condition(cursor)?);
        if cursor.at_end() {
            return Ok(conditions);
        }
        if !cursor.keyword("AND") {
            return Err(format!(
                "`AND` or the end is expected at {}; conditions are joined by `AND` only",
                cursor.here()
            ));
        }
    }
}

fn condition(cursor: &mut Cursor<'_>) -> Result<TraceCondition, String> {
    let field = field(cursor)?;
    let operator = read_operator(cursor)?;
    let kind = field.kind();
    let test = match (operator, kind) {
        (Operator::Compare(Comparison::Equal | Comparison::Unequal), Kind::Body) => {
            return Err("the content of spans can only be searched by `LIKE`, `ILIKE`, `RLIKE`".into());
        }
        (Operator::Compare(Comparison::Equal), Kind::Key) => Test::Text {
            text: read_text(cursor)?,
            negated: false,
        },
        (_, Kind::Key) => return Err("a prompt or an issue can only be compared by `=`".into()),
        (Operator::Compare(comparison), Kind::Number) => number(cursor, comparison)?,
        (Operator::Compare(comparison @ (Comparison::Equal | Comparison::Unequal)), _) => {
            // Only what was judged can be either.
            match cursor.number().filter(|_| kind == Kind::Judged) {
                Some(number) => Test::Number(comparison, number),
                None => Test::Text {
                    text: read_text(cursor)?,
                    negated: comparison == Comparison::Unequal,
                },
            }
        }
        (Operator::Compare(comparison), Kind::Judged) => number(cursor, comparison)?,
        (Operator::Compare(_), _) => {
            return Err("a text can only be compared by `=`, `!=`, `LIKE`, `ILIKE`, `RLIKE`, `IN`".into());
        }
        (_, Kind::Number) => {
            return Err("a number can only be compared by `=`, `!=`, `<`, `<=`, `>`, `>=`".into());
        }
        (Operator::Like { ignore_case }, _) => Test::Like {
            pattern: pattern(cursor)?,
            ignore_case,
        },
        (Operator::Matches, _) => Test::Matches {
            pattern: pattern(cursor)?,
        },
        (Operator::In { .. }, Kind::Judged | Kind::Body) => {
            return Err("`IN` compares attributes, tags, metadata and properties of spans".into());
        }
        (Operator::In { negated }, _) => Test::OneOf {
            texts: read_texts(cursor)?,
            negated,
        },
        (Operator::Null { negated }, Kind::OptionalText | Kind::Judged) => Test::Missing { negated },
        (Operator::Null { .. }, Kind::Text | Kind::Body) => {
            return Err("only tags, metadata, feedback and expectations can be compared with NULL".into());
        }
    };
    Ok(TraceCondition { field, test })
}

fn number(cursor: &mut Cursor<'_>, comparison: Comparison) -> Result<Test, String> {
    let number = cursor
        .number()
        .ok_or_else(|| format!("a number without quotes is expected at {}", cursor.here()))?;
    Ok(Test::Number(comparison, number))
}

/// Reads keys to sort by, as `timestamp DESC`; without a direction, the smallest comes first.
pub fn parse_trace_order(keys: &[String]) -> Result<Vec<TraceOrder>, InputError> {
    if KEYS_MAX < keys.len() {
        return Err(InputError::Invalid {
            parameter: "order_by".into(),
            value: keys.len().to_string(),
            reason: format!("a search can sort by at most {KEYS_MAX} keys"),
        });
    }
    let mut orders: Vec<TraceOrder> = Vec::new();
    for key in keys {
        let order = order(&mut Cursor::new(key));
        let order = order.map_err(|reason| InputError::invalid("order_by", key, reason))?;
        if orders.iter().any(|other| other.field == order.field) {
            return Err(InputError::invalid(
                "order_by",
                key,
                "`order_by` contains duplicate fields",
            ));
        }
        orders.push(order);
    }
    Ok(orders)
}

fn order(cursor: &mut Cursor<'_>) -> Result<TraceOrder, String> {
    let field = field(cursor)?;
    let sortable = matches!(
        field,
        TraceField::Attribute(_) | TraceField::Tag(_) | TraceField::Metadata(_) | TraceField::Run
    );
    if !sortable {
        return Err("traces are sorted by attributes, tags and metadata".into());
    }
    let descending = cursor.keyword("DESC");
    if !descending {
        cursor.keyword("ASC");
    }
    end(cursor)?;
    Ok(TraceOrder { field, descending })
}

fn field(cursor: &mut Cursor<'_>) -> Result<TraceField, String> {
    let name = cursor.name()?;
    let entity = name.entity.as_deref().unwrap_or("attribute").to_ascii_lowercase();
    let key = name.key;
    Ok(match entity.as_str() {
        "attribute" | "attributes" | "trace" => attribute(&key)?,
        "tag" | "tags" if key == NAME_TAG => TraceField::Attribute(TraceAttribute::Name),
        "tag" | "tags" => TraceField::Tag(key),
        "metadata" | "request_metadata" => match key.as_str() {
            RUN_METADATA => TraceField::Run,
            SESSION_METADATA => TraceField::Attribute(TraceAttribute::Session),
            _ => TraceField::Metadata(key),
        },
        "span" => TraceField::Span(match key.as_str() {
            "name" => SpanField::Name,
            "type" => SpanField::Kind,
            "status" => SpanField::Status,
            "content" => SpanField::Content,
            _ => match key.strip_prefix("attributes.") {
                Some(attribute) if !attribute.is_empty() => SpanField::Attribute(attribute.to_owned()),
                _ => {
                    return Err(format!(
                        "Invalid span attribute '{key}'. Supported attributes: name, status, type, content, attributes.<attribute_name>."
                    ));
                }
            },
        }),
        "feedback" => TraceField::Feedback(key),
        "expectation" => TraceField::Expectation(key),
        "issue" if key == "id" => TraceField::Issue,
        "issue" => {
            return Err(format!(
                "Invalid issue attribute '{key}'. Supported attributes: id"
            ));
        }
        _ => {
            return Err(format!(
                "Invalid entity type '{entity}'. Valid values are attribute, trace, tag, metadata, span, feedback, expectation, issue"
            ));
        }
    })
}

fn attribute(key: &str) -> Result<TraceField, String> {
    Ok(TraceField::Attribute(match key {
        "request_id" | "trace_id" => TraceAttribute::Id,
        "experiment_id" => TraceAttribute::ExperimentId,
        "timestamp" | "timestamp_ms" | "request_time" => TraceAttribute::StartedAt,
        "execution_time" | "execution_time_ms" | "execution_duration" => TraceAttribute::Duration,
        "end_time" | "end_time_ms" => TraceAttribute::EndedAt,
        "status" | "state" => TraceAttribute::State,
        "name" => TraceAttribute::Name,
        "client_request_id" => TraceAttribute::ClientRequestId,
        "run_id" => return Ok(TraceField::Run),
        "prompt" => return Ok(TraceField::Prompt),
        "text" => return Ok(TraceField::Span(SpanField::Content)),
        _ => {
            return Err(format!(
                "Invalid attribute key '{key}' specified. Valid keys are client_request_id, end_time, execution_time, name, prompt, request_id, run_id, status, text, timestamp"
            ));
        }
    }))
}

impl TraceField {
    fn kind(&self) -> Kind {
        match self {
            Self::Attribute(attribute) => match attribute {
                TraceAttribute::StartedAt | TraceAttribute::Duration | TraceAttribute::EndedAt => {
                    Kind::Number
                }
                TraceAttribute::Id | TraceAttribute::ExperimentId | TraceAttribute::State => Kind::Text,
                TraceAttribute::Name | TraceAttribute::Session | TraceAttribute::ClientRequestId => {
                    Kind::OptionalText
                }
            },
            Self::Tag(_) | Self::Metadata(_) | Self::Run => Kind::OptionalText,
            Self::Span(SpanField::Content) => Kind::Body,
            Self::Span(_) => Kind::Text,
            Self::Feedback(_) | Self::Expectation(_) => Kind::Judged,
            Self::Issue | Self::Prompt => Kind::Key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filter: &str) -> String {
        match parse_trace_filter(filter) {
            Ok(conditions) => conditions
                .iter()
                .map(|condition| format!("{:?} {:?}", condition.field, condition.test))
                .collect::<Vec<_>>()
                .join(" & "),
            Err(InputError::Invalid { reason, .. }) => reason,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_filter_names_traces_spans_and_what_was_said_of_them() {
        for (filter, means) in [
            ("", ""),
            (
                "status = 'OK' AND timestamp_ms > 5",
                "Attribute(State) Text { text: \"OK\", negated: false } & Attribute(StartedAt) Number(Greater, 5.0)",
            ),
            (
                "trace.name IN ('a', 'b') and tags.`mlflow.traceName` RLIKE '^x'",
                "Attribute(Name) OneOf { texts: [\"a\", \"b\"], negated: false } & Attribute(Name) Matches { pattern: \"^x\" }",
            ),
            (
                "metadata.`mlflow.sourceRun` = 'r' AND request_metadata.user IS NOT NULL",
                "Run Text { text: \"r\", negated: false } & Metadata(\"user\") Missing { negated: true }",
            ),
            (
                "span.attributes.llm.model LIKE 'gpt%' AND span.attributes.`a b` = 'c'",
                "Span(Attribute(\"llm.model\")) Like { pattern: \"gpt%\", ignore_case: false } & Span(Attribute(\"a b\")) Text { text: \"c\", negated: false }",
            ),
            (
                "span.type != 'LLM' AND trace.text ILIKE '%hi%'",
                "Span(Kind) Text { text: \"LLM\", negated: true } & Span(Content) Like { pattern: \"%hi%\", ignore_case: true }",
            ),
            (
                "feedback.score >= 0.5 AND feedback.ok = 'true' AND expectation.n = 3 AND feedback.x IS NULL",
                "Feedback(\"score\") Number(GreaterOrEqual, 0.5) & Feedback(\"ok\") Text { text: \"true\", negated: false } & Expectation(\"n\") Number(Equal, 3.0) & Feedback(\"x\") Missing { negated: false }",
            ),
            (
                "issue.id = 'iss-1' AND prompt = 'p/1'",
                "Issue Text { text: \"iss-1\", negated: false } & Prompt Text { text: \"p/1\", negated: false }",
            ),
        ] {
            assert_eq!(read(filter), means, "{filter}");
        }
    }

    #[test]
    fn a_filter_that_says_nothing_clear_is_refused_with_the_reason() {
        for (filter, reason) in [
            ("nothing = 'x'", "Invalid attribute key 'nothing'"),
            ("metrics.a = 1", "Invalid entity type 'metrics'"),
            ("span.size = 'x'", "Invalid span attribute 'size'"),
            ("span.attributes. = 'x'", "Invalid span attribute"),
            ("span.content = 'x'", "only be searched by `LIKE`"),
            ("timestamp LIKE 'x'", "a number can only"),
            ("timestamp = 'x'", "a number without quotes"),
            ("feedback.a > 'x'", "a number without quotes"),
            ("prompt LIKE 'x'", "only be compared by `=`"),
            ("issue.name = 'x'", "Invalid issue attribute"),
            ("status > 'x'", "a text can only"),
            ("status IS NULL", "only tags"),
            ("status = 'a' OR status = 'b'", "`AND` or the end"),
            ("tag.x = 1", "a text in quotes"),
        ] {
            let found = read(filter);
            assert!(found.contains(reason), "{filter}: {found}");
        }
    }

    #[test]
    fn traces_are_sorted_by_what_each_has_once() {
        let read = |key: &str| parse_trace_order(&[key.to_owned()]);
        for key in [
            "timestamp DESC",
            "attributes.execution_time",
            "tags.x asc",
            "metadata.y",
            "run_id",
            "experiment_id",
        ] {
            assert!(read(key).is_ok(), "{key}");
        }
        for key in ["span.name", "feedback.a", "timestamp DOWN", "prompt", ""] {
            assert!(read(key).is_err(), "{key}");
        }
        assert!(parse_trace_order(&["timestamp".into(), "timestamp_ms DESC".into()]).is_err());
    }
}
