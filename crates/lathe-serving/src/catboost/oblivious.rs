//! Trees in which all nodes of a level ask the same: the answers, bit by bit, are the leaf's number.

use super::columns::Split;
use crate::error::Fault;
use crate::trees::BLOCK;

/// CatBoost itself makes none that is deeper.
const DEPTH_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Oblivious {
    /// Of tree after tree, level by level.
    splits: Vec<Split>,
    depths: Vec<u8>,
    /// Of tree after tree, leaf by leaf, one a dimension.
    leaves: Vec<f64>,
    dimension: usize,
}

impl Oblivious {
    pub(super) fn new(
        known: &[Split],
        splits: &[u32],
        depths: &[usize],
        leaves: Vec<f64>,
        dimension: usize,
    ) -> Result<Self, Fault> {
        let mut expected = 0usize;
        for (tree, depth) in depths.iter().enumerate() {
            if DEPTH_MAX < *depth {
                return Err(Fault::Damaged(format!("tree {tree} is {depth} levels deep")));
            }
            expected = expected.saturating_add(dimension.saturating_mul(1 << depth));
        }
        if expected != leaves.len() || depths.iter().sum::<usize>() != splits.len() {
            return Err(Fault::Damaged(format!(
                "it has {} values and {} splits, which its {} trees do not use up",
                leaves.len(),
                splits.len(),
                depths.len()
            )));
        }
        let splits: Option<Vec<Split>> = splits
            .iter()
            .map(|split| known.get(*split as usize).copied())
            .collect();
        Ok(Self {
            splits: splits.ok_or("a tree asks about what is not there")?,
            depths: depths.iter().map(|depth| *depth as u8).collect(),
            leaves,
            dimension,
        })
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        (self.splits.capacity() * size_of::<Split>() + self.depths.capacity() + 8 * self.leaves.capacity())
            as u64
    }

    /// Adds the trees' values for a block of rows, whose columns lie one after the other.
    pub(super) fn add(&self, block: &[f32], count: usize, sums: &mut [f64]) {
        let dimension = self.dimension;
        let mut splits = self.splits.as_slice();
        let mut leaves = self.leaves.as_slice();
        let mut found = [0u32; BLOCK];
        for depth in &self.depths {
            let (own, rest) = splits.split_at(usize::from(*depth));
            splits = rest;
            let (values, rest) = leaves.split_at(dimension << depth);
            leaves = rest;
            let found = &mut found[..count];
            found.fill(0);
            for (level, split) in own.iter().enumerate() {
                let column = &block[split.column as usize * count..][..count];
                match split.equal {
                    false => {
                        for (found, value) in found.iter_mut().zip(column) {
                            *found |= u32::from(split.value < *value) << level;
                        }
                    }
                    true => {
                        for (found, value) in found.iter_mut().zip(column) {
                            *found |= u32::from(split.value == *value) << level;
                        }
                    }
                }
            }
            match dimension {
                1 => {
                    for (sum, leaf) in sums.iter_mut().zip(found.iter()) {
                        *sum += values[*leaf as usize];
                    }
                }
                _ => {
                    for (sums, leaf) in sums.chunks_exact_mut(dimension).zip(found.iter()) {
                        let own = &values[*leaf as usize * dimension..][..dimension];
                        for (sum, value) in sums.iter_mut().zip(own) {
                            *sum += value;
                        }
                    }
                }
            }
        }
    }
}
