//! Operators that make one value of many along an axis.

use super::kernel::{Args, Kernel, one};
use super::message::Node;
use super::tensor::{Data, Tensor, axis, count, strides};

/// The axes that an operator names, as an attribute or as its second input.
fn axes(args: &Args<'_>, attribute: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let given = match args.find(1) {
        Some(tensor) => tensor.as_longs()?,
        None => attribute.to_vec(),
    };
    let mut axes: Vec<usize> = given
        .into_iter()
        .map(|at| axis(at, rank))
        .collect::<Result<_, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

type Fold = (f64, fn(f64, f64) -> f64, fn(f64, f64) -> f64);

/// `ReduceSum` and its relatives; none if it is another.
pub(super) fn reduce(node: &Node) -> Option<Kernel> {
    // What it starts from, how a value is added, and what is made of the sum of so many.
    let fold: Fold = match node.operator.as_str() {
        "ReduceSum" => (0.0, |sum, x| sum + x, |sum, _| sum),
        "ReduceMean" => (0.0, |sum, x| sum + x, |sum, n| sum / n),
        "ReduceMax" => (
            f64::NEG_INFINITY,
            |sum, x| if x.is_nan() || sum < x { x } else { sum },
            |sum, _| sum,
        ),
        "ReduceMin" => (
            f64::INFINITY,
            |sum, x| if x.is_nan() || x < sum { x } else { sum },
            |sum, _| sum,
        ),
        "ReduceProd" => (1.0, |sum, x| sum * x, |sum, _| sum),
        "ReduceL1" => (0.0, |sum, x| sum + x.abs(), |sum, _| sum),
        "ReduceL2" => (0.0, |sum, x| sum + x * x, |sum, _| sum.sqrt()),
        "ReduceSumSquare" => (0.0, |sum, x| sum + x * x, |sum, _| sum),
        "ReduceLogSum" => (0.0, |sum, x| sum + x, |sum, _| sum.ln()),
        "ReduceLogSumExp" => (0.0, |sum, x| sum + x.exp(), |sum, _| sum.ln()),
        _ => return None,
    };
    let keep = node.number("keepdims", 1) != 0;
    let none_is_all = node.number("noop_with_empty_axes", 0) == 0;
    let attribute = node.numbers("axes").to_vec();
    let shifted = node.operator == "ReduceLogSumExp";
    Some(Box::new(move |args| {
        let x = args.get(0)?;
        let rank = x.shape.len();
        let mut axes = axes(args, &attribute, rank)?;
        if axes.is_empty() {
            if !none_is_all {
                return one(x.clone());
            }
            axes = (0..rank).collect();
        }
        let kept: Vec<usize> = (0..rank)
            .map(|at| if axes.contains(&at) { 1 } else { x.shape[at] })
            .collect();
        let steps: Vec<usize> = strides(&kept)
            .into_iter()
            .enumerate()
            .map(|(at, step)| if axes.contains(&at) { 0 } else { step })
            .collect();
        let values = x.as_doubles()?;
        let (start, add, finish) = fold;
        let mut sums = vec![start; count(&kept)?];
        let into = super::tensor::places(&x.shape, &steps, 0)?;
        // Exponentials are taken of what is left over the greatest, so that none is out of range.
        let mut shift = vec![0.0; sums.len()];
        if shifted {
            shift.fill(f64::NEG_INFINITY);
            for (value, place) in values.iter().zip(&into) {
                shift[*place] = shift[*place].max(*value);
            }
            shift
                .iter_mut()
                .filter(|shift| shift.is_infinite())
                .for_each(|shift| *shift = 0.0);
        }
        for (value, place) in values.iter().zip(into) {
            sums[place] = add(sums[place], *value - shift[place]);
        }
        let each: usize = axes.iter().map(|at| x.shape[*at]).product();
        for (sum, shift) in sums.iter_mut().zip(shift) {
            *sum = finish(*sum, each as f64) + shift;
        }
        let shape = match keep {
            true => kept,
            false => (0..rank)
                .filter(|at| !axes.contains(at))
                .map(|at| x.shape[at])
                .collect(),
        };
        one(Tensor::new(shape, like(&x.data, sums)?)?)
    }))
}

/// Numbers of the type that others have.
fn like(data: &Data, values: Vec<f64>) -> Result<Data, String> {
    Ok(match data {
        Data::Float(_) => Data::Float(values.into_iter().map(|value| value as f32).collect()),
        Data::Double(_) => Data::Double(values),
        Data::Int(_) => Data::Int(values.into_iter().map(|value| value as i32).collect()),
        Data::Long(_) => Data::Long(values.into_iter().map(|value| value as i64).collect()),
        other => return Err(format!("it takes numbers, not {}", other.kind())),
    })
}

/// A shape around an axis: how many before, along it, and after.
fn around(shape: &[usize], at: usize) -> (usize, usize, usize) {
    (
        shape[..at].iter().product(),
        shape[at],
        shape[at + 1..].iter().product(),
    )
}

/// `Softmax`, `LogSoftmax`, `Hardmax`: old versions take everything from the axis on as one.
pub(super) fn softmax(node: &Node) -> Kernel {
    let old = node.version < 13;
    let along = node.number("axis", if old { 1 } else { -1 });
    let kind = node.operator.clone();
    Box::new(move |args| {
        let x = args.get(0)?;
        let at = axis(along, x.shape.len())?;
        let (before, size, after) = match old {
            true => (x.shape[..at].iter().product(), x.shape[at..].iter().product(), 1),
            false => around(&x.shape, at),
        };
        fn run<T: num::Real>(
            values: &[T],
            (before, size, after): (usize, usize, usize),
            kind: &str,
        ) -> Vec<T> {
            let mut out = values.to_vec();
            for outer in 0..before {
                for inner in 0..after {
                    let place = |at: usize| (outer * size + at) * after + inner;
                    let mut most = T::MIN;
                    let mut most_at = 0;
                    for at in 0..size {
                        if most < out[place(at)] {
                            (most, most_at) = (out[place(at)], at);
                        }
                    }
                    if kind == "Hardmax" {
                        for at in 0..size {
                            out[place(at)] = if at == most_at { T::ONE } else { T::ZERO };
                        }
                        continue;
                    }
                    let mut sum = T::ZERO;
                    for at in 0..size {
                        let value = out[place(at)].minus(most);
                        let raised = value.raised();
                        sum = sum.plus(raised);
                        out[place(at)] = if kind == "LogSoftmax" { value } else { raised };
                    }
                    for at in 0..size {
                        let value = out[place(at)];
                        out[place(at)] = if kind == "LogSoftmax" {
                            value.minus(sum.log())
                        } else {
                            value.over(sum)
                        };
                    }
                }
            }
            out
        }
        let sizes = (before, size, after);
        let data = match &x.data {
            Data::Float(values) => Data::Float(run(values, sizes, &kind)),
            Data::Double(values) => Data::Double(run(values, sizes, &kind)),
            other => return Err(format!("it takes float or double, not {}", other.kind())),
        };
        one(Tensor::new(x.shape.clone(), data)?)
    })
}

/// What a softmax needs of f32 and f64.
mod num {
    pub(super) trait Real: Copy + PartialOrd {
        const ZERO: Self;
        const ONE: Self;
        const MIN: Self;
        fn minus(self, other: Self) -> Self;
        fn plus(self, other: Self) -> Self;
        fn over(self, other: Self) -> Self;
        fn raised(self) -> Self;
        fn log(self) -> Self;
    }
    macro_rules! real {
        ($kind:ty) => {
            impl Real for $kind {
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                const MIN: Self = <$kind>::MIN;
                fn minus(self, other: Self) -> Self {
                    self - other
                }
                fn plus(self, other: Self) -> Self {
                    self + other
                }
                fn over(self, other: Self) -> Self {
                    self / other
                }
                fn raised(self) -> Self {
                    self.exp()
                }
                fn log(self) -> Self {
                    self.ln()
                }
            }
        };
    }
    real!(f32);
    real!(f64);
}

/// `ArgMax` and `ArgMin`.
pub(super) fn place_of_most(node: &Node) -> Kernel {
    let most = node.operator == "ArgMax";
    let along = node.number("axis", 0);
    let keep = node.number("keepdims", 1) != 0;
    let last = node.number("select_last_index", 0) != 0;
    Box::new(move |args| {
        let x = args.get(0)?;
        let at = axis(along, x.shape.len())?;
        let (before, size, after) = around(&x.shape, at);
        if size == 0 {
            return Err("it looks for the greatest of no values".into());
        }
        let values = x.as_doubles()?;
        let mut made = Vec::with_capacity(before * after);
        for outer in 0..before {
            for inner in 0..after {
                let value = |at: usize| values[(outer * size + at) * after + inner];
                let mut best = 0;
                for at in 1..size {
                    let (a, b) = (value(at), value(best));
                    let better = if most { b < a } else { a < b };
                    if better || last && a == b {
                        best = at;
                    }
                }
                made.push(best as i64);
            }
        }
        let mut shape = x.shape.clone();
        if keep {
            shape[at] = 1;
        } else {
            shape.remove(at);
        }
        one(Tensor::longs(shape, made)?)
    })
}

/// `TopK`: the greatest or least values and their places; of equal ones the first.
pub(super) fn top(node: &Node) -> Kernel {
    let (along, attribute) = (node.number("axis", -1), node.number("k", 0));
    let greatest = node.number("largest", 1) != 0;
    Box::new(move |args| {
        let x = args.get(0)?;
        let at = axis(along, x.shape.len())?;
        let k = match args.find(1) {
            Some(k) => k.as_longs()?.first().copied().unwrap_or(0),
            None => attribute,
        };
        let (before, size, after) = around(&x.shape, at);
        let k = usize::try_from(k)
            .ok()
            .filter(|k| *k <= size)
            .ok_or_else(|| format!("it asks for {k} of {size} values"))?;
        let values = x.as_doubles()?;
        let mut shape = x.shape.clone();
        shape[at] = k;
        let mut from = vec![0usize; count(&shape)?];
        let mut made = vec![0i64; from.len()];
        for outer in 0..before {
            for inner in 0..after {
                let place = |at: usize| (outer * size + at) * after + inner;
                let mut order: Vec<usize> = (0..size).collect();
                order.sort_by(|a, b| {
                    let order = values[place(*a)].total_cmp(&values[place(*b)]);
                    if greatest { order.reverse() } else { order }
                });
                for (rank, found) in order.into_iter().take(k).enumerate() {
                    let to = (outer * k + rank) * after + inner;
                    from[to] = place(found);
                    made[to] = found as i64;
                }
            }
        }
        Ok(vec![
            Tensor::new(shape.clone(), x.data.pick(&from))?,
            Tensor::longs(shape, made)?,
        ])
    })
}

/// `CumSum`.
pub(super) fn running_sum(node: &Node) -> Kernel {
    let (without_own, reversed) = (node.number("exclusive", 0) != 0, node.number("reverse", 0) != 0);
    Box::new(move |args| {
        let x = args.get(0)?;
        let along = args.get(1)?.as_longs()?.first().copied().unwrap_or(0);
        let (before, size, after) = around(&x.shape, axis(along, x.shape.len())?);
        let mut values = x.as_doubles()?;
        for outer in 0..before {
            for inner in 0..after {
                let mut sum = 0.0;
                for step in 0..size {
                    let at = if reversed { size - 1 - step } else { step };
                    let place = (outer * size + at) * after + inner;
                    let own = values[place];
                    values[place] = if without_own { sum } else { sum + own };
                    sum += own;
                }
            }
        }
        one(Tensor::new(x.shape.clone(), like(&x.data, values)?)?)
    })
}
