use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::cells::{date, decimal, decimal_of, half, timestamp};
use crate::error::guarded;
use crate::{Cells, Error, Kind, Result, Unit, nested};

/// A table in a Parquet file. Clones share it; of one file only one thread may read at a time.
#[derive(Clone)]
pub struct Table {
    reader: Arc<dyn FileReader>,
    columns: Arc<[Column]>,
    rows: u64,
}

/// A column of a table; lists, maps and groups have one for each of their leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name; of a leaf the names on the way to it, with points between.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// The column of the table that it is a part of, if it is a part.
    pub part_of: Option<String>,
    /// Whether a row has a list of cells: then they are read as one text.
    pub is_list: bool,
}

impl Table {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::of(file)
    }

    /// Reads bytes that are a file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::of(Bytes::copy_from_slice(bytes))
    }

    fn of(source: impl ChunkReader + 'static) -> Result<Self> {
        let damaged = |what| Error::Damaged { what };
        let reader = guarded(|| SerializedFileReader::new(source)).map_err(damaged)?;
        let mut rows = 0u64;
        for group in reader.metadata().row_groups() {
            let told = u64::try_from(group.num_rows()).ok();
            rows = told
                .and_then(|told| rows.checked_add(told))
                .ok_or_else(|| damaged("it has fewer rows than none".into()))?;
        }
        let columns = guarded(|| {
            let schema = reader.metadata().file_metadata().schema_descr();
            Ok(schema.columns().iter().map(|column| Column::of(column)).collect())
        });
        Ok(Self {
            columns: columns.map_err(damaged)?,
            reader: Arc::new(reader),
            rows,
        })
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns that pandas wrote as the index of its frame: no columns to it when it reads the file.
    pub fn index_columns(&self) -> Vec<String> {
        let written = || -> Option<serde_json::Value> {
            let pairs = self.metadata().file_metadata().key_value_metadata()?;
            let pandas = pairs.iter().find(|pair| pair.key == "pandas")?;
            serde_json::from_str(pandas.value.as_deref()?).ok()
        };
        let written = written().unwrap_or_default();
        let index = written["index_columns"].as_array();
        index
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    }

    /// The cells of column `index`, from its first.
    pub fn cells(&self, index: usize) -> ColumnCells {
        ColumnCells {
            table: self.clone(),
            index,
            group: 0,
            left: 0,
            reader: None,
        }
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.reader.metadata()
    }
}

impl Column {
    fn of(column: &ColumnDescriptor) -> Self {
        let parts = column.path().parts();
        Self {
            name: parts.join("."),
            kind: Kind::of(column),
            part_of: (1 < parts.len() || 0 < column.max_rep_level())
                .then(|| parts.first().cloned().unwrap_or_default()),
            is_list: 0 < column.max_rep_level(),
        }
    }
}

/// The cells of one column, some at a time.
pub struct ColumnCells {
    table: Table,
    index: usize,
    /// The next row group.
    group: usize,
    /// Rows that are left in the one before it.
    left: u64,
    reader: Option<ColumnReader>,
}

impl ColumnCells {
    /// Passes over rows.
    pub fn skip(&mut self, mut rows: u64) -> Result<()> {
        while 0 < rows {
            if self.left == 0 {
                let Some(next) = self.table.metadata().row_groups().get(self.group) else {
                    return Ok(());
                };
                let held = next.num_rows().unsigned_abs();
                if held <= rows {
                    self.group += 1;
                    rows -= held;
                    continue;
                }
                self.next_group()?;
            }
            let pass = rows.min(self.left);
            let Some(reader) = &mut self.reader else {
                return Ok(());
            };
            let passed = guarded(|| skip(reader, usize::try_from(pass)?)).map_err(|what| self.wrong(what))?;
            if passed as u64 != pass {
                return Err(self.ends());
            }
            self.left -= pass;
            rows -= pass;
        }
        Ok(())
    }

    /// The next cells: as many as asked for, fewer only at the end, none behind it.
    pub fn next(&mut self, rows: usize) -> Result<Option<Cells>> {
        let mut read: Option<Cells> = None;
        loop {
            let have = read.as_ref().map_or(0, Cells::len);
            if rows <= have {
                return Ok(read);
            }
            if self.left == 0 && !self.next_group()? {
                return Ok(read);
            }
            let want = (rows - have).min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let Some(reader) = &mut self.reader else {
                return Ok(read);
            };
            let column = &self.table.columns[self.index];
            let schema = self.table.reader.metadata().file_metadata().schema_descr();
            let leaf = schema.column(self.index);
            let taken = guarded(|| Ok(take(reader, want, &leaf, column)))
                .and_then(|taken| taken)
                .map_err(|what| self.wrong(what))?;
            if taken.len() != want {
                return Err(self.ends());
            }
            self.left -= want as u64;
            match &mut read {
                None => read = Some(taken),
                Some(read) => {
                    // Cells of one column are of one sort.
                    read.append(taken);
                }
            }
        }
    }

    /// Opens the next row group that has rows; whether there is one.
    fn next_group(&mut self) -> Result<bool> {
        loop {
            let Some(next) = self.table.metadata().row_groups().get(self.group) else {
                return Ok(false);
            };
            self.left = next.num_rows().unsigned_abs();
            let opened = guarded(|| {
                let group = self.table.reader.get_row_group(self.group)?;
                group.get_column_reader(self.index)
            });
            self.reader = Some(opened.map_err(|what| self.wrong(what))?);
            self.group += 1;
            if 0 < self.left {
                return Ok(true);
            }
        }
    }

    fn wrong(&self, what: String) -> Error {
        Error::Column {
            column: self.table.columns[self.index].name.clone(),
            what,
        }
    }

    fn ends(&self) -> Error {
        self.wrong("it ends before the rows do that the file promises".into())
    }
}

fn skip(reader: &mut ColumnReader, rows: usize) -> Result<usize, ParquetError> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::Int32ColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::Int64ColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::Int96ColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::FloatColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::DoubleColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::ByteArrayColumnReader(reader) => reader.skip_records(rows),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => reader.skip_records(rows),
    }
}

/// Values as they are stored, and where they belong.
struct Taken<T> {
    values: Vec<T>,
    defs: Vec<i16>,
    reps: Vec<i16>,
}

impl<T> Taken<T> {
    fn read<D: DataType<T = T>>(reader: &mut ColumnReaderImpl<D>, rows: usize) -> Result<Self, String> {
        let (mut values, mut defs, mut reps) = (Vec::new(), Vec::new(), Vec::new());
        reader
            .read_records(rows, Some(&mut defs), Some(&mut reps), &mut values)
            .map_err(|error| error.to_string())?;
        Ok(Self { values, defs, reps })
    }

    /// One cell for each value that is there and, unless they are lists, none for each that is not.
    fn laid<X>(self, place: Place, mut each: impl FnMut(T) -> Result<X, String>) -> Result<Laid<X>, String> {
        let mut cells = Vec::with_capacity(self.defs.len().max(self.values.len()));
        let mut values = self.values.into_iter();
        if place.is_list || place.max_def == 0 {
            for value in values {
                cells.push(Some(each(value)?));
            }
        } else {
            for def in &self.defs {
                cells.push(match *def == place.max_def {
                    true => values.next().map(&mut each).transpose()?,
                    false => None,
                });
            }
        }
        Ok(Laid {
            cells,
            defs: self.defs,
            reps: self.reps,
        })
    }
}

/// Where values belong.
#[derive(Clone, Copy)]
struct Place {
    max_def: i16,
    max_rep: i16,
    list_def: i16,
    is_list: bool,
}

struct Laid<X> {
    cells: Vec<Option<X>>,
    defs: Vec<i16>,
    reps: Vec<i16>,
}

impl<X> Laid<X> {
    fn cells(self, place: Place, cells: impl FnOnce(Vec<Option<X>>) -> Cells) -> Cells {
        let read = cells(self.cells);
        match place.is_list {
            false => read,
            true => nested::rows(
                &read,
                &self.defs,
                &self.reps,
                place.max_def,
                place.max_rep,
                place.list_def,
            ),
        }
    }
}

fn take(
    reader: &mut ColumnReader,
    rows: usize,
    leaf: &ColumnDescriptor,
    column: &Column,
) -> Result<Cells, String> {
    let place = Place {
        max_def: leaf.max_def_level(),
        max_rep: leaf.max_rep_level(),
        list_def: leaf.repeated_ancestor_def_level(),
        is_list: column.is_list,
    };
    let kind = &column.kind;
    let cells = match reader {
        ColumnReader::BoolColumnReader(reader) => Taken::read(reader, rows)?
            .laid(place, Ok)?
            .cells(place, Cells::Booleans),
        ColumnReader::Int32ColumnReader(reader) => {
            let taken = Taken::read(reader, rows)?;
            match kind {
                Kind::Decimal { scale } => taken
                    .laid(place, |value| Ok(decimal_of(value.into(), *scale).into()))?
                    .cells(place, Cells::Texts),
                Kind::Date => taken
                    .laid(place, |value| Ok(date(value.into()).into()))?
                    .cells(place, Cells::Texts),
                Kind::Integer { signed: false, .. } => taken
                    .laid(place, |value| Ok(i64::from(value as u32)))?
                    .cells(place, Cells::Longs),
                _ => taken
                    .laid(place, |value| Ok(i64::from(value)))?
                    .cells(place, Cells::Longs),
            }
        }
        ColumnReader::Int64ColumnReader(reader) => {
            let taken = Taken::read(reader, rows)?;
            match kind {
                Kind::Decimal { scale } => taken
                    .laid(place, |value| Ok(decimal_of(value.into(), *scale).into()))?
                    .cells(place, Cells::Texts),
                Kind::Timestamp { unit, utc } => taken
                    .laid(place, |value| Ok(timestamp(value, *unit, *utc).into()))?
                    .cells(place, Cells::Texts),
                Kind::Integer { signed: false, .. } => taken
                    .laid(place, |value| Ok(value as u64))?
                    .cells(place, Cells::Unsigned),
                _ => taken.laid(place, Ok)?.cells(place, Cells::Longs),
            }
        }
        ColumnReader::Int96ColumnReader(reader) => Taken::read(reader, rows)?
            .laid(place, |value: Int96| match nanos(&value) {
                Some(nanos) => Ok(timestamp(nanos, Unit::Nanos, false).into()),
                None => Err("a point in time lies beyond the years 1677 to 2262".into()),
            })?
            .cells(place, Cells::Texts),
        ColumnReader::FloatColumnReader(reader) => Taken::read(reader, rows)?
            .laid(place, Ok)?
            .cells(place, Cells::Floats),
        ColumnReader::DoubleColumnReader(reader) => Taken::read(reader, rows)?
            .laid(place, Ok)?
            .cells(place, Cells::Doubles),
        ColumnReader::ByteArrayColumnReader(reader) => {
            let taken = Taken::read(reader, rows)?;
            match kind {
                Kind::Text => taken.laid(place, text)?.cells(place, Cells::Texts),
                Kind::Decimal { scale } => taken
                    .laid(place, |value: ByteArray| wide(value.data(), *scale))?
                    .cells(place, Cells::Texts),
                _ => taken
                    .laid(place, |value: ByteArray| Ok(value.data().to_vec()))?
                    .cells(place, Cells::Bytes),
            }
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            let taken = Taken::read(reader, rows)?;
            match kind {
                Kind::Half => taken
                    .laid(place, |value: FixedLenByteArray| match value.data() {
                        [low, high] => Ok(half([*low, *high])),
                        _ => Err("a number of 16 bits has more or fewer".into()),
                    })?
                    .cells(place, Cells::Floats),
                Kind::Decimal { scale } => taken
                    .laid(place, |value: FixedLenByteArray| wide(value.data(), *scale))?
                    .cells(place, Cells::Texts),
                _ => taken
                    .laid(place, |value: FixedLenByteArray| Ok(value.data().to_vec()))?
                    .cells(place, Cells::Bytes),
            }
        }
    };
    Ok(match kind {
        // Whatever it is stored as, all of it is missing.
        Kind::Nothing if !column.is_list => Cells::Texts(vec![None; cells.len()]),
        _ => cells,
    })
}

fn text(value: ByteArray) -> Result<Arc<str>, String> {
    match std::str::from_utf8(value.data()) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err("a text is not UTF-8".into()),
    }
}

fn wide(bytes: &[u8], scale: i32) -> Result<Arc<str>, String> {
    match decimal(bytes, scale) {
        Some(text) => Ok(text.into()),
        None => Err("a decimal number has more than 38 digits".into()),
    }
}

/// Nanoseconds since 1970 of a time within a Julian day.
fn nanos(value: &Int96) -> Option<i64> {
    let [low, high, day] = *value.data() else {
        return None;
    };
    let within = i128::from(u64::from(low) | u64::from(high) << 32);
    let days = i128::from(day) - 2_440_588;
    i64::try_from(days * 86_400_000_000_000 + within).ok()
}
