//! Estimators whose answer is a weighted sum of the inputs.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{Matrix, dot, first_greatest, floats, logistic, softmax};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

/// `x · coefficients + intercept`, for each output.
#[derive(Debug)]
pub(super) struct Sums {
    coefficients: Matrix,
    intercepts: Vec<f64>,
}

impl Sums {
    fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let coefficients = Matrix::of(node.attr("coef_")?)?;
        let intercepts = node.attr("intercept_")?.floats()?;
        let intercepts = match intercepts.as_slice() {
            [one] => vec![*one; coefficients.rows],
            _ => floats(node.attr("intercept_")?, coefficients.rows, "intercept_")?,
        };
        Ok(Self {
            coefficients,
            intercepts,
        })
    }

    fn width(&self) -> usize {
        self.coefficients.rows
    }

    fn apply(&self, frame: &Frame) -> Result<Vec<f64>, PredictError> {
        frame.expect(self.coefficients.columns)?;
        let rows = frame.numbers(false)?;
        let mut sums = Vec::with_capacity(frame.rows * self.width());
        for row in rows.chunks_exact(self.coefficients.columns) {
            for (output, intercept) in self.intercepts.iter().enumerate() {
                sums.push(dot(row, self.coefficients.row(output)) + intercept);
            }
        }
        Ok(sums)
    }
}

/// What is done to a regression's sum.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    Identity,
    Logarithm,
}

#[derive(Debug)]
pub(super) struct Regressor {
    sums: Sums,
    link: Link,
    width: Option<usize>,
}

impl Regressor {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let link = match node.class() {
            "PoissonRegressor" | "GammaRegressor" => Link::Logarithm,
            "TweedieRegressor" => match node.attr("link")?.text()? {
                "identity" => Link::Identity,
                "auto" if node.attr("power")?.float()? <= 0.0 => Link::Identity,
                _ => Link::Logarithm,
            },
            _ => Link::Identity,
        };
        let sums = Sums::read(node)?;
        let several =
            1 < sums.width() || node.attr("coef_")?.shape().len() == 2 && node.class() != "LinearSVR";
        let width = several.then_some(sums.width());
        Ok(Self { sums, link, width })
    }
}

impl Estimate for Regressor {
    fn shape(&self) -> Shape {
        Shape::Numbers(self.width)
    }

    fn scores(&self, frame: &Frame, _: What) -> Result<Scores, PredictError> {
        let mut values = self.sums.apply(frame)?;
        if let Link::Logarithm = self.link {
            values.iter_mut().for_each(|value| *value = value.exp());
        }
        Ok(Scores::Numbers {
            width: self.width,
            values,
        })
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict
    }
}

/// How a linear classifier makes probabilities.
#[derive(Debug, Clone, Copy)]
enum Probabilities {
    None,
    /// The logistic function of each sum, made to sum to 1.
    Logistic,
    Softmax,
    /// `(clip(sum, -1, 1) + 1) / 2`, of the modified Huber loss.
    Clipped,
}

#[derive(Debug)]
pub(super) struct Classifier {
    sums: Sums,
    classes: Classes,
    probabilities: Probabilities,
}

impl Classifier {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let classes = Classes::of(node)?;
        let sums = Sums::read(node)?;
        let expected = if classes.len() == 2 { 1 } else { classes.len() };
        if sums.width() != expected {
            return Err(Fault::Damaged(format!(
                "`coef_` has {} rows for {} classes",
                sums.width(),
                classes.len()
            )));
        }
        let option = |name: &str| {
            node.some(name)
                .and_then(|value| value.text().ok())
                .unwrap_or_default()
        };
        let one_versus_rest = option("multi_class") == "ovr" || option("solver") == "liblinear";
        let probabilities = match node.class() {
            "LogisticRegression" | "LogisticRegressionCV"
                if classes.len() == 2 && option("multi_class") == "multinomial" =>
            {
                return Err(Fault::Unsupported(
                    "the model is a multinomial logistic regression of two classes, as older versions made"
                        .into(),
                ));
            }
            "LogisticRegression" | "LogisticRegressionCV" if 2 < classes.len() && !one_versus_rest => {
                Probabilities::Softmax
            }
            "LogisticRegression" | "LogisticRegressionCV" => Probabilities::Logistic,
            "LinearDiscriminantAnalysis" if classes.len() == 2 => Probabilities::Logistic,
            "LinearDiscriminantAnalysis" => Probabilities::Softmax,
            "SGDClassifier" => match option("loss") {
                "log_loss" | "log" => Probabilities::Logistic,
                "modified_huber" => Probabilities::Clipped,
                _ => Probabilities::None,
            },
            _ => Probabilities::None,
        };
        Ok(Self {
            sums,
            classes,
            probabilities,
        })
    }

    fn probabilities(&self, sums: Vec<f64>) -> Vec<f64> {
        let binary = self.sums.width() == 1;
        let share = |x: f64| match self.probabilities {
            Probabilities::Clipped => (x.clamp(-1.0, 1.0) + 1.0) / 2.0,
            _ => logistic(x),
        };
        if binary {
            return sums.into_iter().map(share).flat_map(|p| [1.0 - p, p]).collect();
        }
        let mut values = sums;
        for row in values.chunks_exact_mut(self.classes.len()) {
            if let Probabilities::Softmax = self.probabilities {
                softmax(row);
                continue;
            }
            row.iter_mut().for_each(|x| *x = share(*x));
            let sum: f64 = row.iter().sum();
            match sum == 0.0 {
                true => row.fill(1.0 / self.classes.len() as f64),
                false => row.iter_mut().for_each(|x| *x /= sum),
            }
        }
        values
    }
}

impl Estimate for Classifier {
    fn shape(&self) -> Shape {
        Shape::Classes(self.classes.clone())
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let sums = self.sums.apply(frame)?;
        let width = self.sums.width();
        Ok(match what {
            What::Probabilities => Scores::many(self.classes.len(), self.probabilities(sums)),
            What::Decision if width == 1 => Scores::one(sums),
            What::Decision => Scores::many(width, sums),
            What::Predict if width == 1 => {
                Scores::Classes(sums.iter().map(|sum| usize::from(0.0 < *sum)).collect())
            }
            What::Predict => Scores::Classes(sums.chunks_exact(width).map(first_greatest).collect()),
        })
    }

    fn can(&self, what: What) -> bool {
        what != What::Probabilities || !matches!(self.probabilities, Probabilities::None)
    }
}
