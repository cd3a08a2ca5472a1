//! XGBoost's model schema, the same in JSON and UBJSON. Lists of numbers are read straight into their types, so that a
//! large model takes no more memory than its file.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) learner: Option<Learner>,
    #[serde(default)]
    pub(super) version: Vec<u32>,
    /// What a pickled booster wraps around its model.
    #[serde(rename = "Model")]
    pub(super) model: Option<Box<Document>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) attributes: HashMap<String, String>,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(default)]
    pub(super) feature_types: Vec<String>,
    pub(super) gradient_booster: GradientBooster,
    pub(super) learner_model_param: HashMap<String, String>,
    pub(super) objective: Named,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct GradientBooster {
    pub(super) name: String,
    pub(super) model: Option<GradientModel>,
    /// Of dart.
    pub(super) gbtree: Option<Box<GradientBooster>>,
    /// Of dart.
    pub(super) weight_drop: Option<Vec<f32>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GradientModel {
    #[serde(default)]
    pub(super) trees: Vec<RawTree>,
    #[serde(default)]
    pub(super) tree_info: Vec<i64>,
    #[serde(default)]
    pub(super) iteration_indptr: Vec<i64>,
    #[serde(default)]
    pub(super) gbtree_model_param: HashMap<String, String>,
    /// Of gblinear.
    #[serde(default)]
    pub(super) weights: Vec<f32>,
    pub(super) cats: Option<Cats>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawTree {
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) split_indices: Vec<u32>,
    pub(super) split_conditions: Vec<f32>,
    pub(super) default_left: Vec<Flag>,
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<i64>,
    #[serde(default)]
    pub(super) categories_segments: Vec<i64>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<i64>,
    #[serde(default)]
    pub(super) base_weights: Vec<f32>,
    /// Of trees whose leaves are vectors.
    #[serde(default)]
    pub(super) leaf_weights: Vec<f32>,
    #[serde(default)]
    pub(super) tree_param: HashMap<String, String>,
}

/// What pandas called the categories of each input.
#[derive(Debug, Deserialize)]
pub(super) struct Cats {
    #[serde(default)]
    pub(super) enc: Vec<Encoding>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Encoding {
    /// Where each word begins in `values`, and the end; absent where the categories are numbers.
    pub(super) offsets: Option<Vec<i64>>,
    #[serde(default)]
    pub(super) values: Vec<f64>,
}

/// true or false, or 1 or 0 as newer versions write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false, 0 or 1")
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Flag, E> {
                Ok(Flag(number != 0))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Flag, E> {
                Ok(Flag(number != 0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
