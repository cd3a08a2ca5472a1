//! The form that `save_model(format="json")` writes.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ctr::{Counts, Kind, Prior, Projection, Statistics};
use super::document::{Branch, Category, Ctr, Document, FloatFeature, Info, OneHot, RawTrees};
use crate::error::Fault;

/// Keys of the outermost object, one of which comes first.
const KEYS: [&str; 6] = [
    "ctr_data",
    "features_info",
    "model_info",
    "oblivious_trees",
    "scale_and_bias",
    "trees",
];

/// Whether a file begins as such a model.
pub(super) fn is(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.trim_ascii_start().strip_prefix(b"{") else {
        return false;
    };
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"\"") else {
        return false;
    };
    KEYS.iter().any(|key| {
        rest.strip_prefix(key.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"\""))
    })
}

#[derive(Debug, Deserialize)]
struct File {
    features_info: Features,
    #[serde(default)]
    model_info: Map<String, Value>,
    oblivious_trees: Option<Vec<Oblivious>>,
    trees: Option<Vec<Node>>,
    scale_and_bias: Option<(f64, Value)>,
    #[serde(default)]
    ctr_data: Option<HashMap<String, Table>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Features {
    float_features: Option<Vec<Float>>,
    categorical_features: Option<Vec<Categorical>>,
    ctrs: Option<Vec<CtrFeature>>,
    text_features: Option<Vec<Value>>,
    embedding_features: Option<Vec<Value>>,
    estimated_features: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Float {
    feature_index: i32,
    flat_feature_index: i32,
    #[serde(alias = "feature_name", default)]
    feature_id: String,
    #[serde(default)]
    borders: Option<Vec<f32>>,
    #[serde(default)]
    has_nans: bool,
    #[serde(default)]
    nan_value_treatment: String,
}

#[derive(Debug, Deserialize)]
struct Categorical {
    feature_index: i32,
    flat_feature_index: i32,
    #[serde(alias = "feature_name", default)]
    feature_id: String,
    values: Option<Vec<i32>>,
}

#[derive(Debug, Deserialize)]
struct CtrFeature {
    #[serde(default)]
    borders: Option<Vec<f32>>,
    ctr_type: String,
    elements: Vec<Element>,
    identifier: String,
    prior_denomerator: f32,
    prior_numerator: f32,
    scale: f32,
    shift: f32,
    target_border_idx: i32,
}

#[derive(Debug, Deserialize)]
struct Element {
    combination_element: String,
    cat_feature_index: Option<i32>,
    float_feature_index: Option<i32>,
    border: Option<f32>,
    value: Option<i32>,
}

#[derive(Debug, Deserialize)]
struct Table {
    hash_map: Vec<Value>,
    hash_stride: usize,
    #[serde(default)]
    counter_denominator: i32,
}

#[derive(Debug, Deserialize)]
struct Oblivious {
    leaf_values: Vec<f64>,
    splits: Option<Vec<Split>>,
}

#[derive(Debug, Deserialize)]
struct Split {
    split_index: u32,
}

#[derive(Debug, Deserialize)]
struct Node {
    split: Option<Split>,
    left: Option<Box<Self>>,
    right: Option<Box<Self>>,
    value: Option<Value>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Document, Fault> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let features = file.features_info;
    let some = |values: &Option<Vec<Value>>| values.as_ref().is_some_and(|values| !values.is_empty());
    for (there, what) in [
        (some(&features.text_features), "texts"),
        (some(&features.embedding_features), "embeddings"),
        (some(&features.estimated_features), "estimated features"),
    ] {
        if there {
            return Err(super::unsupported_inputs(what));
        }
    }
    let mut info = Info::default();
    for (name, value) in file.model_info {
        info.note(&name, value)?;
    }
    let (dimension, trees) = match (file.oblivious_trees, file.trees) {
        (Some(trees), None) => oblivious(trees)?,
        (None, Some(trees)) => branching(trees)?,
        _ => return Err("it has neither `oblivious_trees` nor `trees`, or both".into()),
    };
    let (scale, bias) = file.scale_and_bias.unwrap_or((1.0, Value::from(0)));
    let bias = numbers(&bias).ok_or("`scale_and_bias` is not numbers")?;
    // A model without trees has as many dimensions as biases.
    let dimension = dimension.unwrap_or(bias.len());
    let mut categories = Vec::new();
    let mut one_hots = Vec::new();
    for feature in features.categorical_features.unwrap_or_default() {
        if let Some(values) = feature.values {
            one_hots.push(OneHot {
                category: feature.feature_index,
                values,
            });
        }
        categories.push(Category {
            index: feature.feature_index,
            flat: feature.flat_feature_index,
            name: feature.feature_id,
        });
    }
    let floats = features.float_features.unwrap_or_default().into_iter().map(float);
    let floats = floats.collect::<Result<_, Fault>>()?;
    let (ctrs, statistics) = ctrs(
        features.ctrs.unwrap_or_default(),
        file.ctr_data.unwrap_or_default(),
    )?;
    Ok(Document {
        dimension,
        scale,
        bias,
        floats,
        categories,
        one_hots,
        ctrs,
        statistics,
        trees,
        info,
    })
}

fn float(feature: Float) -> Result<FloatFeature, Fault> {
    Ok(FloatFeature {
        index: feature.feature_index,
        flat: feature.flat_feature_index,
        name: feature.feature_id,
        borders: feature.borders.unwrap_or_default(),
        missing: match feature.nan_value_treatment.as_str() {
            _ if !feature.has_nans => None,
            "" | "AsIs" => None,
            "AsFalse" => Some(f32::NEG_INFINITY),
            "AsTrue" => Some(f32::INFINITY),
            other => {
                return Err(Fault::Damaged(format!(
                    "missing numbers are treated as `{other}`"
                )));
            }
        },
    })
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Array(values) => values.iter().map(Value::as_f64).collect(),
        one => Some(vec![one.as_f64()?]),
    }
}

fn oblivious(trees: Vec<Oblivious>) -> Result<(Option<usize>, RawTrees), Fault> {
    let mut dimension = None;
    let (mut splits, mut depths, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    for (number, tree) in trees.into_iter().enumerate() {
        let own = tree.splits.unwrap_or_default();
        let width = u32::try_from(own.len())
            .ok()
            .and_then(|depth| 1usize.checked_shl(depth))
            .filter(|count| tree.leaf_values.len().is_multiple_of(*count))
            .map(|count| tree.leaf_values.len() / count);
        if width.is_none_or(|width| width != *dimension.get_or_insert(width)) {
            return Err(Fault::Damaged(format!(
                "tree {number} has {} values for {} splits",
                tree.leaf_values.len(),
                own.len()
            )));
        }
        depths.push(own.len());
        splits.extend(own.iter().map(|split| split.split_index));
        leaves.extend(tree.leaf_values);
    }
    Ok((
        dimension,
        RawTrees::Oblivious {
            splits,
            depths,
            leaves,
        },
    ))
}

fn branching(trees: Vec<Node>) -> Result<(Option<usize>, RawTrees), Fault> {
    let mut dimension = None;
    let mut leaves = Vec::new();
    let mut all = Vec::with_capacity(trees.len());
    for (number, root) in trees.into_iter().enumerate() {
        let bad = || Fault::Damaged(format!("tree {number} has a node that is neither split nor leaf"));
        let mut nodes = Vec::new();
        // Nodes that are not written yet: `nodes` is written in the order in which they are found.
        let mut found = std::collections::VecDeque::from([root]);
        while let Some(node) = found.pop_front() {
            match (node.split, node.left, node.right, node.value) {
                (Some(split), Some(left), Some(right), None) => {
                    let no = nodes.len() + found.len() + 1;
                    nodes.push(Branch::Split {
                        split: split.split_index,
                        no,
                        yes: no + 1,
                    });
                    found.extend([*left, *right]);
                }
                (None, None, None, Some(value)) => {
                    let values = numbers(&value).ok_or_else(bad)?;
                    if *dimension.get_or_insert(values.len()) != values.len() {
                        return Err(Fault::Damaged(format!(
                            "tree {number} has a leaf of {} values",
                            values.len()
                        )));
                    }
                    nodes.push(Branch::Leaf(leaves.len()));
                    leaves.extend(values);
                }
                _ => return Err(bad()),
            }
        }
        all.push(nodes);
    }
    Ok((dimension, RawTrees::Branching { trees: all, leaves }))
}

fn ctrs(
    features: Vec<CtrFeature>,
    mut tables: HashMap<String, Table>,
) -> Result<(Vec<Ctr>, Vec<Statistics>), Fault> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut statistics = Vec::new();
    let mut all = Vec::new();
    for feature in features {
        let mut projection = Projection::default();
        let bad = || Fault::Damaged("an element of a number of categories is incomplete".into());
        for element in &feature.elements {
            let category = || element.cat_feature_index.ok_or_else(bad);
            match element.combination_element.as_str() {
                "cat_feature_value" => projection.categories.push(category()?),
                "float_feature" => projection.floats.push((
                    element.float_feature_index.ok_or_else(bad)?,
                    element.border.ok_or_else(bad)?.to_bits(),
                )),
                "cat_feature_exact_value" => projection
                    .equals
                    .push((category()?, element.value.ok_or_else(bad)?)),
                _ => return Err(bad()),
            }
        }
        let place = match places.get(&feature.identifier) {
            Some(place) => *place,
            None => {
                let table = tables
                    .remove(&feature.identifier)
                    .ok_or("the statistics of a category are missing")?;
                statistics.push(table_of(Kind::parse(&feature.ctr_type)?, &table)?);
                places.insert(feature.identifier, statistics.len() - 1);
                statistics.len() - 1
            }
        };
        all.push(Ctr {
            projection,
            prior: Prior {
                border: feature.target_border_idx,
                numerator: feature.prior_numerator,
                denominator: feature.prior_denomerator,
                shift: feature.shift,
                scale: feature.scale,
            },
            statistics: place,
            borders: feature.borders.unwrap_or_default(),
        });
    }
    Ok((all, statistics))
}

fn table_of(kind: Kind, table: &Table) -> Result<Statistics, Fault> {
    let bad = || Fault::Damaged("the statistics of a category are damaged".into());
    let stride = table.hash_stride;
    if stride < 2 || !table.hash_map.len().is_multiple_of(stride) {
        return Err(bad());
    }
    let whole = |value: &Value| {
        let whole = value.as_i64().and_then(|count| i32::try_from(count).ok());
        whole.ok_or_else(bad)
    };
    let rows = || table.hash_map.chunks_exact(stride);
    let hashes = rows()
        .map(|row| row[0].as_str().and_then(|hash| hash.parse::<u64>().ok()))
        .collect::<Option<Vec<u64>>>()
        .ok_or_else(bad)?;
    let counts = || {
        rows()
            .flat_map(|row| &row[1..])
            .map(whole)
            .collect::<Result<_, _>>()
    };
    let counts = match kind {
        kind if kind.is_mean() && stride == 3 => Counts::Means(
            rows()
                .map(|row| Ok((row[1].as_f64().ok_or_else(bad)? as f32, whole(&row[2])?)))
                .collect::<Result<_, Fault>>()?,
        ),
        kind if kind.is_count() && stride == 2 => Counts::All {
            counts: counts()?,
            of: table.counter_denominator,
        },
        kind if !kind.is_mean() && !kind.is_count() => Counts::Classes {
            counts: counts()?,
            classes: stride - 1,
        },
        _ => return Err(bad()),
    };
    Statistics::new(kind, hashes.into_iter().zip(0..), counts)
}
