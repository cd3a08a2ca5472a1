use serde_json::Number;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it is in its file; of no meaning for values made in memory.
    pub span: Span,
}

/// A stretch of a text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// In characters from the start.
    pub start: usize,
    /// In characters from the start, not included.
    pub end: usize,
    /// Counted from 1; 0 if unknown.
    pub line: usize,
    /// In characters, counted from 0.
    pub column: usize,
    /// Whether a list or map is written in brackets.
    pub flow: bool,
}

/// What YAML can say, as far as DVC's files do.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text; also dates, which YAML 1.2 has none of.
    Str(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the file.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A value made in memory.
    pub fn new(value: Value) -> Self {
        Self {
            value,
            span: Span::default(),
        }
    }

    /// A text made in memory.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Value::Str(text.into()))
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The keys and values of a map.
    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key that is a string.
    pub fn find(&self, key: &str) -> Option<&Node> {
        self.as_map()?
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, value)| value)
    }

    /// The value at `a.b.0`: keys of maps, positions in lists.
    pub fn find_path(&self, path: &str) -> Option<&Node> {
        let mut at = self;
        for part in path.split('.') {
            at = match &at.value {
                Value::List(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => at.find(part)?,
            };
        }
        Some(at)
    }

    /// "a list", for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// As JSON; numbers that JSON has not become text, and so do keys.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(i) => i64::try_from(*i)
                .map(serde_json::Value::from)
                .or_else(|_| u64::try_from(*i).map(serde_json::Value::from))
                .unwrap_or_else(|_| i.to_string().into()),
            Value::Float(f) => {
                Number::from_f64(*f).map_or_else(|| super::python_float(*f).into(), serde_json::Value::Number)
            }
            Value::Str(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.to_key(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// A key as JSON writes it.
    pub fn to_key(&self) -> String {
        match &self.value {
            Value::Str(text) => text.clone(),
            Value::Null => "null".to_owned(),
            Value::Float(f) => super::python_float(*f),
            _ => self.to_json().to_string(),
        }
    }

    /// From JSON.
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self::new(match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(int) => Value::Int(int),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::Str(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, value)| (Self::text(key), Self::from_json(value)))
                    .collect(),
            ),
        })
    }
}

/// Equal as Python's values are: `1` is `1.0`, and the order of a map does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
            (Value::Bool(a), Value::Int(b)) | (Value::Int(b), Value::Bool(a)) => i128::from(*a) == *b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, value)| b.iter().any(|(k, v)| k == key && v == value))
            }
            _ => false,
        }
    }
}
