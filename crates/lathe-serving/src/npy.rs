//! NumPy's `.npy` format, versions 1 to 3 (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>):
//! a header with dtype and shape, then the raw values. Object arrays hold pickles and are refused.

use std::collections::BTreeMap;

/// An array as stored: one or more fields a record, row-major.
pub(crate) struct Npy<'a> {
    fields: BTreeMap<String, Field>,
    record_bytes: usize,
    data: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
struct Field {
    offset: usize,
    kind: u8,
    bytes: usize,
}

/// A field's name when the dtype has none.
const PLAIN: &str = "";
/// The longest text that is read; class names are short.
const TEXT_CHARS_MAX: usize = 4096;

impl<'a> Npy<'a> {
    /// Reads the header and checks that the values are all there.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let rest = bytes
            .strip_prefix(b"\x93NUMPY")
            .ok_or("it does not start as an .npy file")?;
        let [major, _, rest @ ..] = rest else {
            return Err("the header breaks off".into());
        };
        let (length, rest) = match (major, rest) {
            (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
            (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            _ => return Err(format!("version {major} of the format is not known")),
        };
        if 64 * 1024 < length || rest.len() < length {
            return Err("the header breaks off".into());
        }
        let (header, data) = rest.split_at(length);
        let header = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
        let header = Literal::parse(header)?;
        let Literal::Dict(header) = header else {
            return Err("the header is not a dict".into());
        };
        if !matches!(header.get("fortran_order"), Some(Literal::Name(name)) if name == "False") {
            return Err("only row-major arrays are read".into());
        }
        let (fields, record_bytes) = fields_of(header.get("descr").ok_or("the header has no `descr`")?)?;
        let shape = match header.get("shape") {
            Some(Literal::List(items)) => items
                .iter()
                .map(|item| match item {
                    Literal::Int(n) => Ok(*n),
                    _ => Err("the shape is not made of numbers".to_owned()),
                })
                .collect::<Result<Vec<_>, _>>()?,
            _ => return Err("the header has no `shape`".into()),
        };
        let records = shape
            .iter()
            .try_fold(1usize, |all, n| all.checked_mul(*n))
            .ok_or("the shape overflows")?;
        let expected = records.checked_mul(record_bytes).ok_or("the shape overflows")?;
        if data.len() != expected {
            return Err(format!(
                "{} bytes of values where the shape asks for {expected}",
                data.len()
            ));
        }
        Ok(Self {
            fields,
            record_bytes,
            data,
        })
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.data.len() / self.record_bytes.max(1)
    }

    /// One field of every record, as f64.
    pub(crate) fn floats(&self, field: &str) -> Result<Vec<f64>, String> {
        let field = self.field(field)?;
        self.records(field)
            .map(|raw| match (field.kind, field.bytes) {
                (b'f', 8) => Ok(f64::from_le_bytes(array(raw))),
                (b'f', 4) => Ok(f64::from(f32::from_le_bytes(array(raw)))),
                _ => integer(field, raw).map(|n| n as f64),
            })
            .collect()
    }

    /// One field of every record, as i64.
    pub(crate) fn integers(&self, field: &str) -> Result<Vec<i64>, String> {
        let field = self.field(field)?;
        self.records(field).map(|raw| integer(field, raw)).collect()
    }

    /// The values, as texts of at most the dtype's characters; NumPy pads shorter ones with zeros.
    pub(crate) fn texts(&self) -> Result<Vec<String>, String> {
        let field = self.field(PLAIN)?;
        self.records(field)
            .map(|raw| {
                let letters = raw.chunks_exact(4).map(|four| u32::from_le_bytes(array(four)));
                let text: Option<String> = letters.map(char::from_u32).collect();
                let text = text.ok_or("a text is not Unicode")?;
                Ok(text.trim_end_matches('\0').to_owned())
            })
            .collect()
    }

    /// Whether records have the field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Whether the values are whole numbers.
    pub(crate) fn is_integer(&self) -> bool {
        self.fields
            .get(PLAIN)
            .is_some_and(|field| matches!(field.kind, b'i' | b'u' | b'b'))
    }

    /// Whether the values are texts.
    pub(crate) fn is_text(&self) -> bool {
        self.fields.get(PLAIN).is_some_and(|field| field.kind == b'U')
    }

    fn field(&self, name: &str) -> Result<Field, String> {
        self.fields
            .get(name)
            .copied()
            .ok_or_else(|| format!("it has no field `{name}`"))
    }

    fn records(&self, field: Field) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let range = field.offset..field.offset + field.bytes;
        self.data
            .chunks_exact(self.record_bytes)
            .map(move |record| &record[range.clone()])
    }
}

/// The first `N` bytes; callers pass slices of exactly that length.
fn array<const N: usize>(raw: &[u8]) -> [u8; N] {
    std::array::from_fn(|i| raw.get(i).copied().unwrap_or_default())
}

fn integer(field: Field, raw: &[u8]) -> Result<i64, String> {
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

fn fields_of(descr: &Literal) -> Result<(BTreeMap<String, Field>, usize), String> {
    let mut fields = BTreeMap::new();
    let mut offset = 0;
    let items = match descr {
        Literal::Text(text) => vec![(PLAIN.to_owned(), text.as_str())],
        Literal::List(items) => items
            .iter()
            .map(|item| match item {
                Literal::List(pair) => match pair.as_slice() {
                    [Literal::Text(name), Literal::Text(kind)] => Ok((name.clone(), kind.as_str())),
                    _ => Err("a field of the dtype is not (name, type)".to_owned()),
                },
                _ => Err("a field of the dtype is not a tuple".to_owned()),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err("the dtype is neither a text nor a list".into()),
    };
    for (name, kind) in items {
        let (order, kind) = kind.split_at_checked(1).ok_or("the dtype is empty")?;
        let (kind, bytes) = kind.split_at_checked(1).ok_or("the dtype breaks off")?;
        let size: usize = bytes
            .parse()
            .map_err(|_| format!("the dtype `{kind}{bytes}` is not known"))?;
        let known = match kind.as_bytes() {
            b"f" => matches!(size, 4 | 8),
            b"i" | b"u" => matches!(size, 1 | 2 | 4 | 8),
            b"b" => size == 1,
            b"U" => (1..=TEXT_CHARS_MAX).contains(&size),
            // Padding.
            b"V" => size <= 64,
            _ => false,
        };
        if !known || (order != "<" && order != "|") {
            return Err(format!("values of the type `{order}{kind}{bytes}` are not read"));
        }
        let kind = kind.as_bytes()[0];
        // The size of texts is told in characters, of UTF-32.
        let bytes = if kind == b'U' { size * 4 } else { size };
        fields.insert(name, Field { offset, kind, bytes });
        offset += bytes;
    }
    if offset == 0 {
        return Err("the dtype has no fields".into());
    }
    Ok((fields, offset))
}

/// The Python literals that a header is made of; tuples are lists here.
enum Literal {
    Text(String),
    Int(usize),
    Name(String),
    List(Vec<Literal>),
    Dict(BTreeMap<String, Literal>),
}

impl Literal {
    fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let value = Self::value(&mut rest, 0)?;
        match rest.trim() {
            "" => Ok(value),
            _ => Err("something follows the header".into()),
        }
    }

    fn value(rest: &mut &str, depth: usize) -> Result<Self, String> {
        if 8 < depth {
            return Err("the header is nested too deep".into());
        }
        *rest = rest.trim_start();
        match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let (text, after) = rest[1..].split_once(quote).ok_or("a text does not end")?;
                *rest = after;
                Ok(Self::Text(text.to_owned()))
            }
            Some('0'..='9') => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (digits, after) = rest.split_at(end);
                *rest = after;
                digits
                    .parse()
                    .map(Self::Int)
                    .map_err(|_| "a number is too large".into())
            }
            Some('(') => Self::items(rest, ')', depth).map(Self::List),
            Some('[') => Self::items(rest, ']', depth).map(Self::List),
            Some('{') => {
                *rest = &rest[1..];
                let mut entries = BTreeMap::new();
                while !Self::eat(rest, '}') {
                    let Self::Text(key) = Self::value(rest, depth + 1)? else {
                        return Err("a key of the header is not a text".into());
                    };
                    if !Self::eat(rest, ':') {
                        return Err("a key of the header has no value".into());
                    }
                    entries.insert(key, Self::value(rest, depth + 1)?);
                    Self::eat(rest, ',');
                }
                Ok(Self::Dict(entries))
            }
            Some(c) if c.is_ascii_alphabetic() => {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphabetic())
                    .unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                *rest = after;
                Ok(Self::Name(name.to_owned()))
            }
            _ => Err("the header is not a Python literal".into()),
        }
    }

    fn items(rest: &mut &str, end: char, depth: usize) -> Result<Vec<Self>, String> {
        *rest = &rest[1..];
        let mut items = Vec::new();
        while !Self::eat(rest, end) {
            items.push(Self::value(rest, depth + 1)?);
            Self::eat(rest, ',');
        }
        Ok(items)
    }

    fn eat(rest: &mut &str, wanted: char) -> bool {
        let trimmed = rest.trim_start();
        match trimmed.strip_prefix(wanted) {
            Some(after) => {
                *rest = after;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn plain_and_structured_values_are_read() {
        let bytes = file(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }\n",
            &[1.5f64.to_le_bytes(), 2.0f64.to_le_bytes()].concat(),
        );
        let npy = Npy::parse(&bytes).unwrap();
        assert_eq!((npy.len(), npy.floats("").unwrap()), (2, vec![1.5, 2.0]));
        let record = [&7i64.to_le_bytes()[..], &[1]].concat();
        let bytes = file(
            "{'descr': [('left', '<i8'), ('flag', '|u1')], 'fortran_order': False, 'shape': (1,), }",
            &record,
        );
        let npy = Npy::parse(&bytes).unwrap();
        assert_eq!(
            (npy.integers("left").unwrap(), npy.integers("flag").unwrap()),
            (vec![7], vec![1])
        );
    }

    #[test]
    fn texts_are_read_without_their_padding() {
        let letters: Vec<u8> = "no\0jä!".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
        let header = "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }";
        let bytes = file(header, &letters);
        let npy = Npy::parse(&bytes).unwrap();
        assert!(npy.is_text() && !npy.is_integer());
        assert_eq!(npy.texts().unwrap(), ["no", "jä!"]);
        let bytes = file(header, &[0xff; 24]);
        assert!(Npy::parse(&bytes).unwrap().texts().is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_reason() {
        let shape = |shape: &str, kind: &str, data: &[u8]| {
            let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
            Npy::parse(&file(&header, data)).map(|_| ())
        };
        assert!(shape("(1,)", "<f8", &[0; 8]).is_ok());
        for (dimensions, kind, data) in [
            ("(2,)", "<f8", &[0; 8][..]),
            ("(18446744073709551615, 16)", "<f8", &[]),
            ("(99999999999999999999999,)", "<f8", &[]),
            ("(1,)", "|O", &[0; 8]),
            ("(1,)", ">f8", &[0; 8]),
            ("('a',)", "<f8", &[0; 8]),
        ] {
            assert!(shape(dimensions, kind, data).is_err(), "{dimensions} {kind}");
        }
        assert!(Npy::parse(b"\x93NUMPY\x01\x00\xff\xff").is_err());
        assert!(Npy::parse(&file("{'descr': [[[[[[[[[[[[", &[])).is_err());
    }
}
