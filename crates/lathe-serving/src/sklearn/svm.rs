//! Support vector machines, as libsvm answers.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{Matrix, dot, first_greatest, floats};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

#[derive(Debug)]
pub(super) struct Machine {
    vectors: Matrix,
    /// One row less than there are classes; one row for a regression.
    coefficients: Matrix,
    intercepts: Vec<f64>,
    kernel: Kernel,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Regression,
    /// 1 and -1.
    OneClass,
    Classes {
        classes: Classes,
        /// Where each class's vectors begin, and the end.
        bounds: Vec<usize>,
        /// Of each pair of classes, if probabilities were asked for.
        sigmoids: Vec<(f64, f64)>,
        /// Whether the decision has a column for each class instead of each pair.
        by_class: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum Kernel {
    Linear,
    Polynomial { gamma: f64, shift: f64, degree: i32 },
    Radial { gamma: f64 },
    Sigmoid { gamma: f64, shift: f64 },
}

impl Kernel {
    fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let gamma = node.attr("_gamma")?.float()?;
        let shift = node.attr("coef0")?.float()?;
        Ok(match node.attr("kernel")?.text() {
            Ok("linear") => Self::Linear,
            Ok("poly") => Self::Polynomial {
                gamma,
                shift,
                degree: i32::try_from(node.attr("degree")?.integer()?)
                    .map_err(|_| "`degree` is out of range")?,
            },
            Ok("rbf") => Self::Radial { gamma },
            Ok("sigmoid") => Self::Sigmoid { gamma, shift },
            _ => {
                return Err(Fault::Unsupported(
                    "the kernel is a function of its own or was computed beforehand".into(),
                ));
            }
        })
    }

    fn of(self, a: &[f64], b: &[f64]) -> f64 {
        match self {
            Self::Linear => dot(a, b),
            Self::Polynomial { gamma, shift, degree } => (gamma * dot(a, b) + shift).powi(degree),
            Self::Radial { gamma } => {
                let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
                (-gamma * square).exp()
            }
            Self::Sigmoid { gamma, shift } => (gamma * dot(a, b) + shift).tanh(),
        }
    }
}

impl Machine {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        if node
            .some("_sparse")
            .is_some_and(|flag| flag.boolean().unwrap_or(false))
        {
            return Err(Fault::Unsupported(
                "the support vector machine was fitted on a sparse matrix".into(),
            ));
        }
        let vectors = Matrix::of(node.attr("support_vectors_")?)?;
        let coefficients =
            Matrix::of(node.attr("_dual_coef_")?)?.expect_columns(vectors.rows, "_dual_coef_")?;
        let intercepts = node.attr("_intercept_")?.floats()?;
        let kind = match node.class() {
            "SVR" | "NuSVR" => Kind::Regression,
            "OneClassSVM" => Kind::OneClass,
            _ => classes(node, vectors.rows)?,
        };
        let (rows, pairs) = match &kind {
            Kind::Classes { classes, .. } => (classes.len() - 1, classes.len() * (classes.len() - 1) / 2),
            _ => (1, 1),
        };
        if coefficients.rows != rows || intercepts.len() != pairs {
            return Err("`_dual_coef_` and `_intercept_` do not fit the classes".into());
        }
        Ok(Self {
            vectors,
            coefficients,
            intercepts,
            kernel: Kernel::read(node)?,
            kind,
        })
    }

    /// One number a pair of classes, or one.
    fn decisions(&self, row: &[f64], kernel: &mut Vec<f64>, decisions: &mut Vec<f64>) {
        kernel.clear();
        kernel.extend((0..self.vectors.rows).map(|index| self.kernel.of(row, self.vectors.row(index))));
        decisions.clear();
        let Kind::Classes { classes, bounds, .. } = &self.kind else {
            decisions.push(dot(self.coefficients.row(0), kernel) + self.intercepts[0]);
            return;
        };
        for i in 0..classes.len() {
            for j in i + 1..classes.len() {
                let (of_i, of_j) = (bounds[i]..bounds[i + 1], bounds[j]..bounds[j + 1]);
                let sum = dot(&self.coefficients.row(j - 1)[of_i.clone()], &kernel[of_i])
                    + dot(&self.coefficients.row(i)[of_j.clone()], &kernel[of_j]);
                decisions.push(sum + self.intercepts[decisions.len()]);
            }
        }
    }
}

fn classes(node: Ref<'_>, vectors: usize) -> Result<Kind, Fault> {
    let classes = Classes::of(node)?;
    if node
        .some("break_ties")
        .is_some_and(|flag| flag.boolean().unwrap_or(false))
    {
        return Err(Fault::Unsupported(
            "the support vector machine breaks ties (`break_ties`)".into(),
        ));
    }
    let counts = node.attr("_n_support")?.indices()?;
    let mut bounds = vec![0usize];
    for count in &counts {
        bounds.push(bounds[bounds.len() - 1].saturating_add(*count));
    }
    if classes.len() < 2 || counts.len() != classes.len() || bounds[counts.len()] != vectors {
        return Err("`_n_support` does not fit the classes".into());
    }
    let pairs = classes.len() * (classes.len() - 1) / 2;
    let sigmoids = match (node.find("_probA"), node.find("_probB")) {
        (Some(a), Some(b)) if !a.floats()?.is_empty() => {
            let (a, b) = (floats(a, pairs, "_probA")?, floats(b, pairs, "_probB")?);
            a.into_iter().zip(b).collect()
        }
        _ => Vec::new(),
    };
    let by_class = node.attr("decision_function_shape")?.text()? == "ovr";
    Ok(Kind::Classes {
        classes,
        bounds,
        sigmoids,
        by_class,
    })
}

/// The class with the most votes of all pairs; the first of equals.
fn votes(decisions: &[f64], classes: usize) -> Vec<f64> {
    let mut votes = vec![0.0; classes];
    let mut pair = 0;
    for i in 0..classes {
        for j in i + 1..classes {
            votes[if 0.0 < decisions[pair] { i } else { j }] += 1.0;
            pair += 1;
        }
    }
    votes
}

/// scikit-learn's one column a class: votes, and confidences that only break ties.
fn by_class(decisions: &[f64], classes: usize) -> Vec<f64> {
    let mut sums = vec![0.0; classes];
    let mut votes = vec![0.0; classes];
    let mut pair = 0;
    for i in 0..classes {
        for j in i + 1..classes {
            sums[i] += decisions[pair];
            sums[j] -= decisions[pair];
            votes[if decisions[pair] < 0.0 { j } else { i }] += 1.0;
            pair += 1;
        }
    }
    votes
        .iter()
        .zip(sums)
        .map(|(votes, sum)| votes + sum / (3.0 * (sum.abs() + 1.0)))
        .collect()
}

/// Platt's sigmoid for each pair, then the coupling of Wu, Lin and Weng (2004), second method, as libsvm does.
fn probabilities(decisions: &[f64], sigmoids: &[(f64, f64)], classes: usize) -> Vec<f64> {
    const LEAST: f64 = 1e-7;
    let mut pairwise = vec![0.0; classes * classes];
    let mut pair = 0;
    for i in 0..classes {
        for j in i + 1..classes {
            let (a, b) = sigmoids[pair];
            let x = decisions[pair] * a + b;
            let share = if 0.0 <= x {
                (-x).exp() / (1.0 + (-x).exp())
            } else {
                1.0 / (1.0 + x.exp())
            };
            pairwise[i * classes + j] = share.clamp(LEAST, 1.0 - LEAST);
            pairwise[j * classes + i] = 1.0 - pairwise[i * classes + j];
            pair += 1;
        }
    }
    if classes == 2 {
        return vec![pairwise[1], pairwise[2]];
    }
    let mut q = vec![0.0; classes * classes];
    for t in 0..classes {
        for j in (0..classes).filter(|j| *j != t) {
            q[t * classes + t] += pairwise[j * classes + t] * pairwise[j * classes + t];
            q[t * classes + j] = -pairwise[j * classes + t] * pairwise[t * classes + j];
        }
    }
    let mut p = vec![1.0 / classes as f64; classes];
    let enough = 0.005 / classes as f64;
    for _ in 0..classes.max(100) {
        let mut qp: Vec<f64> = (0..classes)
            .map(|t| (0..classes).map(|j| q[t * classes + j] * p[j]).sum())
            .collect();
        let mut pqp: f64 = p.iter().zip(&qp).map(|(p, qp)| p * qp).sum();
        if qp.iter().all(|qp| (qp - pqp).abs() < enough) {
            break;
        }
        for t in 0..classes {
            let own = q[t * classes + t];
            let diff = (pqp - qp[t]) / own;
            p[t] += diff;
            pqp = (pqp + diff * (diff * own + 2.0 * qp[t])) / (1.0 + diff) / (1.0 + diff);
            for j in 0..classes {
                qp[j] = (qp[j] + diff * q[t * classes + j]) / (1.0 + diff);
                p[j] /= 1.0 + diff;
            }
        }
    }
    p
}

impl Estimate for Machine {
    fn shape(&self) -> Shape {
        match &self.kind {
            Kind::Regression => Shape::Numbers(None),
            Kind::OneClass => Shape::Longs,
            Kind::Classes { classes, .. } => Shape::Classes(classes.clone()),
        }
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        frame.expect(self.vectors.columns)?;
        let rows = frame.numbers(false)?;
        let (mut kernel, mut decisions) = (Vec::new(), Vec::new());
        let mut numbers = Vec::new();
        let mut found = Vec::new();
        let mut width = None;
        for row in rows.chunks_exact(self.vectors.columns) {
            self.decisions(row, &mut kernel, &mut decisions);
            let Kind::Classes {
                classes,
                sigmoids,
                by_class: one_each,
                ..
            } = &self.kind
            else {
                numbers.push(decisions[0]);
                continue;
            };
            match what {
                What::Predict => found.push(first_greatest(&votes(&decisions, classes.len()))),
                What::Probabilities => {
                    width = Some(classes.len());
                    numbers.extend(probabilities(&decisions, sigmoids, classes.len()));
                }
                // With two classes, scikit-learn turns the sign.
                What::Decision if classes.len() == 2 => numbers.push(-decisions[0]),
                What::Decision if *one_each => {
                    width = Some(classes.len());
                    numbers.extend(by_class(&decisions, classes.len()));
                }
                What::Decision => {
                    width = Some(decisions.len());
                    numbers.extend_from_slice(&decisions);
                }
            }
        }
        Ok(match (&self.kind, what) {
            (Kind::Classes { .. }, What::Predict) => Scores::Classes(found),
            (Kind::OneClass, What::Predict) => Scores::Longs(
                numbers
                    .into_iter()
                    .map(|x| if 0.0 < x { 1 } else { -1 })
                    .collect(),
            ),
            _ => Scores::Numbers {
                width,
                values: numbers,
            },
        })
    }

    fn can(&self, what: What) -> bool {
        match (what, &self.kind) {
            (What::Predict, _) => true,
            (What::Probabilities, Kind::Classes { sigmoids, .. }) => !sigmoids.is_empty(),
            (What::Probabilities, _) => false,
            (What::Decision, kind) => !matches!(kind, Kind::Regression),
        }
    }
}
