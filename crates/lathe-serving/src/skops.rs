//! skops files: a zip with `schema.json`, a tree of Python objects as inert records, and arrays as `.npy` files.
//! Nothing of it is executed: known estimators are recognised by class, everything else is refused by name.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::LoadError;
use crate::forest::{Classes, Combine, Forest, LEAF, Node, Tree};
use crate::npy::Npy;

/// Bounds what an archive may unfold to.
const UNPACKED_BYTES_MAX: u64 = 2 << 30;

/// A model read from a skops file.
pub(crate) struct Estimator {
    /// The class, `GradientBoostingRegressor` say.
    pub(crate) class: String,
    pub(crate) forest: Forest,
    /// The columns it was fitted on, if they had names.
    pub(crate) names: Option<Vec<String>>,
}

pub(crate) fn load(path: &Path) -> Result<Estimator, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let archive = Archive::open(&bytes).map_err(|what| LoadError::Damaged {
        path: path.to_owned(),
        what,
    })?;
    archive.estimator().map_err(|fault| match fault {
        Fault::Damaged(what) => LoadError::Damaged {
            path: path.to_owned(),
            what,
        },
        Fault::Unsupported(what) => LoadError::Unsupported { what },
    })
}

enum Fault {
    Damaged(String),
    Unsupported(String),
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

struct Archive {
    schema: Value,
    files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    fn open(bytes: &[u8]) -> Result<Self, String> {
        let broken = |error: zip::result::ZipError| format!("it is not a sound zip archive: {error}");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(broken)?;
        let mut files = BTreeMap::new();
        let mut unpacked = 0;
        for index in 0..archive.len() {
            let file = archive.by_index(index).map_err(broken)?;
            let name = file.name().map_err(broken)?.into_owned();
            let mut content = Vec::new();
            let read = file
                .take(UNPACKED_BYTES_MAX - unpacked + 1)
                .read_to_end(&mut content)
                .map_err(|error| format!("`{name}` in it cannot be unpacked: {error}"))?;
            unpacked += read as u64;
            if UNPACKED_BYTES_MAX < unpacked {
                return Err("it unfolds to more than 2 GiB".into());
            }
            files.insert(name, content);
        }
        let schema = files.remove("schema.json").ok_or("it holds no schema.json")?;
        let schema = serde_json::from_slice(&schema)
            .map_err(|error| format!("its schema.json is not JSON: {error}"))?;
        Ok(Self { schema, files })
    }

    fn estimator(&self) -> Result<Estimator, Fault> {
        let mut by_id = HashMap::new();
        index_by_id(&self.schema, &mut by_id);
        let reader = Reader { archive: self, by_id };
        reader.estimator(&self.schema)
    }
}

/// Objects that occur twice are written once, and named by their id afterwards.
fn index_by_id<'a>(node: &'a Value, by_id: &mut HashMap<i64, &'a Value>) {
    match node {
        Value::Object(entries) => {
            let cached = entries
                .get("__loader__")
                .is_some_and(|loader| loader == "CachedNode");
            if let Some(id) = entries.get("__id__").and_then(Value::as_i64).filter(|_| !cached) {
                by_id.insert(id, node);
            }
            entries.values().for_each(|entry| index_by_id(entry, by_id));
        }
        Value::Array(items) => items.iter().for_each(|item| index_by_id(item, by_id)),
        _ => {}
    }
}

struct Reader<'a> {
    archive: &'a Archive,
    by_id: HashMap<i64, &'a Value>,
}

impl<'a> Reader<'a> {
    fn estimator(&self, node: &'a Value) -> Result<Estimator, Fault> {
        let class = text(node, "__class__")?.to_owned();
        let attributes = self.attributes(node)?;
        let features = self.usize(attributes, "n_features_in_")?;
        let (trees, combine, missing_ok) = match class.as_str() {
            "GradientBoostingRegressor" => {
                let scale = self.float(attributes, "learning_rate")?;
                let start = self.boosting_start(attributes)?;
                (
                    self.trees(attributes, features, 1)?,
                    Combine::Boost { start, scale },
                    false,
                )
            }
            "RandomForestRegressor" | "ExtraTreesRegressor" => {
                self.one_output(attributes)?;
                (self.trees(attributes, features, 1)?, Combine::Mean, true)
            }
            "DecisionTreeRegressor" | "ExtraTreeRegressor" => {
                self.one_output(attributes)?;
                (vec![self.tree(node, features, 1)?], Combine::Mean, true)
            }
            "RandomForestClassifier" | "ExtraTreesClassifier" => {
                self.one_output(attributes)?;
                let classes = self.classes(attributes)?;
                let mut trees = self.trees(attributes, features, classes.len())?;
                trees.iter_mut().for_each(Tree::normalise);
                (trees, Combine::Vote { classes }, true)
            }
            "DecisionTreeClassifier" | "ExtraTreeClassifier" => {
                self.one_output(attributes)?;
                let classes = self.classes(attributes)?;
                let mut tree = self.tree(node, features, classes.len())?;
                tree.normalise();
                (vec![tree], Combine::Vote { classes }, true)
            }
            other => {
                return Err(Fault::Unsupported(format!(
                    "the model is a `{other}`; the native engine serves gradient boosting regressors, random forests, \
                     extra trees and decision trees of scikit-learn"
                )));
            }
        };
        Ok(Estimator {
            class,
            forest: Forest {
                trees,
                combine,
                features,
                missing_ok,
            },
            names: self.names(attributes)?,
        })
    }

    /// What boosting starts from: 0, or what the initial estimator answers to everything.
    fn boosting_start(&self, attributes: &'a Value) -> Result<f64, Fault> {
        let init = self.attribute(attributes, "init_")?;
        if text(init, "__class__")? == "str" {
            return Ok(0.0);
        }
        if text(init, "__class__")? != "DummyRegressor" {
            return Err(Fault::Unsupported(
                "the gradient boosting starts from an estimator of its own; the native engine knows the default".into(),
            ));
        }
        let constant = self.floats(self.attribute(self.attributes(init)?, "constant_")?)?;
        constant
            .first()
            .copied()
            .ok_or_else(|| Fault::Damaged("`constant_` is empty".into()))
    }

    fn one_output(&self, attributes: &'a Value) -> Result<(), Fault> {
        match self.usize(attributes, "n_outputs_")? {
            1 => Ok(()),
            n => Err(Fault::Unsupported(format!(
                "the model has {n} outputs; the native engine answers with one"
            ))),
        }
    }

    fn trees(&self, attributes: &'a Value, features: usize, width: usize) -> Result<Vec<Tree>, Fault> {
        let mut found = Vec::new();
        self.estimators(self.attribute(attributes, "estimators_")?, &mut found)?;
        if found.is_empty() {
            return Err(Fault::Damaged("the ensemble has no trees".into()));
        }
        found
            .into_iter()
            .map(|node| self.tree(node, features, width))
            .collect()
    }

    /// The trees of a list, or of an array of lists with one tree each.
    fn estimators(&self, node: &'a Value, found: &mut Vec<&'a Value>) -> Result<(), Fault> {
        let node = self.resolve(node)?;
        let items = node["content"]
            .as_array()
            .ok_or_else(|| Fault::Damaged("`estimators_` is not a list".into()))?;
        for item in items {
            let item = self.resolve(item)?;
            match text(item, "__class__")? {
                "list" => {
                    if item["content"].as_array().is_none_or(|inner| inner.len() != 1) {
                        return Err(Fault::Unsupported(
                            "a boosting stage has more than one tree".into(),
                        ));
                    }
                    self.estimators(item, found)?;
                }
                _ => found.push(item),
            }
        }
        Ok(())
    }

    /// The tree of a fitted decision tree.
    fn tree(&self, estimator: &'a Value, features: usize, width: usize) -> Result<Tree, Fault> {
        let tree = self.attribute(self.attributes(estimator)?, "tree_")?;
        let state = self.attributes(tree)?;
        let nodes = self.attribute(state, "nodes")?;
        let nodes = Npy::parse(self.file(nodes)?)?;
        let left = nodes.integers("left_child")?;
        let right = nodes.integers("right_child")?;
        let feature = nodes.integers("feature")?;
        let threshold = nodes.floats("threshold")?;
        // scikit-learn before 1.3 knew no missing values.
        let missing = match nodes.has("missing_go_to_left") {
            true => nodes.integers("missing_go_to_left")?,
            false => vec![0; nodes.len()],
        };
        let index =
            |number: i64| u32::try_from(number).map_err(|_| "a node's number is out of range".to_owned());
        let mut read = Vec::with_capacity(nodes.len());
        for i in 0..nodes.len() {
            // -1 is no child: scikit-learn's leaves have none.
            read.push(if left[i] < 0 {
                Node {
                    threshold: 0.0,
                    feature: LEAF,
                    left: 0,
                    right: 0,
                    missing_left: false,
                }
            } else {
                Node {
                    threshold: threshold[i],
                    feature: index(feature[i])?,
                    left: index(left[i])?,
                    right: index(right[i])?,
                    missing_left: missing[i] != 0,
                }
            });
        }
        let values = self.floats(self.attribute(state, "values")?)?;
        Ok(Tree::new(read, values, width, features)?)
    }

    fn classes(&self, attributes: &'a Value) -> Result<Classes, Fault> {
        let node = self.attribute(attributes, "classes_")?;
        if node["type"] == "json" {
            let words = self.words(node)?;
            return Ok(Classes::Words(words));
        }
        let npy = Npy::parse(self.file(node)?)?;
        if npy.is_text() {
            return Ok(Classes::Words(npy.texts()?));
        }
        if !npy.is_integer() {
            return Err(Fault::Unsupported(
                "the classes are neither whole numbers nor words".into(),
            ));
        }
        Ok(Classes::Whole(npy.integers("")?))
    }

    fn names(&self, attributes: &'a Value) -> Result<Option<Vec<String>>, Fault> {
        match attributes.get("feature_names_in_") {
            None => Ok(None),
            Some(node) => self.words(self.resolve(node)?).map(Some),
        }
    }

    /// An array of texts, which skops writes as JSON.
    fn words(&self, node: &'a Value) -> Result<Vec<String>, Fault> {
        let items = node["content"]
            .as_array()
            .ok_or_else(|| Fault::Damaged("an array of names is not a list".into()))?;
        items
            .iter()
            .map(|item| {
                let quoted = text(self.resolve(item)?, "content")?;
                serde_json::from_str(quoted).map_err(|_| Fault::Unsupported("a name is not a text".into()))
            })
            .collect()
    }

    fn attributes(&self, node: &'a Value) -> Result<&'a Value, Fault> {
        let content = &self.resolve(node)?["content"];
        let content = match content.get("__loader__") {
            Some(_) => &self.resolve(content)?["content"],
            None => content,
        };
        match content.is_object() {
            true => Ok(content),
            false => Err(Fault::Damaged("an object has no attributes".into())),
        }
    }

    fn attribute(&self, attributes: &'a Value, name: &str) -> Result<&'a Value, Fault> {
        let node = attributes
            .get(name)
            .ok_or_else(|| Fault::Damaged(format!("`{name}` is not there: not fitted?")))?;
        self.resolve(node)
    }

    fn resolve(&self, node: &'a Value) -> Result<&'a Value, Fault> {
        if node.get("__loader__").is_none_or(|loader| loader != "CachedNode") {
            return Ok(node);
        }
        let id = node.get("__id__").and_then(Value::as_i64);
        let found = id.and_then(|id| self.by_id.get(&id).copied());
        found.ok_or_else(|| Fault::Damaged("an object refers to one that is not there".into()))
    }

    /// A scalar: JSON in a text, or an array of one.
    fn float(&self, attributes: &'a Value, name: &str) -> Result<f64, Fault> {
        let node = self.attribute(attributes, name)?;
        if node["__loader__"] == "JsonNode" {
            let number = serde_json::from_str(text(node, "content")?);
            return number.map_err(|_| Fault::Damaged(format!("`{name}` is not a number")));
        }
        let numbers = self.floats(node)?;
        numbers
            .first()
            .copied()
            .ok_or_else(|| Fault::Damaged(format!("`{name}` is empty")))
    }

    fn usize(&self, attributes: &'a Value, name: &str) -> Result<usize, Fault> {
        let number = self.float(attributes, name)?;
        let in_range = (0.0..=1e6).contains(&number) && number.fract() == 0.0;
        in_range
            .then_some(number as usize)
            .ok_or_else(|| Fault::Damaged(format!("`{name}` is not a sensible number")))
    }

    fn floats(&self, node: &'a Value) -> Result<Vec<f64>, Fault> {
        Ok(Npy::parse(self.file(node)?)?.floats("")?)
    }

    fn file(&self, node: &'a Value) -> Result<&'a [u8], Fault> {
        let name = text(node, "file")?;
        self.archive
            .files
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| Fault::Damaged(format!("it holds no `{name}`")))
    }
}

fn text<'a>(node: &'a Value, key: &str) -> Result<&'a str, Fault> {
    node.get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| Fault::Damaged(format!("a record of the schema has no `{key}`")))
}
