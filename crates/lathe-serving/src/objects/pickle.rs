//! A pickle machine that executes nothing: names stay names, and what a pickle would call becomes a record of what it
//! would be called with. Only NumPy's arrays and Python's own containers are made into values.

use std::collections::HashMap;

use super::heap::{Heap, Id, Item, Object};
use super::opcodes::*;
use super::{joblib, reduce};
use crate::error::Fault;

/// Pickles inside of a pickle, as joblib nests arrays of objects.
const NESTED_MAX: usize = 8;

pub(super) fn read(bytes: &[u8]) -> Result<(Heap, Id), Fault> {
    let mut heap = Heap::new(bytes.len());
    let mut at = 0;
    let root = run(bytes, &mut at, &mut heap, 0)?;
    Ok((heap, root))
}

/// Runs one pickle from `at` on.
pub(super) fn run(bytes: &[u8], at: &mut usize, heap: &mut Heap, nested: usize) -> Result<Id, Fault> {
    if NESTED_MAX < nested {
        return Err("pickles are nested too deep in it".into());
    }
    let mut machine = Machine {
        input: Input { bytes, at: *at },
        heap,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        nested,
    };
    let done = machine.run();
    *at = machine.input.at;
    let place = *at;
    done.map_err(|fault| match fault {
        Fault::Damaged(what) => Fault::Damaged(format!("byte {place}: {what}")),
        unsupported => unsupported,
    })
}

/// The bytes that are still to be read.
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the pickle breaks off")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for byte in self.take(N)?.iter().rev() {
            number = number << 8 | u64::from(*byte);
        }
        Ok(number)
    }

    fn counted<const N: usize>(&mut self) -> Result<&'a [u8], String> {
        let count = self.number::<N>()?;
        self.take(usize::try_from(count).map_err(|_| "the pickle breaks off")?)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.raw_line()?).map_err(|_| "a line is not text".into())
    }

    fn raw_line(&mut self) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or("the pickle breaks off")?;
        self.at += end + 1;
        Ok(&rest[..end])
    }
}

struct Machine<'a, 'h> {
    input: Input<'a>,
    heap: &'h mut Heap,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    nested: usize,
}

impl Machine<'_, '_> {
    fn run(&mut self) -> Result<Id, Fault> {
        loop {
            let opcode = self.input.take(1)?[0];
            if opcode == STOP {
                return Ok(self.pop()?);
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            PROTO => drop(self.input.take(1)?),
            FRAME => drop(self.input.take(8)?),
            READONLY_BUFFER => {}
            MARK => self.marks.push(self.stack.len()),
            POP => match self.marks.last() == Some(&self.stack.len()) {
                true => drop(self.marks.pop()),
                false => drop(self.pop()?),
            },
            POP_MARK => drop(self.pop_mark()?),
            DUP => {
                let top = *self.stack.last().ok_or("nothing to double")?;
                self.stack.push(top);
            }
            NONE => self.stack.push(Heap::NONE),
            NEWTRUE => self.stack.push(Heap::boolean(true)),
            NEWFALSE => self.stack.push(Heap::boolean(false)),
            PUT | BINPUT | LONG_BINPUT | MEMOIZE | GET | BINGET | LONG_BINGET => self.memo(opcode)?,
            APPEND | APPENDS | ADDITEMS | SETITEM | SETITEMS => self.fill(opcode)?,
            GLOBAL | STACK_GLOBAL | INST | OBJ | NEWOBJ | NEWOBJ_EX | REDUCE | BUILD => {
                self.object(opcode)?
            }
            EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3 | EMPTY_LIST | LIST | EMPTY_SET | FROZENSET
            | EMPTY_DICT | DICT => self.container(opcode)?,
            _ => {
                let item = self.scalar(opcode)?;
                self.push(item)?;
            }
        }
        Ok(())
    }

    fn scalar(&mut self, opcode: u8) -> Result<Item, Fault> {
        let utf8 = |bytes: &[u8]| Item::Text(String::from_utf8_lossy(bytes).into());
        Ok(match opcode {
            FLOAT => Item::Float(number(self.input.line()?)?),
            BINFLOAT => Item::Float(f64::from_bits(self.input.number::<8>()?.swap_bytes())),
            INT => match self.input.line()? {
                "00" => Item::Bool(false),
                "01" => Item::Bool(true),
                text => whole(text)?,
            },
            LONG => whole(self.input.line()?.trim_end_matches('L'))?,
            BININT => Item::Int((self.input.number::<4>()? as u32 as i32).into()),
            BININT1 => Item::Int(self.input.number::<1>()? as i64),
            BININT2 => Item::Int(self.input.number::<2>()? as i64),
            LONG1 => long(self.input.counted::<1>()?),
            LONG4 => long(self.input.counted::<4>()?),
            STRING => {
                let line = self.input.line()?;
                Item::Text(line.trim_matches(['\'', '"']).into())
            }
            UNICODE => Item::Text(unescaped(self.input.raw_line()?).into()),
            BINSTRING => utf8(self.input.counted::<4>()?),
            SHORT_BINSTRING => utf8(self.input.counted::<1>()?),
            BINUNICODE => utf8(self.input.counted::<4>()?),
            SHORT_BINUNICODE => utf8(self.input.counted::<1>()?),
            BINUNICODE8 => utf8(self.input.counted::<8>()?),
            BINBYTES => Item::Bytes(self.input.counted::<4>()?.to_vec()),
            SHORT_BINBYTES => Item::Bytes(self.input.counted::<1>()?.to_vec()),
            BINBYTES8 | BYTEARRAY8 => Item::Bytes(self.input.counted::<8>()?.to_vec()),
            other => {
                return Err(Fault::Damaged(format!(
                    "`{other:#04x}` is no opcode of a pickle that stands alone"
                )));
            }
        })
    }

    fn container(&mut self, opcode: u8) -> Result<(), Fault> {
        let item = match opcode {
            EMPTY_TUPLE | EMPTY_LIST | EMPTY_SET => Item::List(Vec::new()),
            TUPLE | LIST | FROZENSET => Item::List(self.pop_mark()?),
            TUPLE1 => Item::List(self.pop_many(1)?),
            TUPLE2 => Item::List(self.pop_many(2)?),
            TUPLE3 => Item::List(self.pop_many(3)?),
            DICT => Item::Dict(pairs(&self.pop_mark()?)),
            _ => Item::Dict(Vec::new()),
        };
        self.push(item)
    }

    fn memo(&mut self, opcode: u8) -> Result<(), Fault> {
        let index = match opcode {
            PUT | GET => self
                .input
                .line()?
                .parse()
                .map_err(|_| "a place in the memo is no number")?,
            BINPUT | BINGET => self.input.number::<1>()?,
            LONG_BINPUT | LONG_BINGET => self.input.number::<4>()?,
            _ => self.memo.len() as u64,
        };
        match opcode {
            GET | BINGET | LONG_BINGET => {
                let found = self.memo.get(&index).copied();
                self.stack.push(found.ok_or("the memo has nothing there")?);
            }
            _ => {
                let top = *self.stack.last().ok_or("nothing to remember")?;
                self.memo.insert(index, top);
            }
        }
        Ok(())
    }

    /// Adds to the container under the new items.
    fn fill(&mut self, opcode: u8) -> Result<(), Fault> {
        let new = match opcode {
            APPEND => self.pop_many(1)?,
            SETITEM => self.pop_many(2)?,
            _ => self.pop_mark()?,
        };
        let target = *self.stack.last().ok_or("nothing to add to")?;
        let keyed = matches!(opcode, SETITEM | SETITEMS);
        let state = match self.heap.get(target) {
            // A class that behaves as a dictionary keeps its entries as its state.
            Item::Object(object) if keyed => match object.state {
                Some(state) => Some(state),
                None => Some(self.heap.add(Item::Dict(Vec::new()))?),
            },
            _ => None,
        };
        match self.heap.get_mut(target) {
            Some(Item::List(items)) if !keyed => items.extend(new),
            Some(Item::Dict(entries)) if keyed => entries.extend(pairs(&new)),
            Some(Item::Object(object)) => match state {
                Some(state) => {
                    object.state = Some(state);
                    if let Some(Item::Dict(entries)) = self.heap.get_mut(state) {
                        entries.extend(pairs(&new));
                    }
                }
                None => object.arguments.extend(new),
            },
            _ => return Err("what is added to is no container".into()),
        }
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            GLOBAL => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                let item = Item::Name(format!("{module}.{name}").into());
                self.push(item)
            }
            STACK_GLOBAL => {
                let parts = self.pop_many(2)?;
                let (Item::Text(module), Item::Text(name)) =
                    (self.heap.get(parts[0]), self.heap.get(parts[1]))
                else {
                    return Err("a name is no text".into());
                };
                let item = Item::Name(format!("{module}.{name}").into());
                self.push(item)
            }
            INST => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                let arguments = self.pop_mark()?;
                let class = format!("{module}.{name}").into();
                self.push(Item::Object(Object {
                    class,
                    arguments,
                    state: None,
                }))
            }
            OBJ => {
                let mut arguments = self.pop_mark()?;
                if arguments.is_empty() {
                    return Err("an object has no class".into());
                }
                let class = arguments.remove(0);
                self.instance(class, arguments)
            }
            NEWOBJ => {
                let parts = self.pop_many(2)?;
                let arguments = self.arguments(parts[1])?;
                self.instance(parts[0], arguments)
            }
            NEWOBJ_EX => {
                let parts = self.pop_many(3)?;
                let arguments = self.arguments(parts[1])?;
                self.instance(parts[0], arguments)
            }
            REDUCE => {
                let parts = self.pop_many(2)?;
                let arguments = self.arguments(parts[1])?;
                self.instance(parts[0], arguments)
            }
            _ => self.build(),
        }
    }

    fn arguments(&self, id: Id) -> Result<Vec<Id>, Fault> {
        match self.heap.get(id) {
            Item::List(items) => Ok(items.clone()),
            _ => Err("arguments are no tuple".into()),
        }
    }

    fn instance(&mut self, class: Id, arguments: Vec<Id>) -> Result<(), Fault> {
        let name = match self.heap.get(class) {
            Item::Name(name) => name.clone(),
            // Something that a call would return is called: no name to know it by.
            Item::Object(object) => format!("{}()", object.class)
                .chars()
                .take(200)
                .collect::<String>()
                .into(),
            _ => return Err("what is called has no name".into()),
        };
        let item = reduce::call(self.heap, &name, arguments)?;
        self.push(item)
    }

    fn build(&mut self) -> Result<(), Fault> {
        let state = self.pop()?;
        let target = *self.stack.last().ok_or("nothing to give a state to")?;
        let is_wrapper = match self.heap.get(target) {
            Item::Object(object) => object.class.ends_with("NumpyArrayWrapper"),
            _ => false,
        };
        if is_wrapper {
            // joblib writes the array itself behind the wrapper.
            self.pop()?;
            let read = joblib::inline(&mut self.input, self.heap, state, self.nested)?;
            self.stack.push(read);
            return Ok(());
        }
        reduce::set_state(self.heap, target, state)
    }

    fn push(&mut self, item: Item) -> Result<(), Fault> {
        let id = self.heap.add(item)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or_default();
        match floor < self.stack.len() {
            true => Ok(self.stack.pop().unwrap_or_default()),
            false => Err("nothing is left on the stack".into()),
        }
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or_default();
        let start = self
            .stack
            .len()
            .checked_sub(count)
            .filter(|start| floor <= *start);
        let start = start.ok_or("too little is left on the stack")?;
        Ok(self.stack.split_off(start))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("there is no mark")?))
    }
}

/// Latin-1 in which letters beyond it, and a few others, are written as `\\uXXXX` or `\\UXXXXXXXX`.
fn unescaped(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        let digits = match rest {
            [b'\\', b'u', ..] => 4,
            [b'\\', b'U', ..] => 8,
            _ => 0,
        };
        let code = rest.get(2..2 + digits).filter(|_| 0 < digits);
        let code = code.and_then(|code| u32::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code.and_then(char::from_u32) {
            Some(letter) => {
                text.push(letter);
                rest = &rest[2 + digits..];
            }
            None => {
                text.push(char::from(*first));
                rest = after;
            }
        }
    }
    text
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn number(text: &str) -> Result<f64, Fault> {
    text.trim()
        .parse()
        .map_err(|_| Fault::Damaged(format!("`{text}` is no number")))
}

fn whole(text: &str) -> Result<Item, Fault> {
    match text.trim().parse() {
        Ok(whole) => Ok(Item::Int(whole)),
        Err(_) => number(text).map(Item::Float),
    }
}

/// A whole number of any length, little-endian in two's complement; a long one is rounded.
fn long(bytes: &[u8]) -> Item {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    if bytes.len() <= 8 {
        let mut raw = [if negative { 0xff } else { 0 }; 8];
        raw[..bytes.len()].copy_from_slice(bytes);
        return Item::Int(i64::from_le_bytes(raw));
    }
    let magnitude = bytes.iter().rev().fold(0.0, |sum, byte| {
        let digit = if negative { !byte } else { *byte };
        sum * 256.0 + f64::from(digit)
    });
    Item::Float(if negative { -magnitude - 1.0 } else { magnitude })
}
