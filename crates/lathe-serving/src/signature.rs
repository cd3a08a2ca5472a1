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

/// A tensor of a signature of MLflow's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub(crate) name: String,
    /// What numpy calls the type of its values.
    pub(crate) dtype: String,
    /// How many rows there must be, if that is fixed.
    pub(crate) rows: Option<usize>,
    /// The sizes of the other axes; none is any.
    pub(crate) shape: Vec<Option<usize>>,
}

impl TensorSpec {
    /// The type of its columns, where they are numbers or words.
    pub(crate) fn kind(&self) -> Option<ColumnType> {
        kind_of(&self.dtype)
    }

    pub(crate) fn is_words(&self) -> bool {
        self.kind().is_some_and(ColumnType::is_words)
    }

    /// The whole numbers that it holds; none where its values are not whole numbers.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        Some(match self.dtype.as_str() {
            "int8" => (f64::from(i8::MIN), f64::from(i8::MAX)),
            "int16" => (f64::from(i16::MIN), f64::from(i16::MAX)),
            "int32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
            "int64" => (i64::MIN as f64, i64::MAX as f64),
            "uint8" => (0.0, f64::from(u8::MAX)),
            "uint16" => (0.0, f64::from(u16::MAX)),
            "uint32" => (0.0, f64::from(u32::MAX)),
            "uint64" => (0.0, u64::MAX as f64),
            _ => return None,
        })
    }

    /// As errors tell it: `float32 [n, 2, 3]`.
    pub(crate) fn told(&self) -> String {
        let size = |size: &Option<usize>| size.map_or("n".to_owned(), |size| size.to_string());
        let sizes: Vec<String> = std::iter::once(&self.rows).chain(&self.shape).map(size).collect();
        format!("{} [{}]", self.dtype, sizes.join(", "))
    }
}

/// The type of columns that hold values of one of numpy's types, where these are numbers or words.
pub(crate) fn kind_of(dtype: &str) -> Option<ColumnType> {
    Some(match dtype {
        "float32" | "float16" => ColumnType::Float,
        "float64" => ColumnType::Double,
        "int8" | "int16" | "int32" | "uint8" | "uint16" => ColumnType::Integer,
        "int64" | "uint32" | "uint64" => ColumnType::Long,
        "bool" => ColumnType::Boolean,
        "str" | "object" => ColumnType::String,
        _ => return None,
    })
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
    tensors: Arc<[TensorSpec]>,
    #[serde(skip)]
    reads_sent: bool,
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
            tensors: Arc::from([]),
            reads_sent: false,
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

    /// The same, where the columns are those of tensors, one after the other.
    pub(crate) fn of_tensors(mut self, tensors: Vec<TensorSpec>) -> Self {
        self.tensors = tensors.into();
        self
    }

    /// The same, of a model whose process reads what MLflow's protocol sends.
    pub(crate) fn reading_sent(mut self) -> Self {
        self.reads_sent = true;
        self
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

    /// The tensors that the columns are parts of, where MLflow saved the model with such.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Whether the model's process reads requests of MLflow's protocol itself, as cells or types may be in them that no
    /// table holds: [`crate::Table::of_sent`].
    pub fn reads_sent(&self) -> bool {
        self.reads_sent
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
