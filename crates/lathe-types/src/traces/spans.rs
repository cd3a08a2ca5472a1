//! Spans: the steps of a trace.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value as Json;

use super::TraceId;

/// Names a span within its trace: 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

impl SpanId {
    /// The id with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Reads 16 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u64::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanStatus {
    /// Nobody said.
    Unset,
    /// Well.
    Ok,
    /// With an error.
    Error,
}

impl SpanStatus {
    /// The status of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Unset, Self::Ok, Self::Error];
        all.into_iter().find(|status| status.as_str() == word)
    }

    /// `UNSET`, `OK`, `ERROR`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}

/// What lists and trees show of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanHead {
    /// Its id.
    pub id: SpanId,
    /// The span that it is a part of; the root has none.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: String,
    /// `LLM`, `TOOL`, `CHAIN`…
    pub kind: String,
    /// How it ended.
    pub status: SpanStatus,
    /// When it started, in nanoseconds since 1970.
    pub started_at_ns: i64,
    /// When it ended, if it did.
    pub ended_at_ns: Option<i64>,
    /// The tokens it says it used.
    pub tokens: Option<TokenUsage>,
    /// What it says it cost.
    pub cost: Option<Cost>,
    /// The model that answered.
    pub model: Option<String>,
    /// Who serves that model.
    pub provider: Option<String>,
}

/// A span as it came, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSpan {
    /// Its trace.
    pub trace: TraceId,
    /// What lists show of it.
    pub head: SpanHead,
    /// All of it, as the JSON that clients get back.
    pub content: String,
    /// Its attributes as texts to search by; a text is itself, anything else its JSON.
    pub attributes: Vec<(String, String)>,
    /// What the process that made it says of itself.
    pub resource: Vec<(String, String)>,
}

impl NewSpan {
    /// The attribute of this key, as a text.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == key)?;
        Some(&found.1)
    }
}

/// What a trace used, and for what price.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// In tokens.
    pub tokens: Option<TokenUsage>,
    /// In dollars.
    pub cost: Option<Cost>,
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    /// Read.
    pub input: i64,
    /// Written.
    pub output: i64,
    /// In all.
    pub total: i64,
    /// Read from a cache.
    pub cache_read: Option<i64>,
    /// Written to a cache.
    pub cache_creation: Option<i64>,
}

impl TokenUsage {
    /// Reads `{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}`.
    pub fn from_json(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let count = |key: &str| json.get(key).and_then(Json::as_f64).map(|count| count as i64);
        let (input, output) = (count("input_tokens"), count("output_tokens"));
        let total = count("total_tokens");
        input.or(output).or(total)?;
        let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
        Some(Self {
            input,
            output,
            total: total.unwrap_or_else(|| input.saturating_add(output)),
            cache_read: count("cache_read_input_tokens"),
            cache_creation: count("cache_creation_input_tokens"),
        })
    }

    /// The JSON it was read from.
    pub fn to_json(self) -> String {
        let mut json = serde_json::json!({
            "input_tokens": self.input, "output_tokens": self.output, "total_tokens": self.total
        });
        if let Some(count) = self.cache_read {
            json["cache_read_input_tokens"] = count.into();
        }
        if let Some(count) = self.cache_creation {
            json["cache_creation_input_tokens"] = count.into();
        }
        json.to_string()
    }

    fn plus(self, more: Self) -> Self {
        let both = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or_default().saturating_add(b.unwrap_or_default())),
        };
        Self {
            input: self.input.saturating_add(more.input),
            output: self.output.saturating_add(more.output),
            total: self.total.saturating_add(more.total),
            cache_read: both(self.cache_read, more.cache_read),
            cache_creation: both(self.cache_creation, more.cache_creation),
        }
    }
}

/// Dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// For what was read.
    pub input: f64,
    /// For what was written.
    pub output: f64,
    /// In all.
    pub total: f64,
}

impl Cost {
    /// Reads `{"input_cost": 0.1, "output_cost": 0.2, "total_cost": 0.3}`.
    pub fn from_json(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let dollars = |key: &str| {
            json.get(key)
                .and_then(Json::as_f64)
                .filter(|cost| cost.is_finite())
        };
        let (input, output, total) = (
            dollars("input_cost"),
            dollars("output_cost"),
            dollars("total_cost"),
        );
        input.or(output).or(total)?;
        let (input, output) = (input.unwrap_or_default(), output.unwrap_or_default());
        Some(Self {
            input,
            output,
            total: total.unwrap_or(input + output),
        })
    }

    /// The JSON it was read from.
    pub fn to_json(self) -> String {
        let json = serde_json::json!({
            "input_cost": self.input, "output_cost": self.output, "total_cost": self.total
        });
        json.to_string()
    }

    fn plus(self, more: Self) -> Self {
        Self {
            input: self.input + more.input,
            output: self.output + more.output,
            total: self.total + more.total,
        }
    }
}

/// The tokens of a whole trace. Frameworks write the sum of their children on a parent, so what lies below a span
/// that says what it used is not counted again.
pub fn trace_usage(spans: &[SpanHead]) -> Option<TokenUsage> {
    outermost(spans, |span| span.tokens).reduce(TokenUsage::plus)
}

/// The cost of a whole trace, counted as the tokens are.
pub fn trace_cost(spans: &[SpanHead]) -> Option<Cost> {
    outermost(spans, |span| span.cost).reduce(Cost::plus)
}

/// The values of those spans that have one while no span above them has.
fn outermost<T: Copy>(
    spans: &[SpanHead],
    value: impl Fn(&SpanHead) -> Option<T> + Copy,
) -> impl Iterator<Item = T> {
    let places: HashMap<SpanId, usize> = spans.iter().enumerate().map(|(at, span)| (span.id, at)).collect();
    // Whether a span or one above it has a value; found once for each span, however deep the tree is.
    let mut covered: Vec<Option<bool>> = vec![None; spans.len()];
    let above = |at: usize| spans[at].parent.and_then(|parent| places.get(&parent).copied());
    let mut found = Vec::new();
    for start in 0..spans.len() {
        let mut path = Vec::new();
        let mut here = Some(start);
        while let Some(at) = here {
            // Also a circle ends here.
            if covered[at].is_some() {
                break;
            }
            covered[at] = Some(false);
            path.push(at);
            here = above(at);
        }
        let mut over = here.and_then(|at| covered[at]).unwrap_or(false);
        for at in path.into_iter().rev() {
            if let Some(value) = value(&spans[at]) {
                if !over {
                    found.push(value);
                }
                over = true;
            }
            covered[at] = Some(over);
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, parent: Option<u64>, tokens: Option<i64>) -> SpanHead {
        SpanHead {
            id: SpanId::from_bits(id),
            parent: parent.map(SpanId::from_bits),
            name: "s".into(),
            kind: "LLM".into(),
            status: SpanStatus::Ok,
            started_at_ns: 0,
            ended_at_ns: None,
            tokens: tokens.map(|total| TokenUsage {
                total,
                ..TokenUsage::default()
            }),
            cost: None,
            model: None,
            provider: None,
        }
    }

    fn total(spans: &[SpanHead]) -> Option<i64> {
        trace_usage(spans).map(|usage| usage.total)
    }

    #[test]
    fn what_a_parent_sums_up_is_not_counted_twice() {
        let leaves = [
            span(1, None, None),
            span(2, Some(1), Some(3)),
            span(3, Some(1), Some(4)),
        ];
        assert_eq!(total(&leaves), Some(7));
        let summed = [
            span(3, Some(2), Some(4)),
            span(2, Some(1), None),
            span(1, None, Some(4)),
        ];
        assert_eq!(total(&summed), Some(4));
        assert_eq!(total(&[span(1, Some(9), Some(2))]), Some(2));
        assert_eq!(total(&[span(1, None, None)]), None);
    }

    #[test]
    fn a_circle_and_a_very_deep_tree_come_to_an_end() {
        let circle = [span(1, Some(2), Some(1)), span(2, Some(1), Some(1))];
        assert!(total(&circle).is_some());
        let deep: Vec<SpanHead> = (1..50_000).map(|id| span(id, Some(id + 1), Some(1))).collect();
        assert_eq!(total(&deep), Some(1));
    }

    #[test]
    fn tokens_read_back_as_they_were_written() {
        let usage = TokenUsage::from_json(r#"{"input_tokens": 1, "output_tokens": 2}"#).unwrap();
        assert_eq!(usage.total, 3);
        assert_eq!(TokenUsage::from_json(&usage.to_json()), Some(usage));
        assert_eq!(TokenUsage::from_json("{}"), None);
        assert_eq!(TokenUsage::from_json("\"x\""), None);
    }
}
