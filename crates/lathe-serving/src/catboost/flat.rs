//! Reading FlatBuffers: tables with numbered fields, vectors, texts. Nothing is trusted: every place lies within the
//! bytes, and what is read in all is bounded by their number, wherever the offsets point.

use std::cell::Cell;

use crate::error::Fault;

/// A buffer of tables.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    bytes: &'a [u8],
    /// Bytes that may still be read: parts that many tables share are read once for each.
    left: Cell<usize>,
}

/// A table of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a Buffer<'a>,
    at: usize,
    fields: usize,
    /// The length of the list of fields, in bytes.
    length: usize,
}

fn beyond() -> Fault {
    Fault::Damaged("an offset leads out of the file".into())
}

impl<'a> Buffer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            left: Cell::new(bytes.len().saturating_mul(16).saturating_add(1 << 16)),
        }
    }

    pub(super) fn root(&'a self) -> Result<Table<'a>, Fault> {
        self.table(self.follow(0)?)
    }

    fn take(&self, count: usize) -> Result<(), Fault> {
        let left = self.left.get().checked_sub(count);
        self.left
            .set(left.ok_or_else(|| Fault::Damaged("its parts are read over and over".into()))?);
        Ok(())
    }

    fn slice(&self, at: usize, count: usize) -> Result<&'a [u8], Fault> {
        self.take(count)?;
        let end = at.checked_add(count).ok_or_else(beyond)?;
        self.bytes.get(at..end).ok_or_else(beyond)
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Fault> {
        let slice = self.slice(at, N)?;
        Ok(slice.try_into().expect("it is as long as was asked"))
    }

    /// Where the offset at a place leads.
    fn follow(&self, at: usize) -> Result<usize, Fault> {
        let offset = u32::from_le_bytes(self.array(at)?) as usize;
        at.checked_add(offset).ok_or_else(beyond)
    }

    fn table(&'a self, at: usize) -> Result<Table<'a>, Fault> {
        let back = i64::from(i32::from_le_bytes(self.array(at)?));
        let fields = usize::try_from(at as i64 - back).map_err(|_| beyond())?;
        let length = u16::from_le_bytes(self.array(fields)?);
        Ok(Table {
            buffer: self,
            at,
            fields,
            length: usize::from(length),
        })
    }

    /// A vector of elements of `size` bytes each.
    fn vector(&self, at: usize, size: usize) -> Result<&'a [u8], Fault> {
        let count = u32::from_le_bytes(self.array(at)?) as usize;
        self.slice(at + 4, count.checked_mul(size).ok_or_else(beyond)?)
    }
}

impl<'a> Table<'a> {
    /// Where a field lies, if it is there.
    fn field(&self, number: usize) -> Result<Option<usize>, Fault> {
        let slot = 4 + 2 * number;
        if self.length < slot + 2 {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(self.buffer.array(self.fields + slot)?);
        Ok((offset != 0).then(|| self.at + usize::from(offset)))
    }

    fn number<const N: usize, T>(
        &self,
        number: usize,
        default: T,
        read: fn([u8; N]) -> T,
    ) -> Result<T, Fault> {
        match self.field(number)? {
            Some(at) => Ok(read(self.buffer.array(at)?)),
            None => Ok(default),
        }
    }

    pub(super) fn byte(&self, number: usize) -> Result<u8, Fault> {
        self.number(number, 0, |[byte]| byte)
    }

    pub(super) fn int(&self, number: usize, default: i32) -> Result<i32, Fault> {
        self.number(number, default, i32::from_le_bytes)
    }

    pub(super) fn float(&self, number: usize, default: f32) -> Result<f32, Fault> {
        self.number(number, default, f32::from_le_bytes)
    }

    pub(super) fn double(&self, number: usize, default: f64) -> Result<f64, Fault> {
        self.number(number, default, f64::from_le_bytes)
    }

    pub(super) fn table(&self, number: usize) -> Result<Option<Self>, Fault> {
        match self.field(number)? {
            Some(at) => Ok(Some(self.buffer.table(self.buffer.follow(at)?)?)),
            None => Ok(None),
        }
    }

    /// A vector's bytes; empty where there is none.
    pub(super) fn bytes(&self, number: usize, size: usize) -> Result<&'a [u8], Fault> {
        match self.field(number)? {
            Some(at) => self.buffer.vector(self.buffer.follow(at)?, size),
            None => Ok(&[]),
        }
    }

    pub(super) fn text(&self, number: usize) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes(number, 1)?).map_err(|_| Fault::Damaged("a text is not UTF-8".into()))
    }

    pub(super) fn ints(&self, number: usize) -> Result<Vec<i32>, Fault> {
        Ok(elements(self.bytes(number, 4)?, i32::from_le_bytes))
    }

    pub(super) fn floats(&self, number: usize) -> Result<Vec<f32>, Fault> {
        Ok(elements(self.bytes(number, 4)?, f32::from_le_bytes))
    }

    pub(super) fn doubles(&self, number: usize) -> Result<Vec<f64>, Fault> {
        Ok(elements(self.bytes(number, 8)?, f64::from_le_bytes))
    }

    /// How many elements a vector has.
    pub(super) fn count(&self, number: usize) -> Result<usize, Fault> {
        Ok(self.bytes(number, 4)?.len() / 4)
    }

    /// Where the elements of a vector of offsets lead.
    fn places(&self, number: usize) -> Result<Vec<usize>, Fault> {
        let Some(at) = self.field(number)? else {
            return Ok(Vec::new());
        };
        let at = self.buffer.follow(at)?;
        let count = self.buffer.vector(at, 4)?.len() / 4;
        (0..count)
            .map(|index| self.buffer.follow(at + 4 + 4 * index))
            .collect()
    }

    pub(super) fn tables(&self, number: usize) -> Result<Vec<Self>, Fault> {
        self.places(number)?
            .into_iter()
            .map(|at| self.buffer.table(at))
            .collect()
    }

    pub(super) fn texts(&self, number: usize) -> Result<Vec<&'a str>, Fault> {
        self.places(number)?
            .into_iter()
            .map(|at| {
                std::str::from_utf8(self.buffer.vector(at, 1)?)
                    .map_err(|_| Fault::Damaged("a text is not UTF-8".into()))
            })
            .collect()
    }
}

/// A vector's elements, of `N` bytes each.
pub(super) fn elements<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .chunks_exact(N)
        .map(|chunk| read(chunk.try_into().expect("chunks have this length")))
        .collect()
}
