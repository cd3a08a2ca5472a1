use std::cell::Cell;

use super::array::{Array, Dtype};
use crate::error::Fault;

/// The number of an item.
pub(crate) type Id = u32;

/// Items refer to each other by number, so that shared ones are kept once and circles do no harm.
#[derive(Debug)]
pub(crate) struct Heap {
    items: Vec<Item>,
    /// Bytes that may still be copied out: one file must not make many large models by naming one array often.
    budget: Cell<u64>,
}

/// A Python object.
#[derive(Debug)]
pub(crate) enum Item {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    Bytes(Vec<u8>),
    /// List, tuple or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Array(Array),
    /// An array of objects.
    Objects {
        shape: Vec<usize>,
        items: Vec<Id>,
    },
    Dtype(Dtype),
    Object(Object),
    /// A class or function.
    Name(Box<str>),
}

/// An instance of a class.
#[derive(Debug, Default)]
pub(crate) struct Object {
    /// With its module.
    pub(crate) class: Box<str>,
    /// What it was made with.
    pub(crate) arguments: Vec<Id>,
    pub(crate) state: Option<Id>,
}

impl Heap {
    pub(crate) fn new(file_bytes: usize) -> Self {
        Self {
            items: vec![Item::None, Item::Bool(false), Item::Bool(true)],
            budget: Cell::new((file_bytes as u64).saturating_mul(32).saturating_add(64 << 20)),
        }
    }

    pub(crate) const NONE: Id = 0;

    pub(crate) fn boolean(flag: bool) -> Id {
        1 + Id::from(flag)
    }

    pub(crate) fn add(&mut self, item: Item) -> Result<Id, String> {
        let id = Id::try_from(self.items.len()).map_err(|_| "it holds too many objects")?;
        self.items.push(item);
        Ok(id)
    }

    pub(crate) fn get(&self, id: Id) -> &Item {
        self.items.get(id as usize).unwrap_or(&Item::None)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Item> {
        self.items.get_mut(id as usize)
    }

    fn charge(&self, bytes: usize) -> Result<(), Fault> {
        match self.budget.get().checked_sub(bytes as u64) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(Fault::Damaged("it refers to the same arrays too often".into())),
        }
    }
}

/// An item where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ref<'a> {
    heap: &'a Heap,
    id: Id,
}

impl<'a> Ref<'a> {
    pub(crate) fn new(heap: &'a Heap, id: Id) -> Self {
        Self { heap, id }
    }

    pub(crate) fn item(self) -> &'a Item {
        self.heap.get(self.id)
    }

    fn at(self, id: Id) -> Self {
        Self { heap: self.heap, id }
    }

    pub(crate) fn is_none(self) -> bool {
        matches!(self.item(), Item::None)
    }

    /// The class with its module; of a class, itself.
    pub(crate) fn full_class(self) -> &'a str {
        match self.item() {
            Item::Object(object) => &object.class,
            Item::Name(name) => name,
            Item::None => "None",
            Item::Bool(_) => "bool",
            Item::Int(_) => "int",
            Item::Float(_) => "float",
            Item::Text(_) => "str",
            Item::Bytes(_) => "bytes",
            Item::List(_) => "list",
            Item::Dict(_) => "dict",
            Item::Array(_) | Item::Objects { .. } => "numpy.ndarray",
            Item::Dtype(_) => "numpy.dtype",
        }
    }

    /// The class's own name.
    pub(crate) fn class(self) -> &'a str {
        let full = self.full_class();
        full.rsplit('.').next().unwrap_or(full)
    }

    /// Counts what building from it may take.
    pub(crate) fn charge(self, bytes: usize) -> Result<(), Fault> {
        self.heap.charge(bytes)
    }

    /// An attribute, or an entry of a dictionary.
    pub(crate) fn find(self, name: &str) -> Option<Self> {
        let dictionary = match self.item() {
            Item::Object(object) => self.at(object.state?),
            _ => self,
        };
        let entries = match dictionary.item() {
            Item::Dict(entries) => entries,
            // A state in two parts: attributes and slots.
            Item::List(parts) => match self.at(*parts.first()?).item() {
                Item::Dict(entries) => entries,
                _ => return None,
            },
            _ => return None,
        };
        entries
            .iter()
            .find(|(key, _)| matches!(self.heap.get(*key), Item::Text(text) if **text == *name))
            .map(|(_, value)| self.at(*value))
    }

    /// As [`Ref::find`], and None counts as absent.
    pub(crate) fn some(self, name: &str) -> Option<Self> {
        self.find(name).filter(|found| !found.is_none())
    }

    /// An attribute that must be there.
    pub(crate) fn attr(self, name: &str) -> Result<Self, Fault> {
        self.find(name)
            .ok_or_else(|| Fault::Damaged(format!("`{}` has no `{name}`: not fitted?", self.class())))
    }

    /// What an object was made with.
    pub(crate) fn arguments(self) -> Vec<Self> {
        match self.item() {
            Item::Object(object) => object.arguments.iter().map(|id| self.at(*id)).collect(),
            _ => Vec::new(),
        }
    }

    fn wrong(self, what: &str) -> Fault {
        Fault::Damaged(format!("a `{}` stands where {what} is expected", self.class()))
    }

    /// The items of a list, a tuple, a set or an array of objects.
    pub(crate) fn list(self) -> Result<Vec<Self>, Fault> {
        match self.item() {
            Item::List(items) | Item::Objects { items, .. } => {
                self.charge(items.len() * 16)?;
                Ok(items.iter().map(|id| self.at(*id)).collect())
            }
            _ => Err(self.wrong("a list")),
        }
    }

    /// The entries of a dictionary.
    pub(crate) fn entries(self) -> Result<Vec<(Self, Self)>, Fault> {
        match self.item() {
            Item::Dict(entries) => Ok(entries
                .iter()
                .map(|(key, value)| (self.at(*key), self.at(*value)))
                .collect()),
            _ => Err(self.wrong("a dictionary")),
        }
    }

    /// A list's items, an object's array's items: each must be a text.
    pub(crate) fn texts(self) -> Result<Vec<String>, Fault> {
        if let Item::Array(array) = self.item() {
            self.charge(array.len() * 32)?;
            return Ok(array.texts()?);
        }
        self.list()?
            .into_iter()
            .map(|item| item.text().map(str::to_owned))
            .collect()
    }

    pub(crate) fn text(self) -> Result<&'a str, Fault> {
        match self.item() {
            Item::Text(text) => Ok(text),
            _ => Err(self.wrong("a text")),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Fault> {
        match self.item() {
            Item::Bytes(bytes) => Ok(bytes),
            Item::Text(text) => Ok(text.as_bytes()),
            _ => Err(self.wrong("bytes")),
        }
    }

    pub(crate) fn array(self) -> Result<&'a Array, Fault> {
        match self.item() {
            Item::Array(array) => Ok(array),
            _ => Err(self.wrong("an array")),
        }
    }

    /// The shape of an array; a list has one dimension, a number none.
    pub(crate) fn shape(self) -> Vec<usize> {
        match self.item() {
            Item::Array(array) => array.shape().to_vec(),
            Item::Objects { shape, .. } => shape.clone(),
            Item::List(items) => vec![items.len()],
            _ => Vec::new(),
        }
    }

    /// The numbers of an array or a list, or one number.
    pub(crate) fn floats(self) -> Result<Vec<f64>, Fault> {
        match self.item() {
            Item::Array(array) => {
                self.charge(array.len() * 8)?;
                Ok(array.floats("")?)
            }
            Item::List(_) | Item::Objects { .. } => self.list()?.into_iter().map(Self::float).collect(),
            _ => Ok(vec![self.float()?]),
        }
    }

    /// The whole numbers of an array or a list, or one.
    pub(crate) fn integers(self) -> Result<Vec<i64>, Fault> {
        match self.item() {
            Item::Array(array) => {
                self.charge(array.len() * 8)?;
                Ok(array.integers("")?)
            }
            Item::List(_) | Item::Objects { .. } => self.list()?.into_iter().map(Self::integer).collect(),
            _ => Ok(vec![self.integer()?]),
        }
    }

    pub(crate) fn indices(self) -> Result<Vec<usize>, Fault> {
        self.integers()?
            .into_iter()
            .map(|index| usize::try_from(index).map_err(|_| Fault::Damaged(format!("{index} is no index"))))
            .collect()
    }

    /// A number, or an array of one.
    pub(crate) fn float(self) -> Result<f64, Fault> {
        match self.item() {
            Item::Float(number) => Ok(*number),
            Item::Int(number) => Ok(*number as f64),
            Item::Bool(flag) => Ok(f64::from(u8::from(*flag))),
            Item::Array(array) if array.len() == 1 => Ok(array.floats("")?[0]),
            _ => Err(self.wrong("a number")),
        }
    }

    pub(crate) fn integer(self) -> Result<i64, Fault> {
        match self.item() {
            Item::Int(number) => Ok(*number),
            Item::Bool(flag) => Ok((*flag).into()),
            Item::Array(array) if array.len() == 1 => Ok(array.integers("")?[0]),
            _ => Err(self.wrong("a whole number")),
        }
    }

    pub(crate) fn usize(self) -> Result<usize, Fault> {
        let number = self.integer()?;
        usize::try_from(number)
            .ok()
            .filter(|number| *number <= 1 << 28)
            .ok_or_else(|| Fault::Damaged(format!("{number} is out of range")))
    }

    pub(crate) fn boolean(self) -> Result<bool, Fault> {
        match self.item() {
            Item::Bool(flag) => Ok(*flag),
            _ => Ok(self.integer()? != 0),
        }
    }
}
