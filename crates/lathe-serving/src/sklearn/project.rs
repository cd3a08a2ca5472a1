//! Steps that make other columns of all columns, or choose among them.

use super::Transform;
use super::frame::Frame;
use super::matrix::{Matrix, dot, floats};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

/// `PCA`, `TruncatedSVD`: `(x - mean) · components`, maybe divided.
#[derive(Debug)]
pub(super) struct Components {
    mean: Option<Vec<f64>>,
    components: Matrix,
    divisors: Option<Vec<f64>>,
}

impl Components {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let components = Matrix::of(node.attr("components_")?)?;
        let mean = match node.some("mean_") {
            None => None,
            Some(mean) => Some(floats(mean, components.columns, "mean_")?),
        };
        let whitens = node
            .some("whiten")
            .is_some_and(|flag| flag.boolean().unwrap_or(false));
        let divisors = match whitens {
            false => None,
            true => {
                let variances = floats(
                    node.attr("explained_variance_")?,
                    components.rows,
                    "explained_variance_",
                )?;
                Some(
                    variances
                        .into_iter()
                        .map(|variance| variance.sqrt().max(f64::EPSILON))
                        .collect(),
                )
            }
        };
        Ok(Self {
            mean,
            components,
            divisors,
        })
    }
}

impl Transform for Components {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.components.columns)?;
        let rows = frame.numbers(false)?;
        let width = self.components.rows;
        let mut values = Vec::with_capacity(frame.rows * width);
        let mut centred = vec![0.0; frame.width];
        for row in rows.chunks_exact(frame.width) {
            centred.copy_from_slice(row);
            if let Some(mean) = &self.mean {
                centred.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
            }
            for component in 0..width {
                let sum = dot(&centred, self.components.row(component));
                values.push(
                    self.divisors
                        .as_ref()
                        .map_or(sum, |divisors| sum / divisors[component]),
                );
            }
        }
        Ok(Frame::of_numbers(frame.rows, width, values))
    }
}

/// Columns that feature selection kept.
#[derive(Debug)]
pub(super) struct Selected {
    width: usize,
    kept: Vec<usize>,
}

impl Selected {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let mask = match node.class() {
            "SelectKBest" => best(node)?,
            "SelectPercentile" => percentile(node)?,
            "SelectFpr" => below(node, |alpha, _| alpha)?,
            "SelectFwe" => below(node, |alpha, count| alpha / count as f64)?,
            "VarianceThreshold" => {
                let threshold = node.attr("threshold")?.float()?;
                node.attr("variances_")?
                    .floats()?
                    .into_iter()
                    .map(|variance| threshold < variance)
                    .collect()
            }
            _ => node
                .attr("support_")?
                .integers()?
                .into_iter()
                .map(|flag| flag != 0)
                .collect(),
        };
        Ok(Self {
            width: mask.len(),
            kept: (0..mask.len()).filter(|column| mask[*column]).collect(),
        })
    }
}

fn clean(scores: Vec<f64>) -> Vec<f64> {
    scores
        .into_iter()
        .map(|score| if score.is_nan() { f64::MIN } else { score })
        .collect()
}

fn best(node: Ref<'_>) -> Result<Vec<bool>, Fault> {
    let scores = clean(node.attr("scores_")?.floats()?);
    let k = match node.attr("k")?.text() {
        Ok(_) => scores.len(),
        Err(_) => node.attr("k")?.usize()?.min(scores.len()),
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut mask = vec![false; scores.len()];
    order[scores.len() - k..]
        .iter()
        .for_each(|column| mask[*column] = true);
    Ok(mask)
}

fn percentile(node: Ref<'_>) -> Result<Vec<bool>, Fault> {
    let scores = clean(node.attr("scores_")?.floats()?);
    let share = node.attr("percentile")?.float()?;
    if 100.0 <= share || share <= 0.0 || scores.is_empty() {
        return Ok(vec![100.0 <= share; scores.len()]);
    }
    let mut sorted = scores.clone();
    sorted.sort_by(f64::total_cmp);
    let place = (100.0 - share) / 100.0 * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    let threshold = sorted[low] + (sorted[high] - sorted[low]) * place.fract();
    let mut mask: Vec<bool> = scores.iter().map(|score| threshold < *score).collect();
    let kept = mask.iter().filter(|kept| **kept).count();
    let more = ((scores.len() as f64 * share / 100.0) as usize).saturating_sub(kept);
    let ties: Vec<usize> = (0..scores.len())
        .filter(|column| scores[*column] == threshold)
        .take(more)
        .collect();
    ties.into_iter().for_each(|column| mask[column] = true);
    Ok(mask)
}

fn below(node: Ref<'_>, limit: impl Fn(f64, usize) -> f64) -> Result<Vec<bool>, Fault> {
    let values = node.attr("pvalues_")?.floats()?;
    let limit = limit(node.attr("alpha")?.float()?, values.len());
    Ok(values.into_iter().map(|p| p < limit).collect())
}

impl Transform for Selected {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.width)?;
        Ok(frame.select(&self.kept))
    }
}

/// `PolynomialFeatures`: products of columns.
#[derive(Debug)]
pub(super) struct Products {
    width: usize,
    /// The columns of each product; none is 1.
    products: Vec<Vec<usize>>,
}

/// More products than this are refused.
const PRODUCTS_MAX: usize = 1 << 17;

impl Products {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let width = node.attr("n_features_in_")?.usize()?;
        let (least, most) = match node.find("_min_degree") {
            Some(least) => (least.usize()?, node.attr("_max_degree")?.usize()?),
            None => (0, node.attr("degree")?.usize()?),
        };
        let bias = node.attr("include_bias")?.boolean()?;
        let once = node.attr("interaction_only")?.boolean()?;
        let mut products = Vec::new();
        if bias {
            products.push(Vec::new());
        }
        for degree in least.max(1)..=most.min(64) {
            let mut chosen = Vec::new();
            combine(width, degree, once, &mut chosen, &mut products)?;
        }
        Ok(Self { width, products })
    }
}

fn combine(
    width: usize,
    degree: usize,
    once: bool,
    chosen: &mut Vec<usize>,
    products: &mut Vec<Vec<usize>>,
) -> Result<(), Fault> {
    if chosen.len() == degree {
        if PRODUCTS_MAX <= products.len() {
            return Err(Fault::Unsupported("the model multiplies too many columns".into()));
        }
        products.push(chosen.clone());
        return Ok(());
    }
    let start = chosen
        .last()
        .map_or(0, |last| if once { last + 1 } else { *last });
    for column in start..width {
        // With no column twice, enough of them must be left.
        if once && width - column < degree - chosen.len() {
            break;
        }
        chosen.push(column);
        combine(width, degree, once, chosen, products)?;
        chosen.pop();
    }
    Ok(())
}

impl Transform for Products {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.width)?;
        let rows = frame.numbers(false)?;
        let mut values = Vec::with_capacity(frame.rows * self.products.len());
        for row in rows.chunks_exact(frame.width.max(1)) {
            for product in &self.products {
                values.push(product.iter().fold(1.0, |value, column| value * row[*column]));
            }
        }
        Ok(Frame::of_numbers(frame.rows, self.products.len(), values))
    }
}
