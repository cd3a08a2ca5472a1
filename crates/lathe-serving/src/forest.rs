//! Ensembles of decision trees, evaluated as scikit-learn evaluates them: inputs are rounded to f32 and compared
//! with f64 thresholds, leaf values are added in f64 in the order of the trees, so answers are equal bit by bit.

/// A node as scikit-learn stores it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// Compared with the input: at or under goes left.
    pub(crate) threshold: f64,
    /// The input that is compared; of a leaf: [`LEAF`].
    pub(crate) feature: u32,
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// Where a missing input goes.
    pub(crate) missing_left: bool,
}

/// The `feature` of a leaf.
pub(crate) const LEAF: u32 = u32::MAX;

/// One tree; the nodes' children always come after them, so a walk ends.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// `width` values a node.
    values: Vec<f64>,
    width: usize,
}

impl Tree {
    /// Checks that every walk ends in a leaf and every input exists.
    pub(crate) fn new(
        nodes: Vec<Node>,
        values: Vec<f64>,
        width: usize,
        features: usize,
    ) -> Result<Self, String> {
        if nodes.is_empty() || width == 0 || nodes.len().checked_mul(width) != Some(values.len()) {
            return Err("a tree's values do not fit its nodes".into());
        }
        for (index, node) in nodes.iter().enumerate() {
            if node.feature == LEAF {
                continue;
            }
            let children_after = [node.left, node.right]
                .iter()
                .all(|child| index < *child as usize && (*child as usize) < nodes.len());
            if !children_after {
                return Err(format!("node {index} of a tree has children out of order"));
            }
            if features <= node.feature as usize {
                return Err(format!(
                    "node {index} of a tree reads input {} of {features}",
                    node.feature
                ));
            }
        }
        Ok(Self { nodes, values, width })
    }

    /// The values of the leaf that a row ends in.
    #[inline]
    pub(crate) fn leaf(&self, row: &[f32]) -> &[f64] {
        let mut index = 0;
        loop {
            let node = &self.nodes[index];
            if node.feature == LEAF {
                return &self.values[index * self.width..(index + 1) * self.width];
            }
            let input = row[node.feature as usize];
            let left = if input.is_nan() {
                node.missing_left
            } else {
                f64::from(input) <= node.threshold
            };
            index = if left { node.left } else { node.right } as usize;
        }
    }

    /// Makes a node's values sum to 1: scikit-learn before 1.3 stored counts.
    pub(crate) fn normalise(&mut self) {
        for values in self.values.chunks_exact_mut(self.width) {
            let sum: f64 = values.iter().sum();
            if sum != 0.0 && (sum - 1.0).abs() > 1e-9 {
                values.iter_mut().for_each(|value| *value /= sum);
            }
        }
    }
}

/// How the trees' leaves become an answer.
#[derive(Debug, Clone)]
pub(crate) enum Combine {
    /// start + scale × the sum of the leaves, as gradient boosting does.
    Boost { start: f64, scale: f64 },
    /// The mean of the leaves, as forests do; of one tree: its leaf.
    Mean,
    /// The class with the greatest mean probability; the first of equals.
    Vote { classes: Classes },
}

/// What a classifier's classes are called.
#[derive(Debug, Clone)]
pub(crate) enum Classes {
    Whole(Vec<i64>),
    Words(Vec<String>),
}

impl Classes {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(classes) => classes.len(),
            Self::Words(classes) => classes.len(),
        }
    }
}

/// A whole ensemble.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    pub(crate) trees: Vec<Tree>,
    pub(crate) combine: Combine,
    pub(crate) features: usize,
    /// Whether the estimator takes NaN; gradient boosting does not.
    pub(crate) missing_ok: bool,
}

impl Forest {
    /// The number that a row gets: for a classifier, the index of its class.
    pub(crate) fn answer(&self, row: &[f32]) -> f64 {
        match &self.combine {
            Combine::Boost { start, scale } => self
                .trees
                .iter()
                .fold(*start, |sum, tree| sum + scale * tree.leaf(row)[0]),
            Combine::Mean => {
                let sum = self.trees.iter().fold(0.0, |sum, tree| sum + tree.leaf(row)[0]);
                sum / self.trees.len() as f64
            }
            Combine::Vote { classes } => {
                let mut shares = vec![0.0; classes.len()];
                for tree in &self.trees {
                    for (share, value) in shares.iter_mut().zip(tree.leaf(row)) {
                        *share += value;
                    }
                }
                let trees = self.trees.len() as f64;
                let mut best = 0;
                for (class, share) in shares.iter().enumerate() {
                    if shares[best] / trees < share / trees {
                        best = class;
                    }
                }
                best as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(feature: u32, threshold: f64, left: u32, right: u32) -> Node {
        Node {
            threshold,
            feature,
            left,
            right,
            missing_left: true,
        }
    }

    #[test]
    fn a_tree_with_a_cycle_or_a_wrong_input_is_refused() {
        let leaf = node(LEAF, 0.0, 0, 0);
        assert!(Tree::new(vec![node(0, 0.5, 1, 2), leaf, leaf], vec![0.0; 3], 1, 1).is_ok());
        assert!(Tree::new(vec![node(0, 0.5, 0, 1), leaf], vec![0.0; 2], 1, 1).is_err());
        assert!(Tree::new(vec![node(0, 0.5, 1, 9), leaf], vec![0.0; 2], 1, 1).is_err());
        assert!(Tree::new(vec![node(3, 0.5, 1, 2), leaf, leaf], vec![0.0; 3], 1, 1).is_err());
        assert!(Tree::new(vec![leaf], vec![0.0; 3], 1, 1).is_err());
    }

    #[test]
    fn inputs_are_rounded_to_f32_before_they_are_compared() {
        let leaf = node(LEAF, 0.0, 0, 0);
        let tree = Tree::new(vec![node(0, 0.1, 1, 2), leaf, leaf], vec![0.0, 1.0, 2.0], 1, 1).unwrap();
        // 0.1 as f32 is greater than 0.1 as f64.
        assert_eq!(tree.leaf(&[0.1])[0], 2.0);
        assert_eq!(tree.leaf(&[f32::NAN])[0], 1.0);
    }
}
