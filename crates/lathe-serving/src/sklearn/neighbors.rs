//! Nearest neighbours and nearest centres.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{Matrix, first_greatest};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

#[derive(Debug)]
pub(super) struct Neighbours {
    rows: Matrix,
    count: usize,
    metric: Metric,
    by_distance: bool,
    targets: Targets,
}

#[derive(Debug, Clone, Copy)]
enum Metric {
    Euclidean,
    Manhattan,
    Chebyshev,
    Minkowski(f64),
}

#[derive(Debug)]
enum Targets {
    Classes { classes: Classes, of_row: Vec<usize> },
    Numbers { values: Matrix, width: Option<usize> },
}

impl Metric {
    fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let metric = node
            .find("effective_metric_")
            .map_or_else(|| node.attr("metric"), Ok)?
            .text()?;
        let parameters = node.find("effective_metric_params_");
        let p = parameters
            .and_then(|parameters| parameters.some("p"))
            .map(Ref::float)
            .transpose()?;
        if parameters.is_some_and(|parameters| parameters.some("w").is_some()) {
            return Err(Fault::Unsupported("the neighbours' distance has weights".into()));
        }
        Ok(match (metric, p) {
            ("euclidean" | "l2", _) => Self::Euclidean,
            ("manhattan" | "l1" | "cityblock", _) => Self::Manhattan,
            ("chebyshev" | "infinity", _) => Self::Chebyshev,
            ("minkowski", Some(p)) => Self::Minkowski(p),
            ("minkowski", None) => Self::Euclidean,
            (other, _) => {
                return Err(Fault::Unsupported(format!(
                    "the native engine does not know the distance `{other}`"
                )));
            }
        })
    }

    /// A number that grows with the distance.
    fn rank(self, a: &[f64], b: &[f64]) -> f64 {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        match self {
            Self::Euclidean => differences.map(|d| d * d).sum(),
            Self::Manhattan => differences.sum(),
            Self::Chebyshev => differences.fold(0.0, f64::max),
            Self::Minkowski(p) => differences.map(|d| d.powf(p)).sum(),
        }
    }

    fn distance(self, rank: f64) -> f64 {
        match self {
            Self::Euclidean => rank.sqrt(),
            Self::Minkowski(p) => rank.powf(1.0 / p),
            _ => rank,
        }
    }
}

impl Neighbours {
    pub(super) fn read(node: Ref<'_>, classifier: bool) -> Result<Self, Fault> {
        let rows = Matrix::of(node.attr("_fit_X")?)?;
        let targets = node.attr("_y")?;
        let targets = if classifier {
            let classes = Classes::of(node)?;
            let of_row = targets.indices()?;
            if of_row.len() != rows.rows || of_row.iter().any(|class| classes.len() <= *class) {
                return Err("the neighbours' classes do not fit them".into());
            }
            Targets::Classes { classes, of_row }
        } else {
            let width = match targets.shape().as_slice() {
                [_, width] => Some(*width),
                _ => None,
            };
            let values = targets.floats()?;
            let columns = width.unwrap_or(1);
            if rows.rows.checked_mul(columns) != Some(values.len()) || columns == 0 {
                return Err("the neighbours' values do not fit them".into());
            }
            Targets::Numbers {
                values: Matrix {
                    rows: rows.rows,
                    columns,
                    values,
                },
                width,
            }
        };
        let by_distance = match node.attr("weights")?.text() {
            Ok("uniform") => false,
            Ok("distance") => true,
            _ => {
                return Err(Fault::Unsupported(
                    "the neighbours' weights are a function".into(),
                ));
            }
        };
        let count = node.attr("n_neighbors")?.usize()?;
        if count == 0 || rows.rows < count {
            return Err(Fault::Damaged(format!(
                "{count} neighbours are asked of {} rows",
                rows.rows
            )));
        }
        Ok(Self {
            rows,
            count,
            metric: Metric::read(node)?,
            by_distance,
            targets,
        })
    }

    /// The nearest rows with their weights.
    fn nearest(&self, row: &[f64], found: &mut Vec<(f64, usize)>) {
        found.clear();
        found.extend((0..self.rows.rows).map(|index| (self.metric.rank(row, self.rows.row(index)), index)));
        let by_rank = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        found.select_nth_unstable_by(self.count - 1, by_rank);
        found.truncate(self.count);
        found.sort_unstable_by(by_rank);
        if !self.by_distance {
            found.iter_mut().for_each(|(weight, _)| *weight = 1.0);
            return;
        }
        let touches = found.iter().any(|(rank, _)| *rank == 0.0);
        for (rank, _) in found.iter_mut() {
            *rank = match touches {
                true => f64::from(u8::from(*rank == 0.0)),
                false => 1.0 / self.metric.distance(*rank),
            };
        }
    }
}

impl Estimate for Neighbours {
    fn shape(&self) -> Shape {
        match &self.targets {
            Targets::Classes { classes, .. } => Shape::Classes(classes.clone()),
            Targets::Numbers { width, .. } => Shape::Numbers(*width),
        }
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        frame.expect(self.rows.columns)?;
        let rows = frame.numbers(false)?.chunks_exact(self.rows.columns);
        let mut found = Vec::with_capacity(self.rows.rows);
        match &self.targets {
            Targets::Classes { classes, of_row } => {
                let mut shares = Vec::with_capacity(frame.rows * classes.len());
                for row in rows {
                    self.nearest(row, &mut found);
                    let start = shares.len();
                    shares.resize(start + classes.len(), 0.0);
                    found
                        .iter()
                        .for_each(|(weight, index)| shares[start + of_row[*index]] += weight);
                    let sum: f64 = shares[start..].iter().sum();
                    shares[start..]
                        .iter_mut()
                        .for_each(|share| *share /= if sum == 0.0 { 1.0 } else { sum });
                }
                Ok(match what {
                    What::Predict => {
                        Scores::Classes(shares.chunks_exact(classes.len()).map(first_greatest).collect())
                    }
                    _ => Scores::many(classes.len(), shares),
                })
            }
            Targets::Numbers { values, width } => {
                let mut means = Vec::with_capacity(frame.rows * values.columns);
                for row in rows {
                    self.nearest(row, &mut found);
                    let weights: f64 = found.iter().map(|(weight, _)| weight).sum();
                    for column in 0..values.columns {
                        let sum: f64 = found
                            .iter()
                            .map(|(weight, index)| weight * values.row(*index)[column])
                            .sum();
                        means.push(sum / weights);
                    }
                }
                Ok(Scores::Numbers {
                    width: *width,
                    values: means,
                })
            }
        }
    }

    fn can(&self, what: What) -> bool {
        match what {
            What::Predict => true,
            What::Probabilities => matches!(self.targets, Targets::Classes { .. }),
            What::Decision => false,
        }
    }
}

/// K-means: the nearest centre.
#[derive(Debug)]
pub(super) struct Centres(Matrix);

impl Centres {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        Matrix::of(node.attr("cluster_centers_")?).map(Self)
    }
}

impl Estimate for Centres {
    fn shape(&self) -> Shape {
        Shape::Integers
    }

    fn scores(&self, frame: &Frame, _: What) -> Result<Scores, PredictError> {
        frame.expect(self.0.columns)?;
        let nearest = frame.numbers(false)?.chunks_exact(self.0.columns).map(|row| {
            let mut best = (f64::INFINITY, 0);
            for centre in 0..self.0.rows {
                let distance = Metric::Euclidean.rank(row, self.0.row(centre));
                if distance < best.0 {
                    best = (distance, centre);
                }
            }
            best.1 as i32
        });
        Ok(Scores::Integers(nearest.collect()))
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict
    }
}
