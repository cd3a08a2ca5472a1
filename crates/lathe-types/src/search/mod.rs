//! What clients search by: a filter, `metrics.rmse < 1.5 AND tags.team = 'x'`, and keys to sort by. Here they are
//! only read; the store turns them into SQL.

mod attributes;
mod cursor;
mod filter;
mod order;
mod trace_metrics;
mod traces;

pub use attributes::{
    EvalDatasetAttribute, ExperimentAttribute, LoggedModelAttribute, ModelAttribute, RunAttribute,
    VersionAttribute,
};
pub use filter::{Comparison, Condition, Test, parse_filter};
pub use order::{Order, parse_field, parse_order_by};
pub use trace_metrics::{MetricFilter, parse_metric_filter};
pub use traces::{
    SpanField, TraceAttribute, TraceCondition, TraceField, TraceOrder, parse_trace_filter, parse_trace_order,
};

/// Something that a search can ask for, of a noun with the attributes `A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<A> {
    /// A property of the record itself.
    Attribute(A),
    /// The latest value of the metric of this key.
    Metric(String),
    /// The param of this key.
    Param(String),
    /// The tag of this key.
    Tag(String),
    /// A property of a dataset that the record read.
    Dataset(DatasetField),
}

/// A property of a dataset that a run read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetField {
    /// Its name.
    Name,
    /// Its digest.
    Digest,
    /// What it was read for.
    Context,
}

/// What a field holds, and so what it can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Texts that are always there.
    Text,
    /// Texts that may be missing.
    OptionalText,
}

/// The attributes of one noun.
pub trait Attribute: Copy + PartialEq {
    /// Which other entities the noun has, by their first letters: `m`etrics, `p`arams, `t`ags, `d`atasets.
    const ENTITIES: &'static str;
    /// The names of the attributes, for messages.
    const NAMES: &'static str;

    /// The attribute of this name.
    fn named(name: &str) -> Option<Self>;

    /// What it holds.
    fn kind(self) -> Kind;

    /// Whether clients write this number in quotes too, since it goes over the wire as a text.
    fn is_often_quoted(self) -> bool {
        false
    }
}

impl<A: Attribute> Field<A> {
    /// What the field holds.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Attribute(attribute) => attribute.kind(),
            Self::Metric(_) => Kind::Number,
            Self::Param(_) | Self::Tag(_) => Kind::OptionalText,
            Self::Dataset(_) => Kind::Text,
        }
    }

    fn is_often_quoted(&self) -> bool {
        matches!(self, Self::Attribute(attribute) if attribute.is_often_quoted())
    }

    /// The field that a client names; the error says what else there is.
    fn named(entity: Option<&str>, key: String) -> Result<Self, String> {
        let entity = entity.unwrap_or("attribute").to_ascii_lowercase();
        let letter = match entity.as_str() {
            "attribute" | "attributes" | "attr" | "run" => 'a',
            "metric" | "metrics" => 'm',
            "param" | "params" | "parameter" | "parameters" => 'p',
            "tag" | "tags" => 't',
            "dataset" | "datasets" => 'd',
            _ => 'x',
        };
        if letter == 'a' {
            let attribute = A::named(&key)
                .ok_or_else(|| format!("there is no attribute `{key}`; the attributes are {}", A::NAMES))?;
            return Ok(Self::Attribute(attribute));
        }
        if !A::ENTITIES.contains(letter) {
            return Err(format!("there is nothing called `{entity}` to search by here"));
        }
        match letter {
            'm' => Ok(Self::Metric(key)),
            'p' => Ok(Self::Param(key)),
            't' => Ok(Self::Tag(key)),
            _ => match key.as_str() {
                "name" => Ok(Self::Dataset(DatasetField::Name)),
                "digest" => Ok(Self::Dataset(DatasetField::Digest)),
                "context" => Ok(Self::Dataset(DatasetField::Context)),
                _ => Err(format!(
                    "a dataset has no `{key}`; it has `name`, `digest`, `context`"
                )),
            },
        }
    }
}
