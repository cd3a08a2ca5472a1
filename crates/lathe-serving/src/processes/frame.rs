//! What goes to a process and comes back: a header in JSON led by its length (32 bits), and raw values led by theirs (64
//! bits), little-endian.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bounds what a process can make us hold.
const HEADER_BYTES_MAX: usize = 256 << 20;
/// Bounds what a process can make us hold.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// What a process says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Header {
    /// It loaded the model.
    pub(crate) ready: bool,
    /// It cannot go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    /// The model does not answer this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) raised: Option<String>,
    /// This request does not fit the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// Whether that is for what the request holds, rather than for how it is written.
    pub(crate) invalid: bool,
    /// Where it is ready: what it takes, and what runs it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) about: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) outputs: Vec<Told>,
}

/// Values that a header tells of.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shape: Option<Vec<usize>>,
    /// How many there are of the raw values.
    pub(crate) bytes: usize,
    /// What is not sent raw.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) json: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<Vec<Value>>,
}

/// A frame.
pub(crate) fn frame(header: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + header.len() + body.len());
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// Reads a frame.
pub(crate) fn read(from: &mut impl Read) -> io::Result<(Header, Vec<u8>)> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if HEADER_BYTES_MAX < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let header = bytes(from, length as u64)?;
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if BODY_BYTES_MAX < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((serde_json::from_slice(&header)?, bytes(from, length)?))
}

/// So many bytes; a length that is never filled takes no memory.
fn bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(length).read_to_end(&mut bytes)?;
    if (read as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Tells whoever started this process that it cannot go on.
pub fn tell_failure(what: String, link: &mut impl Write) -> io::Result<()> {
    tell(
        link,
        Header {
            failed: Some(what),
            ..Header::default()
        },
    )
}

/// Sends a header alone.
pub(crate) fn tell(link: &mut impl Write, header: Header) -> io::Result<()> {
    link.write_all(&frame(&serde_json::to_string(&header)?, b""))
}

/// Raw values of one size.
pub(crate) fn numbers<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_breaks_off_or_boasts_is_no_frame() {
        let whole = frame("{}", b"");
        assert!(read(&mut whole.as_slice()).is_ok());
        assert!(read(&mut &whole[..whole.len() - 1]).is_err());
        assert!(read(&mut &u32::MAX.to_le_bytes()[..]).is_err());
        let boast = [&2u32.to_le_bytes()[..], b"{}", &u64::MAX.to_le_bytes()].concat();
        assert!(read(&mut boast.as_slice()).is_err());
    }
}
