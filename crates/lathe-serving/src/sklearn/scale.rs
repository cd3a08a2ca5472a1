//! Steps that change each number by itself, or each row by its length.

use super::Transform;
use super::frame::Frame;
use super::matrix::{Matrix, floats};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::{Item, Ref};

/// `(x - shift) / divisor`, or `x × factor + term`.
#[derive(Debug)]
pub(super) enum Scale {
    Divide {
        shift: Option<Vec<f64>>,
        divisor: Option<Vec<f64>>,
    },
    Multiply {
        factor: Vec<f64>,
        term: Vec<f64>,
        clip: Option<(f64, f64)>,
    },
}

impl Scale {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let optional = |name: &str| node.some(name).map(Ref::floats).transpose();
        let flag = |name: &str| node.some(name).is_none_or(|flag| flag.boolean().unwrap_or(true));
        Ok(match node.class() {
            "MinMaxScaler" => {
                let factor = node.attr("scale_")?.floats()?;
                let term = floats(node.attr("min_")?, factor.len(), "min_")?;
                let clips = node
                    .some("clip")
                    .is_some_and(|flag| flag.boolean().unwrap_or(false));
                let clip = match clips {
                    true => match node.attr("feature_range")?.floats()?.as_slice() {
                        [low, high] if low <= high => Some((*low, *high)),
                        _ => return Err("`feature_range` is no range".into()),
                    },
                    false => None,
                };
                Self::Multiply { factor, term, clip }
            }
            "MaxAbsScaler" => Self::Divide {
                shift: None,
                divisor: Some(node.attr("scale_")?.floats()?),
            },
            "RobustScaler" => Self::Divide {
                shift: if flag("with_centering") {
                    optional("center_")?
                } else {
                    None
                },
                divisor: if flag("with_scaling") {
                    optional("scale_")?
                } else {
                    None
                },
            },
            _ => Self::Divide {
                shift: if flag("with_mean") {
                    optional("mean_")?
                } else {
                    None
                },
                divisor: if flag("with_std") {
                    optional("scale_")?
                } else {
                    None
                },
            },
        })
    }

    /// The way back, of one column.
    pub(super) fn inverse(&self, x: f64) -> f64 {
        let first = |values: &Option<Vec<f64>>, default| {
            values
                .as_ref()
                .and_then(|values| values.first().copied())
                .unwrap_or(default)
        };
        match self {
            Self::Divide { shift, divisor } => x * first(divisor, 1.0) + first(shift, 0.0),
            Self::Multiply { factor, term, .. } => (x - term[0]) / factor[0],
        }
    }
}

impl Transform for Scale {
    fn apply(&self, mut frame: Frame) -> Result<Frame, PredictError> {
        frame.numbers(true)?;
        let width = frame.width;
        match self {
            Self::Divide { shift, divisor } => {
                for values in [shift, divisor].into_iter().flatten() {
                    frame.expect(values.len())?;
                }
                for row in frame.values.chunks_exact_mut(width.max(1)) {
                    if let Some(shift) = shift {
                        row.iter_mut().zip(shift).for_each(|(x, shift)| *x -= shift);
                    }
                    if let Some(divisor) = divisor {
                        row.iter_mut().zip(divisor).for_each(|(x, divisor)| *x /= divisor);
                    }
                }
            }
            Self::Multiply { factor, term, clip } => {
                frame.expect(factor.len())?;
                for row in frame.values.chunks_exact_mut(width.max(1)) {
                    for ((x, factor), term) in row.iter_mut().zip(factor).zip(term) {
                        *x = *x * factor + term;
                        if let Some((low, high)) = clip {
                            *x = x.clamp(*low, *high);
                        }
                    }
                }
            }
        }
        frame.names = None;
        Ok(frame)
    }
}

/// A function of one number that NumPy knows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Identity,
    Known(fn(f64) -> f64),
}

impl Function {
    /// None is the identity; NumPy's functions go by their names.
    pub(super) fn read(node: Option<Ref<'_>>) -> Result<Self, Fault> {
        let Some(node) = node else {
            return Ok(Self::Identity);
        };
        let arguments = node.arguments();
        let name = match node.item() {
            Item::Name(_) if node.full_class().starts_with("numpy.") => node.class(),
            Item::Object(_) if node.class() == "_ufunc_reconstruct" => {
                arguments.get(1).map_or(Ok("nothing"), |name| name.text())?
            }
            _ => node.full_class(),
        };
        Ok(Self::Known(match name {
            "log1p" => f64::ln_1p,
            "expm1" => f64::exp_m1,
            "log" => f64::ln,
            "log2" => f64::log2,
            "log10" => f64::log10,
            "exp" => f64::exp,
            "exp2" => f64::exp2,
            "sqrt" => f64::sqrt,
            "cbrt" => f64::cbrt,
            "square" => |x| x * x,
            "abs" | "absolute" | "fabs" => f64::abs,
            "sin" => f64::sin,
            "cos" => f64::cos,
            "tanh" => f64::tanh,
            other => {
                return Err(Fault::Unsupported(format!(
                    "the model calls the function `{other}`, which the native engine does not execute"
                )));
            }
        }))
    }

    pub(super) fn of(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Known(function) => function(x),
        }
    }
}

impl Transform for Function {
    fn apply(&self, mut frame: Frame) -> Result<Frame, PredictError> {
        if let Self::Known(function) = self {
            frame.any_numbers()?;
            frame.values.iter_mut().for_each(|x| *x = function(*x));
        }
        Ok(frame)
    }

    fn takes_words(&self, _: usize) -> bool {
        false
    }
}

/// Steps without state of their own, or with little.
#[derive(Debug)]
pub(super) enum Simple {
    Normalise(Norm),
    Binarise(f64),
    /// Powers by column, and whether of Yeo and Johnson; then a scale.
    Power {
        lambdas: Vec<f64>,
        yeo_johnson: bool,
        scale: Option<Scale>,
    },
    /// By column: what is at least as great as how many of these.
    Bins {
        edges: Vec<Vec<f64>>,
        one_hot: bool,
    },
    /// A mapping to uniform shares.
    Quantiles {
        quantiles: Matrix,
        references: Vec<f64>,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Norm {
    L1,
    L2,
    Max,
}

impl Simple {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        Ok(match node.class() {
            "Normalizer" => Self::Normalise(match node.attr("norm")?.text()? {
                "l1" => Norm::L1,
                "l2" => Norm::L2,
                _ => Norm::Max,
            }),
            "Binarizer" => Self::Binarise(node.attr("threshold")?.float()?),
            "PowerTransformer" => Self::Power {
                lambdas: node.attr("lambdas_")?.floats()?,
                yeo_johnson: node.attr("method")?.text()? == "yeo-johnson",
                scale: match node.attr("standardize")?.boolean()? {
                    true => Some(Scale::read(node.attr("_scaler")?)?),
                    false => None,
                },
            },
            "KBinsDiscretizer" => {
                let edges: Result<Vec<Vec<f64>>, Fault> = node
                    .attr("bin_edges_")?
                    .list()?
                    .into_iter()
                    .map(|edges| {
                        let edges = edges.floats()?;
                        match edges.len() {
                            0 | 1 => Err("`bin_edges_` has too few edges".into()),
                            count => Ok(edges[1..count - 1].to_vec()),
                        }
                    })
                    .collect();
                Self::Bins {
                    edges: edges?,
                    one_hot: node.attr("encode")?.text()? != "ordinal",
                }
            }
            _ => {
                if node.attr("output_distribution")?.text()? != "uniform" {
                    return Err(Fault::Unsupported(
                        "the quantile transformer maps to a normal distribution".into(),
                    ));
                }
                let references = node.attr("references_")?.floats()?;
                let quantiles = Matrix::of(node.attr("quantiles_")?)?;
                if quantiles.rows != references.len() || references.is_empty() {
                    return Err("`quantiles_` does not fit `references_`".into());
                }
                Self::Quantiles {
                    quantiles,
                    references,
                }
            }
        })
    }
}

impl Transform for Simple {
    fn apply(&self, mut frame: Frame) -> Result<Frame, PredictError> {
        let width = frame.width;
        match self {
            Self::Normalise(norm) => {
                frame.numbers(false)?;
                for row in frame.values.chunks_exact_mut(width.max(1)) {
                    let length = match norm {
                        Norm::L1 => row.iter().map(|x| x.abs()).sum(),
                        Norm::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
                        Norm::Max => row.iter().fold(0.0f64, |max, x| max.max(x.abs())),
                    };
                    let length = if length == 0.0 { 1.0 } else { length };
                    row.iter_mut().for_each(|x| *x /= length);
                }
            }
            Self::Binarise(threshold) => {
                frame.numbers(false)?;
                frame
                    .values
                    .iter_mut()
                    .for_each(|x| *x = f64::from(u8::from(*threshold < *x)));
            }
            Self::Power {
                lambdas,
                yeo_johnson,
                scale,
            } => {
                frame.expect(lambdas.len())?;
                frame.numbers(true)?;
                for row in frame.values.chunks_exact_mut(width.max(1)) {
                    for (x, lambda) in row.iter_mut().zip(lambdas) {
                        *x = if *yeo_johnson {
                            yeo_johnson_of(*x, *lambda)
                        } else {
                            box_cox(*x, *lambda)
                        };
                    }
                }
                if let Some(scale) = scale {
                    return scale.apply(frame);
                }
            }
            Self::Bins { edges, one_hot } => return bins(frame, edges, *one_hot),
            Self::Quantiles {
                quantiles,
                references,
            } => {
                frame.expect(quantiles.columns)?;
                frame.numbers(true)?;
                for column in 0..width {
                    let known: Vec<f64> = (0..quantiles.rows)
                        .map(|row| quantiles.row(row)[column])
                        .collect();
                    for row in 0..frame.rows {
                        let x = &mut frame.values[row * width + column];
                        *x = share_of(*x, &known, references);
                    }
                }
            }
        }
        frame.names = None;
        Ok(frame)
    }
}

fn box_cox(x: f64, lambda: f64) -> f64 {
    match lambda == 0.0 {
        true => x.ln(),
        false => (lambda * x.ln()).exp_m1() / lambda,
    }
}

fn yeo_johnson_of(x: f64, lambda: f64) -> f64 {
    if x.is_nan() {
        x
    } else if 0.0 <= x {
        match lambda.abs() < f64::EPSILON {
            true => x.ln_1p(),
            false => (lambda * x.ln_1p()).exp_m1() / lambda,
        }
    } else {
        match (lambda - 2.0).abs() < f64::EPSILON {
            true => -(-x).ln_1p(),
            false => -((2.0 - lambda) * (-x).ln_1p()).exp_m1() / (2.0 - lambda),
        }
    }
}

fn bins(frame: Frame, edges: &[Vec<f64>], one_hot: bool) -> Result<Frame, PredictError> {
    frame.expect(edges.len())?;
    let rows = frame.numbers(false)?;
    let bin = |x: f64, edges: &Vec<f64>| edges.partition_point(|edge| *edge <= x);
    let widths: Vec<usize> = edges
        .iter()
        .map(|edges| if one_hot { edges.len() + 1 } else { 1 })
        .collect();
    let width: usize = widths.iter().sum();
    let mut values = vec![0.0; frame.rows * width];
    for (from, to) in rows
        .chunks_exact(frame.width.max(1))
        .zip(values.chunks_exact_mut(width.max(1)))
    {
        let mut start = 0;
        for ((x, edges), width) in from.iter().zip(edges).zip(&widths) {
            let bin = bin(*x, edges);
            match one_hot {
                true => to[start + bin] = 1.0,
                false => to[start] = bin as f64,
            }
            start += width;
        }
    }
    Ok(Frame::of_numbers(frame.rows, width, values))
}

/// The share of the training values under `x`: the mean of interpolating from both ends, for values that occur often.
fn share_of(x: f64, quantiles: &[f64], references: &[f64]) -> f64 {
    let (first, last) = (quantiles[0], quantiles[quantiles.len() - 1]);
    if x.is_nan() {
        return x;
    }
    if x == first {
        return 0.0;
    }
    if x == last {
        return 1.0;
    }
    let up = interpolate(x, quantiles, references);
    let turned: Vec<f64> = quantiles.iter().rev().map(|x| -x).collect();
    let references: Vec<f64> = references.iter().rev().map(|x| -x).collect();
    0.5 * (up - interpolate(-x, &turned, &references))
}

/// As `numpy.interp`.
pub(super) fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let above = xs.partition_point(|known| *known <= x);
    if above == 0 {
        return ys[0];
    }
    if above == xs.len() {
        return ys[ys.len() - 1];
    }
    let (x0, x1, y0, y1) = (xs[above - 1], xs[above], ys[above - 1], ys[above]);
    if x0 == x {
        return y0;
    }
    (y1 - y0) / (x1 - x0) * (x - x0) + y0
}
