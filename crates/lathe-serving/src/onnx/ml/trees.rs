//! Ensembles of trees: read into the forests that all libraries share, and summed in the order and precision in which
//! onnxruntime sums.

use std::ops::AddAssign;
use std::sync::OnceLock;

use super::scores::{Labels, Transform, has_score, second, winner};
use super::trees_read::{Spec, old, version_5};
use crate::onnx::kernel::Kernel;
use crate::onnx::message::Node;
use crate::onnx::tensor::{Data, Tensor, count};
use crate::trees::{Number, RawNode, Special, Test, Trees};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fold {
    Sum,
    Average,
    Min,
    Max,
}

/// What a node asks of its input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mode {
    AtMost,
    Less,
    AtLeast,
    Greater,
    Equal,
    NotEqual,
    Member(Vec<f64>),
}

/// A forest of one precision.
struct Forest<T> {
    trees: Trees<T>,
    /// The values of all leaves.
    values: Vec<T>,
    /// The target that each tree adds to; none where each leaf has a value for each target.
    target: Option<Vec<u32>>,
}

impl<T: Number + AddAssign> Forest<T> {
    fn of(spec: &Spec) -> Result<Self, String> {
        let target: Option<Vec<u32>> = spec.trees.iter().map(|tree| tree.only_target()).collect();
        let width = if target.is_some() { 1 } else { spec.targets };
        let mut trees = Trees::new(width, spec.features)?;
        let mut values: Vec<T> = Vec::new();
        for tree in &spec.trees {
            let raw: Vec<RawNode<T>> = tree.nodes.iter().map(raw).collect();
            let mut leaves = vec![-0.0; count(&[tree.leaves.len(), width])?];
            for (leaf, weights) in tree.leaves.iter().enumerate() {
                for (target, weight) in weights {
                    let place = if width == 1 { 0 } else { *target as usize };
                    // A weight of -0 is one too.
                    leaves[leaf * width + place] += weight + 0.0;
                }
            }
            trees.push(&raw, &leaves)?;
        }
        trees.change_values(|leaf| values.extend(leaf.iter().map(|value| T::of(*value))));
        Ok(Self {
            trees,
            values,
            target,
        })
    }

    /// Scores of each row and target, before what they start from is added.
    fn scores(&self, rows: &[T], targets: usize, fold: Fold) -> Result<Vec<T>, String> {
        let count = count(&[rows.len() / self.trees.features(), targets])?;
        let start = match fold {
            Fold::Sum | Fold::Average => T::of(-0.0),
            Fold::Min => T::INFINITY,
            Fold::Max => T::of(f64::NEG_INFINITY),
        };
        let mut scores = vec![start; count];
        let all = usize::MAX;
        match (&self.target, fold) {
            (Some(_), Fold::Sum | Fold::Average) if targets == 1 => {
                self.trees.for_each_leaf(rows, all, |row, _, leaf| {
                    scores[row] += self.values[leaf as usize]
                });
            }
            (Some(target), Fold::Sum | Fold::Average) => {
                self.trees.for_each_leaf(rows, all, |row, tree, leaf| {
                    scores[row * targets + target[tree] as usize] += self.values[leaf as usize];
                })
            }
            (None, Fold::Sum | Fold::Average) => self.trees.for_each_leaf(rows, all, |row, _, leaf| {
                let leaf = &self.values[leaf as usize * targets..(leaf as usize + 1) * targets];
                for (score, value) in scores[row * targets..(row + 1) * targets].iter_mut().zip(leaf) {
                    *score += *value;
                }
            }),
            (target, fold) => self.trees.for_each_leaf(rows, all, |row, tree, leaf| {
                let mut take = |place: usize, value: T| {
                    let score = &mut scores[row * targets + place];
                    let better = if fold == Fold::Min {
                        value < *score
                    } else {
                        *score < value
                    };
                    if better {
                        *score = value;
                    }
                };
                match target {
                    Some(target) => take(target[tree] as usize, self.values[leaf as usize]),
                    None => (0..targets)
                        .for_each(|place| take(place, self.values[leaf as usize * targets + place])),
                }
            }),
        }
        Ok(scores)
    }
}

fn raw<T: Number>(node: &super::trees_read::Node) -> RawNode<T> {
    use super::trees_read::Node;
    let (feature, mode, threshold, yes, no, missing_yes) = match node {
        Node::Leaf(leaf) => return RawNode::Leaf(*leaf),
        Node::Split {
            feature,
            mode,
            threshold,
            yes,
            no,
            missing_yes,
        } => (*feature, mode, T::of(*threshold), *yes, *no, *missing_yes),
    };
    let (test, yes_is_left) = match mode {
        Mode::AtMost => (Test::AtMost(threshold), true),
        Mode::Less => (Test::AtMost(threshold.under()), true),
        Mode::AtLeast => (Test::AtMost(threshold.under()), false),
        Mode::Greater => (Test::AtMost(threshold), false),
        Mode::Equal => (Test::Special(Special::Among(vec![threshold])), true),
        Mode::NotEqual => (Test::Special(Special::Among(vec![threshold])), false),
        Mode::Member(members) => (
            Test::Special(Special::Among(
                members.iter().map(|member| T::of(*member)).collect(),
            )),
            true,
        ),
    };
    // NaN differs from every number.
    let missing_yes = missing_yes || *mode == Mode::NotEqual;
    let (left, right) = if yes_is_left { (yes, no) } else { (no, yes) };
    RawNode::Split {
        feature,
        test,
        left,
        right,
        missing_left: missing_yes == yes_is_left,
    }
}

struct Ensemble {
    spec: Spec,
    single: OnceLock<Result<Forest<f32>, String>>,
    double: OnceLock<Result<Forest<f64>, String>>,
}

impl Ensemble {
    fn new(spec: Spec) -> Result<Self, String> {
        let ensemble = Self {
            spec,
            single: OnceLock::new(),
            double: OnceLock::new(),
        };
        // Read in the precision that is most likely asked for, so that damage is found when the model is loaded.
        match ensemble.spec.double {
            true => ensemble.double().map(drop)?,
            false => ensemble.single().map(drop)?,
        }
        Ok(ensemble)
    }

    fn single(&self) -> Result<&Forest<f32>, String> {
        self.single
            .get_or_init(|| Forest::of(&self.spec))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn double(&self) -> Result<&Forest<f64>, String> {
        self.double
            .get_or_init(|| Forest::of(&self.spec))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Rows, and the scores of each: f64 only where the input is.
    fn scores(&self, x: &Tensor, fold: Fold) -> Result<(usize, Data), String> {
        let (rows, width) = x.rows()?;
        if width < self.spec.features {
            return Err(format!("it reads input {} of {width}", self.spec.features - 1));
        }
        let targets = self.spec.targets;
        Ok((
            rows,
            match &x.data {
                Data::Double(values) => Data::Double(self.double()?.scores(
                    &narrowed(values, width, self.spec.features),
                    targets,
                    fold,
                )?),
                _ => {
                    let values = x.as_floats()?;
                    Data::Float(self.single()?.scores(
                        &narrowed(&values, width, self.spec.features),
                        targets,
                        fold,
                    )?)
                }
            },
        ))
    }
}

/// The first inputs of each row, where the trees read only those.
fn narrowed<T: Copy>(values: &[T], width: usize, needed: usize) -> std::borrow::Cow<'_, [T]> {
    match width == needed {
        true => values.into(),
        false => values
            .chunks_exact(width)
            .flat_map(|row| row[..needed].iter().copied())
            .collect(),
    }
}

pub(super) fn build(node: &Node) -> Result<Kernel, String> {
    match node.operator.as_str() {
        "TreeEnsemble" => {
            let fold = match node.number("aggregate_function", 1) {
                0 => Fold::Average,
                1 => Fold::Sum,
                2 => Fold::Min,
                3 => Fold::Max,
                other => return Err(format!("its aggregate_function is {other}")),
            };
            let transform = Transform::of_number(node.number("post_transform", 0))?;
            regressor(
                Ensemble::new(version_5(node)?)?,
                fold,
                transform,
                Vec::new(),
                true,
            )
        }
        "TreeEnsembleRegressor" => {
            let fold = match node.text("aggregate_function", "SUM") {
                "SUM" => Fold::Sum,
                "AVERAGE" => Fold::Average,
                "MIN" => Fold::Min,
                "MAX" => Fold::Max,
                other => return Err(format!("its aggregate_function is `{other}`")),
            };
            let targets = usize::try_from(node.number("n_targets", 1)).unwrap_or(0);
            let base = node.doubles("base_values")?;
            regressor(
                Ensemble::new(old(node, "target", targets)?)?,
                fold,
                Transform::of(node)?,
                base,
                false,
            )
        }
        _ => classifier(node),
    }
}

fn regressor(
    ensemble: Ensemble,
    fold: Fold,
    transform: Transform,
    base: Vec<f64>,
    keeps_type: bool,
) -> Result<Kernel, String> {
    let targets = ensemble.spec.targets;
    let trees = ensemble.spec.trees.len() as f64;
    if !base.is_empty() && base.len() != targets {
        return Err(format!(
            "{} base values are given for {targets} targets",
            base.len()
        ));
    }
    Ok(Box::new(move |args| {
        let (rows, scores) = ensemble.scores(args.get(0)?, fold)?;
        let start = |at: usize| base.get(at % targets).copied().unwrap_or(0.0);
        let data = match scores {
            Data::Double(mut scores) => {
                for (at, score) in scores.iter_mut().enumerate() {
                    if fold == Fold::Average {
                        *score /= trees;
                    }
                    *score += start(at);
                }
                Data::Double(scores)
            }
            other => {
                let Data::Float(mut scores) = other else {
                    return Err("its scores are no numbers".into());
                };
                for (at, score) in scores.iter_mut().enumerate() {
                    if fold == Fold::Average {
                        *score /= trees as f32;
                    }
                    *score += start(at) as f32;
                }
                Data::Float(scores)
            }
        };
        let tensor = Tensor::new(vec![rows, targets], data)?;
        if keeps_type && matches!(tensor.data, Data::Double(_)) && transform == Transform::None {
            return Ok(vec![tensor]);
        }
        let mut scores = tensor.as_floats()?.into_owned();
        // One score alone is left as it is, but for the probit.
        if 1 < targets || transform == Transform::Probit {
            scores
                .chunks_exact_mut(targets)
                .for_each(|row| transform.apply(row));
        }
        Ok(vec![Tensor::floats(vec![rows, targets], scores)?])
    }))
}

fn classifier(node: &Node) -> Result<Kernel, String> {
    let labels = Labels::of(node, "classlabels_strings", "classlabels_int64s");
    let classes = labels.len();
    let spec = old(node, "class", classes)?;
    let transform = Transform::of(node)?;
    let base: Vec<f32> = node
        .doubles("base_values")?
        .into_iter()
        .map(|value| value as f32)
        .collect();
    let weights = || spec.trees.iter().flat_map(|tree| tree.leaves.iter().flatten());
    let one_class = weights()
        .map(|(class, _)| class)
        .collect::<std::collections::HashSet<_>>()
        .len()
        == 1;
    let two = Two {
        one_class,
        positive: weights().all(|(_, weight)| 0.0 <= *weight),
        transform,
        base: base.clone(),
    };
    let ensemble = Ensemble::new(spec)?;
    Ok(Box::new(move |args| {
        let (rows, data) = ensemble.scores(args.get(0)?, Fold::Sum)?;
        let scores = Tensor::new(vec![rows, classes], data)?;
        let mut scores = scores.as_floats()?.into_owned();
        let mut chosen = Vec::with_capacity(rows);
        for row in scores.chunks_exact_mut(classes) {
            if let [first, other] = row {
                let (class, scores) = two.finish(*first, *other);
                [*first, *other] = scores;
                chosen.push(class);
                continue;
            }
            if base.len() == classes {
                row.iter_mut().zip(&base).for_each(|(score, base)| *score += base);
            }
            chosen.push(winner(row));
            row.iter_mut().for_each(|score| *score += 0.0);
            transform.apply(row);
        }
        Ok(vec![
            labels.of_rows(&chosen)?,
            Tensor::floats(vec![rows, classes], scores)?,
        ])
    }))
}

/// How onnxruntime tells two classes apart: converters write one score or two, and mean either.
struct Two {
    /// All weights are those of one class.
    one_class: bool,
    positive: bool,
    transform: Transform,
    base: Vec<f32>,
}

impl Two {
    fn finish(&self, mut first: f32, mut other: f32) -> (usize, [f32; 2]) {
        let has_second = has_score(other);
        let mut single = false;
        match self.base.as_slice() {
            [_, base] if has_second => {
                other = base + first;
                first = if has_score(first) { -other } else { first };
            }
            [base, _] => first += base,
            [base] => {
                first += base;
                single = !has_second;
            }
            _ => single = !has_second,
        }
        let deciding = if has_second { other } else { first };
        let limit = if self.one_class && self.positive { 0.5 } else { 0.0 };
        let class = usize::from(limit < deciding);
        if single {
            return (class, second(first, self.transform, self.positive));
        }
        // What has no score counts as 0.
        let mut scores = [first + 0.0, other + 0.0];
        self.transform.apply(&mut scores);
        (class, scores)
    }
}
