//! What goes into statements and comes out of rows, the same for every database.

use std::sync::Arc;

use crate::db::postgres::Raw;
use crate::{Error, Result};

/// A parameter of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL
    Null,
    /// A whole number; also booleans, as 0 and 1.
    Int(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    i64 => |v| Self::Int(v),
    u32 => |v| Self::Int(v.into()),
    bool => |v| Self::Int(v.into()),
    f64 => |v| Self::Real(v),
    String => |v| Self::Text(v),
    &String => |v| Self::Text(v.clone()),
    &str => |v| Self::Text(v.to_owned()),
    Vec<u8> => |v| Self::Blob(v),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// PostgreSQL's texts hold no NUL, so none do.
pub(super) fn check(params: &[Value]) -> Result<()> {
    let holds_nul = |param: &Value| matches!(param, Value::Text(text) if text.as_bytes().contains(&0));
    if params.iter().any(holds_nul) {
        return Err(Error::Invalid {
            message: "a text holds the character NUL (U+0000), which cannot be stored; take it out".into(),
        });
    }
    Ok(())
}

/// One row of a result.
pub struct Row<'a>(pub(super) Source<'a>);

pub(super) enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    /// The column at `index`, from 0. `i64`, `u32`, `f64`, `bool`, `String`, `Vec<u8>`, or an `Option` of one.
    pub fn get<T: FromColumn>(&self, index: usize) -> Result<T> {
        let cell = match &self.0 {
            Source::Sqlite(row) => match row.get_ref(index)? {
                rusqlite::types::ValueRef::Null => Some(Cell::Null),
                rusqlite::types::ValueRef::Integer(number) => Some(Cell::Int(number)),
                rusqlite::types::ValueRef::Real(number) => Some(Cell::Real(number)),
                rusqlite::types::ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Cell::Text),
                rusqlite::types::ValueRef::Blob(bytes) => Some(Cell::Blob(bytes)),
            },
            Source::Postgres(row) => match row.try_get::<_, Option<Raw<'_>>>(index)? {
                None => Some(Cell::Null),
                Some(raw) => raw.cell(),
            },
        };
        cell.and_then(T::from_column)
            .ok_or_else(|| Error::Database(Arc::new(WrongType(index))))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the column {0} of a result has another type than its reader wants")]
struct WrongType(usize);

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL
    Null,
    /// A whole number.
    Int(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// What a column can be read as.
pub trait FromColumn: Sized {
    /// Nothing if the column holds another type.
    fn from_column(cell: Cell<'_>) -> Option<Self>;
}

macro_rules! from_column {
    ($($to:ty: $($pattern:pat => $value:expr),+;)*) => {
        $(impl FromColumn for $to {
            fn from_column(cell: Cell<'_>) -> Option<Self> {
                match cell {
                    $($pattern => $value,)+
                    _ => None,
                }
            }
        })*
    };
}

from_column! {
    i64: Cell::Int(number) => Some(number);
    u32: Cell::Int(number) => number.try_into().ok();
    bool: Cell::Int(number) => Some(number != 0);
    f64: Cell::Real(number) => Some(number), Cell::Int(number) => Some(number as f64);
    String: Cell::Text(text) => Some(text.to_owned());
    Vec<u8>: Cell::Blob(bytes) => Some(bytes.to_vec());
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_column(cell).map(Some),
        }
    }
}
