//! Rows of a file, some thousands at a time, and what a model is asked with.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use csv::ByteRecord;
use lathe_parquet::Cells;
use lathe_serving::{Column, ColumnType, Signature, Table, without_bare_nan};
use serde_json::{Map, Value};

use super::Format;
use super::columns::{self, TypedColumn};
use super::journal::Done;

/// Rows that are read, answered and written together.
const ROWS: usize = 8192;
/// What pandas reads as a missing value.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];
/// Whole numbers up to this are the same as 64-bit fractions.
const EXACT_MAX: i64 = 1 << 53;

/// Some rows of a file.
pub struct Piece {
    /// Its place among the pieces.
    pub index: usize,
    /// Rows before it.
    pub first_row: u64,
    /// Where the file goes on after it.
    pub input_offset: u64,
    rows: Rows,
}

enum Rows {
    Csv {
        names: Arc<[String]>,
        records: Vec<ByteRecord>,
    },
    Lines(Vec<Vec<u8>>),
    Columns {
        columns: Arc<[TypedColumn]>,
        cells: Vec<Cells>,
        rows: usize,
    },
}

/// A file that is read piece by piece.
pub struct Reader {
    rows: u64,
    source: Source,
    /// Whether a piece was read; a file without rows has one piece all the same.
    begun: bool,
}

enum Source {
    Csv {
        names: Arc<[String]>,
        reader: Box<csv::Reader<File>>,
    },
    Lines {
        reader: BufReader<File>,
        offset: u64,
    },
    Columns(columns::Source),
}

impl Reader {
    /// Opens it behind what is done already; of a table only what the model takes is read.
    pub fn open(path: &Path, format: Format, signature: &Signature, done: &Done) -> anyhow::Result<Self> {
        let mut file = File::open(path).context("the file cannot be read")?;
        let source = match format {
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new().from_reader(file);
                let names = reader.headers()?.iter().map(str::to_owned).collect();
                if 0 < done.rows {
                    let mut place = csv::Position::new();
                    place.set_byte(done.input_offset).set_record(done.rows + 1);
                    reader.seek(place)?;
                }
                Source::Csv {
                    names,
                    reader: Box::new(reader),
                }
            }
            Format::JsonLines => {
                file.seek(SeekFrom::Start(done.input_offset))?;
                Source::Lines {
                    reader: BufReader::with_capacity(1 << 16, file),
                    offset: done.input_offset,
                }
            }
            Format::Parquet => Source::Columns(columns::Source::open(path, signature, done.rows)?),
        };
        Ok(Self {
            rows: done.rows,
            source,
            begun: 0 < done.rows,
        })
    }

    /// The next rows; none at the end.
    pub fn piece(&mut self, index: usize) -> anyhow::Result<Option<Piece>> {
        let (rows, input_offset) = match &mut self.source {
            Source::Csv { names, reader } => {
                let mut records = Vec::with_capacity(ROWS);
                let mut record = ByteRecord::new();
                while records.len() < ROWS && reader.read_byte_record(&mut record)? {
                    records.push(record.clone());
                }
                let names = names.clone();
                (Rows::Csv { names, records }, reader.position().byte())
            }
            Source::Lines { reader, offset } => {
                let mut lines = Vec::with_capacity(ROWS);
                while lines.len() < ROWS {
                    let mut line = Vec::new();
                    let read = reader.read_until(b'\n', &mut line)?;
                    if read == 0 {
                        break;
                    }
                    *offset += read as u64;
                    if !line.trim_ascii().is_empty() {
                        lines.push(line);
                    }
                }
                (Rows::Lines(lines), *offset)
            }
            Source::Columns(source) => {
                let (cells, rows) = source.next(ROWS)?;
                let columns = source.columns();
                (Rows::Columns { columns, cells, rows }, source.offset())
            }
        };
        let piece = Piece {
            index,
            first_row: self.rows,
            input_offset,
            rows,
        };
        // A file without rows is answered too: a missing column is told, and a header is written.
        if piece.rows() == 0 && self.begun {
            return Ok(None);
        }
        self.begun = true;
        self.rows += piece.rows() as u64;
        Ok(Some(piece))
    }
}

impl Piece {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        match &self.rows {
            Rows::Csv { records, .. } => records.len(),
            Rows::Lines(lines) => lines.len(),
            Rows::Columns { rows, .. } => *rows,
        }
    }

    /// What the model is asked with.
    pub fn table(&self, signature: &Signature) -> anyhow::Result<Table> {
        match &self.rows {
            Rows::Csv { names, records } => match quick_table(names, records, signature) {
                Some(table) => Ok(table),
                None => careful_table(names, records, signature),
            },
            Rows::Columns { columns, cells, rows } => columns::table(columns, cells, *rows, signature),
            Rows::Lines(lines) => {
                let mut records: Vec<Map<String, Value>> = Vec::with_capacity(lines.len());
                for line in lines {
                    let row = self.first_row + records.len() as u64;
                    let text =
                        std::str::from_utf8(line).with_context(|| format!("row {row} is not UTF-8"))?;
                    let record = serde_json::from_str(&without_bare_nan(text));
                    records.push(record.with_context(|| format!("row {row} is no JSON object"))?);
                }
                let is_nested = |value: &Value| value.is_array() || value.is_object();
                if signature.reads_sent() && records.iter().flat_map(Map::values).any(is_nested) {
                    let records = records.into_iter().map(Value::Object).collect();
                    return Ok(Table::of_sent("dataframe_records", records));
                }
                Ok(Table::from_records(&records, signature)?)
            }
        }
    }
}

/// Columns of numbers and of words, read without a value for each field in between. None where anything is out of the
/// ordinary: then [`careful_table`] finds out what.
fn quick_table(names: &[String], records: &[ByteRecord], signature: &Signature) -> Option<Table> {
    enum Read {
        Numbers(Vec<f64>),
        Words(Vec<Option<Arc<str>>>),
    }
    if signature.is_open() || records.is_empty() {
        return None;
    }
    let mut columns: Vec<(&str, Read)> = Vec::with_capacity(signature.inputs.len());
    for spec in &signature.inputs {
        let Some(position) = names.iter().position(|name| *name == spec.name) else {
            match spec.required {
                true => return None,
                false => continue,
            }
        };
        let fields = records
            .iter()
            .map(|record| std::str::from_utf8(record.get(position)?).ok());
        let read = match spec.kind {
            ColumnType::Double | ColumnType::Float => {
                Read::Numbers(fields.map(|field| number(field?)).collect::<Option<_>>()?)
            }
            ColumnType::Integer | ColumnType::Long => {
                Read::Numbers(fields.map(|field| whole(field?)).collect::<Option<_>>()?)
            }
            ColumnType::String => Read::Words(
                fields
                    .map(|field| {
                        Some(
                            Some(field?)
                                .filter(|field| !MISSING.contains(field))
                                .map(Arc::from),
                        )
                    })
                    .collect::<Option<_>>()?,
            ),
            ColumnType::Boolean | ColumnType::Binary | ColumnType::Datetime => return None,
        };
        columns.push((&spec.name, read));
    }
    let typed: Vec<(&str, Column<'_>)> = columns
        .iter()
        .map(|(name, read)| match read {
            Read::Numbers(numbers) => (*name, Column::Numbers(numbers)),
            Read::Words(words) => (*name, Column::Words(words)),
        })
        .collect();
    Table::from_typed(&typed, signature).ok()
}

fn number(field: &str) -> Option<f64> {
    // What begins as a number is none of the words for what is missing, except `1.#IND` and its like, which do not parse.
    match field.as_bytes().first() {
        Some(b'0'..=b'9' | b'-' | b'.') => field
            .parse()
            .ok()
            .or_else(|| MISSING.contains(&field).then_some(f64::NAN)),
        _ => MISSING.contains(&field).then_some(f64::NAN),
    }
}

fn whole(field: &str) -> Option<f64> {
    let number: i64 = field.parse().ok()?;
    (-EXACT_MAX..=EXACT_MAX)
        .contains(&number)
        .then_some(number as f64)
}

/// Every field as the text that it is, cast and refused as a request's would be.
fn careful_table(names: &[String], records: &[ByteRecord], signature: &Signature) -> anyhow::Result<Table> {
    let mut columns: Vec<(String, Vec<Value>)> =
        names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for record in records {
        for ((name, column), field) in columns.iter_mut().zip(record) {
            let field =
                std::str::from_utf8(field).with_context(|| format!("a field of `{name}` is not UTF-8"))?;
            column.push(match MISSING.contains(&field) {
                true => Value::Null,
                false => Value::from(field),
            });
        }
    }
    Ok(Table::from_columns(&columns, signature)?)
}

#[cfg(test)]
mod tests {
    use lathe_serving::ColumnSpec;

    use super::*;

    #[test]
    fn the_quick_way_reads_what_the_careful_way_reads() {
        let kinds = [
            ("d", ColumnType::Double),
            ("f", ColumnType::Float),
            ("l", ColumnType::Long),
            ("s", ColumnType::String),
        ];
        let inputs = kinds.map(|(name, kind)| ColumnSpec {
            name: name.into(),
            kind,
            required: true,
        });
        let signature = Signature::new(inputs.to_vec());
        let names: Vec<String> = ["s", "x", "l", "d", "f"].map(str::to_owned).to_vec();
        let rows: [[&str; 5]; 5] = [
            ["a", "9", "1", "0.1", "0.1"],
            ["NaN", "", "-7", "1e300", "3.4e38"],
            ["", "", "9007199254740992", "NA", "-1.#IND"],
            ["1", "", "0", "-0.0", "nan"],
            ["null ", "", "3", ".5", "16777217"],
        ];
        let records: Vec<ByteRecord> = rows.iter().map(|row| ByteRecord::from(row.to_vec())).collect();
        let careful = careful_table(&names, &records, &signature).unwrap();
        let quick = quick_table(&names, &records, &signature).unwrap();
        // NaN is not equal to itself.
        assert_eq!(format!("{quick:?}"), format!("{careful:?}"));
        for strange in ["1.5", "", "x", "9007199254740993"] {
            let row = ByteRecord::from(vec!["a", "", strange, "1", "1"]);
            assert_eq!(quick_table(&names, &[row], &signature), None, "{strange}");
        }
    }
}
