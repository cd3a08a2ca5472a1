use std::collections::HashMap;

use crate::sources::Source;
use crate::stage::Stage;
use crate::{Error, Result};

/// Which stages need which, by position in the order of the files.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// For each stage those that it needs: the makers of its deps in their order, then of its files of parameters.
    pub needs: Vec<Vec<usize>>,
    /// For each stage those that need it.
    pub needed_by: Vec<Vec<usize>>,
    /// For each stage the sources whose data it reads, by position.
    pub reads: Vec<Vec<usize>>,
}

impl Graph {
    /// Of stages whose outputs overlap neither one another nor the data of sources, and who wait for no circle.
    /// `files` are those of all pipelines, which must not be inside an output.
    pub fn of<'f>(
        stages: &[Stage],
        sources: &[Source],
        files: impl IntoIterator<Item = &'f str>,
    ) -> Result<Self> {
        let outs = Outs::of(stages, sources)?;
        for file in files {
            if let Some(out) = outs.around(file) {
                let (out, stage) = named(stages, sources, out);
                return Err(Error::FileInOutput {
                    file: file.to_owned(),
                    out,
                    stage,
                });
            }
        }
        let mut needs = Vec::with_capacity(stages.len());
        let mut reads = Vec::with_capacity(stages.len());
        let mut needed_by = vec![Vec::new(); stages.len()];
        for (index, stage) in stages.iter().enumerate() {
            let deps = stage.deps.iter().map(|dep| &dep.at);
            let mut needed = Vec::new();
            for path in deps.chain(stage.params.iter().map(|params| &params.at)) {
                outs.overlapping(path, &mut |maker| needed.push(maker));
            }
            if needed.contains(&index) {
                return Err(Error::Cycle {
                    stages: vec![stage.address()],
                });
            }
            let mut seen = std::collections::HashSet::new();
            needed.retain(|maker| seen.insert(*maker));
            let (needed, read): (Vec<usize>, Vec<usize>) =
                needed.into_iter().partition(|maker| *maker < stages.len());
            reads.push(read.into_iter().map(|source| source - stages.len()).collect());
            for &maker in &needed {
                needed_by[maker].push(index);
            }
            needs.push(needed);
        }
        let graph = Self {
            needs,
            needed_by,
            reads,
        };
        let all: Vec<usize> = (0..stages.len()).collect();
        match graph.in_order(&all, |_| false) {
            Ok(_) => Ok(graph),
            Err(circle) => Err(Error::Cycle {
                stages: circle.into_iter().map(|index| stages[index].address()).collect(),
            }),
        }
    }

    /// The wanted stages and all that they need, each after what it needs, otherwise in the order of the files: DVC
    /// writes its lock in this order. What a stage needs is left out where `is_cut` says so. The error is a circle.
    pub fn in_order(
        &self,
        wanted: &[usize],
        is_cut: impl Fn(usize) -> bool,
    ) -> std::result::Result<Vec<usize>, Vec<usize>> {
        let included = reachable(
            wanted,
            |index| if is_cut(index) { &[] } else { &self.needs[index] },
        );
        self.sorted(&included, is_cut)
    }

    /// Only the stages marked, each after those of them that it needs.
    pub fn sorted(
        &self,
        included: &[bool],
        is_cut: impl Fn(usize) -> bool,
    ) -> std::result::Result<Vec<usize>, Vec<usize>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.needs.len()];
        let mut order = Vec::new();
        // Not recursive: a chain of stages may be longer than the stack is deep.
        let mut path: Vec<(usize, usize)> = Vec::new();
        for start in 0..self.needs.len() {
            if !included.get(start).copied().unwrap_or(false) || marks[start] != Mark::New {
                continue;
            }
            marks[start] = Mark::Open;
            path.push((start, 0));
            while let Some((index, next)) = path.last_mut() {
                let index = *index;
                let needs: &[usize] = if is_cut(index) { &[] } else { &self.needs[index] };
                let Some(&needed) = needs.get(*next) else {
                    marks[index] = Mark::Done;
                    order.push(index);
                    path.pop();
                    continue;
                };
                *next += 1;
                if !included.get(needed).copied().unwrap_or(false) {
                    continue;
                }
                match marks[needed] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[needed] = Mark::Open;
                        path.push((needed, 0));
                    }
                    Mark::Open => {
                        let circle = path.iter().map(|(index, _)| *index);
                        return Err(circle.skip_while(|index| *index != needed).collect());
                    }
                }
            }
        }
        Ok(order)
    }

    /// The wanted stages and all that need them.
    pub fn downstream(&self, wanted: &[usize]) -> Vec<bool> {
        reachable(wanted, |index| &self.needed_by[index])
    }

    /// The wanted stages and all that are connected with them in whichever direction.
    pub fn connected(&self, wanted: &[usize]) -> Vec<bool> {
        let mut included = vec![false; self.needs.len()];
        let mut open = wanted.to_vec();
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut included[index], true) {
                open.extend(self.needs[index].iter().chain(&self.needed_by[index]));
            }
        }
        included
    }
}

fn reachable<'a>(wanted: &[usize], next: impl Fn(usize) -> &'a [usize]) -> Vec<bool> {
    let mut included = Vec::new();
    let mut open = wanted.to_vec();
    while let Some(index) = open.pop() {
        if included.len() <= index {
            included.resize(index + 1, false);
        }
        if !std::mem::replace(&mut included[index], true) {
            open.extend(next(index));
        }
    }
    included
}

/// An output and what makes it. Sources come after the stages.
fn named(stages: &[Stage], sources: &[Source], (maker, out): (usize, usize)) -> (String, String) {
    match stages.get(maker) {
        Some(stage) => (stage.outs[out].path.clone(), stage.address()),
        None => {
            let source = &sources[maker - stages.len()];
            (source.outs[out].clone(), source.path.clone())
        }
    }
}

/// Outputs by path, one part of the path a level; children in the order in which they were added, as DVC's are.
struct Outs {
    nodes: Vec<OutNode>,
}

#[derive(Default)]
struct OutNode {
    names: HashMap<String, usize>,
    children: Vec<usize>,
    /// Maker and position in its outputs.
    out: Option<(usize, usize)>,
}

impl Outs {
    /// Refuses outputs that are the same or inside one another.
    fn of(stages: &[Stage], sources: &[Source]) -> Result<Self> {
        let mut outs = Self {
            nodes: vec![OutNode::default()],
        };
        let of_stages = stages.iter().map(|stage| {
            let places = stage.outs.iter().map(|out| &out.at);
            places.collect::<Vec<_>>()
        });
        let of_sources = sources.iter().map(|source| source.outs.iter().collect());
        for (index, places) in of_stages.chain(of_sources).enumerate() {
            for (position, at) in places.into_iter().enumerate() {
                if let Err(other) = outs.add(at, (index, position)) {
                    let (path, stage) = named(stages, sources, (index, position));
                    let (other_path, other) = named(stages, sources, other);
                    return Err(Error::OverlappingOutputs {
                        path,
                        stage,
                        other_path,
                        other,
                    });
                }
            }
        }
        Ok(outs)
    }

    /// Adds an output; the error is one that it overlaps.
    fn add(&mut self, path: &str, out: (usize, usize)) -> std::result::Result<(), (usize, usize)> {
        let mut at = 0;
        for part in parts(path) {
            at = self.child(at, part);
            if let Some(other) = self.nodes[at].out {
                return Err(other);
            }
        }
        if !self.nodes[at].children.is_empty() {
            let mut inside = None;
            self.within(at, &mut |found| inside = inside.or(Some(found)));
            if let Some(other) = inside {
                return Err(other);
            }
        }
        self.nodes[at].out = Some(out);
        Ok(())
    }

    fn child(&mut self, at: usize, part: &str) -> usize {
        if let Some(&child) = self.nodes[at].names.get(part) {
            return child;
        }
        let child = self.nodes.len();
        self.nodes.push(OutNode::default());
        self.nodes[at].names.insert(part.to_owned(), child);
        self.nodes[at].children.push(child);
        child
    }

    /// The output that is the path or holds it.
    fn around(&self, path: &str) -> Option<(usize, usize)> {
        let mut at = 0;
        for part in parts(path) {
            at = *self.nodes[at].names.get(part)?;
            if let Some(out) = self.nodes[at].out {
                return Some(out);
            }
        }
        None
    }

    /// The makers of what is at the path, around it or inside it.
    fn overlapping(&self, path: &str, found: &mut dyn FnMut(usize)) {
        let mut at = 0;
        for part in parts(path) {
            let Some(&child) = self.nodes[at].names.get(part) else {
                return;
            };
            at = child;
            if let Some((maker, _)) = self.nodes[at].out {
                found(maker);
            }
        }
        self.within(at, &mut |(maker, _)| found(maker));
    }

    /// The outputs at or below a node.
    fn within(&self, top: usize, found: &mut dyn FnMut((usize, usize))) {
        let mut open = vec![top];
        while let Some(at) = open.pop() {
            if let Some(out) = self.nodes[at].out {
                found(out);
            }
            open.extend(self.nodes[at].children.iter().rev());
        }
    }
}

/// An absolute path has an empty part first, so that it is never inside the repository.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let path = if path == "." { "" } else { path };
    path.split('/').filter(move |_| !path.is_empty())
}
