use std::fmt;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::schema::types::ColumnDescriptor;

/// What the cells of a column are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Boolean,
    /// Whole numbers.
    Integer {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether they may be negative.
        signed: bool,
    },
    /// Numbers of 16 bits.
    Half,
    /// Numbers of 32 bits.
    Float,
    /// Numbers of 64 bits.
    Double,
    /// Decimal numbers with so many digits behind the point.
    Decimal {
        /// Digits behind the point.
        scale: i32,
    },
    /// Text in UTF-8.
    Text,
    /// Bytes that do not say what they are.
    Bytes,
    /// Days.
    Date,
    /// Points in time.
    Timestamp {
        /// What they are counted in.
        unit: Unit,
        /// Whether they are in UTC; else in a time zone that is not said.
        utc: bool,
    },
    /// Nothing: every cell is missing.
    Nothing,
    /// What is not read here, in words.
    Other(String),
}

/// What points in time are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Thousandths of a second.
    Millis,
    /// Millionths of a second.
    Micros,
    /// Billionths of a second.
    Nanos,
}

impl Unit {
    pub(crate) fn per_second(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }

    pub(crate) fn digits(self) -> usize {
        match self {
            Self::Millis => 3,
            Self::Micros => 6,
            Self::Nanos => 9,
        }
    }
}

impl From<&TimeUnit> for Unit {
    fn from(unit: &TimeUnit) -> Self {
        match unit {
            TimeUnit::MILLIS => Self::Millis,
            TimeUnit::MICROS => Self::Micros,
            TimeUnit::NANOS => Self::Nanos,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Integer { bits, signed: true } => write!(f, "int{bits}"),
            Self::Integer { bits, .. } => write!(f, "uint{bits}"),
            Self::Half => f.write_str("half"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Decimal { scale } => write!(f, "decimal with {scale} digits behind the point"),
            Self::Text => f.write_str("text"),
            Self::Bytes => f.write_str("bytes"),
            Self::Date => f.write_str("date"),
            Self::Timestamp { unit, utc } => {
                let unit = match unit {
                    Unit::Millis => "ms",
                    Unit::Micros => "us",
                    Unit::Nanos => "ns",
                };
                write!(f, "timestamp[{unit}{}]", if *utc { ", UTC" } else { "" })
            }
            Self::Nothing => f.write_str("nothing"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Kind {
    /// Of a column that holds one cell a row.
    pub(crate) fn of(column: &ColumnDescriptor) -> Self {
        let integer = |bits: i8, signed| Self::Integer {
            bits: bits.unsigned_abs(),
            signed,
        };
        let physical = column.physical_type();
        if let Some(logical) = column.logical_type_ref() {
            match (logical, physical) {
                (LogicalType::String | LogicalType::Enum | LogicalType::Json, Type::BYTE_ARRAY) => {
                    return Self::Text;
                }
                (
                    LogicalType::Decimal(kind),
                    Type::INT32 | Type::INT64 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY,
                ) => return Self::Decimal { scale: kind.scale },
                (LogicalType::Date, Type::INT32) => return Self::Date,
                (LogicalType::Timestamp(kind), Type::INT64) => {
                    return Self::Timestamp {
                        unit: Unit::from(&kind.unit),
                        utc: kind.is_adjusted_to_u_t_c,
                    };
                }
                (LogicalType::Integer(kind), Type::INT32 | Type::INT64) => {
                    return integer(kind.bit_width, kind.is_signed);
                }
                (LogicalType::Unknown, _) => return Self::Nothing,
                (LogicalType::Float16, Type::FIXED_LEN_BYTE_ARRAY) if column.type_length() == 2 => {
                    return Self::Half;
                }
                (LogicalType::Uuid, _) => return Self::Other("UUID".into()),
                (LogicalType::Time(_), _) => return Self::Other("time of day".into()),
                (other, _) => return Self::Other(format!("{other:?}")),
            }
        }
        let millis = |utc| Self::Timestamp {
            unit: Unit::Millis,
            utc,
        };
        match (column.converted_type(), physical) {
            (ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON, Type::BYTE_ARRAY) => Self::Text,
            (ConvertedType::DECIMAL, _) => Self::Decimal {
                scale: column.type_scale(),
            },
            (ConvertedType::DATE, Type::INT32) => Self::Date,
            (ConvertedType::TIMESTAMP_MILLIS, Type::INT64) => millis(true),
            (ConvertedType::TIMESTAMP_MICROS, Type::INT64) => Self::Timestamp {
                unit: Unit::Micros,
                utc: true,
            },
            (ConvertedType::INT_8, Type::INT32) => integer(8, true),
            (ConvertedType::INT_16, Type::INT32) => integer(16, true),
            (ConvertedType::UINT_8, Type::INT32) => integer(8, false),
            (ConvertedType::UINT_16, Type::INT32) => integer(16, false),
            (ConvertedType::UINT_32, Type::INT32) => integer(32, false),
            (ConvertedType::UINT_64, Type::INT64) => integer(64, false),
            (ConvertedType::NONE | ConvertedType::INT_32, Type::INT32) => integer(32, true),
            (ConvertedType::NONE | ConvertedType::INT_64, Type::INT64) => integer(64, true),
            (ConvertedType::NONE, Type::BOOLEAN) => Self::Boolean,
            (ConvertedType::NONE, Type::FLOAT) => Self::Float,
            (ConvertedType::NONE, Type::DOUBLE) => Self::Double,
            // What Spark and Hive wrote before there were timestamps: in UTC, but shown in the reader's zone.
            (ConvertedType::NONE, Type::INT96) => Self::Timestamp {
                unit: Unit::Nanos,
                utc: false,
            },
            (ConvertedType::NONE, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) => Self::Bytes,
            (ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _) => Self::Other("time of day".into()),
            (other, physical) => Self::Other(format!("{other} in {physical}")),
        }
    }
}
