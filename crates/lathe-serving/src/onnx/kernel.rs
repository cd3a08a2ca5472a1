//! Which operators there are. An operator is made once, when the model is loaded, and then runs without a lock.

use super::message::Node;
use super::tensor::Tensor;
use super::{elementwise, matrix, ml, reduce, shapes};
use crate::error::Fault;

/// What an operator does with its inputs.
pub(super) type Kernel = Box<dyn Fn(&Args<'_>) -> Result<Vec<Tensor>, String> + Send + Sync>;

/// The inputs of one operator; optional ones may be left out.
pub(super) struct Args<'a> {
    inputs: Vec<Option<&'a Tensor>>,
}

impl<'a> Args<'a> {
    pub(super) fn new(inputs: Vec<Option<&'a Tensor>>) -> Self {
        Self { inputs }
    }

    pub(super) fn len(&self) -> usize {
        self.inputs.len()
    }

    pub(super) fn find(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).copied().flatten()
    }

    pub(super) fn get(&self, index: usize) -> Result<&'a Tensor, String> {
        self.find(index)
            .ok_or_else(|| format!("its input {index} is missing"))
    }
}

pub(super) fn one(tensor: Tensor) -> Result<Vec<Tensor>, String> {
    Ok(vec![tensor])
}

/// What an operator does; refuses those that are not known by their names.
pub(super) fn build(node: &Node) -> Result<Kernel, Fault> {
    if node.has_graph() {
        return Err(unknown(node));
    }
    let built = match node.domain.as_str() {
        "" => plain(node),
        "ai.onnx.ml" => ml::build(node),
        "com.microsoft" => match node.operator.as_str() {
            "CDist" => Ok(Some(matrix::distances(node))),
            "Gelu" => Ok(elementwise::single(node)),
            "FusedMatMul" if node.attributes.is_empty() => Ok(Some(matrix::product())),
            _ => Ok(None),
        },
        _ => Ok(None),
    };
    match built {
        Ok(Some(kernel)) => Ok(kernel),
        Ok(None) => Err(unknown(node)),
        Err(what) => Err(Fault::Damaged(format!("{}: {what}", node.title()))),
    }
}

fn unknown(node: &Node) -> Fault {
    let domain = match node.domain.as_str() {
        "" => String::new(),
        domain => format!(" of `{domain}`"),
    };
    Fault::Unsupported(format!(
        "{}{domain} is not one that the native engine knows; convert the model without it, or log it with its own library's flavor",
        node.title()
    ))
}

fn plain(node: &Node) -> Result<Option<Kernel>, String> {
    if let Some(kernel) = elementwise::single(node).or_else(|| elementwise::joined(node)) {
        return Ok(Some(kernel));
    }
    let kernel = match node.operator.as_str() {
        "Clip" => elementwise::clip(node),
        "Where" => elementwise::choose(),
        "Cast" => {
            let to = node.number("to", 0);
            Box::new(move |args: &Args<'_>| one(elementwise::cast(args.get(0)?, to)?))
        }
        "MatMul" => matrix::product(),
        "Gemm" => matrix::general(node),
        "BatchNormalization" => matrix::batch_normalization(node)?,
        "LayerNormalization" => matrix::layer_normalization(node),
        "Softmax" | "LogSoftmax" | "Hardmax" => reduce::softmax(node),
        "ArgMax" | "ArgMin" => reduce::place_of_most(node),
        "TopK" => reduce::top(node),
        "CumSum" => reduce::running_sum(node),
        other if other.starts_with("Reduce") => match reduce::reduce(node) {
            Some(kernel) => kernel,
            None => return Ok(None),
        },
        _ => return shapes::build(node),
    };
    Ok(Some(kernel))
}
