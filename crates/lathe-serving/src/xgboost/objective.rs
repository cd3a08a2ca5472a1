use super::first_greatest;
use crate::error::Fault;

/// What becomes of the sums, and what the start was told in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Objective {
    Identity,
    /// Identity at the end, and a start that is told as a probability.
    LogitRaw,
    Logistic,
    Exponential,
    /// 0 or 1.
    Hinge,
    Softmax,
    Softprob,
}

impl Objective {
    pub(super) fn parse(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map" => Self::Identity,
            "binary:logitraw" => Self::LogitRaw,
            "binary:logistic" | "reg:logistic" => Self::Logistic,
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                Self::Exponential
            }
            "binary:hinge" => Self::Hinge,
            "multi:softmax" => Self::Softmax,
            "multi:softprob" => Self::Softprob,
            other => {
                return Err(Fault::Unsupported(format!(
                    "the native engine does not know XGBoost's objective `{other}`"
                )));
            }
        })
    }

    /// The start as it is added.
    pub(super) fn margin(self, base: f32, major: u32) -> Result<f32, Fault> {
        match self {
            // Since version 3 it is told as it is added.
            Self::LogitRaw if 3 <= major => Ok(base),
            Self::Logistic | Self::LogitRaw if 0.0 < base && base < 1.0 => Ok(-(1.0 / base - 1.0).ln()),
            Self::Logistic | Self::LogitRaw => {
                Err(Fault::Damaged(format!("the base score {base} is no probability")))
            }
            Self::Exponential => Ok(base.ln()),
            _ => Ok(base),
        }
    }

    /// Numbers a row once converted.
    pub(super) fn width(self, groups: usize) -> usize {
        match self {
            Self::Softmax => 1,
            _ => groups,
        }
    }

    /// Whether the answers are classes already.
    pub(super) fn answers_classes(self) -> bool {
        self == Self::Softmax
    }

    /// Makes sums answers: `(width, values)`.
    pub(super) fn convert(self, mut sums: Vec<f32>, groups: usize) -> (usize, Vec<f32>) {
        match self {
            Self::Identity | Self::LogitRaw => {}
            // XGBoost's own sigmoid: an exponent of at most 88.7, and 1e-16 in the denominator, which f32 rounds away.
            Self::Logistic => sums
                .iter_mut()
                .for_each(|x| *x = 1.0 / ((-*x).min(88.7).exp() + 1.0 + 1e-16)),
            Self::Exponential => sums.iter_mut().for_each(|x| *x = x.exp()),
            Self::Hinge => sums.iter_mut().for_each(|x| *x = f32::from(u8::from(0.0 < *x))),
            Self::Softmax => {
                let classes = sums.chunks_exact(groups).map(|row| first_greatest(row) as f32);
                return (1, classes.collect());
            }
            Self::Softprob => sums.chunks_exact_mut(groups).for_each(softmax),
        }
        (groups, sums)
    }
}

/// As XGBoost computes it: exponents in f32, their sum in f64.
fn softmax(row: &mut [f32]) {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0f64;
    for x in row.iter_mut() {
        *x = (*x - greatest).exp();
        sum += f64::from(*x);
    }
    row.iter_mut().for_each(|x| *x /= sum as f32);
}
