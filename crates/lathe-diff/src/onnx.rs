use std::collections::BTreeMap;

use crate::wire::{Value, fields};
use crate::{Places, Rules, npy};

// Field numbers of `onnx.proto`.
const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_DIMS: u64 = 1;
const TENSOR_TYPE: u64 = 2;
const TENSOR_FLOATS: u64 = 4;
const TENSOR_NAME: u64 = 8;
const TENSOR_RAW: u64 = 9;
const TENSOR_DOUBLES: u64 = 10;
const TYPE_FLOAT: u64 = 1;
const TYPE_DOUBLE: u64 = 11;

/// Compares the initialisers and the nodes of two ONNX models; nothing if a side is none.
pub(crate) fn compare(expected: &[u8], found: &[u8], rules: &Rules) -> Option<Places> {
    let (left, right) = (Graph::parse(expected)?, Graph::parse(found)?);
    let mut places = Places::default();
    for (name, tensor) in &left.initializers {
        let Some(other) = right.initializers.get(name) else {
            places.matters(format!("initialiser `{name}`"), tensor.told(), "absent");
            continue;
        };
        let place = format!("initialiser `{name}`");
        if (&tensor.dims, tensor.kind) != (&other.dims, other.kind) {
            places.matters(place, tensor.told(), other.told());
        } else if tensor.data != other.data {
            match (tensor.numbers(), other.numbers()) {
                (Some(a), Some(b)) => npy::elements(&mut places, &place, a, b, rules),
                _ => places.matters(place, "its elements", "other elements"),
            }
        }
    }
    for name in right
        .initializers
        .keys()
        .filter(|name| !left.initializers.contains_key(*name))
    {
        places.matters(format!("initialiser `{name}`"), "absent", "present");
    }
    if left.nodes.len() != right.nodes.len() {
        places.matters(
            "nodes",
            left.nodes.len().to_string(),
            right.nodes.len().to_string(),
        );
    }
    for (index, _) in left
        .nodes
        .iter()
        .zip(&right.nodes)
        .enumerate()
        .filter(|(_, (a, b))| a != b)
    {
        places.matters(format!("node {index}"), "its attributes and edges", "others");
    }
    if places.is_empty() {
        places.add("model", "the same graph", "other names or metadata", true);
    }
    Some(places)
}

struct Graph<'a> {
    initializers: BTreeMap<String, Tensor<'a>>,
    nodes: Vec<&'a [u8]>,
}

impl<'a> Graph<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let graph = fields(bytes)?.into_iter().find_map(|field| match field {
            (MODEL_GRAPH, Value::Bytes(graph)) => Some(graph),
            _ => None,
        })?;
        let mut parsed = Self {
            initializers: BTreeMap::new(),
            nodes: Vec::new(),
        };
        for field in fields(graph)? {
            match field {
                (GRAPH_NODE, Value::Bytes(node)) => parsed.nodes.push(node),
                (GRAPH_INITIALIZER, Value::Bytes(tensor)) => {
                    let (name, tensor) = Tensor::parse(tensor)?;
                    parsed.initializers.insert(name, tensor);
                }
                _ => {}
            }
        }
        Some(parsed)
    }
}

#[derive(Default)]
struct Tensor<'a> {
    dims: Vec<u64>,
    kind: u64,
    /// The fields that hold elements, as they are written.
    data: Vec<&'a [u8]>,
}

impl<'a> Tensor<'a> {
    fn parse(bytes: &'a [u8]) -> Option<(String, Self)> {
        let mut tensor = Self::default();
        let mut name = String::new();
        for field in fields(bytes)? {
            match field {
                (TENSOR_DIMS, Value::Number(dim)) => tensor.dims.push(dim),
                (TENSOR_DIMS, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        tensor.dims.push(crate::wire::varint(&mut packed)?);
                    }
                }
                (TENSOR_TYPE, Value::Number(kind)) => tensor.kind = kind,
                (TENSOR_NAME, Value::Bytes(text)) => name = String::from_utf8_lossy(text).into_owned(),
                (TENSOR_FLOATS | TENSOR_RAW | TENSOR_DOUBLES, Value::Bytes(data)) => tensor.data.push(data),
                _ => {}
            }
        }
        Some((name, tensor))
    }

    /// The elements of a float or double tensor.
    fn numbers(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        match self.kind {
            TYPE_FLOAT => Some(Box::new(self.data.iter().flat_map(|data| {
                data.as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f64::from(f32::from_le_bytes(*b)))
            }))),
            TYPE_DOUBLE => {
                Some(Box::new(self.data.iter().flat_map(|data| {
                    data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b))
                })))
            }
            _ => None,
        }
    }

    fn told(&self) -> String {
        format!("type {} of shape {:?}", self.kind, self.dims)
    }
}
