use std::collections::BTreeMap;

/// NumPy's array: records of one or more fields.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Column-major.
    fortran: bool,
    data: Vec<u8>,
}

/// What a record is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dtype {
    fields: BTreeMap<String, Field>,
    record_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Field {
    offset: usize,
    kind: u8,
    bytes: usize,
    big_endian: bool,
}

/// A field's name when the dtype has none.
const PLAIN: &str = "";
/// The longest text that is read; class names are short.
const TEXT_CHARS_MAX: usize = 4096;

impl Dtype {
    /// `<f8` say.
    pub(crate) fn plain(text: &str) -> Result<Self, String> {
        Self::packed(&[(PLAIN.to_owned(), text)])
    }

    /// Fields one after the other.
    pub(crate) fn packed(fields: &[(String, &str)]) -> Result<Self, String> {
        let mut read = BTreeMap::new();
        let mut offset = 0usize;
        for (name, text) in fields {
            let field = Field::parse(text, offset)?;
            offset += field.bytes;
            read.insert(name.clone(), field);
        }
        if fields.is_empty() {
            return Err("the dtype has no fields".into());
        }
        Ok(Self {
            fields: read,
            record_bytes: offset,
        })
    }

    /// Fields at their offsets.
    pub(crate) fn structured(
        fields: Vec<(String, Dtype, usize)>,
        record_bytes: usize,
    ) -> Result<Self, String> {
        let mut read = BTreeMap::new();
        for (name, dtype, offset) in fields {
            let Some(field) = dtype.fields.get(PLAIN) else {
                return Err("a field of the dtype has fields itself".into());
            };
            if record_bytes < offset.saturating_add(field.bytes) {
                return Err(format!("the field `{name}` of the dtype does not fit its record"));
            }
            read.insert(name, Field { offset, ..*field });
        }
        Ok(Self {
            fields: read,
            record_bytes,
        })
    }

    pub(crate) fn set_big_endian(&mut self) {
        self.fields.values_mut().for_each(|field| field.big_endian = true);
    }

    pub(crate) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Whether values are references to Python objects.
    pub(crate) fn is_object(&self) -> bool {
        self.fields.values().any(|field| field.kind == b'O')
    }
}

impl Field {
    fn parse(text: &str, offset: usize) -> Result<Self, String> {
        let (order, rest) = match text.as_bytes().first() {
            Some(b'<' | b'>' | b'|' | b'=') => text.split_at(1),
            _ => ("<", text),
        };
        let (kind, size_text) = rest.split_at_checked(1).ok_or("the dtype breaks off")?;
        let unknown = || format!("values of the type `{text}` are not read");
        let size: usize = match (kind, size_text) {
            ("O" | "?", "") => 8,
            _ => size_text
                .split('[')
                .next()
                .unwrap_or_default()
                .parse()
                .map_err(|_| unknown())?,
        };
        let known = match kind {
            "f" => matches!(size, 2 | 4 | 8),
            "i" | "u" => matches!(size, 1 | 2 | 4 | 8),
            "b" => size == 1,
            "U" => size <= TEXT_CHARS_MAX,
            "S" => size <= 4 * TEXT_CHARS_MAX,
            "O" | "M" | "m" => size == 8,
            // Padding.
            "V" => size <= 64,
            _ => false,
        };
        if !known {
            return Err(unknown());
        }
        Ok(Self {
            offset,
            kind: kind.as_bytes()[0],
            // The size of texts is told in characters, of UTF-32.
            bytes: if kind == "U" { size * 4 } else { size },
            big_endian: order == ">",
        })
    }
}

impl Array {
    /// An array whose values are all there.
    pub(crate) fn new(dtype: Dtype, shape: Vec<usize>, fortran: bool, data: Vec<u8>) -> Result<Self, String> {
        let records = shape
            .iter()
            .try_fold(1usize, |all, n| all.checked_mul(*n))
            .ok_or("the shape overflows")?;
        let expected = records
            .checked_mul(dtype.record_bytes)
            .ok_or("the shape overflows")?;
        if data.len() != expected {
            return Err(format!(
                "{} bytes of values where the shape asks for {expected}",
                data.len()
            ));
        }
        if dtype.is_object() {
            return Err("the values are objects".into());
        }
        if dtype.record_bytes == 0 && 0 < records {
            return Err("its values have no bytes".into());
        }
        Ok(Self {
            dtype,
            shape,
            fortran,
            data,
        })
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// One field of every record, as f64, row-major.
    pub(crate) fn floats(&self, field: &str) -> Result<Vec<f64>, String> {
        let field = self.field(field)?;
        self.read(field, |raw| match (field.kind, field.bytes) {
            (b'f', 8) => Ok(f64::from_le_bytes(array(&raw))),
            (b'f', 4) => Ok(f64::from(f32::from_le_bytes(array(&raw)))),
            (b'f', 2) => Ok(half(u16::from_le_bytes(array(&raw)))),
            _ => integer(field, &raw).map(|n| n as f64),
        })
    }

    /// One field of every record, as i64, row-major.
    pub(crate) fn integers(&self, field: &str) -> Result<Vec<i64>, String> {
        let field = self.field(field)?;
        self.read(field, |raw| integer(field, &raw))
    }

    /// The values, as texts of at most the dtype's characters; NumPy pads shorter ones with zeros.
    pub(crate) fn texts(&self) -> Result<Vec<String>, String> {
        let field = self.field(PLAIN)?;
        let size = field.bytes.max(1);
        if field.bytes == 0 {
            return Ok(vec![String::new(); self.len().min(self.data.len())]);
        }
        self.ordered(self.data.chunks_exact(size).map(|raw| {
            let text: Option<String> = match field.kind {
                b'U' => raw
                    .chunks_exact(4)
                    .map(|four| match field.big_endian {
                        false => u32::from_le_bytes(array(four)),
                        true => u32::from_be_bytes(array(four)),
                    })
                    .map(char::from_u32)
                    .collect(),
                b'S' => std::str::from_utf8(raw).ok().map(str::to_owned),
                _ => None,
            };
            let text = text.ok_or_else(|| "a text is not Unicode".to_owned())?;
            Ok(text.trim_end_matches('\0').to_owned())
        }))
    }

    /// Whether records have the field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.dtype.fields.contains_key(field)
    }

    /// Whether the values are whole numbers.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_of(b"iub")
    }

    /// Whether the values are true or false.
    pub(crate) fn is_boolean(&self) -> bool {
        self.is_of(b"b")
    }

    /// Whether the values are texts.
    pub(crate) fn is_text(&self) -> bool {
        self.is_of(b"US")
    }

    fn is_of(&self, kinds: &[u8]) -> bool {
        self.dtype
            .fields
            .get(PLAIN)
            .is_some_and(|field| kinds.contains(&field.kind))
    }

    fn field(&self, name: &str) -> Result<Field, String> {
        self.dtype
            .fields
            .get(name)
            .copied()
            .ok_or_else(|| format!("it has no field `{name}`"))
    }

    /// Each record's field, its bytes in little-endian order.
    fn read<T>(&self, field: Field, read: impl Fn([u8; 8]) -> Result<T, String>) -> Result<Vec<T>, String>
    where
        T: Copy,
    {
        if 8 < field.bytes {
            return Err("values of another type where numbers are expected".into());
        }
        let range = field.offset..field.offset + field.bytes;
        let records = self
            .data
            .chunks_exact(self.dtype.record_bytes.max(1))
            .map(|record| {
                let mut raw = [0u8; 8];
                let bytes = &record[range.clone()];
                for (to, from) in raw.iter_mut().zip(bytes) {
                    *to = *from;
                }
                if field.big_endian {
                    raw[..field.bytes].reverse();
                }
                read(raw)
            });
        self.ordered(records)
    }

    /// Collects the values, row-major.
    fn ordered<T: Clone>(&self, values: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
        let values: Vec<T> = values.collect::<Result<_, _>>()?;
        if !self.fortran || self.shape.len() < 2 || values.is_empty() {
            return Ok(values);
        }
        let mut ordered = Vec::with_capacity(values.len());
        let mut at = vec![0usize; self.shape.len()];
        for _ in 0..values.len() {
            let mut place = 0;
            for (index, size) in at.iter().zip(&self.shape).rev() {
                place = place * size + index;
            }
            ordered.push(values[place].clone());
            for (index, size) in at.iter_mut().zip(&self.shape).rev() {
                *index += 1;
                if *index < *size {
                    break;
                }
                *index = 0;
            }
        }
        Ok(ordered)
    }
}

/// The first `N` bytes; callers pass slices of at least that length.
fn array<const N: usize>(raw: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| raw.get(i).copied().unwrap_or_default())
}

fn integer(field: Field, raw: &[u8; 8]) -> Result<i64, String> {
    Ok(match (field.kind, field.bytes) {
        (b'i', 8) => i64::from_le_bytes(array(raw)),
        (b'i', 4) => i32::from_le_bytes(array(raw)).into(),
        (b'i', 2) => i16::from_le_bytes(array(raw)).into(),
        (b'i', 1) => i8::from_le_bytes(array(raw)).into(),
        (b'u', 8) => i64::try_from(u64::from_le_bytes(array(raw))).map_err(|_| "a number is too large")?,
        (b'u', 4) => u32::from_le_bytes(array(raw)).into(),
        (b'u', 2) => u16::from_le_bytes(array(raw)).into(),
        (b'u' | b'b', 1) => raw[0].into(),
        (kind, bytes) => {
            return Err(format!(
                "values of the type `{}{bytes}` where whole numbers are expected",
                char::from(kind)
            ));
        }
    })
}

/// A number of 16 bits (IEEE 754 binary16).
pub(crate) fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}
