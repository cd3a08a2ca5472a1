//! Support vector machines, coupled as libsvm does (<https://www.csie.ntu.edu.tw/~cjlin/papers/svmprob/svmprob.pdf>).

use super::scores::{Labels, Transform, logistic, second, winner};
use crate::onnx::kernel::{Kernel, one};
use crate::onnx::message::Node;
use crate::onnx::tensor::{Tensor, count};

#[derive(Debug, Clone, Copy)]
enum Shape {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

struct Machine {
    shape: Shape,
    gamma: f32,
    constant: f32,
    degree: f32,
    vectors: Vec<f32>,
    /// How many support vectors there are; none of a linear model.
    count: usize,
    /// Inputs a row.
    width: usize,
    coefficients: Vec<f32>,
    rho: Vec<f32>,
}

impl Machine {
    fn of(node: &Node, count: usize) -> Result<Self, String> {
        let shape = match node.text("kernel_type", "LINEAR") {
            "LINEAR" => Shape::Linear,
            "POLY" => Shape::Poly,
            "RBF" => Shape::Rbf,
            "SIGMOID" => Shape::Sigmoid,
            other => return Err(format!("its kernel is `{other}`")),
        };
        let parameter = |at: usize| node.floats("kernel_params").get(at).copied().unwrap_or(0.0);
        let (vectors, coefficients) = (
            node.floats("support_vectors").to_vec(),
            node.floats("coefficients").to_vec(),
        );
        let rho = node.floats("rho").to_vec();
        if rho.is_empty() {
            return Err("it has no rho".into());
        }
        let width = match count {
            0 => coefficients.len() / rho.len(),
            count if vectors.len() % count == 0 => vectors.len() / count,
            _ => 0,
        };
        if width == 0 {
            return Err(format!(
                "{} numbers are no {count} support vectors",
                vectors.len()
            ));
        }
        Ok(Self {
            shape,
            gamma: parameter(0),
            constant: parameter(1),
            degree: parameter(2),
            vectors,
            count,
            width,
            coefficients,
            rho,
        })
    }

    fn kernel(&self, row: &[f32], vector: &[f32]) -> f32 {
        let pairs = row.iter().zip(vector);
        match self.shape {
            Shape::Rbf => {
                let distance: f32 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
                (-self.gamma * distance).exp()
            }
            other => {
                let product: f32 = pairs.map(|(a, b)| a * b).sum();
                match other {
                    Shape::Poly => (self.gamma * product + self.constant).powf(self.degree),
                    Shape::Sigmoid => (self.gamma * product + self.constant).tanh(),
                    _ => product,
                }
            }
        }
    }

    fn kernels(&self, row: &[f32]) -> Vec<f32> {
        self.vectors
            .chunks_exact(self.width)
            .map(|vector| self.kernel(row, vector))
            .collect()
    }

    fn check(&self, x: &Tensor) -> Result<usize, String> {
        let (rows, width) = x.rows()?;
        match width == self.width {
            true => Ok(rows),
            false => Err(format!("it takes {} inputs, not {width}", self.width)),
        }
    }
}

pub(super) fn regressor(node: &Node) -> Result<Kernel, String> {
    let count = usize::try_from(node.number("n_supports", 0)).unwrap_or(0);
    let machine = Machine::of(node, count)?;
    let one_class = node.number("one_class", 0) != 0;
    let transform = Transform::of(node)?;
    let needed = if count == 0 { machine.width } else { count };
    if machine.coefficients.len() != needed {
        return Err(format!(
            "{} coefficients are given for {needed}",
            machine.coefficients.len()
        ));
    }
    Ok(Box::new(move |args| {
        let x = args.get(0)?;
        let rows = machine.check(x)?;
        let values = x.as_floats()?;
        let mut made = Vec::with_capacity(rows);
        for row in values.chunks_exact(machine.width) {
            let sum: f32 = match count {
                0 => machine.kernel(row, &machine.coefficients),
                _ => machine
                    .kernels(row)
                    .iter()
                    .zip(&machine.coefficients)
                    .map(|(kernel, weight)| kernel * weight)
                    .sum(),
            };
            let mut score = [sum + machine.rho[0]];
            if one_class {
                score[0] = if 0.0 < score[0] { 1.0 } else { -1.0 };
            } else {
                transform.apply(&mut score);
            }
            made.push(score[0]);
        }
        one(Tensor::floats(vec![rows, 1], made)?)
    }))
}

struct Classifier {
    machine: Machine,
    labels: Labels,
    transform: Transform,
    /// Where each class's support vectors begin, and where the last ends.
    starts: Vec<usize>,
    proba: Vec<f32>,
    probb: Vec<f32>,
    positive: bool,
}

pub(super) fn classifier(node: &Node) -> Result<Kernel, String> {
    let labels = Labels::of(node, "classlabels_strings", "classlabels_ints");
    let mut starts = vec![0usize];
    for count in node.numbers("vectors_per_class") {
        let last = starts.last().copied().unwrap_or(0);
        let count = usize::try_from(*count).map_err(|_| "a class has a negative number of vectors")?;
        starts.push(last.checked_add(count).ok_or("it has too many vectors")?);
    }
    let vectors = starts.last().copied().unwrap_or(0);
    let mut machine = Machine::of(node, vectors)?;
    let classes = labels.len();
    if classes < 2 {
        return Err(format!("it has {classes} labels"));
    }
    if vectors == 0 {
        machine.width = machine.coefficients.len() / classes;
        if machine.width * classes != machine.coefficients.len() {
            return Err(format!(
                "{} coefficients are given for {classes} classes",
                machine.coefficients.len()
            ));
        }
    } else if starts.len() != classes + 1
        || machine.coefficients.len() != (classes - 1).checked_mul(vectors).unwrap_or(0)
        || machine.rho.len() != classes * (classes - 1) / 2
    {
        return Err(format!(
            "its lists do not fit {classes} classes and {vectors} vectors"
        ));
    }
    let (proba, probb) = (node.floats("prob_a").to_vec(), node.floats("prob_b").to_vec());
    if proba.len() != probb.len() || !proba.is_empty() && proba.len() != machine.rho.len() {
        return Err("its probabilities do not fit its classes".into());
    }
    let positive = machine.coefficients.iter().all(|weight| 0.0 <= *weight);
    let classifier = Classifier {
        machine,
        labels,
        transform: Transform::of(node)?,
        starts,
        proba,
        probb,
        positive,
    };
    Ok(Box::new(move |args| classifier.run(args.get(0)?)))
}

impl Classifier {
    fn run(&self, x: &Tensor) -> Result<Vec<Tensor>, String> {
        let rows = self.machine.check(x)?;
        let values = x.as_floats()?;
        let mut chosen = Vec::with_capacity(rows);
        let mut made = Vec::new();
        for row in values.chunks_exact(self.machine.width) {
            let (class, scores) = self.row(row);
            chosen.push(class);
            made.extend(scores);
            count(&[made.len()])?;
        }
        let width = made.len() / rows.max(1);
        Ok(vec![
            self.labels.of_rows(&chosen)?,
            Tensor::floats(vec![rows, width], made)?,
        ])
    }

    fn row(&self, row: &[f32]) -> (usize, Vec<f32>) {
        let classes = self.labels.len();
        if self.machine.count == 0 {
            let weights = self.machine.coefficients.chunks_exact(self.machine.width);
            let mut scores: Vec<f32> = weights
                .map(|weights| self.machine.kernel(row, weights) + self.machine.rho[0])
                .collect();
            let class = winner(&scores);
            self.transform.apply(&mut scores);
            return (class, scores);
        }
        let (mut scores, votes) = self.pairs(row);
        let mut best = 0;
        for (class, count) in votes.iter().enumerate() {
            if votes[best] < *count {
                best = class;
            }
        }
        if !self.proba.is_empty() {
            return (best, self.probabilities(&scores));
        }
        if classes == 2 {
            return (best, second(scores[0], self.transform, self.positive).to_vec());
        }
        self.transform.apply(&mut scores);
        (best, scores)
    }

    /// A decision for each pair of classes, and each class's votes.
    fn pairs(&self, row: &[f32]) -> (Vec<f32>, Vec<u32>) {
        let (classes, vectors) = (self.labels.len(), self.machine.count);
        let kernels = self.machine.kernels(row);
        let mut votes = vec![0; classes];
        let mut scores = Vec::with_capacity(self.machine.rho.len());
        let part = |weights: usize, class: usize| -> f32 {
            let range = self.starts[class]..self.starts[class + 1];
            let weights = &self.machine.coefficients[weights * vectors..(weights + 1) * vectors];
            weights[range.clone()]
                .iter()
                .zip(&kernels[range])
                .map(|(weight, kernel)| weight * kernel)
                .sum()
        };
        for i in 0..classes {
            for j in i + 1..classes {
                let score = part(j - 1, i) + part(i, j) + self.machine.rho[scores.len()];
                votes[if 0.0 < score { i } else { j }] += 1;
                scores.push(score);
            }
        }
        (scores, votes)
    }

    fn probabilities(&self, scores: &[f32]) -> Vec<f32> {
        let classes = self.labels.len();
        let mut pairs = vec![0f32; classes * classes];
        let mut at = 0;
        for i in 0..classes {
            for j in i + 1..classes {
                let value = 1.0 - logistic(scores[at] * self.proba[at] + self.probb[at]);
                let value = value.clamp(1e-7, 1.0 - 1e-7);
                pairs[i * classes + j] = value;
                pairs[j * classes + i] = 1.0 - value;
                at += 1;
            }
        }
        couple(&pairs, classes)
    }
}

/// The classes' probabilities out of those of each pair.
fn couple(pairs: &[f32], n: usize) -> Vec<f32> {
    let mut q = vec![0f32; n * n];
    for i in 0..n {
        for j in (0..n).filter(|j| *j != i) {
            q[i * n + i] += pairs[j * n + i] * pairs[j * n + i];
            q[i * n + j] = if j < i {
                q[j * n + i]
            } else {
                -pairs[j * n + i] * pairs[i * n + j]
            };
        }
    }
    let mut p = vec![1.0 / n as f32; n];
    let limit = 0.005 / n as f32;
    for _ in 0..100 {
        let mut qp: Vec<f32> = (0..n)
            .map(|i| (0..n).map(|j| q[i * n + j] * p[j]).sum())
            .collect();
        let mut pqp: f32 = p.iter().zip(&qp).map(|(p, qp)| p * qp).sum();
        if qp.iter().map(|qp| (qp - pqp).abs()).fold(0.0, f32::max) < limit {
            break;
        }
        for i in 0..n {
            let change = (pqp - qp[i]) / q[i * n + i];
            p[i] += change;
            pqp = (pqp + change * (change * q[i * n + i] + 2.0 * qp[i])) / (1.0 + change) / (1.0 + change);
            for j in 0..n {
                qp[j] = (qp[j] + change * q[i * n + j]) / (1.0 + change);
                p[j] /= 1.0 + change;
            }
        }
    }
    p
}
