//! Tensors of MLflow's protocol as a table: lists within lists, made numbers as numpy makes them, which must be of the
//! shape that the signature declares.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Table, Words};
use crate::PredictError;
use crate::signature::{ColumnSpec, ColumnType, Signature, TensorSpec};

/// Lists are nested so deep at most, as in numpy.
const DEPTH_MAX: usize = 64;

/// Values of one tensor, row by row.
enum Cells {
    Numbers(Vec<f64>),
    Words(Words),
}

/// One tensor that was read.
struct Read {
    rows: usize,
    /// Values a row.
    width: usize,
    cells: Cells,
}

impl Table {
    /// Reads `inputs` or `instances` for a model whose signature is of tensors: lists within lists for the only one, or
    /// an object of them by name.
    pub fn from_tensors(value: &Value, signature: &Signature) -> Result<Self, PredictError> {
        let read = match (signature.tensors(), value) {
            ([only], Value::Object(_)) if only.name.is_empty() => {
                return Err(PredictError::Unreadable(
                    "the model takes one tensor without a name: lists within lists, no object".into(),
                ));
            }
            ([only], value) if !value.is_object() => vec![tensor(only, value)?],
            (specs, Value::Object(given)) => {
                let named = |spec: &TensorSpec| match given.get(&spec.name) {
                    Some(value) => tensor(spec, value),
                    None => Err(missing(spec, specs)),
                };
                specs.iter().map(named).collect::<Result<_, _>>()?
            }
            (specs, _) => {
                return Err(PredictError::Invalid(format!(
                    "send an object of {}",
                    told(specs)
                )));
            }
        };
        joined(read, signature)
    }

    /// Reads `instances` that are objects: a row of each tensor in each.
    pub fn from_tensor_instances(
        rows: &[Map<String, Value>],
        signature: &Signature,
    ) -> Result<Self, PredictError> {
        let mut columns = Map::new();
        for spec in signature.tensors() {
            let cells: Vec<Value> = rows
                .iter()
                .filter_map(|row| row.get(&spec.name).cloned())
                .collect();
            if cells.is_empty() {
                return Err(missing(spec, signature.tensors()));
            }
            if cells.len() != rows.len() {
                return Err(PredictError::Unreadable(format!(
                    "`{}` is in {} of {} instances",
                    spec.name,
                    cells.len(),
                    rows.len()
                )));
            }
            columns.insert(spec.name.clone(), Value::Array(cells));
        }
        Self::from_tensors(&Value::Object(columns), signature)
    }

    /// Reads columns of a data frame for a model whose signature is of tensors: a tensor's rows as flat lists, or as
    /// numbers where a row has one; or the only tensor's columns in their order. None where the columns are neither, but
    /// those that the model itself has.
    pub fn from_tensor_columns(
        columns: &[(String, Vec<Value>)],
        signature: &Signature,
    ) -> Result<Option<Self>, PredictError> {
        let by_name = |name: &str| columns.iter().find(|(known, _)| known == name);
        let specs = signature.tensors();
        let read = match (specs, columns) {
            ([only], []) if only.name.is_empty() => {
                return Err(PredictError::Invalid("the frame has no columns".into()));
            }
            ([only], [(_, cells)]) if only.name.is_empty() => vec![column(only, cells)?],
            ([only], several) if only.name.is_empty() => {
                if *only.shape != [Some(several.len())] {
                    return Err(PredictError::Invalid(format!(
                        "the frame has {} columns; the model takes {}",
                        several.len(),
                        told(specs)
                    )));
                }
                let rows = several.first().map_or(0, |(_, cells)| cells.len());
                let row = |row: usize| {
                    several
                        .iter()
                        .filter_map(move |(_, cells)| cells.get(row))
                        .cloned()
                };
                let rows = (0..rows).map(|at| Value::Array(row(at).collect()));
                vec![tensor(only, &Value::Array(rows.collect()))?]
            }
            _ => {
                let is_own = |spec: &ColumnSpec| by_name(&spec.name).is_some();
                if specs.iter().all(|spec| by_name(&spec.name).is_none())
                    && signature.inputs.iter().all(is_own)
                {
                    return Ok(None);
                }
                let named = |spec: &TensorSpec| match by_name(&spec.name) {
                    Some((_, cells)) => column(spec, cells),
                    None => Err(missing(spec, specs)),
                };
                specs.iter().map(named).collect::<Result<_, _>>()?
            }
        };
        joined(read, signature).map(Some)
    }
}

/// Tensors side by side: their values of each row.
fn joined(tensors: Vec<Read>, signature: &Signature) -> Result<Table, PredictError> {
    let rows = tensors.first().map_or(0, |tensor| tensor.rows);
    for (spec, tensor) in signature.tensors().iter().zip(&tensors) {
        if tensor.rows != rows {
            return Err(PredictError::UnevenColumns {
                column: spec.name.clone(),
                rows: tensor.rows,
                expected: rows,
            });
        }
    }
    let found;
    let signature = match signature.is_open() {
        false => signature,
        true => {
            found = Signature::new(open_columns(signature.tensors(), &tensors));
            &found
        }
    };
    let width: usize = tensors.iter().map(|tensor| tensor.width).sum();
    if width != signature.inputs.len() {
        return Err(PredictError::Shape(format!(
            "the tensors have {width} values a row; the model takes {}",
            signature.inputs.len()
        )));
    }
    let mut table = Table::missing(rows, signature);
    let mut start = 0;
    for tensor in tensors {
        if let Cells::Numbers(numbers) = &tensor.cells
            && tensor.width == width
        {
            table.values.copy_from_slice(numbers);
            break;
        }
        for row in 0..rows {
            for at in 0..tensor.width {
                let (from, to) = (row * tensor.width + at, start + at);
                match (&tensor.cells, table.words.get_mut(to)) {
                    (Cells::Words(words), Some(Some(column))) => column[row] = words[from].clone(),
                    (Cells::Numbers(numbers), _) => table.values[row * width + to] = numbers[from],
                    (Cells::Words(_), _) => {
                        return Err(PredictError::Shape("the model takes numbers, not words".into()));
                    }
                }
            }
        }
        start += tensor.width;
    }
    Ok(table)
}

/// Columns of a model that leaves open how many it takes, called as its other readers call them.
fn open_columns(specs: &[TensorSpec], tensors: &[Read]) -> Vec<ColumnSpec> {
    let mut columns = Vec::new();
    for (spec, tensor) in specs.iter().zip(tensors) {
        for at in 0..tensor.width {
            let name = match (specs.len(), tensor.width) {
                (1, _) => at.to_string(),
                (_, 1) => spec.name.clone(),
                _ => format!("{}_{at}", spec.name),
            };
            columns.push(ColumnSpec {
                name,
                kind: spec.kind().unwrap_or(ColumnType::Double),
                required: true,
            });
        }
    }
    columns
}

/// Lists within lists as a tensor.
fn tensor(spec: &TensorSpec, value: &Value) -> Result<Read, PredictError> {
    let mut shape = Vec::new();
    let mut first = Some(value);
    while let Some(Value::Array(values)) = first {
        if DEPTH_MAX <= shape.len() {
            return Err(PredictError::Unreadable(format!(
                "{} is nested too deep",
                named(spec)
            )));
        }
        shape.push(values.len());
        first = values.first();
    }
    let count = shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
    // A first list may promise more than the others hold.
    let count = count.unwrap_or_default().min(1 << 20);
    let mut cells = match spec.is_words() {
        true => Cells::Words(Vec::with_capacity(count)),
        false => Cells::Numbers(Vec::with_capacity(count)),
    };
    flatten(spec, value, &shape, &mut cells)?;
    let fits = match shape.split_first() {
        None => false,
        Some((rows, rest)) => {
            spec.rows.is_none_or(|declared| declared == *rows)
                && rest.len() == spec.shape.len()
                && rest
                    .iter()
                    .zip(&spec.shape)
                    .all(|(size, declared)| declared.is_none_or(|declared| declared == *size))
        }
    };
    if !fits {
        return Err(PredictError::Invalid(format!(
            "{} has the shape {shape:?}; the model takes {}",
            named(spec),
            spec.told()
        )));
    }
    Ok(Read {
        rows: shape[0],
        width: shape.iter().skip(1).product(),
        cells,
    })
}

fn flatten(spec: &TensorSpec, value: &Value, shape: &[usize], into: &mut Cells) -> Result<(), PredictError> {
    match (value, shape) {
        (Value::Array(values), [size, rest @ ..]) if values.len() == *size => values
            .iter()
            .try_for_each(|value| flatten(spec, value, rest, into)),
        (Value::Array(_), _) | (_, [_, ..]) => Err(PredictError::Unreadable(format!(
            "the lists of {} are not all as long and as deep",
            named(spec)
        ))),
        (value, []) => {
            match into {
                Cells::Numbers(numbers) => numbers.push(number(spec, value)?),
                Cells::Words(words) => words.push(word(spec, value)?),
            }
            Ok(())
        }
    }
}

/// The column of a data frame that holds a tensor: its rows as flat lists, or numbers.
fn column(spec: &TensorSpec, cells: &[Value]) -> Result<Read, PredictError> {
    let misfit = |what: &str| {
        PredictError::Invalid(format!(
            "{}: {what}; the model takes {}",
            named(spec),
            spec.told()
        ))
    };
    if spec.rows.is_some() || spec.shape.contains(&None) {
        return Err(misfit(
            "a frame holds no tensor of open size, or of a fixed number of rows",
        ));
    }
    let width: usize = spec.shape.iter().flatten().product();
    let mut read = match spec.is_words() {
        true => Cells::Words(Vec::with_capacity(cells.len())),
        false => Cells::Numbers(Vec::with_capacity(cells.len())),
    };
    for cell in cells {
        let values = match cell {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        let is_cell = match cell {
            Value::Array(_) => !values.iter().any(|value| value.is_array() || value.is_object()),
            _ => spec.shape.is_empty() || *spec.shape == [Some(1)],
        };
        if !is_cell || values.len() != width {
            return Err(misfit(&format!("a row holds {}", cells_of(cell))));
        }
        let shape: &[usize] = match cell {
            Value::Array(_) => std::slice::from_ref(&width),
            _ => &[],
        };
        flatten(spec, cell, shape, &mut read)?;
    }
    Ok(Read {
        rows: cells.len(),
        width,
        cells: read,
    })
}

fn cells_of(cell: &Value) -> String {
    match cell {
        Value::Array(values) => format!("a list of {}", values.len()),
        _ => "no list".into(),
    }
}

/// A value as numpy makes it one of the tensor's.
fn number(spec: &TensorSpec, value: &Value) -> Result<f64, PredictError> {
    let read = match (value, spec.range()) {
        (Value::Number(number), _) => number.as_f64(),
        (Value::Bool(flag), _) => Some(f64::from(*flag)),
        (Value::String(text), None) if spec.dtype != "bool" => text.trim().parse().ok(),
        (Value::String(text), Some(_)) => text.trim().parse::<i64>().ok().map(|number| number as f64),
        (Value::Null, None) if spec.dtype == "bool" => Some(0.0),
        (Value::Null, None) => Some(f64::NAN),
        _ => None,
    };
    let read = read.and_then(|read| match (spec.dtype.as_str(), spec.range()) {
        ("bool", _) => Some(f64::from(read != 0.0)),
        ("float32", _) => Some(f64::from(read as f32)),
        (_, None) => Some(read),
        (_, Some((least, greatest))) => {
            let whole = read.trunc();
            (least..=greatest).contains(&whole).then_some(whole)
        }
    });
    read.ok_or_else(|| unfit(spec, value))
}

/// A value as numpy makes it a word.
fn word(spec: &TensorSpec, value: &Value) -> Result<Option<Arc<str>>, PredictError> {
    Ok(match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        Value::Null if spec.dtype == "object" => None,
        Value::Null => Some("None".into()),
        Value::Array(_) | Value::Object(_) => return Err(unfit(spec, value)),
    })
}

fn unfit(spec: &TensorSpec, value: &Value) -> PredictError {
    let shown: String = value.to_string().chars().take(60).collect();
    PredictError::Unreadable(format!("{}: {shown} is no {}", named(spec), spec.dtype))
}

fn missing(spec: &TensorSpec, specs: &[TensorSpec]) -> PredictError {
    PredictError::Invalid(format!(
        "the model needs {}; it takes {}",
        named(spec),
        told(specs)
    ))
}

fn named(spec: &TensorSpec) -> String {
    match spec.name.as_str() {
        "" => "the tensor".into(),
        name => format!("the tensor `{name}`"),
    }
}

fn told(specs: &[TensorSpec]) -> String {
    let specs: Vec<String> = specs
        .iter()
        .map(|spec| format!("{}, {}", named(spec), spec.told()))
        .collect();
    specs.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(name: &str, dtype: &str, shape: &[Option<usize>]) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            dtype: dtype.into(),
            rows: None,
            shape: shape.to_vec(),
        }
    }

    /// Of tensors whose sizes are known.
    fn signature(specs: &[TensorSpec]) -> Signature {
        let mut columns = Vec::new();
        for spec in specs {
            for at in 0..spec.shape.iter().flatten().product::<usize>() {
                columns.push(ColumnSpec {
                    name: format!("{}{at}", spec.name),
                    kind: spec.kind().unwrap(),
                    required: true,
                });
            }
        }
        Signature::new(columns).of_tensors(specs.to_vec())
    }

    fn one(dtype: &str, value: Value) -> Result<Vec<f64>, PredictError> {
        let signature = signature(&[spec("", dtype, &[Some(2)])]);
        Table::from_tensors(&value, &signature).map(|table| table.numbers().to_vec())
    }

    #[test]
    fn lists_within_lists_are_rows_of_the_declared_shape() {
        let signature = signature(&[spec("", "float32", &[Some(2), Some(1)])]);
        let read = |value: Value| Table::from_tensors(&value, &signature);
        let table = read(json!([[[1], [0.1]], [[3], [4]]])).unwrap();
        assert_eq!(
            (table.rows(), table.numbers()),
            (2, &[1.0, f64::from(0.1f32), 3.0, 4.0][..])
        );
        for (wrong, told) in [
            (
                json!([[1, 2]]),
                "the tensor has the shape [1, 2]; the model takes float32 [n, 2, 1]",
            ),
            (json!([]), "has the shape [0]"),
            (json!(1), "has the shape []"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(
                matches!(&error, PredictError::Invalid(what) if what.contains(told)),
                "{error}"
            );
        }
        for ragged in [
            json!([[[1], [2]], [[3]]]),
            json!([[[1], 2]]),
            json!([1, [2]]),
            json!({ "x": 1 }),
        ] {
            assert!(matches!(read(ragged), Err(PredictError::Unreadable(_))));
        }
    }

    #[test]
    fn values_are_cast_as_numpy_casts_them() {
        assert_eq!(one("int64", json!([[1.9, "-3"]])).unwrap(), [1.0, -3.0]);
        assert_eq!(one("uint8", json!([[255, true]])).unwrap(), [255.0, 1.0]);
        assert_eq!(one("bool", json!([[2, null]])).unwrap(), [1.0, 0.0]);
        assert_eq!(one("float64", json!([[" 1.5 ", false]])).unwrap(), [1.5, 0.0]);
        assert!(one("float64", json!([[null, 1]])).unwrap()[0].is_nan());
        for (dtype, wrong) in [
            ("uint8", json!(256)),
            ("uint8", json!(-1)),
            ("int64", json!(null)),
            ("int32", json!("1.5")),
            ("float64", json!("a")),
            ("float64", json!({})),
        ] {
            let error = one(dtype, json!([[0, wrong]])).unwrap_err();
            assert!(matches!(error, PredictError::Unreadable(_)), "{dtype} {error}");
        }
    }

    #[test]
    fn tensors_by_name_stand_side_by_side_in_the_models_order() {
        let specs = [spec("x", "int64", &[Some(2)]), spec("y", "str", &[])];
        let signature = signature(&specs);
        let table =
            Table::from_tensors(&json!({ "y": ["a", 1], "x": [[1, 2], [3, 4]] }), &signature).unwrap();
        assert_eq!(table.row(1)[..2], [3.0, 4.0]);
        assert_eq!(table.words(2).unwrap(), [Some("a".into()), Some("1".into())]);
        let instance = |instance: Value| instance.as_object().unwrap().clone();
        let rows = [
            instance(json!({ "x": [1, 2], "y": "a" })),
            instance(json!({ "y": "1", "x": [3, 4] })),
        ];
        // NaN, which stands where words are, is not equal to itself.
        let same = |read: &Table| assert_eq!(format!("{read:?}"), format!("{table:?}"));
        same(&Table::from_tensor_instances(&rows, &signature).unwrap());
        let columns = |x: Value| {
            let column = |values: Value| values.as_array().unwrap().clone();
            let columns = [
                ("y".to_owned(), column(json!(["a", "1"]))),
                ("x".to_owned(), column(x)),
            ];
            Table::from_tensor_columns(&columns, &signature)
        };
        same(&columns(json!([[1, 2], [3, 4]])).unwrap().unwrap());
        for wrong in [json!([[1, 2], [3]]), json!([1, 2]), json!([[1, [2]], [3, 4]])] {
            assert!(matches!(columns(wrong), Err(PredictError::Invalid(_))));
        }
        for (wrong, told) in [
            (json!({ "x": [[1, 2]] }), "the model needs the tensor `y`"),
            (json!([[1, 2]]), "send an object of"),
        ] {
            let error = Table::from_tensors(&wrong, &signature).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_size_that_is_open_is_the_requests_to_say() {
        let open = Signature::open().of_tensors(vec![spec("x", "float64", &[None, Some(2)])]);
        let table = Table::from_tensors(&json!([[[1, 2], [3, 4], [5, 6]]]), &open).unwrap();
        assert_eq!((table.rows(), table.names().len()), (1, 6));
        assert!(Table::from_tensors(&json!([[[1, 2, 3]]]), &open).is_err());
    }
}
