//! Naive Bayes.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{Matrix, dot, first_greatest, floats, normalise_logarithms};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

#[derive(Debug)]
pub(super) struct Bayes {
    classes: Classes,
    /// Of each class, as logarithms.
    priors: Vec<f64>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Gaussian {
        means: Matrix,
        variances: Matrix,
    },
    /// Multinomial and complement: weighted sums.
    Sums(Matrix),
    Bernoulli {
        binarize: Option<f64>,
        /// Of an event against its absence.
        weights: Matrix,
    },
    /// By input: a class's logarithms by category.
    Categorical(Vec<Matrix>),
}

impl Bayes {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let classes = Classes::of(node)?;
        let count = classes.len();
        let logarithms = || floats(node.attr("class_log_prior_")?, count, "class_log_prior_");
        let weights = || {
            let weights = Matrix::of(node.attr("feature_log_prob_")?)?;
            let columns = weights.columns;
            weights.expect(count, columns, "feature_log_prob_")
        };
        let (priors, kind) = match node.class() {
            "GaussianNB" => {
                let means = Matrix::of(node.attr("theta_")?)?;
                let columns = means.columns;
                let variances = node.find("var_").map_or_else(|| node.attr("sigma_"), Ok)?;
                let kind = Kind::Gaussian {
                    means: means.expect(count, columns, "theta_")?,
                    variances: Matrix::of(variances)?.expect(count, columns, "var_")?,
                };
                let priors = floats(node.attr("class_prior_")?, count, "class_prior_")?;
                (priors.into_iter().map(f64::ln).collect(), kind)
            }
            "MultinomialNB" => (logarithms()?, Kind::Sums(weights()?)),
            "ComplementNB" => {
                let priors = if count == 1 {
                    logarithms()?
                } else {
                    vec![0.0; count]
                };
                (priors, Kind::Sums(weights()?))
            }
            "BernoulliNB" => {
                let mut weights = weights()?;
                let mut priors = logarithms()?;
                let columns = weights.columns;
                for (row, prior) in weights.values.chunks_exact_mut(columns).zip(&mut priors) {
                    for weight in row {
                        let absent = (1.0 - weight.exp()).ln();
                        *weight -= absent;
                        *prior += absent;
                    }
                }
                let binarize = node.some("binarize").map(Ref::float).transpose()?;
                (priors, Kind::Bernoulli { binarize, weights })
            }
            _ => {
                let tables = node.attr("feature_log_prob_")?.list()?;
                let tables: Result<Vec<Matrix>, Fault> = tables
                    .into_iter()
                    .map(|table| {
                        let table = Matrix::of(table)?;
                        let columns = table.columns;
                        table.expect(count, columns, "feature_log_prob_")
                    })
                    .collect();
                (logarithms()?, Kind::Categorical(tables?))
            }
        };
        Ok(Self {
            classes,
            priors,
            kind,
        })
    }

    /// The logarithms of what each class has in common with each row.
    fn joint(&self, frame: &Frame) -> Result<Vec<f64>, PredictError> {
        frame.expect(match &self.kind {
            Kind::Gaussian { means, .. } => means.columns,
            Kind::Sums(weights) | Kind::Bernoulli { weights, .. } => weights.columns,
            Kind::Categorical(tables) => tables.len(),
        })?;
        let rows = frame.numbers(false)?;
        let mut joint = Vec::with_capacity(frame.rows * self.classes.len());
        let mut flags = vec![0.0; frame.width];
        for (index, row) in rows.chunks_exact(frame.width.max(1)).enumerate() {
            for (class, prior) in self.priors.iter().enumerate() {
                joint.push(match &self.kind {
                    Kind::Gaussian { means, variances } => {
                        let mut scale = 0.0;
                        let mut distance = 0.0;
                        for ((x, mean), variance) in
                            row.iter().zip(means.row(class)).zip(variances.row(class))
                        {
                            scale += (2.0 * std::f64::consts::PI * variance).ln();
                            distance += (x - mean) * (x - mean) / variance;
                        }
                        prior - 0.5 * scale - 0.5 * distance
                    }
                    Kind::Sums(weights) => dot(row, weights.row(class)) + prior,
                    Kind::Bernoulli { binarize, weights } => {
                        for (flag, x) in flags.iter_mut().zip(row) {
                            *flag = match binarize {
                                Some(threshold) => f64::from(u8::from(threshold < x)),
                                None => *x,
                            };
                        }
                        dot(&flags, weights.row(class)) + prior
                    }
                    Kind::Categorical(tables) => {
                        let mut sum = *prior;
                        for (column, (x, table)) in row.iter().zip(tables).enumerate() {
                            let category = (0.0..table.columns as f64).contains(x).then_some(*x as usize);
                            let category = category.ok_or_else(|| frame.unknown(column, index))?;
                            sum += table.row(class)[category];
                        }
                        sum
                    }
                });
            }
        }
        Ok(joint)
    }
}

impl Estimate for Bayes {
    fn shape(&self) -> Shape {
        Shape::Classes(self.classes.clone())
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let mut joint = self.joint(frame)?;
        let width = self.classes.len();
        Ok(match what {
            What::Predict => Scores::Classes(joint.chunks_exact(width).map(first_greatest).collect()),
            _ => {
                joint.chunks_exact_mut(width).for_each(normalise_logarithms);
                Scores::many(width, joint)
            }
        })
    }

    fn can(&self, what: What) -> bool {
        what != What::Decision
    }
}
