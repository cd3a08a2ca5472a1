//! Tables in Parquet files: read a column at a time in bounded memory, written a row group at a time. Only this crate
//! knows Parquet. What the cells mean to a model, and whether two tables are alike, is for others.

mod cells;
mod error;
mod kind;
mod nested;
mod read;
mod write;

pub use cells::Cells;
pub use error::{Error, Result};
pub use kind::{Kind, Unit};
pub use read::{Column, ColumnCells, Table};
pub use write::{Assembly, Field};
