//! Steps in sequence, steps side by side.

use std::collections::HashMap;

use super::build;
use super::frame::Frame;
use super::{Estimate, Scores, Shape, Transform, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::{Item, Ref};

/// Steps one after the other.
#[derive(Debug)]
pub(super) struct Sequence(Vec<Box<dyn Transform>>);

/// The second of a pair of a name and something.
fn named(pair: Ref<'_>) -> Result<Ref<'_>, Fault> {
    let pair = pair.list()?;
    pair.get(1)
        .copied()
        .ok_or_else(|| "a step has no estimator".into())
}

/// Whether a step does nothing.
pub(super) fn passes(node: Ref<'_>) -> bool {
    node.is_none() || node.text().is_ok_and(|text| text == "passthrough")
}

impl Sequence {
    /// All steps of a pipeline.
    pub(super) fn read(pipeline: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        Self::of(pipeline.attr("steps")?.list()?, depth)
    }

    fn of(steps: Vec<Ref<'_>>, depth: usize) -> Result<Self, Fault> {
        let mut read = Vec::new();
        for step in steps {
            let step = named(step)?;
            if !passes(step) {
                read.push(build::transform(step, depth + 1)?);
            }
        }
        Ok(Self(read))
    }
}

impl Transform for Sequence {
    fn apply(&self, mut frame: Frame) -> Result<Frame, PredictError> {
        for step in &self.0 {
            frame = step.apply(frame)?;
        }
        Ok(frame)
    }

    fn takes_words(&self, column: usize) -> bool {
        self.0.first().is_some_and(|step| step.takes_words(column))
    }
}

/// A pipeline that ends in an estimator.
#[derive(Debug)]
pub(super) struct Pipeline {
    steps: Sequence,
    last: Box<dyn Estimate>,
}

impl Pipeline {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let mut steps = node.attr("steps")?.list()?;
        let last = steps.pop().ok_or("a pipeline has no steps")?;
        Ok(Self {
            steps: Sequence::of(steps, depth)?,
            last: build::estimator(named(last)?, depth + 1)?,
        })
    }
}

impl Estimate for Pipeline {
    fn shape(&self) -> Shape {
        self.last.shape()
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        match self.steps.0.is_empty() {
            true => self.last.scores(frame, what),
            false => self.last.scores(&self.steps.apply(frame.clone())?, what),
        }
    }

    fn can(&self, what: What) -> bool {
        self.last.can(what)
    }

    fn takes_words(&self, column: usize) -> bool {
        match self.steps.0.is_empty() {
            true => self.last.takes_words(column),
            false => self.steps.takes_words(column),
        }
    }
}

/// `ColumnTransformer`: each part sees its columns, the results stand side by side.
#[derive(Debug)]
pub(super) struct Columns {
    width: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    columns: Vec<usize>,
    /// None passes them on.
    transform: Option<Box<dyn Transform>>,
}

impl Columns {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let names = node.some("feature_names_in_").map(Ref::texts).transpose()?;
        let width = match (
            &names,
            node.find("n_features_in_").or_else(|| node.find("_n_features")),
        ) {
            (_, Some(width)) => width.usize()?,
            (Some(names), None) => names.len(),
            (None, None) => return Err("`n_features_in_` is not there: not fitted?".into()),
        };
        let mut fitted = HashMap::new();
        if let Some(indices) = node.some("_transformer_to_input_indices") {
            for (name, columns) in indices.entries()? {
                fitted.insert(name.text()?, columns);
            }
        }
        let mut parts = Vec::new();
        for part in node.attr("transformers_")?.list()? {
            let part = part.list()?;
            let [name, transform, columns] = part.as_slice() else {
                return Err("`transformers_` is not made of name, transformer, columns".into());
            };
            if transform.text().is_ok_and(|text| text == "drop") {
                continue;
            }
            let columns = match fitted.get(name.text()?) {
                Some(indices) => indices.indices()?,
                None => select(*columns, names.as_deref(), width)?,
            };
            if let Some(column) = columns.iter().find(|column| width <= **column) {
                return Err(Fault::Damaged(format!(
                    "`{}` takes column {column} of {width}",
                    name.text()?
                )));
            }
            if columns.is_empty() {
                continue;
            }
            node.charge(columns.len() * 64)?;
            let transform = match passes(*transform) {
                true => None,
                false => Some(build::transform(*transform, depth + 1)?),
            };
            parts.push(Part { columns, transform });
        }
        Ok(Self { width, parts })
    }
}

/// Columns as a user names them: names, places, a slice, or a mask.
fn select(columns: Ref<'_>, names: Option<&[String]>, width: usize) -> Result<Vec<usize>, Fault> {
    let place = |item: Ref<'_>| -> Result<usize, Fault> {
        if let Ok(name) = item.text() {
            let place = names.and_then(|names| names.iter().position(|known| known == name));
            return place.ok_or_else(|| {
                Fault::Damaged(format!("the column `{name}` is not among those of training"))
            });
        }
        match item.integer()? {
            place @ 0.. => usize::try_from(place).map_err(|_| "a column is out of range".into()),
            from_end => width
                .checked_add_signed(from_end as isize)
                .ok_or_else(|| "a column is out of range".into()),
        }
    };
    if columns.class() == "slice" {
        let bounds = columns.arguments();
        let bound = |index: usize, default: usize| match bounds.get(index) {
            Some(bound) if !bound.is_none() => place(*bound),
            _ => Ok(default),
        };
        let end = match bounds.get(1).and_then(|end| end.text().ok()) {
            // A slice of names holds its end.
            Some(_) => bound(1, width)? + 1,
            None => bound(1, width)?,
        };
        return Ok((bound(0, 0)?..end.min(width))
            .step_by(bound(2, 1)?.max(1))
            .collect());
    }
    if let Item::Array(array) = columns.item() {
        if array.is_boolean() {
            let flags = array.integers("")?;
            return Ok((0..flags.len()).filter(|column| flags[*column] != 0).collect());
        }
        if !array.is_text() {
            return columns.indices();
        }
    }
    match columns.list() {
        Ok(items) => items.into_iter().map(place).collect(),
        Err(_) if columns.array().is_ok() => {
            let words = columns.texts()?;
            let known = |word: &String| names.and_then(|names| names.iter().position(|name| name == word));
            let places: Option<Vec<usize>> = words.iter().map(known).collect();
            places.ok_or_else(|| "a column is not among those of training".into())
        }
        Err(_) => Ok(vec![place(columns)?]),
    }
}

impl Transform for Columns {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.width)?;
        let mut made = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let selected = frame.select(&part.columns);
            made.push(match &part.transform {
                None => selected,
                Some(transform) => transform.apply(selected)?,
            });
        }
        Ok(Frame::beside(frame.rows, made))
    }

    fn takes_words(&self, column: usize) -> bool {
        self.parts.iter().any(|part| {
            let place = part.columns.iter().position(|own| *own == column);
            place.is_some_and(|place| {
                part.transform
                    .as_ref()
                    .is_some_and(|transform| transform.takes_words(place))
            })
        })
    }
}

/// `FeatureUnion`: each part sees all columns.
#[derive(Debug)]
pub(super) struct Union(Vec<(Option<Box<dyn Transform>>, f64)>);

impl Union {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let weights = node.some("transformer_weights");
        let mut parts = Vec::new();
        for part in node.attr("transformer_list")?.list()? {
            let pair = part.list()?;
            let transform = named(part)?;
            if transform.text().is_ok_and(|text| text == "drop") {
                continue;
            }
            let name = pair.first().map_or(Ok(""), |name| name.text())?;
            let weight = weights
                .and_then(|weights| weights.some(name))
                .map_or(Ok(1.0), Ref::float)?;
            let transform = match passes(transform) {
                true => None,
                false => Some(build::transform(transform, depth + 1)?),
            };
            parts.push((transform, weight));
        }
        Ok(Self(parts))
    }
}

impl Transform for Union {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        let mut made = Vec::with_capacity(self.0.len());
        for (transform, weight) in &self.0 {
            let mut part = match transform {
                None => frame.clone(),
                Some(transform) => transform.apply(frame.clone())?,
            };
            if *weight != 1.0 {
                part.values.iter_mut().for_each(|x| *x *= weight);
            }
            made.push(part);
        }
        Ok(Frame::beside(frame.rows, made))
    }

    fn takes_words(&self, column: usize) -> bool {
        self.0.iter().any(|(transform, _)| {
            transform
                .as_ref()
                .is_some_and(|transform| transform.takes_words(column))
        })
    }
}
