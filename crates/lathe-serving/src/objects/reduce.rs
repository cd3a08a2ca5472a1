//! The few calls of pickles that make values; all others are kept as records.

use super::Ref;
use super::array::{Array, Dtype};
use super::heap::{Heap, Id, Item, Object};
use crate::error::Fault;

/// What calling `name` makes.
pub(super) fn call(heap: &mut Heap, name: &str, arguments: Vec<Id>) -> Result<Item, Fault> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(Heap::NONE);
    let at = |id: Id| Ref::new(heap, id);
    Ok(match name {
        "numpy.dtype" => Item::Dtype(dtype_of(at(argument(0)))?),
        "copyreg._reconstructor" | "copy_reg._reconstructor" => Item::Object(Object {
            class: at(argument(0)).full_class().into(),
            arguments: Vec::new(),
            state: None,
        }),
        "copyreg.__newobj__" => Item::Object(Object {
            class: at(argument(0)).full_class().into(),
            arguments: arguments.get(1..).unwrap_or_default().to_vec(),
            state: None,
        }),
        "_codecs.encode" => {
            let text = at(argument(0)).text()?;
            let bytes: Option<Vec<u8>> = text
                .chars()
                .map(|letter| u8::try_from(u32::from(letter)).ok())
                .collect();
            Item::Bytes(bytes.ok_or("bytes are not Latin-1")?)
        }
        "builtins.bytearray" | "builtins.bytes" | "__builtin__.bytes" => match heap.get(argument(0)) {
            Item::Bytes(bytes) => Item::Bytes(bytes.clone()),
            _ => Item::Bytes(Vec::new()),
        },
        "builtins.set" | "builtins.frozenset" | "builtins.list" | "builtins.tuple" => {
            match heap.get(argument(0)) {
                Item::List(items) => Item::List(items.clone()),
                _ => Item::List(Vec::new()),
            }
        }
        "collections.OrderedDict" | "builtins.dict" => match heap.get(argument(0)) {
            Item::Dict(entries) => Item::Dict(entries.clone()),
            _ => Item::Dict(Vec::new()),
        },
        "collections.defaultdict" => Item::Dict(Vec::new()),
        _ if name.ends_with("multiarray._reconstruct") => Item::Object(Object {
            class: name.into(),
            ..Object::default()
        }),
        _ if name.ends_with("multiarray.scalar") => scalar(heap, argument(0), argument(1))?,
        _ if name.starts_with("numpy.") && name.ends_with("._frombuffer") => {
            let Item::Dtype(dtype) = heap.get(argument(1)) else {
                return Err("an array has no dtype".into());
            };
            let shape = at(argument(2)).indices()?;
            let fortran = at(argument(3)).text().is_ok_and(|order| order == "F");
            Item::Array(Array::new(
                dtype.clone(),
                shape,
                fortran,
                at(argument(0)).bytes()?.to_vec(),
            )?)
        }
        _ => Item::Object(Object {
            class: name.into(),
            arguments,
            state: None,
        }),
    })
}

/// What Python's `BUILD` does: gives an object its state; arrays and dtypes become whole by it.
pub(super) fn set_state(heap: &mut Heap, target: Id, state: Id) -> Result<(), Fault> {
    let made = match heap.get(target) {
        Item::Object(object) if object.class.ends_with("multiarray._reconstruct") => {
            Some(array(heap, state)?)
        }
        Item::Dtype(dtype) => Some(Item::Dtype(dtype_state(heap, dtype.clone(), state)?)),
        _ => None,
    };
    match (heap.get_mut(target), made) {
        (Some(item), Some(made)) => *item = made,
        (Some(Item::Object(object)), None) => object.state = Some(state),
        // Attributes of a container: nothing that a model needs.
        _ => {}
    }
    Ok(())
}

/// The state of an array: version, shape, dtype, whether column-major, values.
fn array(heap: &Heap, state: Id) -> Result<Item, Fault> {
    let parts = match heap.get(state) {
        Item::List(parts) if 4 <= parts.len() => &parts[parts.len() - 4..],
        _ => return Err("an array's state is damaged".into()),
    };
    let at = |index: usize| Ref::new(heap, parts[index]);
    let shape = at(0).indices()?;
    let Item::Dtype(dtype) = at(1).item() else {
        return Err("an array has no dtype".into());
    };
    let fortran = at(2).boolean()?;
    if dtype.is_object() {
        return objects(heap, shape, parts[3]);
    }
    Ok(Item::Array(Array::new(
        dtype.clone(),
        shape,
        fortran,
        at(3).bytes()?.to_vec(),
    )?))
}

fn objects(heap: &Heap, shape: Vec<usize>, list: Id) -> Result<Item, Fault> {
    let Item::List(items) = heap.get(list) else {
        return Err("an array of objects has no items".into());
    };
    let expected = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    match expected == Some(items.len()) {
        true => Ok(Item::Objects {
            shape,
            items: items.clone(),
        }),
        false => Err("an array of objects does not fit its shape".into()),
    }
}

fn dtype_of(argument: Ref<'_>) -> Result<Dtype, Fault> {
    match argument.item() {
        Item::Text(text) => Ok(Dtype::plain(text)?),
        Item::Dtype(dtype) => Ok(dtype.clone()),
        _ => Err("a dtype has no name".into()),
    }
}

/// Version, byte order, sub-array, names, fields, size, alignment, flags.
fn dtype_state(heap: &Heap, mut dtype: Dtype, state: Id) -> Result<Dtype, Fault> {
    let parts = Ref::new(heap, state).list()?;
    if parts
        .get(1)
        .is_some_and(|order| order.text().is_ok_and(|order| order == ">"))
    {
        dtype.set_big_endian();
    }
    let (Some(names), Some(fields), Some(size)) = (parts.get(3), parts.get(4), parts.get(5)) else {
        return Ok(dtype);
    };
    if names.is_none() || fields.is_none() {
        return Ok(dtype);
    }
    let mut read = Vec::new();
    for (name, field) in fields.entries()? {
        let field = field.list()?;
        let (Some(kind), Some(offset)) = (field.first(), field.get(1)) else {
            return Err("a field of a dtype is damaged".into());
        };
        let Item::Dtype(kind) = kind.item() else {
            return Err("a field of a dtype has no type".into());
        };
        read.push((name.text()?.to_owned(), kind.clone(), offset.usize()?));
    }
    Ok(Dtype::structured(read, size.usize()?)?)
}

/// A number of NumPy's own type.
fn scalar(heap: &Heap, dtype: Id, bytes: Id) -> Result<Item, Fault> {
    let Item::Dtype(dtype) = heap.get(dtype) else {
        return Err("a number has no dtype".into());
    };
    let array = Array::new(
        dtype.clone(),
        vec![1],
        false,
        Ref::new(heap, bytes).bytes()?.to_vec(),
    )?;
    Ok(if array.is_boolean() {
        Item::Bool(array.integers("")? == [1])
    } else if array.is_whole() {
        Item::Int(array.integers("")?[0])
    } else if array.is_text() {
        Item::Text(array.texts()?.concat().into())
    } else {
        Item::Float(array.floats("")?[0])
    })
}
