//! NumPy's `.npy` format, versions 1 to 3 (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>):
//! a header with dtype and shape, then the raw values. Object arrays hold pickles and are refused.

use std::collections::BTreeMap;

use super::array::{Array, Dtype};

/// Reads the header and checks that the values are all there.
pub(crate) fn parse(bytes: &[u8]) -> Result<Array, String> {
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
    let Literal::Dict(header) = Literal::parse(header)? else {
        return Err("the header is not a dict".into());
    };
    let fortran = match header.get("fortran_order") {
        Some(Literal::Name(name)) => name == "True",
        _ => return Err("the header has no `fortran_order`".into()),
    };
    let dtype = dtype_of(header.get("descr").ok_or("the header has no `descr`")?)?;
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
    Array::new(dtype, shape, fortran, data.to_vec())
}

fn dtype_of(descr: &Literal) -> Result<Dtype, String> {
    let fields = match descr {
        Literal::Text(text) => return Dtype::plain(text),
        Literal::List(items) => items
            .iter()
            .map(|item| match item {
                Literal::List(pair) => match pair.as_slice() {
                    [Literal::Text(name), Literal::Text(kind)] => Ok((name.clone(), kind.as_str())),
                    _ => Err("a field of the dtype is not (name, type)".to_owned()),
                },
                _ => Err("a field of the dtype is not a tuple".to_owned()),
            })
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err("the dtype is neither a text nor a list".into()),
    };
    Dtype::packed(&fields)
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
        let npy = parse(&bytes).unwrap();
        assert_eq!((npy.len(), npy.floats("").unwrap()), (2, vec![1.5, 2.0]));
        let record = [&7i64.to_le_bytes()[..], &[1]].concat();
        let bytes = file(
            "{'descr': [('left', '<i8'), ('flag', '|u1')], 'fortran_order': False, 'shape': (1,), }",
            &record,
        );
        let npy = parse(&bytes).unwrap();
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
        let npy = parse(&bytes).unwrap();
        assert!(npy.is_text() && !npy.is_whole());
        assert_eq!(npy.texts().unwrap(), ["no", "jä!"]);
        let bytes = file(header, &[0xff; 24]);
        assert!(parse(&bytes).unwrap().texts().is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_reason() {
        let shape = |shape: &str, kind: &str, data: &[u8]| {
            let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
            parse(&file(&header, data)).map(|_| ())
        };
        assert!(shape("(1,)", "<f8", &[0; 8]).is_ok());
        for (dimensions, kind, data) in [
            ("(2,)", "<f8", &[0; 8][..]),
            ("(18446744073709551615, 16)", "<f8", &[]),
            ("(99999999999999999999999,)", "<f8", &[]),
            ("(1,)", "|O", &[0; 8]),
            ("('a',)", "<f8", &[0; 8]),
        ] {
            assert!(shape(dimensions, kind, data).is_err(), "{dimensions} {kind}");
        }
        assert!(parse(b"\x93NUMPY\x01\x00\xff\xff").is_err());
        assert!(parse(&file("{'descr': [[[[[[[[[[[[", &[])).is_err());
    }
}
