//! Multi-layer perceptrons.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{Matrix, first_greatest, floats, logistic, softmax};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

#[derive(Debug)]
pub(super) struct Perceptron {
    /// Inputs by outputs.
    layers: Vec<(Matrix, Vec<f64>)>,
    hidden: Activation,
    last: Activation,
    classes: Option<Classes>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Activation {
    Identity,
    Logistic,
    Tanh,
    Relu,
    Softmax,
    Exponential,
}

impl Activation {
    fn parse(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "identity" => Self::Identity,
            "logistic" => Self::Logistic,
            "tanh" => Self::Tanh,
            "relu" => Self::Relu,
            "softmax" => Self::Softmax,
            "exponential" => Self::Exponential,
            other => {
                return Err(Fault::Unsupported(format!(
                    "the native engine does not know the activation `{other}`"
                )));
            }
        })
    }

    fn apply(self, row: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Logistic => row.iter_mut().for_each(|x| *x = logistic(*x)),
            Self::Tanh => row.iter_mut().for_each(|x| *x = x.tanh()),
            Self::Relu => row.iter_mut().for_each(|x| *x = x.max(0.0)),
            Self::Softmax => softmax(row),
            Self::Exponential => row.iter_mut().for_each(|x| *x = x.exp()),
        }
    }
}

impl Perceptron {
    pub(super) fn read(node: Ref<'_>, classifier: bool) -> Result<Self, Fault> {
        let weights = node.attr("coefs_")?.list()?;
        let biases = node.attr("intercepts_")?.list()?;
        if weights.is_empty() || weights.len() != biases.len() {
            return Err("the network's layers have no weights".into());
        }
        let mut layers: Vec<(Matrix, Vec<f64>)> = Vec::new();
        for (weights, bias) in weights.into_iter().zip(biases) {
            let matrix = Matrix::of(weights)?;
            if layers
                .last()
                .is_some_and(|(before, _)| before.columns != matrix.rows)
            {
                return Err("two layers of the network do not fit each other".into());
            }
            let bias = floats(bias, matrix.columns, "intercepts_")?;
            layers.push((matrix, bias));
        }
        let classes = classifier.then(|| Classes::of(node)).transpose()?;
        let outputs = layers.last().map_or(0, |(matrix, _)| matrix.columns);
        let expected = match &classes {
            Some(classes) if classes.len() == 2 => 1,
            Some(classes) => classes.len(),
            None => outputs,
        };
        if outputs != expected {
            return Err(Fault::Unsupported(
                "the network tells several labels at once".into(),
            ));
        }
        Ok(Self {
            layers,
            hidden: Activation::parse(node.attr("activation")?.text()?)?,
            last: Activation::parse(node.attr("out_activation_")?.text()?)?,
            classes,
        })
    }

    fn width(&self) -> usize {
        self.layers.last().map_or(0, |(matrix, _)| matrix.columns)
    }

    fn forward(&self, frame: &Frame) -> Result<Vec<f64>, PredictError> {
        frame.expect(self.layers[0].0.rows)?;
        let mut values = frame.numbers(false)?.to_vec();
        for (index, (weights, bias)) in self.layers.iter().enumerate() {
            let activation = if index + 1 == self.layers.len() {
                self.last
            } else {
                self.hidden
            };
            let mut next = Vec::with_capacity(frame.rows * weights.columns);
            for row in values.chunks_exact(weights.rows.max(1)) {
                let start = next.len();
                next.extend_from_slice(bias);
                let sums = &mut next[start..];
                for (x, weights) in row.iter().zip(weights.values.chunks_exact(weights.columns)) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += x * weight;
                    }
                }
                activation.apply(sums);
            }
            values = next;
        }
        Ok(values)
    }
}

impl Estimate for Perceptron {
    fn shape(&self) -> Shape {
        match &self.classes {
            Some(classes) => Shape::Classes(classes.clone()),
            None => Shape::Numbers((1 < self.width()).then_some(self.width())),
        }
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let values = self.forward(frame)?;
        let width = self.width();
        Ok(match (&self.classes, what) {
            (None, _) => Scores::Numbers {
                width: (1 < width).then_some(width),
                values,
            },
            (Some(_), What::Predict) if width == 1 => {
                Scores::Classes(values.into_iter().map(|p| usize::from(0.5 < p)).collect())
            }
            (Some(_), What::Predict) => {
                Scores::Classes(values.chunks_exact(width).map(first_greatest).collect())
            }
            (Some(_), _) if width == 1 => {
                Scores::many(2, values.into_iter().flat_map(|p| [1.0 - p, p]).collect())
            }
            (Some(_), _) => Scores::many(width, values),
        })
    }

    fn can(&self, what: What) -> bool {
        match what {
            What::Predict => true,
            What::Probabilities => self.classes.is_some(),
            What::Decision => false,
        }
    }
}
