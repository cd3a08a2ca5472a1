//! Ensembles of decision trees, whichever library made them. A node takes 12 or 16 bytes, its children lie side by
//! side, and a leaf leads to itself, so that eight rows walk one tree together without a branch that could be
//! mispredicted. Rows come in blocks that stay in the cache while all trees are walked.

use std::fmt::Debug;

/// What thresholds and inputs are: f32 for scikit-learn, XGBoost and ONNX, f64 for LightGBM and histograms.
pub(crate) trait Number: Copy + PartialOrd + Debug + Default + Send + Sync + 'static {
    const INFINITY: Self;
    fn is_nan(self) -> bool;
    fn to_f64(self) -> f64;
    fn of(value: f64) -> Self;
    /// The greatest number that is less.
    fn under(self) -> Self;
}

impl Number for f32 {
    const INFINITY: Self = f32::INFINITY;
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn of(value: f64) -> Self {
        value as Self
    }
    fn under(self) -> Self {
        self.next_down()
    }
}

impl Number for f64 {
    const INFINITY: Self = f64::INFINITY;
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn of(value: f64) -> Self {
        value
    }
    fn under(self) -> Self {
        self.next_down()
    }
}

/// Rows that are walked together.
pub(crate) const BLOCK: usize = 64;
/// Rows whose steps are interleaved.
const LANES: usize = 8;
/// Set in a node's feature: a missing input goes left.
const MISSING_LEFT: u32 = 1 << 31;
/// Set in a node's feature: the test is a [`Special`] one.
const SPECIAL: u32 = 1 << 30;
/// The bits of a node's feature that are its number.
const FEATURE: u32 = SPECIAL - 1;

/// A node as it is walked: at or under the threshold goes to `left`, else to the node after it.
#[derive(Debug, Clone, Copy)]
struct Node<T> {
    threshold: T,
    feature: u32,
    left: u32,
}

/// A node as a reader hands it over.
#[derive(Debug, Clone)]
pub(crate) enum RawNode<T> {
    /// The number of its values among those handed over.
    Leaf(usize),
    Split {
        feature: usize,
        test: Test<T>,
        left: usize,
        right: usize,
        missing_left: bool,
    },
}

/// What decides whether a row goes left.
#[derive(Debug, Clone)]
pub(crate) enum Test<T> {
    /// At or under it.
    AtMost(T),
    Special(Special<T>),
}

/// Tests that only some models have.
#[derive(Debug, Clone)]
pub(crate) enum Special<T> {
    /// LightGBM's zero as missing: zero goes where missing goes.
    ZeroIsMissing {
        threshold: T,
    },
    Category(Category),
    /// ONNX's sets of numbers, mostly of one.
    Among(Vec<T>),
}

/// Membership of a whole number in a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Category {
    pub(crate) members: Bits,
    /// Where members go.
    pub(crate) members_left: bool,
    /// If given, a category in neither set goes where missing goes.
    pub(crate) known: Option<Bits>,
}

/// A set of whole numbers: as bits, or sorted where they lie far apart.
#[derive(Debug, Clone)]
pub(crate) enum Bits {
    Words(Vec<u32>),
    Sorted(Vec<u32>),
}

impl Default for Bits {
    fn default() -> Self {
        Self::Sorted(Vec::new())
    }
}

impl Bits {
    pub(crate) fn of_words(words: Vec<u32>) -> Self {
        Self::Words(words)
    }

    pub(crate) fn of_members(members: &[u32], max: u32) -> Result<Self, String> {
        let greatest = members.iter().copied().max().unwrap_or_default();
        if max < greatest {
            return Err(format!("category {greatest} is out of range"));
        }
        let mut sorted = members.to_vec();
        sorted.sort_unstable();
        // A file of few members must not take much memory.
        if 8 * members.len() + 8 < greatest as usize / 32 {
            return Ok(Self::Sorted(sorted));
        }
        let mut words = vec![0u32; greatest as usize / 32 + 1];
        for member in sorted {
            words[member as usize / 32] |= 1 << (member % 32);
        }
        Ok(Self::Words(words))
    }

    fn memory(&self) -> usize {
        match self {
            Self::Words(all) | Self::Sorted(all) => 4 * all.capacity(),
        }
    }

    fn holds(&self, category: Option<u32>) -> bool {
        let Some(category) = category else { return false };
        match self {
            Self::Sorted(members) => members.binary_search(&category).is_ok(),
            Self::Words(words) => words
                .get(category as usize / 32)
                .is_some_and(|word| word >> (category % 32) & 1 == 1),
        }
    }
}

impl Category {
    fn left(&self, value: f64) -> Option<bool> {
        // Library code casts to int: the fraction is cut off.
        let category = (-1.0 < value && value < 2_147_483_648.0).then_some(value as u32);
        if self.members.holds(category) {
            return Some(self.members_left);
        }
        match &self.known {
            Some(known) if !known.holds(category) => None,
            _ => Some(!self.members_left),
        }
    }
}

/// All trees of an ensemble.
#[derive(Debug, Clone)]
pub(crate) struct Trees<T> {
    nodes: Vec<Node<T>>,
    /// Of a leaf: the number of its values; of a special node: the number of its test.
    slots: Vec<u32>,
    roots: Vec<u32>,
    specials: Vec<Special<T>>,
    values: Vec<f64>,
    width: usize,
    features: usize,
}

impl<T: Number> Trees<T> {
    /// An ensemble whose leaves have `width` values each, over rows of `features` inputs.
    pub(crate) fn new(width: usize, features: usize) -> Result<Self, String> {
        if width == 0 || FEATURE as usize <= features || features == 0 {
            return Err(format!(
                "{features} inputs and {width} values a leaf are out of range"
            ));
        }
        Ok(Self {
            nodes: Vec::new(),
            slots: Vec::new(),
            roots: Vec::new(),
            specials: Vec::new(),
            values: Vec::new(),
            width,
            features,
        })
    }

    /// Adds a tree whose root is node 0. `values` holds `width` values for each leaf. Refuses what does not end in a
    /// leaf, shares nodes, reads an input that is not there, or compares with NaN.
    pub(crate) fn push(&mut self, raw: &[RawNode<T>], values: &[f64]) -> Result<(), String> {
        self.push_in_order(raw, values).map(drop)
    }

    /// As [`Trees::push`]; tells in which order the leaves handed over are numbered.
    pub(crate) fn push_in_order(&mut self, raw: &[RawNode<T>], values: &[f64]) -> Result<Vec<usize>, String> {
        let tree = self.roots.len();
        if raw.is_empty() {
            return Err(format!("tree {tree} has no nodes"));
        }
        if FEATURE as usize <= self.nodes.len() + raw.len() {
            return Err("the ensemble has too many nodes".into());
        }
        let base = self.nodes.len();
        let mut seen = vec![false; raw.len()];
        seen[0] = true;
        // Breadth first: `order[i]` is the raw number of node `base + i`.
        let mut order = vec![0usize];
        let mut leaves = Vec::new();
        let mut next = 0;
        while next < order.len() {
            let at = order[next];
            let index = (base + next) as u32;
            next += 1;
            match &raw[at] {
                RawNode::Leaf(leaf) => {
                    let start = leaf.checked_mul(self.width);
                    let found = start.and_then(|start| values.get(start..start.checked_add(self.width)?));
                    let found =
                        found.ok_or_else(|| format!("tree {tree}, node {at}: the leaf has no value"))?;
                    self.slots.push((self.values.len() / self.width) as u32);
                    self.values.extend_from_slice(found);
                    leaves.push(*leaf);
                    self.nodes.push(Node {
                        threshold: T::INFINITY,
                        feature: MISSING_LEFT,
                        left: index,
                    });
                }
                RawNode::Split {
                    feature,
                    test,
                    left,
                    right,
                    missing_left,
                } => {
                    if self.features <= *feature {
                        return Err(format!(
                            "tree {tree}, node {at} reads input {feature} of {}",
                            self.features
                        ));
                    }
                    let first = (base + order.len()) as u32;
                    for child in [*left, *right] {
                        match seen.get_mut(child) {
                            None => {
                                return Err(format!(
                                    "tree {tree}, node {at} leads to node {child}, which is not there"
                                ));
                            }
                            Some(true) => return Err(format!("tree {tree}: node {child} is reached twice")),
                            Some(unseen) => *unseen = true,
                        }
                        order.push(child);
                    }
                    let mut flags = if *missing_left { MISSING_LEFT } else { 0 };
                    let threshold = match test {
                        Test::AtMost(threshold) if threshold.is_nan() => {
                            return Err(format!("tree {tree}, node {at} compares with NaN"));
                        }
                        Test::AtMost(threshold) => {
                            self.slots.push(0);
                            *threshold
                        }
                        Test::Special(special) => {
                            flags |= SPECIAL;
                            self.slots.push(self.specials.len() as u32);
                            self.specials.push(special.clone());
                            T::default()
                        }
                    };
                    self.nodes.push(Node {
                        threshold,
                        feature: *feature as u32 | flags,
                        left: first,
                    });
                }
            }
        }
        self.roots.push(base as u32);
        Ok(leaves)
    }

    /// How many trees there are.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }

    /// Gives back what was reserved for more trees.
    pub(crate) fn finish(&mut self) {
        self.nodes.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.roots.shrink_to_fit();
        self.specials.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// How much memory the trees take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let nodes = self.nodes.capacity() * size_of::<Node<T>>() + 4 * self.slots.capacity();
        let special = |special: &Special<T>| {
            size_of::<Special<T>>()
                + match special {
                    Special::ZeroIsMissing { .. } => 0,
                    Special::Category(category) => {
                        category.members.memory() + category.known.as_ref().map_or(0, Bits::memory)
                    }
                    Special::Among(values) => values.capacity() * size_of::<T>(),
                }
        };
        let specials: usize = self.specials.iter().map(special).sum();
        (nodes + 4 * self.roots.capacity() + specials + 8 * self.values.capacity()) as u64
    }

    /// How many inputs a row has.
    pub(crate) fn features(&self) -> usize {
        self.features
    }

    /// The values of a leaf.
    #[inline]
    pub(crate) fn values(&self, slot: u32) -> &[f64] {
        let start = slot as usize * self.width;
        &self.values[start..start + self.width]
    }

    /// The first value of a leaf.
    #[inline]
    pub(crate) fn value(&self, slot: u32) -> f64 {
        self.values[slot as usize * self.width]
    }

    /// Lets `change` alter all values of all leaves, leaf by leaf.
    pub(crate) fn change_values(&mut self, mut change: impl FnMut(&mut [f64])) {
        self.values.chunks_exact_mut(self.width).for_each(&mut change);
    }

    /// Calls `take(row, tree, leaf)` for every row of a block and every tree; for each row in the trees' order.
    pub(crate) fn for_each_leaf(&self, rows: &[T], trees: usize, mut take: impl FnMut(usize, usize, u32)) {
        let count = rows.len() / self.features;
        let mut leaves = [0u32; BLOCK];
        for start in (0..count).step_by(BLOCK) {
            let end = count.min(start + BLOCK);
            let block = &rows[start * self.features..end * self.features];
            for tree in 0..trees.min(self.roots.len()) {
                self.leaves(tree, block, &mut leaves[..end - start]);
                for (row, leaf) in leaves[..end - start].iter().enumerate() {
                    take(start + row, tree, *leaf);
                }
            }
        }
    }

    fn leaves(&self, tree: usize, rows: &[T], leaves: &mut [u32]) {
        let root = self.roots[tree];
        if !self.specials.is_empty() {
            for (row, leaf) in rows.chunks_exact(self.features).zip(leaves) {
                *leaf = self.slots[self.walk_special(root, row) as usize];
            }
            return;
        }
        let mut groups = leaves.chunks_exact_mut(LANES);
        let mut rows = rows;
        for group in &mut groups {
            let (eight, rest) = rows.split_at(LANES * self.features);
            rows = rest;
            let ends = self.walk_lanes(root, eight);
            for (leaf, end) in group.iter_mut().zip(ends) {
                *leaf = self.slots[end as usize];
            }
        }
        for (row, leaf) in rows.chunks_exact(self.features).zip(groups.into_remainder()) {
            *leaf = self.slots[self.walk(root, row) as usize];
        }
    }

    fn walk(&self, root: u32, row: &[T]) -> u32 {
        let mut at = root;
        loop {
            let next = step(&self.nodes[at as usize], row);
            if next == at {
                return at;
            }
            at = next;
        }
    }

    #[inline]
    fn walk_lanes(&self, root: u32, rows: &[T]) -> [u32; LANES] {
        let mut at = [root; LANES];
        let nodes = self.nodes.as_slice();
        loop {
            let mut moved = 0;
            // Most trees need several steps; only every second is asked whether it was the last.
            for lane in 0..LANES {
                let row = &rows[lane * self.features..(lane + 1) * self.features];
                let first = step(&nodes[at[lane] as usize], row);
                let second = step(&nodes[first as usize], row);
                moved |= first ^ second;
                at[lane] = second;
            }
            if moved == 0 {
                return at;
            }
        }
    }

    fn walk_special(&self, root: u32, row: &[T]) -> u32 {
        let mut at = root;
        loop {
            let node = &self.nodes[at as usize];
            let next = if node.feature & SPECIAL == 0 {
                step(node, row)
            } else {
                let value = row[(node.feature & FEATURE) as usize];
                let missing = node.feature & MISSING_LEFT != 0;
                let left = self.specials[self.slots[at as usize] as usize].left(value, missing);
                node.left + u32::from(!left)
            };
            if next == at {
                return at;
            }
            at = next;
        }
    }
}

#[inline(always)]
fn step<T: Number>(node: &Node<T>, row: &[T]) -> u32 {
    let value = row[(node.feature & FEATURE) as usize];
    let left = (value <= node.threshold) | (value.is_nan() & (node.feature & MISSING_LEFT != 0));
    node.left + u32::from(!left)
}

impl<T: Number> Special<T> {
    fn left(&self, value: T, missing_left: bool) -> bool {
        match self {
            // LightGBM's `kZeroThreshold`.
            Self::ZeroIsMissing { threshold } => {
                let number = value.to_f64();
                if value.is_nan() || number.abs() <= 1e-35 {
                    missing_left
                } else {
                    value <= *threshold
                }
            }
            _ if value.is_nan() => missing_left,
            Self::Category(category) => category.left(value.to_f64()).unwrap_or(missing_left),
            Self::Among(numbers) => numbers.contains(&value),
        }
    }
}

/// The greatest f32 at or under a number: an f32 is at or under the one exactly when it is at or under the other.
pub(crate) fn f32_at_most(threshold: f64) -> f32 {
    let rounded = threshold as f32;
    match f64::from(rounded) > threshold {
        true => rounded.next_down(),
        false => rounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(feature: usize, threshold: f32, left: usize, right: usize) -> RawNode<f32> {
        RawNode::Split {
            feature,
            test: Test::AtMost(threshold),
            left,
            right,
            missing_left: true,
        }
    }

    fn push(raw: &[RawNode<f32>], values: &[f64]) -> Result<Trees<f32>, String> {
        let mut trees = Trees::new(1, 2)?;
        trees.push(raw, values)?;
        Ok(trees)
    }

    fn answers(trees: &Trees<f32>, rows: &[f32]) -> Vec<f64> {
        let mut sums = vec![0.0; rows.len() / 2];
        trees.for_each_leaf(rows, usize::MAX, |row, _, leaf| sums[row] += trees.value(leaf));
        sums
    }

    #[test]
    fn a_tree_with_a_cycle_a_wrong_input_or_a_nan_is_refused() {
        let leaf = RawNode::Leaf(0);
        let told = |raw: &[RawNode<f32>]| push(raw, &[1.0]).unwrap_err();
        assert!(told(&[split(0, 0.5, 0, 1), leaf.clone()]).contains("reached twice"));
        assert!(told(&[split(0, 0.5, 1, 1), leaf.clone()]).contains("reached twice"));
        assert!(told(&[split(0, 0.5, 1, 9), leaf.clone()]).contains("not there"));
        assert!(told(&[split(2, 0.5, 1, 2), leaf.clone(), leaf.clone()]).contains("input 2 of 2"));
        assert!(told(&[split(0, f32::NAN, 1, 2), leaf.clone(), leaf.clone()]).contains("NaN"));
        assert!(told(&[RawNode::Leaf(1)]).contains("no value"));
        assert!(told(&[]).contains("no nodes"));
    }

    #[test]
    fn many_rows_end_where_single_rows_end() {
        // A chain: the deeper, the greater the input.
        let depth = 13;
        let mut raw = Vec::new();
        for level in 0..depth {
            raw.push(split(level % 2, level as f32, 2 * level + 1, 2 * level + 2));
            raw.push(RawNode::Leaf(level));
        }
        raw.push(RawNode::Leaf(depth));
        let values: Vec<f64> = (0..=depth).map(|leaf| leaf as f64).collect();
        let trees = push(&raw, &values).unwrap();
        let rows: Vec<f32> = (0..402)
            .map(|i| match i % 41 {
                0 => f32::NAN,
                _ => (i * 7 % 31) as f32 - 8.0,
            })
            .collect();
        let together = answers(&trees, &rows);
        let alone: Vec<f64> = rows.chunks(2).flat_map(|row| answers(&trees, row)).collect();
        assert_eq!(together, alone);
        assert_eq!(answers(&trees, &[f32::INFINITY, f32::INFINITY]), [13.0]);
        assert_eq!(answers(&trees, &[f32::NAN, 99.0]), [0.0]);
    }

    #[test]
    fn categories_go_where_their_set_says() {
        let category = |members_left, known: Option<&[u32]>| {
            let test = Test::Special(Special::Category(Category {
                members: Bits::of_members(&[1, 40], 100).unwrap(),
                members_left,
                known: known.map(|known| Bits::of_members(known, 100).unwrap()),
            }));
            let node = RawNode::Split {
                feature: 0,
                test,
                left: 1,
                right: 2,
                missing_left: true,
            };
            push(&[node, RawNode::Leaf(0), RawNode::Leaf(1)], &[-1.0, 1.0]).unwrap()
        };
        let rows = [1.0, 0.0, 40.9, 0.0, 2.0, 0.0, -1.0, 0.0, f32::NAN, 0.0, 1e30, 0.0];
        assert_eq!(
            answers(&category(true, None), &rows),
            [-1.0, -1.0, 1.0, 1.0, -1.0, 1.0]
        );
        assert_eq!(
            answers(&category(false, None), &rows),
            [1.0, 1.0, -1.0, -1.0, -1.0, -1.0]
        );
        assert_eq!(
            answers(&category(true, Some(&[2])), &rows),
            [-1.0, -1.0, 1.0, -1.0, -1.0, -1.0]
        );
        assert!(Bits::of_members(&[101], 100).is_err());
    }

    #[test]
    fn thresholds_are_rounded_so_that_no_f32_changes_sides() {
        for threshold in [0.1, -0.1, 1e300, -1e300, 0.0, 1.0, 1e-60, -1e-60] {
            let rounded = f32_at_most(threshold);
            for value in [rounded, rounded.next_up(), rounded.next_down(), 0.1, -0.1] {
                assert_eq!(
                    f64::from(value) <= threshold,
                    value <= rounded,
                    "{value} {threshold}"
                );
            }
        }
    }
}
