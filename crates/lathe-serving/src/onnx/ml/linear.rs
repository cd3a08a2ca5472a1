use super::scores::{Labels, Transform, second, winner};
use crate::onnx::kernel::{Kernel, one};
use crate::onnx::message::Node;
use crate::onnx::tensor::{Tensor, count};

/// Weights by target, and what each starts from.
struct Weights {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    targets: usize,
    inputs: usize,
}

impl Weights {
    fn of(node: &Node, targets: usize) -> Result<Self, String> {
        let (coefficients, intercepts) = (
            node.floats("coefficients").to_vec(),
            node.floats("intercepts").to_vec(),
        );
        if targets == 0 || coefficients.is_empty() || coefficients.len() % targets != 0 {
            return Err(format!(
                "{} weights are none for {targets} targets",
                coefficients.len()
            ));
        }
        if !intercepts.is_empty() && intercepts.len() != targets {
            return Err(format!(
                "{} intercepts are given for {targets} targets",
                intercepts.len()
            ));
        }
        Ok(Self {
            inputs: coefficients.len() / targets,
            coefficients,
            intercepts,
            targets,
        })
    }

    /// `targets` scores a row.
    fn scores(&self, x: &Tensor) -> Result<(usize, Vec<f32>), String> {
        let (rows, width) = x.rows()?;
        if width != self.inputs {
            return Err(format!("it takes {} inputs, not {width}", self.inputs));
        }
        let values = x.as_floats()?;
        let mut scores = Vec::with_capacity(count(&[rows, self.targets])?);
        for row in values.chunks_exact(width) {
            for (target, weights) in self.coefficients.chunks_exact(width).enumerate() {
                let sum: f32 = row
                    .iter()
                    .zip(weights)
                    .map(|(value, weight)| value * weight)
                    .sum();
                scores.push(sum + self.intercepts.get(target).copied().unwrap_or(0.0));
            }
        }
        Ok((rows, scores))
    }
}

pub(super) fn regressor(node: &Node) -> Result<Kernel, String> {
    let targets = usize::try_from(node.number("targets", 1)).unwrap_or(0);
    let weights = Weights::of(node, targets)?;
    let transform = Transform::of(node)?;
    Ok(Box::new(move |args| {
        let (rows, mut scores) = weights.scores(args.get(0)?)?;
        scores
            .chunks_exact_mut(targets)
            .for_each(|row| transform.apply(row));
        one(Tensor::floats(vec![rows, targets], scores)?)
    }))
}

pub(super) fn classifier(node: &Node) -> Result<Kernel, String> {
    let labels = Labels::of(node, "classlabels_strings", "classlabels_ints");
    let targets = match node.floats("intercepts").len() {
        0 => labels.len(),
        intercepts => intercepts,
    };
    let weights = Weights::of(node, targets)?;
    let transform = Transform::of(node)?;
    let two_of_one = targets == 1 && labels.len() == 2;
    if targets != labels.len() && !two_of_one {
        return Err(format!("it has {} labels for {targets} classes", labels.len()));
    }
    Ok(Box::new(move |args| {
        let (rows, mut scores) = weights.scores(args.get(0)?)?;
        let classes: Vec<usize> = match two_of_one {
            true => scores.iter().map(|score| usize::from(0.0 < *score)).collect(),
            false => scores.chunks_exact(targets).map(winner).collect(),
        };
        let width = if two_of_one { 2 } else { targets };
        if two_of_one {
            scores = scores
                .into_iter()
                .flat_map(|score| second(score, transform, transform != Transform::Logistic))
                .collect();
        } else {
            scores
                .chunks_exact_mut(targets)
                .for_each(|row| transform.apply(row));
        }
        Ok(vec![
            labels.of_rows(&classes)?,
            Tensor::floats(vec![rows, width], scores)?,
        ])
    }))
}
