//! The part of Protocol Buffers' wire format that ONNX needs
//! (<https://protobuf.dev/programming-guides/encoding/>): fields are borrowed from the file, nothing is copied twice.

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Word(u32),
    Long(u64),
}

impl<'a> Field<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a field has another type than ONNX gives it".into()),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8".into())
    }

    pub(super) fn number(self) -> Result<i64, String> {
        match self {
            Self::Number(number) => Ok(number as i64),
            _ => Err("a field has another type than ONNX gives it".into()),
        }
    }

    /// Numbers, whether they are packed or stand alone.
    pub(super) fn numbers(self, into: &mut Vec<i64>) -> Result<(), String> {
        match self {
            Self::Number(number) => into.push(number as i64),
            Self::Bytes(mut rest) => {
                while !rest.is_empty() {
                    into.push(varint(&mut rest)? as i64);
                }
            }
            _ => return Err("a list holds another type than ONNX gives it".into()),
        }
        Ok(())
    }

    pub(super) fn floats(self, into: &mut Vec<f32>) -> Result<(), String> {
        match self {
            Self::Word(bits) => into.push(f32::from_bits(bits)),
            Self::Bytes(bytes) => {
                let (chunks, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err("a list of numbers breaks off".into());
                }
                into.extend(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)));
            }
            _ => return Err("a list holds another type than ONNX gives it".into()),
        }
        Ok(())
    }

    pub(super) fn doubles(self, into: &mut Vec<f64>) -> Result<(), String> {
        match self {
            Self::Long(bits) => into.push(f64::from_bits(bits)),
            Self::Bytes(bytes) => {
                let (chunks, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err("a list of numbers breaks off".into());
                }
                into.extend(chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)));
            }
            _ => return Err("a list holds another type than ONNX gives it".into()),
        }
        Ok(())
    }

    pub(super) fn float(self) -> Result<f32, String> {
        match self {
            Self::Word(bits) => Ok(f32::from_bits(bits)),
            _ => Err("a field has another type than ONNX gives it".into()),
        }
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first().ok_or("a number breaks off")?;
        *rest = after;
        if shift < 64 {
            number |= u64::from(byte & 0x7f) << shift;
        }
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".into())
}

/// Calls `take` with each field of a message and its number.
pub(super) fn fields<'a>(
    message: &'a [u8],
    mut take: impl FnMut(u64, Field<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = message;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let mut split = |count: usize| {
            let (part, after) = rest.split_at_checked(count).ok_or("a message breaks off")?;
            rest = after;
            Ok::<_, String>(part)
        };
        let field = match key & 7 {
            1 => {
                let raw = split(8)?;
                Field::Long(u64::from_le_bytes(std::array::from_fn(|i| raw[i])))
            }
            5 => {
                let raw = split(4)?;
                Field::Word(u32::from_le_bytes(std::array::from_fn(|i| raw[i])))
            }
            0 => Field::Number(varint(&mut rest)?),
            2 => {
                let length = varint(&mut rest)?;
                let length = usize::try_from(length).map_err(|_| "a message breaks off")?;
                let (part, after) = rest.split_at_checked(length).ok_or("a message breaks off")?;
                rest = after;
                Field::Bytes(part)
            }
            other => return Err(format!("a field is of the kind {other}")),
        };
        take(key >> 3, field)?;
    }
    Ok(())
}
