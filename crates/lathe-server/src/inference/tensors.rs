//! A request's tensors as the model's table, and the model's answers as the tensors that were asked for.

use lathe_serving::{Column, Facts, InputSpec, Output, Signature, Table};
use serde_json::Value;

use super::tensor::{Data, Tensor};

/// One tensor a column, of shape [n] or [n, 1]; or a single one of shape [n, columns] in the model's order. A tensor that
/// has columns of its name in the model, and of a model that leaves its columns open, may have more axes, and be one of
/// several. `inputs` are what the model says it takes.
pub(super) fn table(
    mut tensors: Vec<Tensor>,
    signature: &Signature,
    inputs: &[InputSpec],
) -> Result<Table, String> {
    // Most models have columns only, and nothing to look at here.
    for input in inputs.iter().filter(|input| 1 < input.shape.len()) {
        if let Some(wrong) = tensors
            .iter()
            .find(|tensor| tensor.name == input.name && !fits(&tensor.shape, &input.shape))
        {
            return Err(format!(
                "input `{}` has the shape {:?}; the model takes {:?}",
                wrong.name, wrong.shape, input.shape
            ));
        }
    }
    let width = signature.inputs.len();
    let told = |error: lathe_serving::PredictError| error.to_string();
    let has = |name: &str| signature.inputs.iter().any(|column| column.name == name);
    let is_whole = |name: &str| signature.is_open() || has(&format!("{name}_0"));
    for tensor in &mut tensors {
        if let [rows, rest @ ..] = tensor.shape.as_slice()
            && 1 < rest.len()
            && is_whole(&tensor.name)
            && let Some(columns) = rest.iter().try_fold(1usize, |all, size| all.checked_mul(*size))
        {
            tensor.shape = vec![*rows, columns];
        }
    }
    let is_column = |tensor: &Tensor| has(&tensor.name);
    if let [only] = tensors.as_slice()
        && (!is_column(only) || width == 1 && matches!(only.shape.as_slice(), [_, 1]))
        && let [rows, columns] = *only.shape.as_slice()
    {
        let width = if signature.is_open() { columns } else { width };
        if columns != width {
            return Err(format!(
                "input `{}` has {columns} columns; the model takes {width}: {}",
                only.name,
                signature.names().join(", ")
            ));
        }
        return match tensors.remove(0).data {
            Data::Numbers(numbers) => Table::from_numbers(rows, numbers, signature).map_err(told),
            Data::Words(words) => {
                let columns: Vec<Vec<_>> = (0..width)
                    .map(|column| words.iter().skip(column).step_by(width).cloned().collect())
                    .collect();
                let names = match signature.is_open() {
                    true => (0..width).map(|column| column.to_string()).collect(),
                    false => signature.names().to_vec(),
                };
                let columns: Vec<(&str, Column<'_>)> = names
                    .iter()
                    .zip(&columns)
                    .map(|(name, words)| (name.as_str(), Column::Words(words)))
                    .collect();
                Table::from_typed(&columns, signature).map_err(told)
            }
        };
    }
    if let Some((index, repeated)) = tensors
        .iter()
        .enumerate()
        .find(|(index, tensor)| tensors[..*index].iter().any(|other| other.name == tensor.name))
    {
        return Err(format!(
            "input {index} is called `{}` like one before it",
            repeated.name
        ));
    }
    let tensors: Vec<Tensor> = tensors
        .into_iter()
        .flat_map(|tensor| match tensor.shape.as_slice() {
            [rows, columns] if *columns != 1 && is_whole(&tensor.name) => split(&tensor, *rows, *columns),
            _ => vec![tensor],
        })
        .collect();
    if let Some(wrong) = tensors
        .iter()
        .find(|tensor| !matches!(tensor.shape.as_slice(), [_] | [_, 1]))
    {
        return Err(format!(
            "input `{}` has the shape {:?}; a column has [n] or [n, 1]",
            wrong.name, wrong.shape
        ));
    }
    let columns: Vec<(&str, Column<'_>)> = tensors
        .iter()
        .map(|tensor| {
            let column = match &tensor.data {
                Data::Numbers(numbers) => Column::Numbers(numbers),
                Data::Words(words) => Column::Words(words),
            };
            (tensor.name.as_str(), column)
        })
        .collect();
    Table::from_typed(&columns, signature).map_err(told)
}

/// The table, asked with those of a request's parameters that are params of the model.
pub(super) fn with_params(table: Table, params: Value, model: &Facts) -> Result<Table, String> {
    match model.params() {
        Some(schema) if !params.is_null() => {
            let given = schema.check(params).map_err(|error| error.to_string())?;
            Ok(table.with_params(Some(given.params)))
        }
        _ => Ok(table),
    }
}

/// Whether a tensor is of the shape that an input declares, or flat: as many elements in other axes would be taken for
/// what they are not. How many rows there are is the request's to say.
fn fits(shape: &[usize], declared: &[i64]) -> bool {
    let closed = |size: &i64| usize::try_from(*size).ok();
    let declared = declared.iter().skip(1);
    let product = declared
        .clone()
        .filter_map(closed)
        .try_fold(1usize, |all, size| all.checked_mul(size));
    let columns = match shape {
        [_] => Some(1),
        [_, columns] => Some(*columns),
        _ => None,
    };
    let is_open = declared.clone().any(|size| *size < 0);
    let is_flat = columns
        .zip(product)
        .is_some_and(|(columns, product)| match is_open {
            true => columns.checked_rem(product) == Some(0),
            false => columns == product,
        });
    let is_same = shape.len() == 1 + declared.len()
        && shape
            .iter()
            .skip(1)
            .zip(declared)
            .all(|(size, declared)| closed(declared).is_none_or(|declared| declared == *size));
    is_flat || is_same
}

/// A matrix as its columns, each called by the tensor's name and its place.
fn split(tensor: &Tensor, rows: usize, columns: usize) -> Vec<Tensor> {
    fn column<T: Clone>(values: &[T], column: usize, columns: usize) -> Vec<T> {
        values.iter().skip(column).step_by(columns).cloned().collect()
    }
    let part = |place| Tensor {
        name: format!("{}_{place}", tensor.name),
        shape: vec![rows],
        data: match &tensor.data {
            Data::Numbers(numbers) => Data::Numbers(column(numbers, place, columns)),
            Data::Words(words) => Data::Words(column(words, place, columns)),
        },
    };
    (0..columns).map(part).collect()
}

/// The outputs that were asked for by name, in that order; all if none was.
pub(super) fn wanted<'a>(outputs: &'a [Output], names: &[&str]) -> Result<Vec<&'a Output>, String> {
    if names.is_empty() {
        return Ok(outputs.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            outputs
                .iter()
                .find(|output| &*output.name == *name)
                .ok_or_else(|| {
                    let known: Vec<&str> = outputs.iter().map(|output| &*output.name).collect();
                    format!("the model has no output `{name}`; it has {}", known.join(", "))
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_has_the_axes_of_its_input_or_is_flat() {
        let cases: [(&[usize], &[i64], bool); 13] = [
            (&[2, 1, 8, 8], &[-1, 1, 8, 8], true),
            (&[2, 64], &[-1, 1, 8, 8], true),
            (&[2, 8, 8, 1], &[-1, 1, 8, 8], false),
            (&[2, 8, 8], &[-1, 1, 8, 8], false),
            (&[2, 65], &[-1, 1, 8, 8], false),
            (&[2], &[-1, 1], true),
            (&[2], &[-1, 3], false),
            (&[], &[-1, 3], false),
            (&[2, 5, 3], &[-1, -1, 3], true),
            (&[2, 15], &[-1, -1, 3], true),
            (&[2, 3, 5], &[-1, -1, 3], false),
            (&[2, 14], &[-1, -1, 3], false),
            (&[0, 0], &[-1, -1], true),
        ];
        for (shape, declared, is_fit) in cases {
            assert_eq!(fits(shape, declared), is_fit, "{shape:?} {declared:?}");
        }
    }
}
