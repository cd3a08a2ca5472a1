//! The small part of Python's pickles in which DVC keeps options: texts, numbers, lists and maps. Nothing in one is ever
//! executed: whatever is no plain value is an error.

use serde_json::{Map, Number, Value};

/// The second protocol, which every Python 3 reads.
pub fn write(value: &Value) -> Vec<u8> {
    let mut bytes = vec![0x80, 2];
    put(value, &mut bytes);
    bytes.push(b'.');
    bytes
}

fn put(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(b'N'),
        Value::Bool(true) => bytes.push(0x88),
        Value::Bool(false) => bytes.push(0x89),
        Value::Number(number) => {
            bytes.push(b'I');
            bytes.extend(number.to_string().as_bytes());
            bytes.push(b'\n');
        }
        Value::String(text) => {
            bytes.push(b'X');
            bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        Value::Array(items) => {
            bytes.extend(b"](");
            items.iter().for_each(|item| put(item, bytes));
            bytes.push(b'e');
        }
        Value::Object(entries) => {
            bytes.extend(b"}(");
            for (key, value) in entries {
                put(&Value::String(key.clone()), bytes);
                put(value, bytes);
            }
            bytes.push(b'u');
        }
    }
}

/// More than any options.
const VALUES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 64;
const COPIED_BYTES_MAX: usize = 16 << 20;

struct Reader<'a> {
    bytes: &'a [u8],
    stack: Vec<Value>,
    marks: Vec<usize>,
    /// What may be put onto the stack again; lists and maps may not, since each time they would be copied whole.
    memo: Vec<Option<Value>>,
    /// Bytes of texts that were copied to the memo or from it.
    copied: usize,
}

/// The value of a pickle, tuples as lists.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader {
        bytes,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        copied: 0,
    };
    reader.value()
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        if self.bytes.len() < count {
            return Err("the options end too early".to_owned());
        }
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self, count: usize) -> Result<u64, String> {
        let bytes = self.take(count)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn text(&mut self, width: usize) -> Result<Value, String> {
        let length = usize::try_from(self.number(width)?).map_err(|error| error.to_string())?;
        let text = String::from_utf8(self.take(length)?.to_vec()).map_err(|error| error.to_string())?;
        Ok(Value::String(text))
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack
            .pop()
            .ok_or_else(|| "the options are no pickle".to_owned())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let at = self.marks.pop().filter(|at| *at <= self.stack.len());
        let at = at.ok_or_else(|| "the options are no pickle".to_owned())?;
        Ok(self.stack.split_off(at))
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        self.stack
            .last_mut()
            .ok_or_else(|| "the options are no pickle".to_owned())
    }

    fn recall(&mut self, at: u64) -> Result<(), String> {
        let kept = usize::try_from(at).ok().and_then(|at| self.memo.get(at));
        let kept = kept.ok_or_else(|| "the options are no pickle".to_owned())?;
        let value = kept
            .clone()
            .ok_or_else(|| "the options hold a list or a map twice".to_owned())?;
        self.count_copy(&value)?;
        self.stack.push(value);
        Ok(())
    }

    fn keep(&mut self) -> Result<(), String> {
        let value = match self.top()? {
            Value::Array(_) | Value::Object(_) => None,
            plain => Some(plain.clone()),
        };
        if let Some(value) = &value {
            self.count_copy(value)?;
        }
        self.memo.push(value);
        Ok(())
    }

    fn count_copy(&mut self, value: &Value) -> Result<(), String> {
        self.copied += value.as_str().map_or(0, str::len);
        match self.copied <= COPIED_BYTES_MAX {
            true => Ok(()),
            false => Err("the options are too many".to_owned()),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        let mut seen = 0;
        loop {
            seen += 1;
            if VALUES_MAX < seen {
                return Err("the options are too many".to_owned());
            }
            match self.number(1)? as u8 {
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.stack.push(Value::Null),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'K' => self.int(1)?,
                b'M' => self.int(2)?,
                b'J' => self.int(4)?,
                b'I' => {
                    let end = self.bytes.iter().position(|byte| *byte == b'\n');
                    let end = end.ok_or_else(|| "the options end too early".to_owned())?;
                    let text = String::from_utf8_lossy(self.take(end + 1)?).trim().to_owned();
                    let number: i64 = text
                        .parse()
                        .map_err(|_| "the options hold a number that is none")?;
                    self.stack.push(Value::Number(number.into()));
                }
                b'G' => {
                    let bytes = self.take(8)?;
                    let bits = bytes.iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
                    let number = Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number);
                    self.stack.push(number);
                }
                0x8c => {
                    let text = self.text(1)?;
                    self.stack.push(text);
                }
                b'X' => {
                    let text = self.text(4)?;
                    self.stack.push(text);
                }
                b'}' => self.stack.push(Value::Object(Map::new())),
                b']' | b')' => self.stack.push(Value::Array(Vec::new())),
                b't' | b'l' => {
                    let items = self.since_mark()?;
                    check_depth(&items)?;
                    self.stack.push(Value::Array(items));
                }
                count @ 0x85..=0x87 => {
                    let count = usize::from(count - 0x84);
                    let at = self.stack.len().checked_sub(count);
                    let at = at.ok_or_else(|| "the options are no pickle".to_owned())?;
                    let items = self.stack.split_off(at);
                    check_depth(&items)?;
                    self.stack.push(Value::Array(items));
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.insert(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.insert(vec![key, value])?;
                }
                0x94 => self.keep()?,
                b'q' => self.memorize(1)?,
                b'r' => self.memorize(4)?,
                b'h' => {
                    let at = self.number(1)?;
                    self.recall(at)?;
                }
                b'j' => {
                    let at = self.number(4)?;
                    self.recall(at)?;
                }
                other => {
                    return Err(format!(
                        "the options hold something that is no plain value ({other:#x})"
                    ));
                }
            }
        }
    }

    fn int(&mut self, width: usize) -> Result<(), String> {
        let number = self.number(width)?;
        let number = match width {
            4 => i64::from(u32::try_from(number).unwrap_or_default().cast_signed()),
            _ => i64::try_from(number).unwrap_or_default(),
        };
        self.stack.push(Value::Number(number.into()));
        Ok(())
    }

    fn memorize(&mut self, width: usize) -> Result<(), String> {
        let at = usize::try_from(self.number(width)?).map_err(|error| error.to_string())?;
        if at != self.memo.len() {
            return Err("the options are no pickle".to_owned());
        }
        self.keep()
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), String> {
        check_depth(&items)?;
        match self.top()? {
            Value::Array(list) => list.extend(items),
            _ => return Err("the options are no pickle".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, items: Vec<Value>) -> Result<(), String> {
        check_depth(&items)?;
        let Value::Object(map) = self.top()? else {
            return Err("the options are no pickle".to_owned());
        };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            match key {
                Value::String(key) => drop(map.insert(key, value)),
                _ => return Err("the options have a key that is no text".to_owned()),
            }
        }
        Ok(())
    }
}

/// Whether these may be put into a list or a map.
fn check_depth(items: &[Value]) -> Result<(), String> {
    match items.iter().all(|item| depth(item) < DEPTH_MAX) {
        true => Ok(()),
        false => Err("the options are nested too deep".to_owned()),
    }
}

/// How many lists and maps are in one another.
fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(entries) => entries.values().map(depth).max(),
        _ => return 0,
    };
    1 + deepest.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = json!({ "a": [1, -2, true, null, "\u{fc}"], "b": { "c": [] }, "d": "" });
        assert_eq!(read(&write(&value)).unwrap(), value);
    }

    #[test]
    fn pythons_own_are_read_and_what_would_be_executed_is_refused() {
        // pickle.dumps({"args": ([None, "x"],), "kwargs": {"x": 300, "y": -1, "z": "x"}}, 4)
        let python = b"\x80\x04\x95\x39\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04args\x94]\x94(N\x8c\x01x\x94e\x85\x94\x8c\x06kwargs\x94}\x94(h\x03M\x2c\x01\x8c\x01y\x94J\xff\xff\xff\xff\x8c\x01z\x94h\x03uu.";
        let value = read(python).unwrap();
        assert_eq!(
            value,
            json!({ "args": [[null, "x"]], "kwargs": { "x": 300, "y": -1, "z": "x" } })
        );
        // pickle.dumps(os.system, 4)
        let evil =
            b"\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.";
        assert!(read(evil).unwrap_err().contains("no plain value"));
        for end in 0..python.len() {
            assert!(read(&python[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn what_would_grow_without_end_is_refused() {
        let nested = |count: usize| {
            let lists = b"]".repeat(count);
            let appends = b"a".repeat(count - 1);
            [b"\x80\x04".as_slice(), &lists, &appends, b"."].concat()
        };
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert!(read(&nested(DEPTH_MAX + 1)).unwrap_err().contains("too deep"));
        assert!(read(b"\x80\x04]\x94h\x00a.").unwrap_err().contains("twice"));
        let text = [
            b"\x80\x04X\x00\x00\x10\x00".as_slice(),
            "x".repeat(1 << 20).as_bytes(),
        ]
        .concat();
        let copied = |count: usize| [text.as_slice(), &b"\x94".repeat(count), b"."].concat();
        assert!(read(&copied(16)).is_ok());
        assert!(read(&copied(17)).unwrap_err().contains("too many"));
    }
}
