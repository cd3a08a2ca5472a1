//! How many values a row of an input has, where the graph leaves it open: what reads the input knows it.

use super::message::{Graph, Node};

/// The width of an input, if the first operators that read it tell.
pub(super) fn of(graph: &Graph, input: &str) -> Option<usize> {
    let mut name = input;
    // Each step leads to an operator after the one before.
    for node in &graph.nodes {
        if node.inputs.first().map(String::as_str) != Some(name) {
            continue;
        }
        if let Some(width) = told(graph, node) {
            return Some(width);
        }
        if matches!(
            node.operator.as_str(),
            "Cast" | "Identity" | "Normalizer" | "Scaler" | "Imputer" | "Binarizer"
        ) {
            name = node.outputs.first()?;
        }
    }
    None
}

fn told(graph: &Graph, node: &Node) -> Option<usize> {
    let several = |count: usize| (1 < count).then_some(count);
    let each = |all: usize, parts: usize| (0 < parts && all.is_multiple_of(parts)).then(|| all / parts);
    match node.operator.as_str() {
        "Scaler" => several(node.floats("offset").len().max(node.floats("scale").len())),
        "Imputer" => several(
            node.floats("imputed_value_floats")
                .len()
                .max(node.numbers("imputed_value_int64s").len()),
        ),
        "LinearRegressor" => each(
            node.floats("coefficients").len(),
            usize::try_from(node.number("targets", 1)).ok()?,
        ),
        "LinearClassifier" => each(node.floats("coefficients").len(), node.floats("intercepts").len()),
        "SVMRegressor" => each(
            node.floats("support_vectors").len(),
            usize::try_from(node.number("n_supports", 0)).ok()?,
        ),
        "SVMClassifier" => {
            let vectors: i64 = node
                .numbers("vectors_per_class")
                .iter()
                .fold(0, |all, count| all.saturating_add(*count));
            each(
                node.floats("support_vectors").len(),
                usize::try_from(vectors).ok()?,
            )
        }
        "TreeEnsembleRegressor" | "TreeEnsembleClassifier" | "TreeEnsemble" => {
            let greatest = node.numbers("nodes_featureids").iter().max()?;
            usize::try_from(*greatest).ok()?.checked_add(1)
        }
        "MatMul" | "Gemm" => {
            let shape = &graph.constants.get(node.inputs.get(1)?)?.shape;
            let turned = node.number("transB", 0) != 0;
            match shape.as_slice() {
                [_, width] if turned => Some(*width),
                [.., width, _] => Some(*width),
                _ => None,
            }
        }
        "Sub" | "Div" | "Add" | "Mul" => several(*graph.constants.get(node.inputs.get(1)?)?.shape.last()?),
        _ => None,
    }
}
