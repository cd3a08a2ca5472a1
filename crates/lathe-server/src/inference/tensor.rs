//! One tensor of the Open Inference Protocol: its datatype, its shape, its values, read from JSON (nested or flat, row
//! by row) or from raw little-endian bytes (the binary tensor extension, and gRPC's `raw_input_contents`).

use std::fmt;
use std::sync::Arc;

use lathe_serving::Values;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// The types of tensor elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

const NAMES: [(Datatype, &str); 14] = [
    (Datatype::Bool, "BOOL"),
    (Datatype::Uint8, "UINT8"),
    (Datatype::Uint16, "UINT16"),
    (Datatype::Uint32, "UINT32"),
    (Datatype::Uint64, "UINT64"),
    (Datatype::Int8, "INT8"),
    (Datatype::Int16, "INT16"),
    (Datatype::Int32, "INT32"),
    (Datatype::Int64, "INT64"),
    (Datatype::Fp16, "FP16"),
    (Datatype::Bf16, "BF16"),
    (Datatype::Fp32, "FP32"),
    (Datatype::Fp64, "FP64"),
    (Datatype::Bytes, "BYTES"),
];

impl Datatype {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(_, known)| *known == name);
        known.map(|(datatype, _)| *datatype).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("`{name}` is no datatype; there are {}", names.join(", "))
        })
    }

    pub(super) fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(datatype, _)| *datatype == self)
            .map_or("", |(_, name)| name)
    }

    /// The whole numbers that it holds; none for other types.
    fn range(self) -> Option<(f64, f64)> {
        Some(match self {
            Self::Bool => (0.0, 1.0),
            Self::Uint8 => (0.0, f64::from(u8::MAX)),
            Self::Uint16 => (0.0, f64::from(u16::MAX)),
            Self::Uint32 => (0.0, f64::from(u32::MAX)),
            Self::Uint64 => (0.0, u64::MAX as f64),
            Self::Int8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
            Self::Int16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
            Self::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            Self::Int64 => (i64::MIN as f64, i64::MAX as f64),
            Self::Fp16 | Self::Bf16 | Self::Fp32 | Self::Fp64 | Self::Bytes => return None,
        })
    }
}

/// The elements, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// Missing is NaN.
    Numbers(Vec<f64>),
    /// Missing is none.
    Words(Vec<Option<Arc<str>>>),
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }
}

/// A tensor with as many elements as its shape says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

impl Tensor {
    pub(super) fn new(
        name: String,
        datatype: Datatype,
        shape: Vec<usize>,
        data: Data,
    ) -> Result<Self, String> {
        let wanted = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        if wanted != Some(data.len()) {
            return Err(format!(
                "input `{name}` has {} values for the shape {shape:?}",
                data.len()
            ));
        }
        let data = match data {
            // `null`s alone are missing words as well as missing numbers.
            Data::Numbers(numbers) if datatype == Datatype::Bytes && numbers.iter().all(|n| n.is_nan()) => {
                Data::Words(vec![None; numbers.len()])
            }
            data => data,
        };
        if matches!(data, Data::Words(_)) != (datatype == Datatype::Bytes) {
            return Err(format!(
                "input `{name}` is {}, its values are not",
                datatype.name()
            ));
        }
        if let (Data::Numbers(numbers), Some((least, greatest))) = (&data, datatype.range())
            && let Some(wrong) = numbers
                .iter()
                .find(|number| number.fract() != 0.0 || !(least..=greatest).contains(*number))
        {
            return Err(format!("input `{name}`: {wrong} is no {}", datatype.name()));
        }
        Ok(Self { name, shape, data })
    }
}

/// Reads raw little-endian elements. Elements of `BYTES` are each led by their length (32 bits).
pub(super) fn decode(datatype: Datatype, raw: &[u8]) -> Result<Data, String> {
    fn numbers<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Result<Data, String> {
        let (chunks, rest) = raw.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no whole number of values", raw.len()));
        }
        Ok(Data::Numbers(chunks.iter().map(|chunk| read(*chunk)).collect()))
    }
    match datatype {
        Datatype::Fp64 => numbers(raw, f64::from_le_bytes),
        Datatype::Fp32 => numbers(raw, |b| f32::from_le_bytes(b).into()),
        Datatype::Fp16 => numbers(raw, |b| half_to_f64(u16::from_le_bytes(b))),
        Datatype::Bf16 => numbers(raw, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16).into()
        }),
        Datatype::Int64 => numbers(raw, |b| i64::from_le_bytes(b) as f64),
        Datatype::Int32 => numbers(raw, |b| i32::from_le_bytes(b).into()),
        Datatype::Int16 => numbers(raw, |b| i16::from_le_bytes(b).into()),
        Datatype::Int8 => numbers(raw, |b| i8::from_le_bytes(b).into()),
        Datatype::Uint64 => numbers(raw, |b| u64::from_le_bytes(b) as f64),
        Datatype::Uint32 => numbers(raw, |b| u32::from_le_bytes(b).into()),
        Datatype::Uint16 => numbers(raw, |b| u16::from_le_bytes(b).into()),
        Datatype::Uint8 => numbers(raw, |[b]: [u8; 1]| b.into()),
        Datatype::Bool => numbers(raw, |[b]: [u8; 1]| f64::from(b != 0)),
        Datatype::Bytes => words(raw),
    }
}

fn words(mut raw: &[u8]) -> Result<Data, String> {
    let mut words = Vec::new();
    while !raw.is_empty() {
        let broken = || "an element breaks off".to_owned();
        let (length, rest) = raw.split_first_chunk::<4>().ok_or_else(broken)?;
        let (word, rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or_else(broken)?;
        words.push(Some(text(word)?));
        raw = rest;
    }
    Ok(Data::Words(words))
}

/// An element of `BYTES` as the text that models take.
pub(super) fn text(bytes: &[u8]) -> Result<Arc<str>, String> {
    std::str::from_utf8(bytes)
        .map(Arc::from)
        .map_err(|_| "an element of BYTES is not UTF-8".to_owned())
}

/// IEEE 754 half precision.
fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// The values as raw little-endian bytes.
pub(super) fn encode(values: &Values) -> Vec<u8> {
    match values {
        Values::Float(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Values::Double(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Values::Integer(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Values::Long(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Values::Boolean(values) => values.iter().map(|value| u8::from(*value)).collect(),
        Values::Text(_) | Values::Json(_) | Values::Whole(_) => values
            .words()
            .iter()
            .flat_map(|word| [&(word.len() as u32).to_le_bytes()[..], word.as_bytes()].concat())
            .collect(),
    }
}

/// How deep `data` may be nested.
const DEPTH_MAX: usize = 16;

/// Reads `data` straight into one buffer, without a tree of values in between.
pub(super) fn from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Data>, D::Error> {
    let mut elements = Elements::default();
    deserializer.deserialize_any(Nested {
        into: &mut elements,
        depth: 0,
    })?;
    Ok(Some(match elements.words {
        Some(words) => Data::Words(words),
        None => Data::Numbers(elements.numbers),
    }))
}

#[derive(Default)]
struct Elements {
    numbers: Vec<f64>,
    words: Option<Vec<Option<Arc<str>>>>,
    /// Numbers that stand for nothing: `null`.
    only_missing: bool,
}

impl Elements {
    fn number<E: de::Error>(&mut self, number: f64) -> Result<(), E> {
        if self.words.is_some() {
            return Err(E::custom("`data` mixes texts and numbers"));
        }
        self.only_missing = false;
        self.numbers.push(number);
        Ok(())
    }

    fn missing(&mut self) {
        match &mut self.words {
            Some(words) => words.push(None),
            None => {
                self.only_missing |= self.numbers.is_empty();
                self.numbers.push(f64::NAN);
            }
        }
    }

    fn word<E: de::Error>(&mut self, word: &str) -> Result<(), E> {
        if self.words.is_none() {
            if !self.numbers.is_empty() && !self.only_missing {
                return Err(E::custom("`data` mixes numbers and texts"));
            }
            self.words = Some(vec![None; self.numbers.len()]);
        }
        if let Some(words) = &mut self.words {
            words.push(Some(word.into()));
        }
        Ok(())
    }
}

struct Nested<'a> {
    into: &'a mut Elements,
    depth: usize,
}

impl<'de> de::DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, booleans or texts, in lists")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.into.number(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.into.number(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.into.number(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.into.number(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.into.word(value)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.into.missing();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if DEPTH_MAX <= self.depth {
            return Err(de::Error::custom("`data` is nested too deep"));
        }
        let Nested { into, depth } = self;
        while items
            .next_element_seed(Nested {
                into: &mut *into,
                depth: depth + 1,
            })?
            .is_some()
        {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "from_json")]
        data: Option<Data>,
    }

    fn read(json: &str) -> Result<Data, String> {
        let holder: Result<Holder, _> = serde_json::from_str(&format!(r#"{{"data": {json}}}"#));
        holder
            .map(|holder| holder.data.unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nested_and_flat_data_are_the_same_row_by_row() {
        let numbers = |numbers: &[f64]| Ok(Data::Numbers(numbers.to_vec()));
        assert_eq!(read("[1, 2.5, -3, true]"), numbers(&[1.0, 2.5, -3.0, 1.0]));
        assert_eq!(read("[[1, 2], [3, 4]]"), numbers(&[1.0, 2.0, 3.0, 4.0]));
        assert_eq!(read("[]"), numbers(&[]));
        let words = |words: &[Option<&str>]| {
            Ok(Data::Words(
                words.iter().map(|word| word.map(Arc::from)).collect(),
            ))
        };
        assert_eq!(read(r#"[null, "a", null]"#), words(&[None, Some("a"), None]));
        for wrong in [r#"[1, "a"]"#, r#"["a", 1]"#, r#"{"a": 1}"#, &"[".repeat(40)] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn raw_bytes_of_every_datatype_are_read() {
        let cases: [(Datatype, Vec<u8>, f64); 13] = [
            (Datatype::Fp64, 1.5f64.to_le_bytes().to_vec(), 1.5),
            (Datatype::Fp32, 1.5f32.to_le_bytes().to_vec(), 1.5),
            (Datatype::Fp16, 0x3e00u16.to_le_bytes().to_vec(), 1.5),
            (Datatype::Bf16, 0x3fc0u16.to_le_bytes().to_vec(), 1.5),
            (Datatype::Int64, (-2i64).to_le_bytes().to_vec(), -2.0),
            (Datatype::Int32, (-2i32).to_le_bytes().to_vec(), -2.0),
            (Datatype::Int16, (-2i16).to_le_bytes().to_vec(), -2.0),
            (Datatype::Int8, (-2i8).to_le_bytes().to_vec(), -2.0),
            (Datatype::Uint64, 7u64.to_le_bytes().to_vec(), 7.0),
            (Datatype::Uint32, 7u32.to_le_bytes().to_vec(), 7.0),
            (Datatype::Uint16, 7u16.to_le_bytes().to_vec(), 7.0),
            (Datatype::Uint8, vec![7], 7.0),
            (Datatype::Bool, vec![2], 1.0),
        ];
        for (datatype, raw, number) in cases {
            assert_eq!(
                decode(datatype, &raw),
                Ok(Data::Numbers(vec![number])),
                "{datatype:?}"
            );
            assert_eq!(Datatype::parse(datatype.name()), Ok(datatype));
            if raw.len() != 1 {
                assert!(decode(datatype, &raw[1..]).is_err(), "{datatype:?}");
            }
        }
        assert_eq!(
            decode(Datatype::Bytes, b"\x02\x00\x00\x00ab\x00\x00\x00\x00"),
            Ok(Data::Words(vec![Some("ab".into()), Some("".into())]))
        );
        for broken in [&b"\x02\x00"[..], b"\xff\xff\xff\xffab", b"\x01\x00\x00\x00\xff"] {
            assert!(decode(Datatype::Bytes, broken).is_err());
        }
    }

    #[test]
    fn halves_have_subnormals_infinities_and_no_numbers() {
        assert_eq!(half_to_f64(0x0001), 2f64.powi(-24));
        assert_eq!(half_to_f64(0xfc00), f64::NEG_INFINITY);
        assert!(half_to_f64(0x7e00).is_nan());
    }

    #[test]
    fn elements_fit_their_datatype_and_shape() {
        let tensor = |datatype, shape: &[usize], numbers: &[f64]| {
            Tensor::new(
                "x".into(),
                datatype,
                shape.to_vec(),
                Data::Numbers(numbers.to_vec()),
            )
        };
        assert!(tensor(Datatype::Uint8, &[2], &[0.0, 255.0]).is_ok());
        for (datatype, shape, number) in [
            (Datatype::Uint8, vec![1], 256.0),
            (Datatype::Int32, vec![1], 1.5),
            (Datatype::Int64, vec![1], f64::NAN),
            (Datatype::Bytes, vec![1], 1.0),
            (Datatype::Fp64, vec![2], 1.0),
            (Datatype::Fp64, vec![usize::MAX, 2], 1.0),
        ] {
            assert!(
                tensor(datatype, &shape, &[number]).is_err(),
                "{datatype:?} {shape:?}"
            );
        }
        let words = Data::Words(vec![None]);
        assert!(Tensor::new("x".into(), Datatype::Fp32, vec![1], words).is_err());
    }
}
