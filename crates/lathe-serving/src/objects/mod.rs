//! Python objects as inert records, whichever file they were read from: skops, pickle or joblib. Nothing is executed:
//! a class is a name, its state a dictionary.

mod array;
mod heap;
mod joblib;
mod npy;
mod opcodes;
mod pickle;
mod reduce;
mod skops;

pub(crate) use heap::{Item, Ref};

use crate::error::Fault;
use heap::{Heap, Id};

/// What a file may unfold to, at least.
const UNPACKED_BYTES: u64 = 64 << 20;
/// What a file may unfold to, by its size.
const UNPACKED_TIMES: u64 = 64;

/// The objects of a file, and the one that it is about.
#[derive(Debug)]
pub(crate) struct Objects {
    heap: Heap,
    root: Id,
}

impl Objects {
    /// Reads a skops file, a pickle, or a joblib file, by how it begins.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let (heap, root) = match bytes {
            [b'P', b'K', 3, 4, ..] => skops::read(bytes)?,
            [0x1f, 0x8b, ..] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
                pickle::read(&joblib::unpack(bytes)?)?
            }
            _ => pickle::read(bytes)?,
        };
        Ok(Self { heap, root })
    }

    pub(crate) fn root(&self) -> Ref<'_> {
        Ref::new(&self.heap, self.root)
    }
}

/// How much a file of this size may unfold to.
fn unpacked_bytes_max(size: usize) -> u64 {
    UNPACKED_BYTES.max(size as u64 * UNPACKED_TIMES)
}
