//! skops files: a zip with `schema.json`, a tree of Python objects as records, and arrays as `.npy` files.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use serde_json::{Map, Value};

use super::heap::{Heap, Id, Item, Object};
use super::{npy, unpacked_bytes_max};
use crate::error::Fault;

/// Deeper objects are refused.
const DEPTH_MAX: usize = 100;

pub(super) fn read(bytes: &[u8]) -> Result<(Heap, Id), Fault> {
    let mut files = unpack(bytes)?;
    let schema = files.remove("schema.json").ok_or("it holds no schema.json")?;
    let schema: Value =
        serde_json::from_slice(&schema).map_err(|error| format!("schema.json cannot be read: {error}"))?;
    let mut reader = Reader {
        heap: Heap::new(bytes.len()),
        files,
        by_id: HashMap::new(),
    };
    let root = reader.read(&schema, 0)?;
    Ok((reader.heap, root))
}

fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Fault> {
    let broken = |error: zip::result::ZipError| format!("it is not a sound zip archive: {error}");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(broken)?;
    let max = unpacked_bytes_max(bytes.len());
    let mut files = BTreeMap::new();
    let mut unpacked = 0;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(broken)?;
        let name = file.name().map_err(broken)?.into_owned();
        let mut content = Vec::new();
        let read = file
            .take(max - unpacked + 1)
            .read_to_end(&mut content)
            .map_err(|error| format!("`{name}` in it cannot be unpacked: {error}"))?;
        unpacked += read as u64;
        if max < unpacked {
            return Err(Fault::Damaged(format!("it unfolds to more than {max} bytes")));
        }
        files.insert(name, content);
    }
    Ok(files)
}

struct Reader {
    heap: Heap,
    files: BTreeMap<String, Vec<u8>>,
    /// Objects that occur twice are written once, and named by their id afterwards.
    by_id: HashMap<i64, Id>,
}

impl Reader {
    fn read(&mut self, node: &Value, depth: usize) -> Result<Id, Fault> {
        if DEPTH_MAX < depth {
            return Err("its objects are nested too deep".into());
        }
        let loader = text(node, "__loader__")?;
        let id = node.get("__id__").and_then(Value::as_i64);
        if loader == "CachedNode" {
            let found = id.and_then(|id| self.by_id.get(&id).copied());
            return found.ok_or_else(|| "an object refers to one that is not there".into());
        }
        let item = self.item(node, loader, depth)?;
        let made = self.heap.add(item)?;
        if let Some(id) = id {
            self.by_id.insert(id, made);
        }
        Ok(made)
    }

    fn item(&mut self, node: &Value, loader: &str, depth: usize) -> Result<Item, Fault> {
        let content = &node["content"];
        Ok(match loader {
            "JsonNode" => scalar(text(node, "content")?)?,
            "DictNode" | "OrderedDictNode" => Item::Dict(self.dictionary(node, depth)?),
            "DefaultDictNode" => Item::Dict(self.dictionary(&content["main"], depth)?),
            "ListNode" | "TupleNode" | "SetNode" => Item::List(self.items(content, depth)?),
            "NdArrayNode" => self.array(node, depth)?,
            "TypeNode" | "FunctionNode" => Item::Name(class(node).into()),
            "BytesNode" | "BytearrayNode" => Item::Bytes(self.file(node)?.to_vec()),
            "SliceNode" => {
                let bound = |key: &str| match content[key].as_i64() {
                    Some(number) => Item::Int(number),
                    None => Item::None,
                };
                let bounds = ["start", "stop", "step"].map(bound);
                let mut arguments = Vec::new();
                for item in bounds {
                    arguments.push(self.heap.add(item)?);
                }
                Item::Object(Object {
                    class: "builtins.slice".into(),
                    arguments,
                    state: None,
                })
            }
            _ => {
                let state = match content.get("__loader__") {
                    Some(_) => Some(self.read(content, depth + 1)?),
                    None => None,
                };
                let arguments = match node.get("__reduce__").and_then(|reduce| reduce.get("args")) {
                    Some(arguments) => {
                        let list = self.read(arguments, depth + 1)?;
                        match self.heap.get(list) {
                            Item::List(items) => items.clone(),
                            _ => Vec::new(),
                        }
                    }
                    None => Vec::new(),
                };
                Item::Object(Object {
                    class: class(node).into(),
                    arguments,
                    state,
                })
            }
        })
    }

    fn items(&mut self, content: &Value, depth: usize) -> Result<Vec<Id>, Fault> {
        let items = content.as_array().ok_or("a list of the schema has no items")?;
        items.iter().map(|item| self.read(item, depth + 1)).collect()
    }

    /// Keys are texts in JSON; `key_types` says what they were.
    fn dictionary(&mut self, node: &Value, depth: usize) -> Result<Vec<(Id, Id)>, Fault> {
        let empty = Map::new();
        let entries = match &node["content"] {
            Value::Object(entries) => entries,
            Value::Null => &empty,
            _ => return Err("a dictionary of the schema has no entries".into()),
        };
        let types = node["key_types"]["content"].as_array();
        let mut read = Vec::with_capacity(entries.len());
        for (index, (key, value)) in entries.iter().enumerate() {
            let kind = types.and_then(|types| types.get(index)?["__class__"].as_str());
            let item = match (kind, key.parse::<f64>()) {
                (Some("str") | None, _) | (_, Err(_)) => Item::Text(key.as_str().into()),
                (Some("bool" | "bool_"), _) => Item::Bool(key == "True"),
                (Some(kind), Ok(number)) if kind.starts_with("float") => Item::Float(number),
                (_, Ok(number)) => Item::Int(number as i64),
            };
            let key = self.heap.add(item)?;
            read.push((key, self.read(value, depth + 1)?));
        }
        Ok(read)
    }

    fn array(&mut self, node: &Value, depth: usize) -> Result<Item, Fault> {
        if node["type"] != "json" {
            let array = npy::parse(self.file(node)?)?;
            return Ok(Item::Array(array));
        }
        let shape_id = self.read(&node["shape"], depth + 1)?;
        let shape = super::Ref::new(&self.heap, shape_id).indices()?;
        let items = self.items(&node["content"], depth)?;
        // An array of rows is written as a list of lists.
        let items = match shape.as_slice() {
            [_, columns] => {
                let mut flat = Vec::new();
                for row in items {
                    match self.heap.get(row) {
                        Item::List(row) if row.len() == *columns => flat.extend(row),
                        _ => return Err("an array's rows do not fit its shape".into()),
                    }
                }
                flat
            }
            _ => items,
        };
        Ok(Item::Objects { shape, items })
    }

    fn file(&self, node: &Value) -> Result<&[u8], Fault> {
        let name = text(node, "file")?;
        let found = self.files.get(name).map(Vec::as_slice);
        found.ok_or_else(|| Fault::Damaged(format!("it holds no `{name}`")))
    }
}

fn scalar(json: &str) -> Result<Item, Fault> {
    Ok(match json {
        "NaN" => Item::Float(f64::NAN),
        "Infinity" => Item::Float(f64::INFINITY),
        "-Infinity" => Item::Float(f64::NEG_INFINITY),
        _ => match serde_json::from_str(json) {
            Ok(Value::Null) => Item::None,
            Ok(Value::Bool(flag)) => Item::Bool(flag),
            Ok(Value::String(text)) => Item::Text(text.into()),
            Ok(Value::Number(number)) => match number.as_i64() {
                Some(whole) => Item::Int(whole),
                None => Item::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            _ => return Err("a value of the schema is not JSON".into()),
        },
    })
}

fn class(node: &Value) -> String {
    let part = |key: &str| node[key].as_str().unwrap_or_default();
    format!("{}.{}", part("__module__"), part("__class__"))
}

fn text<'a>(node: &'a Value, key: &str) -> Result<&'a str, Fault> {
    node.get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| Fault::Damaged(format!("a record of the schema has no `{key}`")))
}
