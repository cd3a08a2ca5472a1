use std::collections::HashMap;

use super::document::{Cats, Document, GradientModel, RawTree};
use super::objective::Objective;
use super::{Booster, Categories, Gradient, Wrapper, ubj};
use crate::error::Fault;
use crate::predictor::{Input, Inputs, unnamed};
use crate::signature::ColumnType;
use crate::trees::{Bits, Category, RawNode, Special, Test, Trees};

/// XGBoost itself takes no category beyond it.
const CATEGORY_MAX: u32 = 1 << 24;

/// Whether a file begins as an XGBoost model.
pub(crate) fn is(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(256)];
    let holds = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
    head.trim_ascii_start().starts_with(b"{") && (holds(b"learner") || holds(b"Model"))
}

/// Reads a model, JSON or UBJSON.
pub(crate) fn read(bytes: &[u8]) -> Result<Booster, Fault> {
    // An object of JSON goes on with a text or ends; one of UBJSON with a length.
    let next = bytes.get(1..).unwrap_or_default().trim_ascii_start().first();
    let json = matches!(next, Some(b'"' | b'}'));
    let document: Document = match json {
        true => serde_json::from_slice(bytes).map_err(|error| error.to_string())?,
        false => ubj::read(bytes).map_err(|error| error.to_string())?,
    };
    let inner = match document.model {
        Some(model) => *model,
        None => document,
    };
    build(inner, bytes.len())
}

fn parameter(parameters: &HashMap<String, String>, name: &str) -> Result<usize, Fault> {
    match parameters.get(name) {
        None => Ok(0),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| Fault::Damaged(format!("`{name}` is `{text}`, which is not a number in range"))),
    }
}

fn build(document: Document, size: usize) -> Result<Booster, Fault> {
    let learner = document.learner.ok_or("it has no `learner`")?;
    let parameters = &learner.learner_model_param;
    let features = parameter(parameters, "num_feature")?;
    let groups = parameter(parameters, "num_class")?
        .max(parameter(parameters, "num_target")?)
        .max(1);
    // Each input and each class leaves its mark in the file; a small one cannot have many.
    if features == 0 || size < features || size < groups {
        return Err(Fault::Damaged(format!(
            "{features} inputs and {groups} classes are out of range"
        )));
    }
    let objective = Objective::parse(&learner.objective.name)?;
    let major = document.version.first().copied().unwrap_or_default();
    let mut start = start(parameters, objective, groups, major)?;
    let mut booster = learner.gradient_booster;
    let weights = booster.weight_drop.take();
    if let Some(inner) = booster.gbtree.take() {
        booster = *inner;
    }
    let model = booster
        .model
        .ok_or_else(|| Fault::Damaged(format!("the booster `{}` has no model", booster.name)))?;
    let categories = categories(model.cats.as_ref(), features)?;
    let rounds = learner
        .attributes
        .get("best_iteration")
        .and_then(|text| text.parse::<usize>().ok())
        .map(|best| best.saturating_add(1));
    let (gradient, best_trees) = match booster.name.as_str() {
        "gbtree" | "dart" => trees(model, weights, features, groups, rounds)?,
        "gblinear" => {
            // The linear booster starts all groups from the first one's score.
            let first = start[0];
            start.fill(first);
            (linear(model, features, groups)?, 0)
        }
        other => {
            return Err(Fault::Unsupported(format!(
                "the native engine does not know the booster `{other}`"
            )));
        }
    };
    let by_name = !learner.feature_names.is_empty();
    let names = match by_name {
        true => learner.feature_names,
        false => unnamed("f", features),
    };
    if names.len() != features {
        return Err(Fault::Damaged(format!(
            "it has {} names for {features} inputs",
            names.len()
        )));
    }
    let kind = |index: usize| match learner.feature_types.get(index).map(String::as_str) {
        _ if matches!(categories.get(index), Some(Some(Categories::Words(_)))) => ColumnType::String,
        _ => ColumnType::Double,
    };
    let columns = names.into_iter().enumerate().map(|(index, name)| Input {
        name,
        kind: kind(index),
        words: matches!(categories.get(index), Some(Some(_))),
    });
    Ok(Booster {
        inputs: Inputs {
            class: "XGBoost Booster".into(),
            columns: columns.collect(),
            by_name,
        },
        gradient,
        groups,
        start,
        objective,
        best_trees,
        wrapper: Wrapper::Booster,
        categories,
    })
}

/// The start of each group: a number, or since 3.1 a list of them.
fn start(
    parameters: &HashMap<String, String>,
    objective: Objective,
    groups: usize,
    major: u32,
) -> Result<Vec<f32>, Fault> {
    let text = parameters.get("base_score").map_or("0.5", String::as_str);
    let scores = text
        .trim()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .split(',');
    let scores: Vec<f32> = scores
        .map(|score| score.trim().parse::<f32>())
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::Damaged(format!("`base_score` is `{text}`")))?;
    let margins: Vec<f32> = scores
        .into_iter()
        .map(|score| objective.margin(score, major))
        .collect::<Result<_, _>>()?;
    match margins.as_slice() {
        [only] => Ok(vec![*only; groups]),
        all if all.len() == groups => Ok(margins),
        all => Err(Fault::Damaged(format!(
            "`base_score` has {} numbers for {groups} groups",
            all.len()
        ))),
    }
}

fn trees(
    model: GradientModel,
    weights: Option<Vec<f32>>,
    features: usize,
    groups: usize,
    rounds: Option<usize>,
) -> Result<(Gradient, usize), Fault> {
    let count = model.trees.len();
    let vector = match model.trees.first() {
        Some(tree) => parameter(&tree.tree_param, "size_leaf_vector")?.max(1),
        None => 1,
    };
    if vector != 1 && vector != groups {
        return Err(Fault::Damaged(format!(
            "leaves have {vector} values for {groups} groups"
        )));
    }
    let mut trees = Trees::new(vector, features)?;
    for (number, tree) in model.trees.iter().enumerate() {
        let leaf_values;
        let values: Vec<f64> = match vector {
            1 => tree
                .split_conditions
                .iter()
                .map(|value| f64::from(*value))
                .collect(),
            _ => {
                leaf_values = match tree.leaf_weights.is_empty() {
                    true => &tree.base_weights,
                    false => &tree.leaf_weights,
                };
                leaf_values.iter().map(|value| f64::from(*value)).collect()
            }
        };
        let raw = nodes(tree, number, 1 < vector && !tree.leaf_weights.is_empty())?;
        trees.push(&raw, &values)?;
    }
    trees.finish();
    let group = match vector {
        1 => Some(groups_of(&model.tree_info, count, groups)?),
        _ => None,
    };
    if weights.as_ref().is_some_and(|weights| weights.len() != count) {
        return Err("`weight_drop` has not one weight a tree".into());
    }
    let best = match rounds {
        None => count,
        Some(rounds) => match model.iteration_indptr.get(rounds) {
            Some(end) => usize::try_from(*end).unwrap_or(count),
            None => {
                let parallel = parameter(&model.gbtree_model_param, "num_parallel_tree")?.max(1);
                let each = if vector == 1 { groups } else { 1 };
                rounds.saturating_mul(parallel).saturating_mul(each)
            }
        },
    };
    let gradient = Gradient::Trees {
        trees,
        group,
        weights,
    };
    Ok((gradient, best.min(count)))
}

fn groups_of(info: &[i64], count: usize, groups: usize) -> Result<Vec<u32>, Fault> {
    if info.len() != count {
        return Err(Fault::Damaged(format!(
            "`tree_info` has {} entries for {count} trees",
            info.len()
        )));
    }
    info.iter()
        .map(|group| {
            u32::try_from(*group)
                .ok()
                .filter(|group| (*group as usize) < groups)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Fault::Damaged("`tree_info` names a class that is not there".into()))
}

fn nodes(tree: &RawTree, number: usize, numbered_leaves: bool) -> Result<Vec<RawNode<f32>>, Fault> {
    let count = tree.left_children.len();
    let lengths = [
        tree.right_children.len(),
        tree.split_indices.len(),
        tree.split_conditions.len(),
        tree.default_left.len(),
    ];
    if lengths.iter().any(|length| *length != count) {
        return Err(Fault::Damaged(format!(
            "tree {number}: its lists have different lengths"
        )));
    }
    let sets = category_sets(tree)
        .ok_or_else(|| Fault::Damaged(format!("tree {number}: its categories are damaged")))?;
    let mut raw = Vec::with_capacity(count);
    for at in 0..count {
        let (left, right) = (tree.left_children[at], tree.right_children[at]);
        if left == -1 {
            // Trees whose leaves are vectors number their leaves in place of the right child.
            let numbered = numbered_leaves.then(|| usize::try_from(right).ok()).flatten();
            raw.push(RawNode::Leaf(numbered.unwrap_or(at)));
            continue;
        }
        let child = |child: i32| {
            usize::try_from(child)
                .map_err(|_| Fault::Damaged(format!("tree {number}, node {at} leads to node {child}")))
        };
        let condition = tree.split_conditions[at];
        let test = match tree.split_type.get(at) {
            None | Some(0) => Test::AtMost(condition.next_down()),
            Some(1) => {
                let members = sets.get(&at).cloned().unwrap_or_default();
                Test::Special(Special::Category(Category {
                    members,
                    members_left: false,
                    known: None,
                }))
            }
            Some(other) => {
                return Err(Fault::Damaged(format!(
                    "tree {number}, node {at} is of the kind {other}"
                )));
            }
        };
        raw.push(RawNode::Split {
            feature: tree.split_indices[at] as usize,
            test,
            left: child(left)?,
            right: child(right)?,
            missing_left: tree.default_left[at].0,
        });
    }
    Ok(raw)
}

fn category_sets(tree: &RawTree) -> Option<HashMap<usize, Bits>> {
    let count = tree.categories_nodes.len();
    if tree.categories_segments.len() != count || tree.categories_sizes.len() != count {
        return None;
    }
    let mut sets = HashMap::new();
    for i in 0..count {
        let start = usize::try_from(tree.categories_segments[i]).ok()?;
        let size = usize::try_from(tree.categories_sizes[i]).ok()?;
        let members = tree.categories.get(start..start.checked_add(size)?)?;
        let members: Vec<u32> = members
            .iter()
            .map(|member| u32::try_from(*member).ok())
            .collect::<Option<_>>()?;
        let members = Bits::of_members(&members, CATEGORY_MAX).ok()?;
        sets.insert(usize::try_from(tree.categories_nodes[i]).ok()?, members);
    }
    Some(sets)
}

fn linear(model: GradientModel, features: usize, groups: usize) -> Result<Gradient, Fault> {
    let expected = features.saturating_add(1).saturating_mul(groups);
    if model.weights.len() != expected {
        return Err(Fault::Damaged(format!(
            "it has {} weights where {expected} are expected",
            model.weights.len()
        )));
    }
    Ok(Gradient::Linear {
        weights: model.weights,
    })
}

fn categories(cats: Option<&Cats>, features: usize) -> Result<Vec<Option<Categories>>, Fault> {
    let Some(cats) = cats.filter(|cats| !cats.enc.is_empty()) else {
        return Ok(Vec::new());
    };
    if cats.enc.len() != features {
        return Err(Fault::Damaged(format!(
            "it has categories for {} of {features} inputs",
            cats.enc.len()
        )));
    }
    cats.enc
        .iter()
        .map(|encoding| {
            let Some(offsets) = &encoding.offsets else {
                let some =
                    (!encoding.values.is_empty()).then(|| Categories::Numbers(encoding.values.clone()));
                return Ok(some);
            };
            if offsets.is_empty() {
                return Ok(None);
            }
            let bytes: Vec<u8> = encoding.values.iter().map(|byte| *byte as i64 as u8).collect();
            let words = offsets.windows(2).map(|pair| {
                let (start, end) = (usize::try_from(pair[0]).ok()?, usize::try_from(pair[1]).ok()?);
                std::str::from_utf8(bytes.get(start..end)?).ok().map(Into::into)
            });
            let words: Option<Vec<_>> = words.collect();
            Ok(Some(Categories::Words(
                words.ok_or("a category's name is damaged")?,
            )))
        })
        .collect()
}
