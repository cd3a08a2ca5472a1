//! Spans as OpenTelemetry's exporters send them, in protocol buffers or JSON, and as MLflow's clients get them back.
//! The field numbers and names are those of `opentelemetry/proto/trace/v1`.

mod attributes;
mod convert;
mod json;
mod span_dict;

pub use convert::new_spans;
pub use span_dict::{span_dict, span_plain};

use prost::Message;
use serde::{Deserialize, Serialize};

use json::{hex_bytes, number_or_text};

/// `POST /v1/traces`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct ExportTraceServiceRequest {
    /// By the process that made them.
    #[prost(message, repeated, tag = "1")]
    #[serde(alias = "resourceSpans", default)]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The spans of one process.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct ResourceSpans {
    /// The process.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// By the library that made them.
    #[prost(message, repeated, tag = "2")]
    #[serde(alias = "scopeSpans")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// A process.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// What it says of itself.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The spans of one library.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct ScopeSpans {
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// One step of a trace.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(alias = "traceId", deserialize_with = "hex_bytes")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(alias = "spanId", deserialize_with = "hex_bytes")]
    pub span_id: Vec<u8>,
    /// Of other tracers.
    #[prost(string, tag = "3")]
    #[serde(alias = "traceState")]
    pub trace_state: String,
    /// 8 bytes, or none.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(alias = "parentSpanId", deserialize_with = "hex_bytes")]
    pub parent_span_id: Vec<u8>,
    /// What was done.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Client, server…
    #[prost(int32, tag = "6")]
    #[serde(deserialize_with = "json::span_kind")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    #[serde(alias = "startTimeUnixNano", deserialize_with = "number_or_text")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970; 0: not yet.
    #[prost(fixed64, tag = "8")]
    #[serde(alias = "endTimeUnixNano", deserialize_with = "number_or_text")]
    pub end_time_unix_nano: u64,
    /// By key.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// What happened meanwhile.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
    /// Other spans that have to do with it.
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<Link>,
    /// How it ended.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

/// Something that happened.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    #[serde(alias = "timeUnixNano", deserialize_with = "number_or_text")]
    pub time_unix_nano: u64,
    /// What.
    #[prost(string, tag = "2")]
    pub name: String,
    /// By key.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<KeyValue>,
}

/// Another span.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct Link {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(alias = "traceId", deserialize_with = "hex_bytes")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(alias = "spanId", deserialize_with = "hex_bytes")]
    pub span_id: Vec<u8>,
    /// By key.
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<KeyValue>,
}

/// How a span ended.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Why.
    #[prost(string, tag = "2")]
    pub message: String,
    /// 0 unset, 1 well, 2 with an error.
    #[prost(int32, tag = "3")]
    #[serde(deserialize_with = "json::status_code")]
    pub code: i32,
}

/// An attribute.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// Its key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of any type.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// None: null.
    #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Any>,
}

/// What a value is.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Any {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Int(i64),
    /// A number.
    #[prost(double, tag = "4")]
    Double(f64),
    /// A list.
    #[prost(message, tag = "5")]
    List(ArrayValue),
    /// Values by key.
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

/// A list.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct ArrayValue {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// Values by key.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// The reply: everything was kept.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ExportTraceServiceResponse {}

impl ExportTraceServiceRequest {
    /// Reads protocol buffers; the reason why they are none.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, String> {
        Self::decode(bytes).map_err(|error| error.to_string())
    }

    /// Reads JSON, in which ids are hex digits; the reason why it is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}
