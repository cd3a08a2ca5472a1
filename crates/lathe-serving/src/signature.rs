use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The type of a column in MLflow's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// true or false.
    Boolean,
    /// 32 bit.
    Integer,
    /// 64 bit.
    Long,
    /// 32 bit.
    Float,
    /// 64 bit.
    Double,
    /// Text.
    String,
    /// Bytes, base64 on the wire.
    Binary,
    /// A point in time.
    Datetime,
}

impl ColumnType {
    /// As in the signature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Datetime => "datetime",
        }
    }

    /// Whether it is held as words.
    pub(crate) fn is_words(self) -> bool {
        matches!(self, Self::String | Self::Binary | Self::Datetime)
    }

    /// The datatype of the Open Inference Protocol.
    pub fn oip_datatype(self) -> &'static str {
        match self {
            Self::Boolean => "BOOL",
            Self::Integer => "INT32",
            Self::Long => "INT64",
            Self::Float => "FP32",
            Self::Double => "FP64",
            Self::String | Self::Binary | Self::Datetime => "BYTES",
        }
    }
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether a request must have it.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// An input as a client of the Open Inference Protocol sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// Its datatype.
    pub datatype: &'static str,
    /// Its sizes; -1 is any.
    pub shape: Vec<i64>,
}

/// What a model takes: named columns, in the model's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// The columns.
    pub inputs: Vec<ColumnSpec>,
    /// Whether a request says which columns there are, since the model does not.
    #[serde(skip)]
    open: bool,
    #[serde(skip)]
    names: Arc<[String]>,
    #[serde(skip)]
    kinds: Arc<[ColumnType]>,
}

impl Signature {
    /// The signature of these columns.
    pub fn new(inputs: Vec<ColumnSpec>) -> Self {
        let names = inputs.iter().map(|column| column.name.clone()).collect();
        let kinds = inputs.iter().map(|column| column.kind).collect();
        Self {
            inputs,
            open: false,
            names,
            kinds,
        }
    }

    /// Of a model that does not say what it takes.
    pub(crate) fn open() -> Self {
        Self {
            open: true,
            ..Self::new(Vec::new())
        }
    }

    /// What several models take that are asked the same: all their columns, in the order in which they come. A column
    /// that is numbers of several types is a double; each model casts it to its own.
    pub fn union<'a>(all: impl IntoIterator<Item = (&'a str, &'a Self)>) -> Result<Self, String> {
        let mut columns: Vec<(&str, ColumnSpec)> = Vec::new();
        let mut open = false;
        for (model, signature) in all {
            open |= signature.is_open();
            for column in &signature.inputs {
                let Some((first, known)) = columns.iter_mut().find(|(_, known)| known.name == column.name)
                else {
                    columns.push((model, column.clone()));
                    continue;
                };
                known.required |= column.required;
                if known.kind == column.kind {
                    continue;
                }
                if known.kind.is_words() || column.kind.is_words() {
                    return Err(format!(
                        "the column `{}` is a {} for {first} and a {} for {model}",
                        column.name,
                        known.kind.name(),
                        column.kind.name()
                    ));
                }
                known.kind = ColumnType::Double;
            }
        }
        let all = Self::new(columns.into_iter().map(|(_, column)| column).collect());
        Ok(match open {
            true => Self::open(),
            false => all,
        })
    }

    /// Whether a request says which columns there are.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The columns' types, shared by all tables of the model.
    pub(crate) fn shared_kinds(&self) -> Arc<[ColumnType]> {
        self.kinds.clone()
    }

    /// The columns' names in the model's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns' names, shared by all tables of the model.
    pub(crate) fn shared_names(&self) -> Arc<[String]> {
        self.names.clone()
    }
}
