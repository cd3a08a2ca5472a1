use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{SchemaDescriptor, Type as SchemaType, TypePtr};

use crate::{Cells, Error, Kind, Result, Unit};

/// What every file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// Behind the footer: its length, and what every file ends with.
const TAIL_BYTES: usize = 8;

/// A column that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds: booleans, whole numbers of 32 or 64 bits, numbers of 32 or 64 bits, text, or points in time, which
    /// come as whole numbers.
    pub kind: Kind,
}

/// A file that is put together row group by row group, wherever its bytes go. What stands before the footer is never
/// touched again, so that a file that broke off can be gone on with: [`Assembly::resume`].
pub struct Assembly {
    fields: Vec<Field>,
    schema: Arc<SchemaDescriptor>,
    groups: Vec<RowGroupMetaData>,
    position: u64,
}

impl Assembly {
    /// A file without rows.
    pub fn new(fields: Vec<Field>) -> Result<Self> {
        let schema = schema_of(&fields)?;
        Ok(Self {
            fields,
            schema,
            groups: Vec::new(),
            position: 0,
        })
    }

    /// Goes on behind the first `position` bytes of a file of which `footer` told the end then; none if the file was of
    /// other columns.
    pub fn resume(fields: Vec<Field>, footer: &[u8], position: u64) -> Result<Option<Self>> {
        let body = footer.len().checked_sub(TAIL_BYTES).map(|end| &footer[..end]);
        let read = body.and_then(|body| decode(body).ok());
        let schema = schema_of(&fields)?;
        let Some(read) = read.filter(|read| read.file_metadata().schema() == schema.root_schema()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            fields,
            schema,
            groups: read.row_groups().to_vec(),
            position,
        }))
    }

    /// The columns.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Adds rows as one row group: the bytes to write next.
    pub fn push(&mut self, columns: &[Cells]) -> Result<Vec<u8>> {
        for (field, cells) in self.fields.iter().zip(columns) {
            if !fits(&field.kind, cells) {
                return Err(Error::Cells {
                    column: field.name.clone(),
                    expected: field.kind.to_string(),
                    found: cells.name().to_owned(),
                });
            }
        }
        let (bytes, group) = self.encode(columns).map_err(refused)?;
        // The group was encoded as if it were alone in a file, behind that file's first bytes.
        let skip = if self.position == 0 { 0 } else { MAGIC.len() };
        let shift = self.position as i64 - skip as i64;
        let ordinal = i32::try_from(self.groups.len()).unwrap_or(i32::MAX);
        let group = moved(group, shift, ordinal).and_then(|group| self.settled(group));
        self.groups.push(group.map_err(refused)?);
        let bytes = bytes[skip..].to_vec();
        self.position += bytes.len() as u64;
        Ok(bytes)
    }

    fn encode(&self, columns: &[Cells]) -> Result<(Vec<u8>, RowGroupMetaData), ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), self.schema.root_schema_ptr(), Arc::new(properties))?;
        let mut group = writer.next_row_group()?;
        for (field, cells) in self.fields.iter().zip(columns) {
            write(&mut group, &field.kind, cells)?;
        }
        let group = group.close()?;
        Ok((writer.inner().clone(), (*group).clone()))
    }

    /// As it is read back, so that a file which is gone on with ends with the same bytes: of old fields that say
    /// something twice, one is not read.
    fn settled(&self, group: RowGroupMetaData) -> Result<RowGroupMetaData, ParquetError> {
        let mut bytes = Vec::new();
        let whole = ParquetMetaData::new(self.about(group.num_rows()), vec![group]);
        ParquetMetaDataWriter::new(&mut bytes, &whole).finish()?;
        let read = decode(&bytes[..bytes.len() - TAIL_BYTES])?;
        Ok(read.row_group(0).clone())
    }

    fn about(&self, rows: i64) -> FileMetaData {
        let writer = concat!("lathe version ", env!("CARGO_PKG_VERSION")).to_owned();
        FileMetaData::new(1, rows, Some(writer), None, self.schema.clone(), None)
    }

    /// What stands behind the last row group: with it, what was written so far is a whole file.
    pub fn footer(&self) -> Result<Vec<u8>> {
        let mut bytes = match self.position {
            0 => MAGIC.to_vec(),
            _ => Vec::new(),
        };
        let rows = self.groups.iter().map(RowGroupMetaData::num_rows).sum();
        let whole = ParquetMetaData::new(self.about(rows), self.groups.clone());
        ParquetMetaDataWriter::new(&mut bytes, &whole)
            .finish()
            .map_err(refused)?;
        Ok(bytes)
    }
}

/// Everything, as it was written, so that it is written so again.
fn decode(body: &[u8]) -> Result<ParquetMetaData, ParquetError> {
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    ParquetMetaDataReader::decode_metadata_with_options(body, Some(&options))
}

fn refused(error: ParquetError) -> Error {
    Error::Write {
        what: error.to_string(),
    }
}

fn moved(group: RowGroupMetaData, shift: i64, ordinal: i32) -> Result<RowGroupMetaData, ParquetError> {
    let columns = group.columns().iter().map(|column| {
        let (data, words) = (column.data_page_offset(), column.dictionary_page_offset());
        column
            .clone()
            .into_builder()
            .set_data_page_offset(data + shift)
            .set_dictionary_page_offset(words.map(|offset| offset + shift))
            .build()
    });
    let columns = columns.collect::<Result<_, _>>()?;
    let offset = group.file_offset();
    let mut builder = group
        .into_builder()
        .set_column_metadata(columns)
        .set_ordinal(ordinal);
    if let Some(offset) = offset {
        builder = builder.set_file_offset(offset + shift);
    }
    builder.build()
}

fn schema_of(fields: &[Field]) -> Result<Arc<SchemaDescriptor>> {
    let columns = fields.iter().map(column_of).collect::<Result<_, _>>();
    let schema = columns.and_then(|columns| {
        SchemaType::group_type_builder("schema")
            .with_fields(columns)
            .build()
    });
    let schema = schema.map_err(refused)?;
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(schema))))
}

fn column_of(field: &Field) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match &field.kind {
        Kind::Boolean => (Type::BOOLEAN, None),
        Kind::Integer {
            bits: 32,
            signed: true,
        } => (Type::INT32, None),
        Kind::Integer {
            bits: 64,
            signed: true,
        } => (Type::INT64, None),
        Kind::Float => (Type::FLOAT, None),
        Kind::Double => (Type::DOUBLE, None),
        Kind::Text => (Type::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Timestamp { unit, utc } => {
            let unit = match unit {
                Unit::Millis => TimeUnit::MILLIS,
                Unit::Micros => TimeUnit::MICROS,
                Unit::Nanos => TimeUnit::NANOS,
            };
            (Type::INT64, Some(LogicalType::timestamp(*utc, unit)))
        }
        other => return Err(ParquetError::NYI(format!("column `{}` of {other}", field.name))),
    };
    let column = SchemaType::primitive_type_builder(&field.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()?;
    Ok(Arc::new(column))
}

fn fits(kind: &Kind, cells: &Cells) -> bool {
    matches!(
        (kind, cells),
        (Kind::Boolean, Cells::Booleans(_))
            | (Kind::Integer { .. } | Kind::Timestamp { .. }, Cells::Longs(_))
            | (Kind::Float, Cells::Floats(_))
            | (Kind::Double, Cells::Doubles(_))
            | (Kind::Text, Cells::Texts(_))
    )
}

fn write(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    kind: &Kind,
    cells: &Cells,
) -> Result<(), ParquetError> {
    match (kind, cells) {
        (_, Cells::Booleans(cells)) => put::<BoolType, _>(group, cells, |cell| *cell),
        (Kind::Integer { bits: 32, .. }, Cells::Longs(cells)) => {
            put::<Int32Type, _>(group, cells, |cell| *cell as i32)
        }
        (_, Cells::Longs(cells)) => put::<Int64Type, _>(group, cells, |cell| *cell),
        (_, Cells::Floats(cells)) => put::<FloatType, _>(group, cells, |cell| *cell),
        (_, Cells::Doubles(cells)) => put::<DoubleType, _>(group, cells, |cell| *cell),
        (_, Cells::Texts(cells)) => put::<ByteArrayType, _>(group, cells, |cell| ByteArray::from(&**cell)),
        (_, other) => Err(ParquetError::NYI(other.name().to_owned())),
    }
}

fn put<D: DataType, X>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: &[Option<X>],
    each: impl Fn(&X) -> D::T,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("there are more columns than names".into()));
    };
    let values: Vec<D::T> = cells.iter().flatten().map(each).collect();
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    column.typed::<D>().write_batch(&values, Some(&levels), None)?;
    column.close()
}
