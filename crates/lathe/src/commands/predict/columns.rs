//! Rows of a Parquet file: its columns, and what a model is asked with.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lathe_parquet::{Cells, ColumnCells, Kind, Table as File};
use lathe_serving::{Column, ColumnType, Signature, Table};
use serde_json::Value;

use crate::exit::hinted;

/// A column that is read.
pub struct TypedColumn {
    name: String,
    kind: Kind,
}

/// A file that is read some rows at a time.
pub struct Source {
    columns: Arc<[TypedColumn]>,
    cells: Vec<ColumnCells>,
    bytes: u64,
    rows: u64,
    read: u64,
}

impl Source {
    /// Opens it behind the rows that are done already.
    pub fn open(path: &Path, signature: &Signature, done: u64) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        let mut columns = Vec::new();
        let mut cells = Vec::new();
        for index in chosen(&file, signature)? {
            let column = &file.columns()[index];
            columns.push(TypedColumn {
                name: column.name.clone(),
                kind: column.kind.clone(),
            });
            let mut read = file.cells(index);
            read.skip(done)?;
            cells.push(read);
        }
        Ok(Self {
            columns: columns.into(),
            cells,
            bytes: std::fs::metadata(path)?.len(),
            rows: file.rows(),
            read: done.min(file.rows()),
        })
    }

    /// The columns that are read.
    pub fn columns(&self) -> Arc<[TypedColumn]> {
        self.columns.clone()
    }

    /// About how many bytes of the file are read.
    pub fn offset(&self) -> u64 {
        let offset = u128::from(self.bytes) * u128::from(self.read) / u128::from(self.rows.max(1));
        u64::try_from(offset).unwrap_or(self.bytes)
    }

    /// The next rows, at most so many: the cells of each column, and how many rows they are.
    pub fn next(&mut self, rows: usize) -> anyhow::Result<(Vec<Cells>, usize)> {
        let rows = usize::try_from(self.rows - self.read).map_or(rows, |left| rows.min(left));
        let mut read = Vec::with_capacity(self.cells.len());
        for column in &mut self.cells {
            read.extend(column.next(rows)?);
        }
        self.read += rows as u64;
        Ok((read, rows))
    }
}

/// The columns that the model takes: by its signature, else all that are columns to pandas.
fn chosen(file: &File, signature: &Signature) -> anyhow::Result<Vec<usize>> {
    let index = file.index_columns();
    let is_taken = |name: &str| match signature.is_open() {
        true => !index.iter().any(|column| column == name),
        false => signature.inputs.iter().any(|spec| spec.name == name),
    };
    let mut chosen = Vec::new();
    let mut names = Vec::new();
    for (at, column) in file.columns().iter().enumerate() {
        if let Some(whole) = &column.part_of {
            if is_taken(whole) {
                return Err(hinted(
                    format!("column `{whole}` holds lists, maps or groups"),
                    "write a column for each of their values",
                ));
            }
        } else if is_taken(&column.name) {
            if names.contains(&&column.name) {
                return Err(hinted(
                    format!("two columns are called `{}`", column.name),
                    "give each a name of its own",
                ));
            }
            names.push(&column.name);
            chosen.push(at);
        }
    }
    Ok(chosen)
}

/// What the model is asked with.
pub fn table(
    columns: &[TypedColumn],
    cells: &[Cells],
    rows: usize,
    signature: &Signature,
) -> anyhow::Result<Table> {
    if signature.is_open() {
        let mut values: Vec<(String, Vec<Value>)> = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            // A file without rows has no cells.
            let cells = cells
                .get(at)
                .map_or(Ok(Vec::new()), |cells| open_values(column, cells));
            values.push((column.name.clone(), cells?));
        }
        return Ok(Table::from_columns(&values, signature)?);
    }
    let mut read: Vec<(&str, Read)> = Vec::with_capacity(columns.len());
    for (column, cells) in columns.iter().zip(cells) {
        if let Some(spec) = signature.inputs.iter().find(|spec| spec.name == column.name) {
            read.push((&column.name, Read::new(column, cells, spec.kind)?));
        }
    }
    // The first column says how many rows there are, also where the file has none that the model takes.
    if read.is_empty() {
        read.extend(
            columns
                .iter()
                .map(|column| (column.name.as_str(), Read::Numbers(Vec::new()))),
        );
        read.push(("\0", Read::Numbers(vec![f64::NAN; rows])));
    }
    let typed: Vec<(&str, Column<'_>)> = read
        .iter()
        .map(|(name, read)| match read {
            Read::Numbers(numbers) => (*name, Column::Numbers(numbers)),
            Read::Words(words) => (*name, Column::Words(words)),
        })
        .collect();
    Ok(Table::from_typed(&typed, signature)?)
}

enum Read {
    Numbers(Vec<f64>),
    Words(Vec<Option<Arc<str>>>),
}

impl Read {
    /// Cells as a column of this type takes them: what the same rows are in JSON.
    fn new(column: &TypedColumn, cells: &Cells, wanted: ColumnType) -> anyhow::Result<Self> {
        let is_word = matches!(
            wanted,
            ColumnType::String | ColumnType::Binary | ColumnType::Datetime
        );
        match (&column.kind, wanted) {
            (Kind::Nothing, _) => {}
            (Kind::Date | Kind::Timestamp { .. }, ColumnType::Datetime) => {}
            (Kind::Bytes, ColumnType::Binary) => {}
            (Kind::Date | Kind::Timestamp { .. } | Kind::Bytes | Kind::Other(_), _) => {
                return Err(unfit(column, wanted.name()));
            }
            (Kind::Text | Kind::Decimal { .. }, _) => {}
            (_, ColumnType::Binary | ColumnType::Datetime) => return Err(unfit(column, wanted.name())),
            _ => {}
        }
        let numbers = |each: &dyn Fn(usize) -> Option<f64>| {
            Self::Numbers((0..cells.len()).map(|at| each(at).unwrap_or(f64::NAN)).collect())
        };
        Ok(match cells {
            Cells::Texts(cells) => Self::Words(cells.clone()),
            Cells::Bytes(cells) => {
                let word = |bytes: &Vec<u8>| BASE64_STANDARD.encode(bytes).into();
                Self::Words(cells.iter().map(|cell| cell.as_ref().map(word)).collect())
            }
            _ if is_word => {
                let word = |at| match value(cells, at) {
                    Value::Null => None,
                    Value::Bool(true) => Some("True".into()),
                    Value::Bool(false) => Some("False".into()),
                    other => Some(other.to_string().into()),
                };
                Self::Words((0..cells.len()).map(word).collect())
            }
            Cells::Booleans(cells) => numbers(&|at| cells[at].map(f64::from)),
            Cells::Longs(cells) => numbers(&|at| cells[at].map(|cell| cell as f64)),
            Cells::Unsigned(cells) => numbers(&|at| cells[at].map(|cell| cell as f64)),
            Cells::Floats(cells) => numbers(&|at| cells[at].map(f64::from)),
            Cells::Doubles(cells) => numbers(&|at| cells[at]),
        })
    }
}

/// Cells for a model that does not say what it takes, as the same rows are in JSON.
fn open_values(column: &TypedColumn, cells: &Cells) -> anyhow::Result<Vec<Value>> {
    match (&column.kind, cells) {
        (Kind::Date | Kind::Timestamp { .. } | Kind::Bytes | Kind::Other(_), _) => {
            Err(unfit(column, "columns, for it has no signature"))
        }
        (Kind::Decimal { .. }, _) => Ok((0..cells.len())
            .map(|at| cells.number(at).map_or(Value::Null, Value::from))
            .collect()),
        _ => Ok((0..cells.len()).map(|at| value(cells, at)).collect()),
    }
}

fn value(cells: &Cells, at: usize) -> Value {
    match cells {
        Cells::Booleans(cells) => cells[at].map_or(Value::Null, Value::from),
        Cells::Longs(cells) => cells[at].map_or(Value::Null, Value::from),
        Cells::Unsigned(cells) => cells[at].map_or(Value::Null, Value::from),
        Cells::Floats(cells) => cells[at].map_or(Value::Null, |cell| Value::from(f64::from(cell))),
        Cells::Doubles(cells) => cells[at].map_or(Value::Null, Value::from),
        Cells::Texts(cells) => cells[at].as_deref().map_or(Value::Null, Value::from),
        Cells::Bytes(_) => Value::Null,
    }
}

fn unfit(column: &TypedColumn, wanted: &str) -> anyhow::Error {
    hinted(
        format!(
            "column `{}` holds {}; the model takes {wanted} there",
            column.name, column.kind
        ),
        "write it as numbers or text, as the model was trained on it",
    )
}
