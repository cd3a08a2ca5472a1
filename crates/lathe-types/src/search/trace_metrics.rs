//! What figures over traces are restricted to: one condition each, with the noun first.

use super::cursor::Cursor;
use super::filter::read_text;
use super::order::end;
use super::{SpanField, Test, TraceAttribute, TraceCondition, TraceField};
use crate::InputError;
use crate::traces::{NAME_TAG, RUN_METADATA, SESSION_METADATA};

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricFilter {
    /// On the trace, or on the span that is counted.
    Trace(TraceCondition),
    /// The name of the assessment that is counted.
    AssessmentName(String),
    /// Whether it is `feedback` or an `expectation`.
    AssessmentKind(String),
}

/// Reads `trace.status = 'OK'`, `trace.tag.team = 'blue'`, `span.type = 'LLM'`, `assessment.name = 'score'`.
pub fn parse_metric_filter(filter: &str) -> Result<MetricFilter, InputError> {
    parse(&mut Cursor::new(filter)).map_err(|reason| InputError::invalid("filters", filter, reason))
}

fn parse(cursor: &mut Cursor<'_>) -> Result<MetricFilter, String> {
    let name = cursor.name()?;
    let (noun, key) = (name.entity.unwrap_or_default(), name.key);
    if !cursor.sign("=") {
        return Err(format!(
            "only `=` is supported; it is expected at {}",
            cursor.here()
        ));
    }
    let text = read_text(cursor)?;
    end(cursor)?;
    let field = match (noun.as_str(), key.as_str()) {
        ("trace", "status") => TraceField::Attribute(TraceAttribute::State),
        ("trace", key) => match key.split_once('.') {
            Some(("tag", NAME_TAG)) => TraceField::Attribute(TraceAttribute::Name),
            Some(("tag", key)) if !key.is_empty() => TraceField::Tag(key.to_owned()),
            Some(("metadata", RUN_METADATA)) => TraceField::Run,
            Some(("metadata", SESSION_METADATA)) => TraceField::Attribute(TraceAttribute::Session),
            Some(("metadata", key)) if !key.is_empty() => TraceField::Metadata(key.to_owned()),
            _ => {
                return Err("of a trace, `status`, `tag.<key>` and `metadata.<key>` can be asked for".into());
            }
        },
        ("span", "name") => TraceField::Span(SpanField::Name),
        ("span", "type") => TraceField::Span(SpanField::Kind),
        ("span", "status") => TraceField::Span(SpanField::Status),
        ("assessment", "name") => return Ok(MetricFilter::AssessmentName(text)),
        ("assessment", "type") => return Ok(MetricFilter::AssessmentKind(text)),
        _ => {
            return Err(
                "it must begin with `trace.`, `span.` or `assessment.`, as `span.type = 'LLM'`".into(),
            );
        }
    };
    let test = Test::Text { text, negated: false };
    Ok(MetricFilter::Trace(TraceCondition { field, test }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_names_its_noun_first() {
        for filter in [
            "trace.status = 'OK'",
            "trace.tag.`a b` = 'x'",
            "trace.metadata.mlflow.sourceRun = 'r'",
            "span.type = \"LLM\"",
            "assessment.name = 'score'",
        ] {
            assert!(parse_metric_filter(filter).is_ok(), "{filter}");
        }
        for filter in [
            "",
            "status = 'OK'",
            "trace.status != 'OK'",
            "trace.tag = 'x'",
            "span.type = 'a' AND span.name = 'b'",
        ] {
            assert!(parse_metric_filter(filter).is_err(), "{filter}");
        }
    }
}
