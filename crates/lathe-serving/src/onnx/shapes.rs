//! Operators that move values and compute none.

use super::kernel::{Args, Kernel, one};
use super::message::Node;
use super::tensor::{Data, Tensor, axis, broadcast_shape, broadcast_strides, count, places, strides};

/// Numbers that are an attribute in old versions of an operator and an input in new ones.
fn given(args: &Args<'_>, index: usize, attribute: &Option<Vec<i64>>) -> Result<Option<Vec<i64>>, String> {
    match args.find(index) {
        Some(tensor) => tensor.as_longs().map(Some),
        None => Ok(attribute.clone()),
    }
}

pub(super) fn build(node: &Node) -> Result<Option<Kernel>, String> {
    let listed = |name: &str| node.has(name).then(|| node.numbers(name).to_vec());
    Ok(Some(match node.operator.as_str() {
        "Constant" => constant(node)?,
        "ConstantOfShape" => filled(node),
        "Shape" => {
            let (start, end) = (node.number("start", 0), node.number("end", i64::MAX));
            Box::new(move |args| {
                let shape: Vec<i64> = args.get(0)?.shape.iter().map(|size| *size as i64).collect();
                let rank = shape.len() as i64;
                let place =
                    |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
                let part = shape.get(place(start)..place(end)).unwrap_or_default().to_vec();
                one(Tensor::longs(vec![part.len()], part)?)
            })
        }
        "Size" => Box::new(|args| one(Tensor::longs(vec![], vec![args.get(0)?.len() as i64])?)),
        "Reshape" => reshape(node.number("allowzero", 0) == 0, listed("shape")),
        "Flatten" => {
            let at = node.number("axis", 1);
            Box::new(move |args| {
                let x = args.get(0)?;
                let rank = x.shape.len();
                let at = match at == rank as i64 {
                    true => rank,
                    false => axis(at, rank)?,
                };
                let shape = vec![x.shape[..at].iter().product(), x.shape[at..].iter().product()];
                one(x.reshaped(shape)?)
            })
        }
        "Transpose" => {
            let order = listed("perm");
            Box::new(move |args| {
                let x = args.get(0)?;
                let rank = x.shape.len();
                let order: Vec<usize> = match &order {
                    None => (0..rank).rev().collect(),
                    Some(order) => order.iter().map(|at| axis(*at, rank)).collect::<Result<_, _>>()?,
                };
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if sorted != (0..rank).collect::<Vec<_>>() {
                    return Err(format!("{order:?} is no order of {rank} axes"));
                }
                let own = strides(&x.shape);
                let shape: Vec<usize> = order.iter().map(|at| x.shape[*at]).collect();
                let steps: Vec<usize> = order.iter().map(|at| own[*at]).collect();
                let from = places(&shape, &steps, 0)?;
                one(Tensor::new(shape, x.data.pick(&from))?)
            })
        }
        "Squeeze" => {
            let attribute = listed("axes");
            Box::new(move |args| {
                let x = args.get(0)?;
                let rank = x.shape.len();
                let axes = match given(args, 1, &attribute)? {
                    Some(axes) => axes
                        .into_iter()
                        .map(|at| axis(at, rank))
                        .collect::<Result<Vec<_>, _>>()?,
                    None => (0..rank).filter(|at| x.shape[*at] == 1).collect(),
                };
                let kept = (0..rank).filter(|at| !axes.contains(at)).map(|at| x.shape[at]);
                one(x.reshaped(kept.collect())?)
            })
        }
        "Unsqueeze" => {
            let attribute = listed("axes");
            Box::new(move |args| {
                let x = args.get(0)?;
                let axes = given(args, 1, &attribute)?.ok_or("its axes are missing")?;
                let rank = x.shape.len() + axes.len();
                let mut axes = axes
                    .into_iter()
                    .map(|at| axis(at, rank))
                    .collect::<Result<Vec<_>, _>>()?;
                axes.sort_unstable();
                axes.dedup();
                if axes.len() + x.shape.len() != rank {
                    return Err("an axis is named twice".into());
                }
                let mut shape = x.shape.clone();
                axes.into_iter().for_each(|at| shape.insert(at, 1));
                one(x.reshaped(shape)?)
            })
        }
        "Expand" => Box::new(|args| {
            let x = args.get(0)?;
            let to: Option<Vec<usize>> = args
                .get(1)?
                .as_longs()?
                .into_iter()
                .map(|size| usize::try_from(size).ok())
                .collect();
            let shape = broadcast_shape(&x.shape, &to.ok_or("a size is negative")?)?;
            let from = places(&shape, &broadcast_strides(&x.shape, &shape), 0)?;
            one(Tensor::new(shape, x.data.pick(&from))?)
        }),
        "Tile" => Box::new(|args| {
            let x = args.get(0)?;
            let times = args.get(1)?.as_longs()?;
            if times.len() != x.shape.len() {
                return Err(format!(
                    "{} repeats are given for {} axes",
                    times.len(),
                    x.shape.len()
                ));
            }
            let shape: Option<Vec<usize>> = x
                .shape
                .iter()
                .zip(&times)
                .map(|(size, times)| size.checked_mul(usize::try_from(*times).ok()?))
                .collect();
            let shape = shape.ok_or("a repeat is out of range")?;
            let (total, steps, own) = (count(&shape)?, strides(&shape), strides(&x.shape));
            let from: Vec<usize> = (0..total)
                .map(|at| {
                    (0..shape.len())
                        .map(|axis| at / steps[axis] % shape[axis] % x.shape[axis] * own[axis])
                        .sum()
                })
                .collect();
            one(Tensor::new(shape, x.data.pick(&from))?)
        }),
        "Concat" => {
            let at = node.number("axis", 1);
            Box::new(move |args| one(concat(args, at)?))
        }
        "Gather" => {
            let at = node.number("axis", 0);
            Box::new(move |args| gather(args.get(0)?, args.get(1)?, at))
        }
        "GatherElements" => {
            let at = node.number("axis", 0);
            Box::new(move |args| gather_elements(args.get(0)?, args.get(1)?, at))
        }
        "Slice" => slice(listed("starts"), listed("ends"), listed("axes")),
        "Split" => split(node.number("axis", 0), listed("split"), node.outputs.len()),
        "Range" => Box::new(range),
        _ => return Ok(None),
    }))
}

fn constant(node: &Node) -> Result<Kernel, String> {
    let made = if let Some(tensor) = node.tensor("value") {
        tensor.clone()
    } else if node.has("value_float") {
        Tensor::floats(vec![], vec![node.float("value_float", 0.0)])?
    } else if node.has("value_int") {
        Tensor::longs(vec![], vec![node.number("value_int", 0)])?
    } else if node.has("value_floats") {
        let values = node.floats("value_floats").to_vec();
        Tensor::floats(vec![values.len()], values)?
    } else if node.has("value_ints") {
        let values = node.numbers("value_ints").to_vec();
        Tensor::longs(vec![values.len()], values)?
    } else if node.has("value_string") {
        Tensor::new(vec![], Data::Text(vec![node.text("value_string", "").into()]))?
    } else if node.has("value_strings") {
        let words = node.texts("value_strings");
        Tensor::new(vec![words.len()], Data::Text(words))?
    } else {
        return Err("it has no value that the native engine can read".into());
    };
    Ok(Box::new(move |_| one(made.clone())))
}

fn filled(node: &Node) -> Kernel {
    let value = node
        .tensor("value")
        .map_or(Data::Float(vec![0.0]), |value| value.data.clone());
    Box::new(move |args| {
        let shape: Option<Vec<usize>> = args
            .get(0)?
            .as_longs()?
            .into_iter()
            .map(|size| usize::try_from(size).ok())
            .collect();
        let shape = shape.ok_or("a size is negative")?;
        if value.len() != 1 {
            return Err("its value is not a single one".into());
        }
        let from = vec![0; count(&shape)?];
        one(Tensor::new(shape, value.pick(&from))?)
    })
}

fn reshape(zero_copies: bool, attribute: Option<Vec<i64>>) -> Kernel {
    Box::new(move |args| {
        let x = args.get(0)?;
        let to = given(args, 1, &attribute)?.ok_or("its shape is missing")?;
        let mut open = None;
        let mut shape = Vec::with_capacity(to.len());
        for (at, size) in to.iter().enumerate() {
            shape.push(match size {
                -1 if open.is_none() => {
                    open = Some(at);
                    1
                }
                0 if zero_copies => *x
                    .shape
                    .get(at)
                    .ok_or_else(|| format!("there is no axis {at} to keep"))?,
                size => usize::try_from(*size).map_err(|_| format!("{to:?} is no shape"))?,
            });
        }
        if let Some(open) = open {
            let known = count(&shape)?;
            if known == 0 || x.len() % known != 0 {
                return Err(format!("{} values are no tensor of the shape {to:?}", x.len()));
            }
            shape[open] = x.len() / known;
        }
        one(x.reshaped(shape)?)
    })
}

/// Tensors one behind the other along an axis.
pub(super) fn concat(args: &Args<'_>, at: i64) -> Result<Tensor, String> {
    let first = args.get(0)?;
    let at = axis(at, first.shape.len())?;
    let mut shape = first.shape.clone();
    for index in 1..args.len() {
        let other = args.get(index)?;
        let fits = other.shape.len() == shape.len()
            && (0..shape.len()).all(|axis| axis == at || other.shape[axis] == shape[axis]);
        if !fits {
            return Err(format!(
                "the shapes {:?} and {:?} do not fit each other",
                first.shape, other.shape
            ));
        }
        shape[at] = shape[at].saturating_add(other.shape[at]);
    }
    let mut data = first.data.empty(count(&shape)?);
    let before: usize = shape[..at].iter().product();
    for outer in 0..before {
        for index in 0..args.len() {
            let part = args.get(index)?;
            let each: usize = part.shape[at..].iter().product();
            data.extend(&part.data, outer * each, (outer + 1) * each)?;
        }
    }
    Tensor::new(shape, data)
}

fn index(at: i64, size: usize) -> Result<usize, String> {
    axis(at, size).map_err(|_| format!("there is no place {at} among {size}"))
}

fn gather(x: &Tensor, indices: &Tensor, at: i64) -> Result<Vec<Tensor>, String> {
    let at = axis(at, x.shape.len())?;
    let (size, after) = (x.shape[at], x.shape[at + 1..].iter().product::<usize>());
    let wanted: Vec<usize> = indices
        .as_longs()?
        .into_iter()
        .map(|at| index(at, size))
        .collect::<Result<_, _>>()?;
    let mut shape = x.shape[..at].to_vec();
    shape.extend_from_slice(&indices.shape);
    shape.extend_from_slice(&x.shape[at + 1..]);
    let mut from = Vec::with_capacity(count(&shape)?);
    for outer in 0..x.shape[..at].iter().product() {
        for wanted in &wanted {
            let start = (outer * size + wanted) * after;
            from.extend(start..start + after);
        }
    }
    one(Tensor::new(shape, x.data.pick(&from))?)
}

fn gather_elements(x: &Tensor, indices: &Tensor, at: i64) -> Result<Vec<Tensor>, String> {
    let at = axis(at, x.shape.len())?;
    let fits = x.shape.len() == indices.shape.len()
        && (0..x.shape.len()).all(|axis| axis == at || indices.shape[axis] <= x.shape[axis]);
    if !fits {
        return Err(format!(
            "the shapes {:?} and {:?} do not fit each other",
            x.shape, indices.shape
        ));
    }
    let own = strides(&x.shape);
    let mut steps = own.clone();
    steps[at] = 0;
    let starts = places(&indices.shape, &steps, 0)?;
    let from: Vec<usize> = starts
        .into_iter()
        .zip(indices.as_longs()?)
        .map(|(start, wanted)| Ok(start + index(wanted, x.shape[at])? * own[at]))
        .collect::<Result<_, String>>()?;
    one(Tensor::new(indices.shape.clone(), x.data.pick(&from))?)
}

fn slice(starts: Option<Vec<i64>>, ends: Option<Vec<i64>>, axes: Option<Vec<i64>>) -> Kernel {
    Box::new(move |args| {
        let x = args.get(0)?;
        let starts = given(args, 1, &starts)?.ok_or("its starts are missing")?;
        let ends = given(args, 2, &ends)?.ok_or("its ends are missing")?;
        let axes = given(args, 3, &axes)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = given(args, 4, &None)?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err("its lists have different lengths".into());
        }
        let mut shape = x.shape.clone();
        let mut picked: Vec<Option<Vec<usize>>> = vec![None; shape.len()];
        for (((start, end), at), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let at = axis(at, shape.len())?;
            let size = x.shape[at] as i64;
            let from_start = |place: i64| {
                if place < 0 {
                    place.saturating_add(size)
                } else {
                    place
                }
            };
            if step == 0 {
                return Err("its step is 0".into());
            }
            let (low, high) = if step < 0 { (-1, size - 1) } else { (0, size) };
            let (mut place, end) = (
                from_start(start).clamp(low.max(0), high.max(0)),
                from_start(end).clamp(low, high),
            );
            let mut places = Vec::new();
            while 0 < size && (if step < 0 { end < place } else { place < end }) {
                places.push(place as usize);
                place = place.saturating_add(step);
            }
            shape[at] = places.len();
            picked[at] = Some(places);
        }
        let (total, made_steps, own) = (count(&shape)?, strides(&shape), strides(&x.shape));
        let from: Vec<usize> = (0..total)
            .map(|at| {
                let place = |axis: usize| {
                    let along = at / made_steps[axis] % shape[axis];
                    picked[axis].as_ref().map_or(along, |picked| picked[along]) * own[axis]
                };
                (0..shape.len()).map(place).sum()
            })
            .collect();
        one(Tensor::new(shape, x.data.pick(&from))?)
    })
}

fn split(at: i64, attribute: Option<Vec<i64>>, outputs: usize) -> Kernel {
    Box::new(move |args| {
        let x = args.get(0)?;
        let at = axis(at, x.shape.len())?;
        let size = x.shape[at];
        let sizes: Vec<usize> = match given(args, 1, &attribute)? {
            Some(sizes) => sizes
                .into_iter()
                .map(|size| usize::try_from(size).map_err(|_| "a size is negative"))
                .collect::<Result<_, _>>()?,
            None => {
                let each = size.div_ceil(outputs.max(1));
                (0..outputs)
                    .map(|part| each.min(size.saturating_sub(part * each)))
                    .collect()
            }
        };
        if sizes.iter().try_fold(0usize, |all, size| all.checked_add(*size)) != Some(size) {
            return Err(format!("the parts {sizes:?} are not {size} together"));
        }
        let before: usize = x.shape[..at].iter().product();
        let after: usize = x.shape[at + 1..].iter().product();
        let mut start = 0;
        let mut made = Vec::with_capacity(sizes.len());
        for part in sizes {
            let mut shape = x.shape.clone();
            shape[at] = part;
            let mut data = x.data.empty(before * part * after);
            for outer in 0..before {
                let from = (outer * size + start) * after;
                data.extend(&x.data, from, from + part * after)?;
            }
            made.push(Tensor::new(shape, data)?);
            start += part;
        }
        Ok(made)
    })
}

fn range(args: &Args<'_>) -> Result<Vec<Tensor>, String> {
    let number = |index: usize| -> Result<f64, String> {
        args.get(index)?
            .as_doubles()?
            .first()
            .copied()
            .ok_or_else(|| "a bound is empty".into())
    };
    let (start, end, step) = (number(0)?, number(1)?, number(2)?);
    let steps = ((end - start) / step).ceil();
    if !(steps.is_finite() && steps < super::tensor::VALUES_MAX as f64) {
        return Err(format!("there are too many numbers from {start} to {end}"));
    }
    let values = (0..steps.max(0.0) as usize).map(|at| start + at as f64 * step);
    let data = match &args.get(0)?.data {
        Data::Float(_) => Data::Float(values.map(|value| value as f32).collect()),
        Data::Double(_) => Data::Double(values.collect()),
        Data::Int(_) => Data::Int(values.map(|value| value as i32).collect()),
        Data::Long(_) => Data::Long(values.map(|value| value as i64).collect()),
        other => return Err(format!("it takes numbers, not {}", other.kind())),
    };
    one(Tensor::new(vec![data.len()], data)?)
}
