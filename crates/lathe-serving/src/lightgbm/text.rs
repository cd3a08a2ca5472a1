use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;

use super::objective::Objective;
use super::{Booster, Categories, Linear, inputs};
use crate::error::Fault;
use crate::predictor::unnamed;
use crate::trees::{Bits, Category, RawNode, Special, Test, Trees};

/// `key=value` lines up to an empty one.
struct Section<'a> {
    name: String,
    entries: HashMap<&'a str, &'a str>,
}

impl<'a> Section<'a> {
    fn read(name: String, lines: &mut std::iter::Peekable<std::str::Lines<'a>>) -> Self {
        let mut entries = HashMap::new();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty() && !line.starts_with("Tree=")) {
            let (key, value) = line.split_once('=').unwrap_or((line.trim(), ""));
            entries.insert(key, value);
        }
        Self { name, entries }
    }

    fn wrong(&self, key: &str, what: impl Display) -> Fault {
        Fault::Damaged(format!("{}: `{key}` {what}", self.name))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, Fault> {
        let text = self
            .entries
            .get(key)
            .ok_or_else(|| self.wrong(key, "is not there"))?;
        text.trim().parse().map_err(|_| {
            self.wrong(
                key,
                format!("is `{}`, which is not a number in range", shortened(text)),
            )
        })
    }

    fn list<T: FromStr>(&self, key: &str, expected: usize) -> Result<Vec<T>, Fault> {
        let text = self
            .entries
            .get(key)
            .ok_or_else(|| self.wrong(key, "is not there"))?;
        // Each value takes at least two bytes, so nothing larger than the file is allocated.
        let values: Vec<T> = text
            .split_ascii_whitespace()
            .map(|word| {
                word.parse()
                    .map_err(|_| self.wrong(key, format!("holds `{}`", shortened(word))))
            })
            .collect::<Result<_, _>>()?;
        match values.len() == expected {
            true => Ok(values),
            false => Err(self.wrong(
                key,
                format!("has {} values where {expected} are expected", values.len()),
            )),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

pub(super) fn parse(text: &str) -> Result<Booster, Fault> {
    let mut lines = text.lines().peekable();
    if lines.next().map(str::trim) != Some("tree") {
        return Err("it does not begin as a LightGBM model".into());
    }
    let header = Section::read("the header".into(), &mut lines);
    let features = header.number::<usize>("max_feature_idx")?.saturating_add(1);
    let classes: usize = match header.entries.contains_key("num_tree_per_iteration") {
        true => header.number("num_tree_per_iteration")?,
        false => header.number("num_class")?,
    };
    if text.len() < features || text.len() < classes || classes == 0 {
        return Err("its header tells of more inputs or classes than it can hold".into());
    }
    let names = match header.entries.get("feature_names") {
        Some(names) => names.split(' ').map(str::to_owned).collect(),
        None => unnamed("Column_", features),
    };
    if names.len() != features {
        return Err(header.wrong(
            "feature_names",
            format!("has {} names for {features} inputs", names.len()),
        ));
    }
    let objective = Objective::parse(header.entries.get("objective").copied().unwrap_or_default())?;

    let mut trees = Trees::new(1, features)?;
    let mut linear: Vec<Option<Linear>> = Vec::new();
    let mut is_linear = false;
    let mut categories = Vec::new();
    let mut ended = false;
    while let Some(line) = lines.next() {
        if let Some(number) = line.strip_prefix("Tree=") {
            let section = Section::read(format!("tree {number}"), &mut lines);
            is_linear |= push_tree(&section, features, &mut trees, &mut linear)?;
        } else if line.trim() == "end of trees" {
            ended = true;
        } else if let Some(json) = line.strip_prefix("pandas_categorical:") {
            categories = pandas_categories(json, &header, features)?;
        }
    }
    if !ended {
        return Err("it breaks off: it has no line `end of trees`".into());
    }
    trees.finish();
    if !trees.len().is_multiple_of(classes) {
        return Err(Fault::Damaged(format!(
            "its {} trees are not a multiple of its {classes} trees an iteration",
            trees.len()
        )));
    }
    Ok(Booster {
        inputs: inputs(names, &categories),
        iterations: trees.len() / classes,
        trees,
        classes,
        average: header.entries.contains_key("average_output"),
        objective,
        linear: is_linear.then_some(linear),
        categories,
    })
}

/// Adds a tree; tells whether its leaves are linear.
fn push_tree(
    section: &Section<'_>,
    features: usize,
    trees: &mut Trees<f64>,
    linear: &mut Vec<Option<Linear>>,
) -> Result<bool, Fault> {
    let leaves: usize = section.number("num_leaves")?;
    if leaves == 0 {
        return Err(section.wrong("num_leaves", "is 0"));
    }
    let values: Vec<f64> = section.list("leaf_value", leaves)?;
    let splits = leaves - 1;
    let mut raw: Vec<RawNode<f64>> = Vec::with_capacity(splits + leaves);
    if 0 < splits {
        let decision: Vec<u8> = section.list("decision_type", splits)?;
        let feature: Vec<usize> = section.list("split_feature", splits)?;
        let threshold: Vec<f64> = section.list("threshold", splits)?;
        let left: Vec<i64> = section.list("left_child", splits)?;
        let right: Vec<i64> = section.list("right_child", splits)?;
        let sets = category_sets(section)?;
        // A negative child is a leaf: -1 is leaf 0.
        let child = |child: i64| match child {
            0.. => usize::try_from(child).ok().filter(|child| *child < splits),
            _ => usize::try_from(!child)
                .ok()
                .filter(|leaf| *leaf < leaves)
                .map(|leaf| splits + leaf),
        };
        for i in 0..splits {
            let (Some(left), Some(right)) = (child(left[i]), child(right[i])) else {
                return Err(section.wrong(
                    "left_child",
                    format!("or `right_child` of split {i} leads nowhere"),
                ));
            };
            let (test, missing_left) = test(decision[i], threshold[i], &sets)
                .ok_or_else(|| section.wrong("decision_type", format!("of split {i} is none")))?;
            raw.push(RawNode::Split {
                feature: feature[i],
                test,
                left,
                right,
                missing_left,
            });
        }
    }
    raw.extend((0..leaves).map(RawNode::Leaf));
    let is_linear = section
        .entries
        .get("is_linear")
        .is_some_and(|flag| flag.trim() == "1");
    let before = trees.len();
    if is_linear {
        push_linear(section, features, leaves, &raw, trees, linear, &values)?;
    } else {
        let leaves = trees
            .push_in_order(&raw, &values)
            .map_err(|what| Fault::Damaged(format!("{} ({before}): {what}", section.name)))?;
        linear.extend(leaves.iter().map(|_| None));
    }
    Ok(is_linear)
}

/// The test of a split, and where missing goes.
fn test(decision: u8, threshold: f64, sets: &[Bits]) -> Option<(Test<f64>, bool)> {
    const CATEGORICAL: u8 = 1;
    const DEFAULT_LEFT: u8 = 2;
    if decision & CATEGORICAL != 0 {
        let in_range = (0.0..sets.len() as f64).contains(&threshold);
        let members = in_range.then(|| sets[threshold as usize].clone())?;
        let category = Category {
            members,
            members_left: true,
            known: None,
        };
        return Some((Test::Special(Special::Category(category)), false));
    }
    let default_left = decision & DEFAULT_LEFT != 0;
    Some(match decision >> 2 & 3 {
        // Missing counts as zero.
        0 => (Test::AtMost(threshold), 0.0 <= threshold),
        1 => (Test::Special(Special::ZeroIsMissing { threshold }), default_left),
        2 => (Test::AtMost(threshold), default_left),
        _ => return None,
    })
}

fn category_sets(section: &Section<'_>) -> Result<Vec<Bits>, Fault> {
    let count: usize = match section.entries.contains_key("num_cat") {
        true => section.number("num_cat")?,
        false => 0,
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    let bounds: Vec<usize> = section.list("cat_boundaries", count.saturating_add(1))?;
    let total = bounds.last().copied().unwrap_or_default();
    let words: Vec<u32> = section.list("cat_threshold", total)?;
    bounds
        .windows(2)
        .map(|pair| {
            words
                .get(pair[0]..pair[1])
                .map(|words| Bits::of_words(words.to_vec()))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| section.wrong("cat_boundaries", "is out of order"))
}

/// The leaves' regressions; pushed in the order in which the ensemble numbers its leaves.
fn push_linear(
    section: &Section<'_>,
    features: usize,
    leaves: usize,
    raw: &[RawNode<f64>],
    trees: &mut Trees<f64>,
    linear: &mut Vec<Option<Linear>>,
    values: &[f64],
) -> Result<(), Fault> {
    let constants: Vec<f64> = section.list("leaf_const", leaves)?;
    let counts: Vec<usize> = section.list("num_features", leaves)?;
    let total = counts
        .iter()
        .fold(0usize, |sum, count| sum.saturating_add(*count));
    let used: Vec<u32> = section.list("leaf_features", total)?;
    let coefficients: Vec<f64> = section.list("leaf_coeff", total)?;
    if let Some(feature) = used.iter().find(|feature| features <= **feature as usize) {
        return Err(section.wrong("leaf_features", format!("reads input {feature} of {features}")));
    }
    let mut own = Vec::with_capacity(leaves);
    let mut start = 0;
    for (constant, count) in constants.into_iter().zip(counts) {
        let range = start..start + count;
        start += count;
        own.push(Linear {
            constant,
            terms: used[range.clone()]
                .iter()
                .copied()
                .zip(coefficients[range].iter().copied())
                .collect(),
        });
    }
    let order = trees
        .push_in_order(raw, values)
        .map_err(|what| Fault::Damaged(format!("{}: {what}", section.name)))?;
    linear.extend(order.into_iter().map(|leaf| Some(std::mem::take(&mut own[leaf]))));
    Ok(())
}

/// Which inputs are categories, and what pandas called them: the file tells the names in the order of the inputs whose
/// `feature_infos` are lists.
fn pandas_categories(
    json: &str,
    header: &Section<'_>,
    features: usize,
) -> Result<Vec<Option<Categories>>, Fault> {
    let lists: Vec<Vec<Value>> = match serde_json::from_str(json.trim()) {
        Ok(Some(lists)) => lists,
        Ok(None) => return Ok(Vec::new()),
        Err(error) => return Err(Fault::Damaged(format!("`pandas_categorical`: {error}"))),
    };
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let infos = header.entries.get("feature_infos").copied().unwrap_or_default();
    let categorical: Vec<usize> = infos
        .split(' ')
        .enumerate()
        .filter(|(_, info)| !info.starts_with('[') && *info != "none")
        .map(|(index, _)| index)
        .take(features)
        .collect();
    if categorical.len() != lists.len() {
        return Err(Fault::Unsupported(format!(
            "the model has {} lists of pandas categories for {} categorical inputs",
            lists.len(),
            categorical.len()
        )));
    }
    let mut by_input = vec![None; features];
    for (index, list) in categorical.into_iter().zip(lists) {
        by_input[index] = Some(if list.iter().all(Value::is_string) {
            Categories::Words(list.iter().filter_map(Value::as_str).map(Into::into).collect())
        } else {
            let number = |value: &Value| value.as_f64().or(value.as_bool().map(f64::from));
            let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
            Categories::Numbers(numbers.ok_or("`pandas_categorical` holds neither words nor numbers")?)
        });
    }
    Ok(by_input)
}
