//! UBJSON (<https://ubjson.org/type-reference/>) as XGBoost writes it, read by serde straight into the schema.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Deeper files are refused; XGBoost's have about ten levels.
const DEPTH_MAX: usize = 64;

/// Reads one document.
pub(super) fn read<'de, T: de::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Broken> {
    let mut reader = Reader {
        bytes,
        at: 0,
        depth: 0,
    };
    T::deserialize(Element {
        reader: &mut reader,
        marker: None,
    })
}

/// What is wrong.
#[derive(Debug)]
pub(super) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl de::Error for Broken {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn broken(&self, what: impl fmt::Display) -> Broken {
        Broken(format!("byte {}: {what}", self.at))
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Broken> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.broken("the file breaks off"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let taken = self.take(N)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    fn marker(&mut self) -> Result<u8, Broken> {
        loop {
            match self.array::<1>()?[0] {
                b'N' => {}
                marker => return Ok(marker),
            }
        }
    }

    fn next_is(&self, wanted: u8) -> bool {
        self.bytes.get(self.at) == Some(&wanted)
    }

    fn whole(&mut self, marker: u8) -> Result<i64, Broken> {
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' => u8::from_be_bytes(self.array()?).into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            other => {
                return Err(self.broken(format!(
                    "`{}` where a whole number is expected",
                    char::from(other)
                )));
            }
        })
    }

    fn length(&mut self) -> Result<usize, Broken> {
        let marker = self.marker()?;
        let length = self.whole(marker)?;
        // Everything counted takes at least a byte.
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.bytes.len() - self.at)
            .ok_or_else(|| self.broken(format!("a length of {length} is more than the file holds")))
    }

    fn text(&mut self) -> Result<&'de str, Broken> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.broken("a text is not UTF-8"))
    }

    /// The type and the number of a container's values, where it tells them.
    fn header(&mut self) -> Result<(Option<u8>, Option<usize>), Broken> {
        let mut kind = None;
        if self.next_is(b'$') {
            self.at += 1;
            let marker = self.array::<1>()?[0];
            if !b"iUIlLdDSC".contains(&marker) {
                return Err(self.broken(format!("a container of `{}`", char::from(marker))));
            }
            kind = Some(marker);
        }
        if self.next_is(b'#') {
            self.at += 1;
            return Ok((kind, Some(self.length()?)));
        }
        match kind {
            None => Ok((None, None)),
            Some(_) => Err(self.broken("a container tells its type and not its length")),
        }
    }

    fn enter(&mut self) -> Result<(), Broken> {
        self.depth += 1;
        match DEPTH_MAX < self.depth {
            true => Err(self.broken("it is nested too deep")),
            false => Ok(()),
        }
    }
}

/// One value; its marker may stand at its container.
struct Element<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: Option<u8>,
}

impl<'de> Deserializer<'de> for Element<'_, 'de> {
    type Error = Broken;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        let reader = self.reader;
        let marker = match self.marker {
            Some(marker) => marker,
            None => reader.marker()?,
        };
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.array()?)),
            b'S' => visitor.visit_borrowed_str(reader.text()?),
            b'C' => {
                let letter = reader.take(1)?;
                match std::str::from_utf8(letter) {
                    Ok(letter) => visitor.visit_borrowed_str(letter),
                    Err(_) => Err(reader.broken("a letter is not ASCII")),
                }
            }
            b'[' | b'{' => {
                reader.enter()?;
                let (kind, left) = reader.header()?;
                let container = Container {
                    reader: &mut *reader,
                    kind,
                    left,
                    end: if marker == b'[' { b']' } else { b'}' },
                };
                let value = match marker {
                    b'[' => visitor.visit_seq(container)?,
                    _ => visitor.visit_map(container)?,
                };
                reader.depth -= 1;
                Ok(value)
            }
            number => visitor.visit_i64(reader.whole(number)?),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Broken> {
        if self.marker.is_none() && self.reader.next_is(b'Z') {
            self.reader.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Broken> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct Container<'a, 'de> {
    reader: &'a mut Reader<'de>,
    kind: Option<u8>,
    left: Option<usize>,
    end: u8,
}

impl Container<'_, '_> {
    fn more(&mut self) -> Result<bool, Broken> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => {
                while self.reader.next_is(b'N') {
                    self.reader.at += 1;
                }
                let ends = self.reader.next_is(self.end);
                self.reader.at += usize::from(ends);
                Ok(!ends)
            }
        }
    }
}

impl<'de> SeqAccess<'de> for Container<'_, 'de> {
    type Error = Broken;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Broken> {
        if !self.more()? {
            return Ok(None);
        }
        let marker = self.kind;
        seed.deserialize(Element {
            reader: self.reader,
            marker,
        })
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> MapAccess<'de> for Container<'_, 'de> {
    type Error = Broken;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Broken> {
        if !self.more()? {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Broken> {
        let marker = self.kind;
        seed.deserialize(Element {
            reader: self.reader,
            marker,
        })
    }
}
