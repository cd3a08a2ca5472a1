//! Products of matrices and what is made of them.

use super::kernel::{Kernel, one};
use super::message::Node;
use super::tensor::{Data, Tensor, axis, broadcast_shape, broadcast_strides, count, places};

/// Multiplications that one product may take: a hostile graph must not compute for hours.
const WORK_MAX: usize = 1 << 40;

trait Real: Copy + Default + std::ops::Mul<Output = Self> + std::ops::AddAssign {}
impl Real for f32 {}
impl Real for f64 {}
impl Real for i32 {}
impl Real for i64 {}

/// `out += a × b`: rows × inner by inner × columns. Four rows at a time share what is read of `b`.
fn multiply<T: Real>(a: &[T], b: &[T], out: &mut [T], inner: usize, columns: usize) {
    if inner == 0 || columns == 0 {
        return;
    }
    let mut a = a.chunks_exact(4 * inner);
    let mut out = out.chunks_exact_mut(4 * columns);
    for (four, sums) in (&mut a).zip(&mut out) {
        let (first, rest) = sums.split_at_mut(columns);
        let (second, rest) = rest.split_at_mut(columns);
        let (third, fourth) = rest.split_at_mut(columns);
        for (k, weights) in b.chunks_exact(columns).enumerate() {
            let (p, q, r, s) = (four[k], four[inner + k], four[2 * inner + k], four[3 * inner + k]);
            for ((((weight, a), b), c), d) in weights
                .iter()
                .zip(&mut *first)
                .zip(&mut *second)
                .zip(&mut *third)
                .zip(&mut *fourth)
            {
                *a += p * *weight;
                *b += q * *weight;
                *c += r * *weight;
                *d += s * *weight;
            }
        }
    }
    let rest = a.remainder().chunks_exact(inner);
    for (row, sums) in rest.zip(out.into_remainder().chunks_exact_mut(columns)) {
        for (value, weights) in row.iter().zip(b.chunks_exact(columns)) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += *value * *weight;
            }
        }
    }
}

fn transposed<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..rows * columns)
        .map(|at| values[at % rows * columns + at / rows])
        .collect()
}

/// The shape and the size of the two last axes of a product.
struct Plan {
    shape: Vec<usize>,
    rows: usize,
    inner: usize,
    columns: usize,
    left: Vec<usize>,
    right: Vec<usize>,
}

fn plan(a: &[usize], b: &[usize]) -> Result<Plan, String> {
    let misfit = || format!("the shapes {a:?} and {b:?} cannot be multiplied");
    let (left, rows, inner) = match a {
        [] => return Err(misfit()),
        [inner] => (&[][..], 1, *inner),
        [batch @ .., rows, inner] => (batch, *rows, *inner),
    };
    let (right, inner_of_b, columns) = match b {
        [] => return Err(misfit()),
        [inner] => (&[][..], *inner, 1),
        [batch @ .., inner, columns] => (batch, *inner, *columns),
    };
    if inner != inner_of_b {
        return Err(misfit());
    }
    let batch = broadcast_shape(left, right)?;
    let mut shape = batch.clone();
    if 1 < a.len() {
        shape.push(rows);
    }
    if 1 < b.len() {
        shape.push(columns);
    }
    if count(&shape)?
        .checked_mul(inner)
        .is_none_or(|work| WORK_MAX < work)
    {
        return Err(format!("the product of {a:?} and {b:?} is too large"));
    }
    Ok(Plan {
        left: places(&batch, &broadcast_strides(left, &batch), 0)?,
        right: places(&batch, &broadcast_strides(right, &batch), 0)?,
        shape,
        rows,
        inner,
        columns,
    })
}

fn matmul<T: Real>(a: &[T], b: &[T], plan: &Plan) -> Vec<T> {
    let (m, k, n) = (plan.rows, plan.inner, plan.columns);
    let mut out = vec![T::default(); plan.left.len() * m * n];
    if m * n == 0 {
        return out;
    }
    for ((sums, left), right) in out.chunks_exact_mut(m * n).zip(&plan.left).zip(&plan.right) {
        multiply(
            &a[left * m * k..(left + 1) * m * k],
            &b[right * k * n..(right + 1) * k * n],
            sums,
            k,
            n,
        );
    }
    out
}

/// `MatMul`.
pub(super) fn product() -> Kernel {
    Box::new(|args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let plan = plan(&a.shape, &b.shape)?;
        let data = match (&a.data, &b.data) {
            (Data::Float(a), Data::Float(b)) => Data::Float(matmul(a, b, &plan)),
            (Data::Double(a), Data::Double(b)) => Data::Double(matmul(a, b, &plan)),
            (Data::Int(a), Data::Int(b)) if small(a, b) => Data::Int(matmul(a, b, &plan)),
            (a, b) => {
                return Err(format!(
                    "it multiplies numbers of one type, not {} and {}",
                    a.kind(),
                    b.kind()
                ));
            }
        };
        one(Tensor::new(plan.shape, data)?)
    })
}

/// Whether no sum of products can be out of range.
fn small(a: &[i32], b: &[i32]) -> bool {
    a.len() < 1 << 12 && a.iter().chain(b).all(|value| value.unsigned_abs() < 1 << 9)
}

/// What is added to a product: values and their shape.
type Addend<'a, T> = Option<(&'a [T], &'a [usize])>;

/// `Gemm`: `alpha × a × b + beta × c`.
pub(super) fn general(node: &Node) -> Kernel {
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let (turn_a, turn_b) = (node.number("transA", 0) != 0, node.number("transB", 0) != 0);
    fn run<T: Real + PartialEq>(
        (a, b, c): (&[T], &[T], Addend<'_, T>),
        (a_shape, b_shape): ([usize; 2], [usize; 2]),
        (turn_a, turn_b): (bool, bool),
        (alpha, beta, is_one): (T, T, bool),
    ) -> Result<(Vec<usize>, Vec<T>), String> {
        let turned = |shape: [usize; 2], turn: bool| if turn { [shape[1], shape[0]] } else { shape };
        let (own_a, own_b);
        let a = if turn_a {
            own_a = transposed(a, a_shape[0], a_shape[1]);
            &own_a
        } else {
            a
        };
        let b = if turn_b {
            own_b = transposed(b, b_shape[0], b_shape[1]);
            &own_b
        } else {
            b
        };
        let plan = plan(&turned(a_shape, turn_a), &turned(b_shape, turn_b))?;
        let mut out = matmul(a, b, &plan);
        if !is_one {
            out.iter_mut().for_each(|value| *value = alpha * *value);
        }
        if let Some((c, c_shape)) = c {
            if broadcast_shape(c_shape, &plan.shape).ok().as_ref() != Some(&plan.shape) {
                return Err(format!(
                    "the shape {c_shape:?} cannot be added to {:?}",
                    plan.shape
                ));
            }
            let from = places(&plan.shape, &broadcast_strides(c_shape, &plan.shape), 0)?;
            for (value, from) in out.iter_mut().zip(from) {
                *value += beta * c[from];
            }
        }
        Ok((plan.shape, out))
    }
    Box::new(move |args| {
        let (a, b, c) = (args.get(0)?, args.get(1)?, args.find(2));
        let matrix = |tensor: &Tensor| {
            <[usize; 2]>::try_from(tensor.shape.as_slice())
                .map_err(|_| format!("the shape {:?} is no matrix", tensor.shape))
        };
        let (shapes, turns) = ((matrix(a)?, matrix(b)?), (turn_a, turn_b));
        let (shape, data) = match (&a.data, &b.data, c.map(|c| (&c.data, c.shape.as_slice()))) {
            (Data::Float(a), Data::Float(b), None) => {
                run((a, b, None), shapes, turns, (alpha, beta, alpha == 1.0))
                    .map(|(s, v)| (s, Data::Float(v)))?
            }
            (Data::Float(a), Data::Float(b), Some((Data::Float(c), shape))) => run(
                (a, b, Some((c, shape))),
                shapes,
                turns,
                (alpha, beta, alpha == 1.0),
            )
            .map(|(s, v)| (s, Data::Float(v)))?,
            (Data::Double(a), Data::Double(b), None) => run(
                (a, b, None),
                shapes,
                turns,
                (alpha.into(), beta.into(), alpha == 1.0),
            )
            .map(|(s, v)| (s, Data::Double(v)))?,
            (Data::Double(a), Data::Double(b), Some((Data::Double(c), shape))) => run(
                (a, b, Some((c, shape))),
                shapes,
                turns,
                (alpha.into(), beta.into(), alpha == 1.0),
            )
            .map(|(s, v)| (s, Data::Double(v)))?,
            (a, ..) => {
                return Err(format!(
                    "it multiplies float or double of one type, not {}",
                    a.kind()
                ));
            }
        };
        one(Tensor::new(shape, data)?)
    })
}

/// `CDist` of onnxruntime: the distances of each row to each row.
pub(super) fn distances(node: &Node) -> Kernel {
    let squared = node.text("metric", "sqeuclidean") == "sqeuclidean";
    Box::new(move |args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let ([m, k], [n, inner]) = (a.shape.as_slice(), b.shape.as_slice()) else {
            return Err("it takes two matrices".into());
        };
        if k != inner
            || count(&[*m, *n])?
                .checked_mul(*k)
                .is_none_or(|work| WORK_MAX < work)
        {
            return Err(format!(
                "the distances of {:?} and {:?} cannot be computed",
                a.shape, b.shape
            ));
        }
        let single = matches!(a.data, Data::Float(_));
        let (p, q) = (a.as_doubles()?, b.as_doubles()?);
        let mut made = Vec::with_capacity(m * n);
        for i in 0..*m {
            for j in 0..*n {
                let pairs = p[i * k..(i + 1) * k].iter().zip(&q[j * k..(j + 1) * k]);
                let sum: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
                made.push(if squared { sum } else { sum.sqrt() });
            }
        }
        let data = match single {
            true => Data::Float(made.into_iter().map(|value| value as f32).collect()),
            false => Data::Double(made),
        };
        one(Tensor::new(vec![*m, *n], data)?)
    })
}

/// `BatchNormalization` at inference.
pub(super) fn batch_normalization(node: &Node) -> Result<Kernel, String> {
    if node.number("training_mode", 0) != 0 {
        return Err("it is in training mode; export the model in `eval` mode".into());
    }
    let epsilon = node.float("epsilon", 1e-5);
    Ok(Box::new(move |args| {
        let x = args.get(0)?;
        let channels = *x.shape.get(1).ok_or("its input has no channels")?;
        let mut parts = Vec::new();
        for index in 1..5 {
            let part = args.get(index)?.as_floats()?;
            if part.len() != channels {
                return Err(format!(
                    "{} numbers are given for {channels} channels",
                    part.len()
                ));
            }
            parts.push(part);
        }
        let inner: usize = x.shape[2..].iter().product();
        let factor = |channel: usize| parts[0][channel] / (parts[3][channel] + epsilon).sqrt();
        let values = x.as_floats()?;
        let normalized = values.iter().enumerate().map(|(at, value)| {
            let channel = at / inner.max(1) % channels;
            let factor = factor(channel);
            value * factor + (parts[1][channel] - parts[2][channel] * factor)
        });
        one(Tensor::floats(x.shape.clone(), normalized.collect())?)
    }))
}

/// `LayerNormalization`.
pub(super) fn layer_normalization(node: &Node) -> Kernel {
    let from = node.number("axis", -1);
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    Box::new(move |args| {
        let (x, scale, shift) = (
            args.get(0)?,
            args.get(1)?.as_doubles()?,
            args.find(2).map(Tensor::as_doubles).transpose()?,
        );
        let width: usize = x.shape[axis(from, x.shape.len())?..].iter().product();
        if scale.len() != width || shift.as_ref().is_some_and(|shift| shift.len() != width) {
            return Err(format!("its scale has {} numbers for {width}", scale.len()));
        }
        let mut values = x.as_doubles()?;
        for row in values.chunks_exact_mut(width.max(1)) {
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row
                .iter()
                .map(|value| (value - mean) * (value - mean))
                .sum::<f64>()
                / width as f64;
            let factor = 1.0 / (variance + epsilon).sqrt();
            for (at, value) in row.iter_mut().enumerate() {
                *value = (*value - mean) * factor * scale[at] + shift.as_ref().map_or(0.0, |shift| shift[at]);
            }
        }
        let data = match x.data {
            Data::Double(_) => Data::Double(values),
            _ => Data::Float(values.into_iter().map(|value| value as f32).collect()),
        };
        one(Tensor::new(x.shape.clone(), data)?)
    })
}
