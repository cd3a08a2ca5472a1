use crate::onnx::kernel::{Kernel, one};
use crate::onnx::message::Node;
use crate::onnx::tensor::{Data, Tensor};

/// The width of the last axis.
fn width(x: &Tensor) -> usize {
    x.shape.last().copied().unwrap_or(1).max(1)
}

pub(super) fn scaler(node: &Node) -> Kernel {
    let (offset, scale) = (node.floats("offset").to_vec(), node.floats("scale").to_vec());
    Box::new(move |args| {
        let x = args.get(0)?;
        let width = width(x);
        for list in [&offset, &scale] {
            if list.len() != 1 && list.len() != width {
                return Err(format!("it scales {} inputs, not {width}", list.len()));
            }
        }
        let at = |list: &[f32], column: usize| if list.len() == 1 { list[0] } else { list[column] };
        let made: Vec<f32> = match &x.data {
            Data::Double(values) => {
                let scaled = values.iter().enumerate().map(|(place, value)| {
                    let column = place % width;
                    ((value - f64::from(at(&offset, column))) * f64::from(at(&scale, column))) as f32
                });
                scaled.collect()
            }
            _ => {
                let values = x.as_floats()?;
                let scaled = values.iter().enumerate().map(|(place, value)| {
                    let column = place % width;
                    (value - at(&offset, column)) * at(&scale, column)
                });
                scaled.collect()
            }
        };
        one(Tensor::floats(x.shape.clone(), made)?)
    })
}

pub(super) fn normalizer(node: &Node) -> Result<Kernel, String> {
    let norm: fn(&[f32]) -> f32 = match node.text("norm", "MAX") {
        "MAX" => |row| row.iter().copied().fold(f32::MIN, f32::max),
        "L1" => |row| row.iter().map(|value| value.abs()).sum(),
        "L2" => |row| row.iter().map(|value| value * value).sum::<f32>().sqrt(),
        other => return Err(format!("its norm is `{other}`")),
    };
    Ok(Box::new(move |args| {
        let x = args.get(0)?;
        let mut values = x.as_floats()?.into_owned();
        for row in values.chunks_exact_mut(width(x)) {
            let norm = norm(row);
            if norm != 0.0 {
                row.iter_mut().for_each(|value| *value /= norm);
            }
        }
        one(Tensor::floats(x.shape.clone(), values)?)
    }))
}

pub(super) fn imputer(node: &Node) -> Result<Kernel, String> {
    let floats = node.floats("imputed_value_floats").to_vec();
    let longs = node.numbers("imputed_value_int64s").to_vec();
    let (missing, missing_long) = (
        node.float("replaced_value_float", 0.0),
        node.number("replaced_value_int64", 0),
    );
    if floats.is_empty() && longs.is_empty() {
        return Err("it has nothing to put in the place of what is missing".into());
    }
    Ok(Box::new(move |args| {
        let x = args.get(0)?;
        let width = width(x);
        let fits = |count: usize| match count == 1 || count == width {
            true => Ok(()),
            false => Err(format!("it fills {count} inputs, not {width}")),
        };
        let data = match &x.data {
            Data::Long(values) => {
                fits(longs.len())?;
                let filled = values
                    .iter()
                    .enumerate()
                    .map(|(place, value)| match *value == missing_long {
                        true => longs[place % width % longs.len()],
                        false => *value,
                    });
                Data::Long(filled.collect())
            }
            _ => {
                fits(floats.len())?;
                let values = x.as_floats()?;
                let filled = values.iter().enumerate().map(|(place, value)| {
                    let replaced = *value == missing || value.is_nan() && missing.is_nan();
                    if replaced {
                        floats[place % width % floats.len()]
                    } else {
                        *value
                    }
                });
                Data::Float(filled.collect())
            }
        };
        one(Tensor::new(x.shape.clone(), data)?)
    }))
}

pub(super) fn binarizer(node: &Node) -> Kernel {
    let threshold = node.float("threshold", 0.0);
    Box::new(move |args| {
        let x = args.get(0)?;
        let values = x
            .as_floats()?
            .iter()
            .map(|value| f32::from(u8::from(threshold < *value)))
            .collect();
        one(Tensor::floats(x.shape.clone(), values)?)
    })
}

/// Some columns of the last axis.
pub(super) fn extractor() -> Kernel {
    Box::new(|args| {
        let (x, wanted) = (args.get(0)?, args.get(1)?.as_longs()?);
        let size = x.shape.last().copied().ok_or("its input has no columns")?;
        let wanted: Vec<usize> = wanted
            .into_iter()
            .map(|at| {
                usize::try_from(at)
                    .ok()
                    .filter(|at| *at < size)
                    .ok_or_else(|| format!("there is no column {at} among {size}"))
            })
            .collect::<Result<_, _>>()?;
        let rows = x.len() / size.max(1);
        let mut from = Vec::with_capacity(rows * wanted.len());
        for row in 0..rows {
            from.extend(wanted.iter().map(|column| row * size + column));
        }
        let mut shape = match x.shape.as_slice() {
            [_] => vec![1],
            [before @ .., _] => before.to_vec(),
            [] => Vec::new(),
        };
        shape.push(wanted.len());
        one(Tensor::new(shape, x.data.pick(&from))?)
    })
}

/// All inputs' columns side by side, as floats.
pub(super) fn vectorizer() -> Kernel {
    Box::new(|args| {
        let mut parts = Vec::new();
        for index in 0..args.len() {
            let part = args.get(index)?;
            let (rows, width) = match part.shape.as_slice() {
                [rows] => (*rows, 1),
                _ => part.rows()?,
            };
            parts.push((rows, width, part.as_floats()?));
        }
        let rows = parts.first().map_or(0, |(rows, ..)| *rows);
        if parts.iter().any(|(other, ..)| *other != rows) {
            return Err("its inputs have different numbers of rows".into());
        }
        let all: usize = parts.iter().map(|(_, width, _)| width).sum();
        let mut values = Vec::with_capacity(rows * all);
        for row in 0..rows {
            for (_, width, part) in &parts {
                values.extend_from_slice(&part[row * width..(row + 1) * width]);
            }
        }
        one(Tensor::floats(vec![rows, all], values)?)
    })
}
