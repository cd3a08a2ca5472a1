//! The messages of `onnx.proto` that a model is made of.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tensor::{Data, Tensor};
use super::wire::{Field, fields};
use crate::error::Fault;

#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) constants: HashMap<String, Tensor>,
    pub(super) inputs: Vec<Slot>,
    pub(super) outputs: Vec<Slot>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) domain: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: HashMap<String, Attribute>,
    /// The version of the node's set of operators.
    pub(super) version: i64,
}

#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) float: f32,
    pub(super) number: i64,
    pub(super) text: String,
    pub(super) floats: Vec<f32>,
    pub(super) numbers: Vec<i64>,
    pub(super) texts: Vec<String>,
    pub(super) tensor: Option<Tensor>,
    graph: bool,
}

/// An input or output of the model.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) name: String,
    /// ONNX's number of the type; 0 where it is no tensor.
    pub(super) kind: i64,
    /// None where it is open.
    pub(super) shape: Vec<Option<usize>>,
}

impl Node {
    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub(super) fn number(&self, name: &str, default: i64) -> i64 {
        self.attributes
            .get(name)
            .map_or(default, |attribute| attribute.number)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attributes
            .get(name)
            .map_or(default, |attribute| attribute.float)
    }

    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.attributes
            .get(name)
            .map_or(default, |attribute| attribute.text.as_str())
    }

    pub(super) fn floats(&self, name: &str) -> &[f32] {
        self.attributes
            .get(name)
            .map_or(&[], |attribute| &attribute.floats)
    }

    pub(super) fn numbers(&self, name: &str) -> &[i64] {
        self.attributes
            .get(name)
            .map_or(&[], |attribute| &attribute.numbers)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<Arc<str>> {
        let texts = self.attributes.get(name).map(|attribute| &attribute.texts);
        texts
            .into_iter()
            .flatten()
            .map(|text| text.as_str().into())
            .collect()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.attributes.get(name)?.tensor.as_ref()
    }

    /// Numbers that newer versions may write as a tensor of f64.
    pub(super) fn doubles(&self, name: &str) -> Result<Vec<f64>, String> {
        match self.tensor(&format!("{name}_as_tensor")).or(self.tensor(name)) {
            Some(tensor) => tensor.as_doubles(),
            None => Ok(self.floats(name).iter().map(|value| f64::from(*value)).collect()),
        }
    }

    /// What an error calls it.
    pub(super) fn title(&self) -> String {
        match self.name.as_str() {
            "" => format!("the operator {}", self.operator),
            name => format!("the operator {} (`{name}`)", self.operator),
        }
    }

    pub(super) fn has_graph(&self) -> bool {
        self.attributes.values().any(|attribute| attribute.graph)
    }
}

/// Whether a file may be a model: it begins as a message whose first field is the version, from 1 to 127, and the
/// next one is one of a model's.
pub(crate) fn is(bytes: &[u8]) -> bool {
    let next = match bytes {
        [0x08, 1..=0x7f, next, ..] => *next,
        _ => return false,
    };
    // producer_name, producer_version, domain, model_version, doc_string, graph, opset_import
    matches!(next, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42)
}

/// Reads a model's graph. Values that lie in files of their own are read from `folder`.
pub(super) fn model(bytes: &[u8], folder: Option<&Path>) -> Result<Graph, Fault> {
    let mut versions = HashMap::new();
    let mut found = None;
    let mut functions = false;
    fields(bytes, |number, field| {
        match number {
            7 => found = Some(field.bytes()?),
            8 => {
                let (mut domain, mut version) = (String::new(), 0);
                fields(field.bytes()?, |number, field| {
                    match number {
                        1 => field.text()?.clone_into(&mut domain),
                        2 => version = field.number()?,
                        _ => {}
                    }
                    Ok(())
                })?;
                versions.insert(known_domain(domain), version);
            }
            25 => functions = true,
            _ => {}
        }
        Ok(())
    })?;
    if functions {
        return Err(Fault::Unsupported(
            "the model defines functions of its own; save it with them inlined (`onnx.inliner.inline_local_functions`)"
                .into(),
        ));
    }
    let mut graph = graph(found.ok_or("it holds no graph")?, folder)?;
    for node in &mut graph.nodes {
        node.version = versions.get(&node.domain).copied().unwrap_or(1);
    }
    Ok(graph)
}

/// The set of plain operators has two names.
fn known_domain(domain: String) -> String {
    match domain.as_str() {
        "ai.onnx" => String::new(),
        _ => domain,
    }
}

fn graph(bytes: &[u8], folder: Option<&Path>) -> Result<Graph, String> {
    let mut graph = Graph::default();
    fields(bytes, |number, field| {
        match number {
            1 => graph.nodes.push(node(field.bytes()?, folder)?),
            5 => {
                let (name, tensor) = tensor(field.bytes()?, folder)?;
                graph.constants.insert(name, tensor);
            }
            11 => graph.inputs.push(slot(field.bytes()?)?),
            12 => graph.outputs.push(slot(field.bytes()?)?),
            15 => return Err("it holds sparse constants; save it with dense ones".into()),
            _ => {}
        }
        Ok(())
    })?;
    // Older models name their constants among the inputs.
    let constants = &graph.constants;
    graph.inputs.retain(|input| !constants.contains_key(&input.name));
    Ok(graph)
}

fn node(bytes: &[u8], folder: Option<&Path>) -> Result<Node, String> {
    let mut node = Node::default();
    fields(bytes, |number, field| {
        match number {
            1 => node.inputs.push(field.text()?.to_owned()),
            2 => node.outputs.push(field.text()?.to_owned()),
            3 => field.text()?.clone_into(&mut node.name),
            4 => field.text()?.clone_into(&mut node.operator),
            5 => {
                let (name, attribute) = attribute(field.bytes()?, folder)?;
                node.attributes.insert(name, attribute);
            }
            7 => node.domain = known_domain(field.text()?.to_owned()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(node)
}

fn attribute(bytes: &[u8], folder: Option<&Path>) -> Result<(String, Attribute), String> {
    let mut name = String::new();
    let mut read = Attribute::default();
    fields(bytes, |number, field| {
        match number {
            1 => field.text()?.clone_into(&mut name),
            2 => read.float = field.float()?,
            3 => read.number = field.number()?,
            4 => read.text = String::from_utf8_lossy(field.bytes()?).into_owned(),
            5 => read.tensor = Some(tensor(field.bytes()?, folder)?.1),
            6 | 11 => read.graph = true,
            7 => field.floats(&mut read.floats)?,
            8 => field.numbers(&mut read.numbers)?,
            9 => read
                .texts
                .push(String::from_utf8_lossy(field.bytes()?).into_owned()),
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, read))
}

fn slot(bytes: &[u8]) -> Result<Slot, String> {
    let mut slot = Slot::default();
    let mut kind = None;
    fields(bytes, |number, field| {
        match number {
            1 => field.text()?.clone_into(&mut slot.name),
            2 => kind = Some(field.bytes()?),
            _ => {}
        }
        Ok(())
    })?;
    let dimension = |field: Field<'_>, shape: &mut Vec<Option<usize>>| {
        let mut size = None;
        fields(field.bytes()?, |number, field| {
            if number == 1 {
                size = usize::try_from(field.number()?).ok().filter(|size| 0 < *size);
            }
            Ok(())
        })?;
        shape.push(size);
        Ok::<(), String>(())
    };
    // Of the kinds of types, only tensors (1) have an element type and a shape.
    fields(kind.unwrap_or_default(), |number, field| {
        if number != 1 {
            return Ok(());
        }
        fields(field.bytes()?, |number, field| {
            match number {
                1 => slot.kind = field.number()?,
                2 => fields(field.bytes()?, |_, field| dimension(field, &mut slot.shape))?,
                _ => {}
            }
            Ok(())
        })
    })?;
    Ok(slot)
}

fn tensor(bytes: &[u8], folder: Option<&Path>) -> Result<(String, Tensor), String> {
    let mut name = String::new();
    let (mut shape, mut kind, mut raw) = (Vec::new(), 0, None);
    let (mut floats, mut doubles, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut place = Vec::new();
    let mut elsewhere = false;
    fields(bytes, |number, field| {
        match number {
            1 => field.numbers(&mut shape)?,
            2 => kind = field.number()?,
            4 => field.floats(&mut floats)?,
            5 | 7 | 11 => field.numbers(&mut numbers)?,
            6 => texts.push(Arc::<str>::from(String::from_utf8_lossy(field.bytes()?))),
            8 => field.text()?.clone_into(&mut name),
            9 => raw = Some(field.bytes()?),
            10 => field.doubles(&mut doubles)?,
            13 => place.push(field.bytes()?),
            14 => elsewhere = field.number()? == 1,
            _ => {}
        }
        Ok(())
    })?;
    let shape: Option<Vec<usize>> = shape.into_iter().map(|size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or("a tensor's shape is negative")?;
    let outside;
    if elsewhere {
        outside = external(&name, &place, folder)?;
        raw = Some(&outside);
    }
    let small = |numbers: &[i64]| numbers.iter().map(|number| *number as i32).collect();
    let data = match (kind, raw) {
        (1, Some(raw)) => Data::Float(chunks(raw)?.map(f32::from_le_bytes).collect()),
        (1, None) => Data::Float(floats),
        (11, Some(raw)) => Data::Double(chunks(raw)?.map(f64::from_le_bytes).collect()),
        (11, None) => Data::Double(doubles),
        (6, Some(raw)) => Data::Int(chunks(raw)?.map(i32::from_le_bytes).collect()),
        (6, None) => Data::Int(small(&numbers)),
        // Small whole numbers are kept as greater ones.
        (2, Some(raw)) => Data::Int(raw.iter().map(|byte| i32::from(*byte)).collect()),
        (3, Some(raw)) => Data::Int(raw.iter().map(|byte| i32::from(*byte as i8)).collect()),
        (2 | 3, None) => Data::Int(small(&numbers)),
        (7, Some(raw)) => Data::Long(chunks(raw)?.map(i64::from_le_bytes).collect()),
        (7, None) => Data::Long(numbers),
        (9, Some(raw)) => Data::Bool(raw.iter().map(|byte| *byte != 0).collect()),
        (9, None) => Data::Bool(numbers.iter().map(|number| *number != 0).collect()),
        (8, _) => Data::Text(texts),
        (other, _) => {
            return Err(format!(
                "the constant `{name}` is of the type {}; the native engine knows float, double, int32, int64, bool and string",
                kind_name(other)
            ));
        }
    };
    Ok((name, Tensor::new(shape, data)?))
}

/// Values in a file beside the model.
fn external(name: &str, place: &[&[u8]], folder: Option<&Path>) -> Result<Vec<u8>, String> {
    let (location, offset, length) = location(name, place)?;
    let folder = folder.ok_or_else(|| format!("the values of `{name}` lie in another file, `{location}`"))?;
    crate::file::read_part(&folder.join(&location), folder, offset, length)
        .map_err(|error| format!("the values of `{name}` cannot be read from `{location}`: {error}"))
}

/// The file, offset and length of values that lie outside the model's file; never outside its folder.
pub(super) fn location(name: &str, place: &[&[u8]]) -> Result<(String, u64, Option<u64>), String> {
    let (mut location, mut offset, mut length) = (String::new(), 0u64, None);
    for entry in place {
        let (mut key, mut value) = (String::new(), String::new());
        fields(entry, |number, field| {
            match number {
                1 => field.text()?.clone_into(&mut key),
                2 => field.text()?.clone_into(&mut value),
                _ => {}
            }
            Ok(())
        })?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("`{key}` of `{name}` is `{value}`"))
        };
        match key.as_str() {
            "location" => location = value,
            "offset" => offset = number()?,
            "length" => length = Some(number()?),
            _ => {}
        }
    }
    let inside = Path::new(&location)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if location.is_empty() || !inside {
        return Err(format!(
            "the values of `{name}` lie in `{location}`, outside the model's folder"
        ));
    }
    Ok((location, offset, length))
}

/// What ONNX calls the number of a type.
pub(super) fn kind_name(kind: i64) -> String {
    let name = match kind {
        1 => "float",
        2 => "uint8",
        3 => "int8",
        4 => "uint16",
        5 => "int16",
        6 => "int32",
        7 => "int64",
        8 => "string",
        9 => "bool",
        10 => "float16",
        11 => "double",
        12 => "uint32",
        13 => "uint64",
        16 => "bfloat16",
        other => return format!("number {other}"),
    };
    name.to_owned()
}

fn chunks<const N: usize>(raw: &[u8]) -> Result<impl Iterator<Item = [u8; N]> + '_, String> {
    let (chunks, rest) = raw.as_chunks::<N>();
    match rest.is_empty() {
        true => Ok(chunks.iter().copied()),
        false => Err("a tensor's values break off".into()),
    }
}
