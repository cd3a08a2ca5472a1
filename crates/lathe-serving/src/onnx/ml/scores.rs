//! What becomes of scores: probabilities, and the class that wins.

use std::sync::Arc;

use crate::onnx::message::Node;
use crate::onnx::tensor::{Data, Tensor};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::onnx) enum Transform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(in crate::onnx) fn of(node: &Node) -> Result<Self, String> {
        Ok(match node.text("post_transform", "NONE") {
            "NONE" => Self::None,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX" => Self::Softmax,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            other => return Err(format!("its post_transform is `{other}`")),
        })
    }

    /// By the number that `TreeEnsemble` gives it.
    pub(in crate::onnx) fn of_number(number: i64) -> Result<Self, String> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Softmax,
            2 => Self::Logistic,
            3 => Self::SoftmaxZero,
            4 => Self::Probit,
            other => return Err(format!("its post_transform is {other}")),
        })
    }

    /// Changes the scores of one row.
    pub(in crate::onnx) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
            Self::Softmax => softmax(scores),
            Self::SoftmaxZero => softmax_zero(scores),
        }
    }
}

/// As onnxruntime computes it, so that the last bit agrees.
pub(in crate::onnx) fn logistic(x: f32) -> f32 {
    let value = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - value } else { value }
}

/// Winitzki's approximation of the inverse error function, with onnxruntime's constants.
fn probit(x: f32) -> f32 {
    let x = 2.0 * x - 1.0;
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    #[expect(clippy::approx_constant, reason = "onnxruntime's own constant")]
    let half = 2.0 / (3.14159 * 0.147) + 0.5 * log;
    let other = 1.0 / 0.147 * log;
    std::f32::consts::SQRT_2 * sign * (-half + (half * half - other).sqrt()).sqrt()
}

fn softmax(scores: &mut [f32]) {
    let most = scores
        .iter()
        .copied()
        .fold(f32::MIN, |most, score| if most < score { score } else { most });
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - most).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

fn softmax_zero(scores: &mut [f32]) {
    let most = scores
        .iter()
        .copied()
        .fold(f32::MIN, |most, score| if most < score { score } else { most });
    let of_zero = (-most).exp();
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if 1e-7 < score.abs() {
            *score = (*score - most).exp();
            sum += *score;
        } else {
            *score *= of_zero;
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Two scores made of one, by which class won and whether all weights are positive.
pub(in crate::onnx) fn second(score: f32, transform: Transform, positive_weights: bool) -> [f32; 2] {
    match (transform, positive_weights) {
        (Transform::Logistic, _) => [logistic(-score), logistic(score)],
        (_, true) => [1.0 - score, score],
        (_, false) => [-score, score],
    }
}

/// The classes: words or numbers.
#[derive(Debug, Clone)]
pub(in crate::onnx) enum Labels {
    Words(Vec<Arc<str>>),
    Numbers(Vec<i64>),
}

impl Labels {
    pub(in crate::onnx) fn of(node: &Node, words: &str, numbers: &str) -> Self {
        let found = node.texts(words);
        match found.is_empty() {
            true => Self::Numbers(node.numbers(numbers).to_vec()),
            false => Self::Words(found),
        }
    }

    pub(in crate::onnx) fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// The labels of these classes, by their place.
    pub(in crate::onnx) fn of_rows(&self, classes: &[usize]) -> Result<Tensor, String> {
        let data = match self {
            Self::Words(words) => Data::Text(words.clone()),
            Self::Numbers(numbers) => Data::Long(numbers.clone()),
        };
        if classes.iter().any(|class| data.len() <= *class) {
            return Err(format!("it has {} labels, and chose another class", data.len()));
        }
        Tensor::new(vec![classes.len()], data.pick(classes))
    }
}

/// The first of the greatest; one that has no score (-0) only where none has.
pub(in crate::onnx) fn winner(scores: &[f32]) -> usize {
    let mut best = None;
    for (at, score) in scores.iter().enumerate() {
        if has_score(*score) && best.is_none_or(|best: usize| scores[best] < *score) {
            best = Some(at);
        }
    }
    best.unwrap_or(0)
}

/// Sums of weights begin at -0, which no sum of weights comes back to: what is still -0 was never added to.
pub(in crate::onnx) fn has_score(score: f32) -> bool {
    score != 0.0 || score.is_sign_positive()
}
