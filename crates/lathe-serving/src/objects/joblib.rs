//! joblib's files: a pickle whose arrays lie between its opcodes, maybe compressed as a whole.

use std::io::Read;

use super::array::Array;
use super::heap::{Heap, Id, Item};
use super::pickle::{self, Input};
use super::{Ref, unpacked_bytes_max};
use crate::error::Fault;

/// Unpacks zlib or gzip.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let max = unpacked_bytes_max(bytes.len());
    let mut unpacked = Vec::new();
    let read = match bytes.first() {
        Some(0x1f) => flate2::read::MultiGzDecoder::new(bytes)
            .take(max + 1)
            .read_to_end(&mut unpacked),
        _ => flate2::read::ZlibDecoder::new(bytes)
            .take(max + 1)
            .read_to_end(&mut unpacked),
    };
    let read = read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    match max < read as u64 {
        true => Err(Fault::Damaged(format!("it unfolds to more than {max} bytes"))),
        false => Ok(unpacked),
    }
}

/// The array behind a wrapper with this state.
pub(super) fn inline(input: &mut Input<'_>, heap: &mut Heap, state: Id, nested: usize) -> Result<Id, Fault> {
    let wrapper = Ref::new(heap, state);
    let shape = wrapper.attr("shape")?.indices()?;
    let fortran = wrapper.attr("order")?.text()? == "F";
    let Item::Dtype(dtype) = wrapper.attr("dtype")?.item() else {
        return Err("an array has no dtype".into());
    };
    if dtype.is_object() {
        return pickle::run(input.bytes, &mut input.at, heap, nested + 1);
    }
    if wrapper.some("numpy_array_alignment_bytes").is_some() {
        let padding = input.take(1)?[0];
        input.take(padding.into())?;
    }
    let bytes = shape
        .iter()
        .try_fold(dtype.record_bytes(), |all, n| all.checked_mul(*n))
        .ok_or("the shape overflows")?;
    let array = Array::new(dtype.clone(), shape, fortran, input.take(bytes)?.to_vec())?;
    Ok(heap.add(Item::Array(array))?)
}
