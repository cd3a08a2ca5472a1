//! The lists of numbers in which ONNX keeps trees.

use std::collections::HashMap;

use super::trees::Mode;
use crate::onnx::message;

pub(super) struct Spec {
    pub(super) trees: Vec<Tree>,
    /// Inputs that are read: one more than the greatest.
    pub(super) features: usize,
    pub(super) targets: usize,
    /// Whether its numbers were written in 64 bits.
    pub(super) double: bool,
}

#[derive(Default)]
pub(super) struct Tree {
    /// The first is the root.
    pub(super) nodes: Vec<Node>,
    /// Targets and weights.
    pub(super) leaves: Vec<Vec<(u32, f64)>>,
}

pub(super) enum Node {
    Leaf(usize),
    Split {
        feature: usize,
        mode: Mode,
        threshold: f64,
        yes: usize,
        no: usize,
        missing_yes: bool,
    },
}

impl Tree {
    /// The target that all its leaves add to, if each adds to one.
    pub(super) fn only_target(&self) -> Option<u32> {
        let mut target = None;
        for leaf in &self.leaves {
            let [(own, _)] = leaf.as_slice() else { return None };
            if *target.get_or_insert(*own) != *own {
                return None;
            }
        }
        target
    }
}

const TARGETS_MAX: usize = 1 << 20;

/// `TreeEnsembleRegressor` and `TreeEnsembleClassifier`: `kind` is how their lists of weights begin.
pub(super) fn old(node: &message::Node, kind: &str, targets: usize) -> Result<Spec, String> {
    if targets == 0 || TARGETS_MAX < targets {
        return Err(format!("it has {targets} targets"));
    }
    let numbers = |name: &str| node.numbers(name);
    let (tree_ids, node_ids) = (numbers("nodes_treeids"), numbers("nodes_nodeids"));
    let (features, modes) = (numbers("nodes_featureids"), node.texts("nodes_modes"));
    let (yes, no) = (numbers("nodes_truenodeids"), numbers("nodes_falsenodeids"));
    let missing = numbers("nodes_missing_value_tracks_true");
    let thresholds = node.doubles("nodes_values")?;
    let count = tree_ids.len();
    let lengths = [
        node_ids.len(),
        features.len(),
        modes.len(),
        yes.len(),
        no.len(),
        thresholds.len(),
    ];
    if count == 0 || lengths.iter().any(|length| *length != count) {
        return Err("its lists of nodes are empty or of different lengths".into());
    }
    // Where each node lies: its tree, and its place in it.
    let mut order: HashMap<i64, usize> = HashMap::new();
    let mut sizes: Vec<usize> = Vec::new();
    let mut places: HashMap<(i64, i64), (usize, usize)> = HashMap::with_capacity(count);
    for (tree_id, node_id) in tree_ids.iter().zip(node_ids) {
        let tree = *order.entry(*tree_id).or_insert_with(|| {
            sizes.push(0);
            sizes.len() - 1
        });
        if places.insert((*tree_id, *node_id), (tree, sizes[tree])).is_some() {
            return Err(format!("tree {tree_id} has node {node_id} twice"));
        }
        sizes[tree] += 1;
    }
    let mut weights: Vec<HashMap<usize, Vec<(u32, f64)>>> =
        (0..sizes.len()).map(|_| HashMap::new()).collect();
    let list = |name: &str| node.numbers(&format!("{kind}_{name}"));
    let (weight_trees, weight_nodes, weight_targets) = (list("treeids"), list("nodeids"), list("ids"));
    let values = node.doubles(&format!("{kind}_weights"))?;
    if [weight_nodes.len(), weight_targets.len(), values.len()]
        .iter()
        .any(|length| *length != weight_trees.len())
    {
        return Err("its lists of weights have different lengths".into());
    }
    for (((tree, at), target), value) in weight_trees
        .iter()
        .zip(weight_nodes)
        .zip(weight_targets)
        .zip(&values)
    {
        let (tree, place) = *places
            .get(&(*tree, *at))
            .ok_or_else(|| format!("tree {tree} has no node {at} to weigh"))?;
        let target = u32::try_from(*target)
            .ok()
            .filter(|target| (*target as usize) < targets);
        let target = target.ok_or("a weight is that of a target that is not there")?;
        weights[tree].entry(place).or_default().push((target, *value));
    }
    let mut trees: Vec<Tree> = (0..sizes.len()).map(|_| Tree::default()).collect();
    let mut greatest = 0usize;
    for at in 0..count {
        let tree_id = tree_ids[at];
        let tree = order[&tree_id];
        let place = trees[tree].nodes.len();
        let mode = match &*modes[at] {
            "LEAF" => {
                let leaf = trees[tree].leaves.len();
                trees[tree]
                    .leaves
                    .push(weights[tree].remove(&place).unwrap_or_default());
                trees[tree].nodes.push(Node::Leaf(leaf));
                continue;
            }
            "BRANCH_LEQ" => Mode::AtMost,
            "BRANCH_LT" => Mode::Less,
            "BRANCH_GTE" => Mode::AtLeast,
            "BRANCH_GT" => Mode::Greater,
            "BRANCH_EQ" => Mode::Equal,
            "BRANCH_NEQ" => Mode::NotEqual,
            other => return Err(format!("a node's mode is `{other}`")),
        };
        let child = |id: i64| {
            let found = places.get(&(tree_id, id)).map(|(_, place)| *place);
            found.ok_or_else(|| {
                format!(
                    "tree {tree_id}, node {} leads to node {id}, which is not there",
                    node_ids[at]
                )
            })
        };
        let feature = feature(features[at])?;
        greatest = greatest.max(feature);
        let split = Node::Split {
            feature,
            mode,
            threshold: thresholds[at],
            yes: child(yes[at])?,
            no: child(no[at])?,
            missing_yes: missing.get(at).is_some_and(|flag| *flag != 0),
        };
        trees[tree].nodes.push(split);
    }
    Ok(Spec {
        trees,
        features: greatest + 1,
        targets,
        double: node.has("nodes_values_as_tensor"),
    })
}

fn feature(number: i64) -> Result<usize, String> {
    usize::try_from(number)
        .ok()
        .filter(|feature| *feature < 1 << 24)
        .ok_or_else(|| format!("a node reads input {number}"))
}

/// `TreeEnsemble` of version 5: nodes and leaves are numbered through all trees.
pub(super) fn version_5(node: &message::Node) -> Result<Spec, String> {
    let targets = usize::try_from(node.number("n_targets", 1)).unwrap_or(0);
    if targets == 0 || TARGETS_MAX < targets {
        return Err(format!("it has {targets} targets"));
    }
    let numbers = |name: &str| node.numbers(name);
    let (features, modes) = (
        numbers("nodes_featureids"),
        node.tensor("nodes_modes")
            .ok_or("it has no nodes_modes")?
            .as_longs()?,
    );
    let splits = node.tensor("nodes_splits").ok_or("it has no nodes_splits")?;
    let thresholds = splits.as_doubles()?;
    let (yes, no) = (numbers("nodes_truenodeids"), numbers("nodes_falsenodeids"));
    let (yes_leaf, no_leaf) = (numbers("nodes_trueleafs"), numbers("nodes_falseleafs"));
    let missing = numbers("nodes_missing_value_tracks_true");
    let count = features.len();
    if [
        modes.len(),
        thresholds.len(),
        yes.len(),
        no.len(),
        yes_leaf.len(),
        no_leaf.len(),
    ]
    .iter()
    .any(|length| *length != count)
    {
        return Err("its lists of nodes have different lengths".into());
    }
    let (leaf_targets, leaf_weights) = (
        numbers("leaf_targetids"),
        node.tensor("leaf_weights")
            .ok_or("it has no leaf_weights")?
            .as_doubles()?,
    );
    if leaf_targets.len() != leaf_weights.len() {
        return Err("its lists of leaves have different lengths".into());
    }
    let member_values = node
        .tensor("membership_values")
        .map(|tensor| tensor.as_doubles())
        .transpose()?
        .unwrap_or_default();
    // The sets follow each other in the order of the nodes that ask for them, each ended by NaN.
    let mut sets = member_values.split(|value| value.is_nan());
    let mut kinds = Vec::with_capacity(count);
    for mode in &modes {
        kinds.push(match mode {
            0 => Mode::AtMost,
            1 => Mode::Less,
            2 => Mode::AtLeast,
            3 => Mode::Greater,
            4 => Mode::Equal,
            5 => Mode::NotEqual,
            6 => Mode::Member(sets.next().unwrap_or_default().to_vec()),
            other => return Err(format!("a node's mode is {other}")),
        });
    }
    let mut seen = vec![false; count];
    let mut greatest = 0;
    let mut trees = Vec::new();
    for root in numbers("tree_roots") {
        let mut tree = Tree::default();
        // Numbers of nodes and leaves as they stand in the tree.
        let mut order: Vec<(i64, bool)> = vec![(*root, false)];
        let mut next = 0;
        while next < order.len() {
            let (id, is_leaf) = order[next];
            next += 1;
            let at = usize::try_from(id).map_err(|_| format!("there is no node {id}"))?;
            if is_leaf {
                let (target, weight) = leaf_targets
                    .get(at)
                    .zip(leaf_weights.get(at))
                    .ok_or_else(|| format!("there is no leaf {id}"))?;
                let target = u32::try_from(*target)
                    .ok()
                    .filter(|target| (*target as usize) < targets);
                tree.nodes.push(Node::Leaf(tree.leaves.len()));
                tree.leaves.push(vec![(
                    target.ok_or("a leaf is that of a target that is not there")?,
                    *weight,
                )]);
                continue;
            }
            match seen.get_mut(at) {
                None => return Err(format!("there is no node {id}")),
                Some(true) => return Err(format!("node {id} is reached twice")),
                Some(unseen) => *unseen = true,
            }
            let feature = feature(features[at])?;
            greatest = greatest.max(feature);
            let first = order.len();
            order.push((yes[at], yes_leaf[at] != 0));
            order.push((no[at], no_leaf[at] != 0));
            tree.nodes.push(Node::Split {
                feature,
                mode: kinds[at].clone(),
                threshold: thresholds[at],
                yes: first,
                no: first + 1,
                missing_yes: missing.get(at).is_some_and(|flag| *flag != 0),
            });
        }
        trees.push(tree);
    }
    Ok(Spec {
        trees,
        features: greatest + 1,
        targets,
        double: matches!(splits.data, crate::onnx::tensor::Data::Double(_)),
    })
}
