use crate::stage::{Stage, overlap};
use crate::{Error, Result};

/// Which stages a stage needs, for every stage: the makers of its deps in the order of the deps, then of its params
/// files.
pub fn needs(stages: &[Stage]) -> Vec<Vec<usize>> {
    stages
        .iter()
        .enumerate()
        .map(|(index, stage)| {
            let paths = stage
                .deps
                .iter()
                .map(|dep| dep.at.as_str())
                .chain(stage.params.iter().map(|params| params.at.as_str()));
            let mut needed = Vec::new();
            for path in paths {
                for (maker, other) in stages.iter().enumerate() {
                    let makes = other.outs.iter().any(|out| overlap(&out.at, path));
                    if maker != index && makes && !needed.contains(&maker) {
                        needed.push(maker);
                    }
                }
            }
            needed
        })
        .collect()
}

/// Refuses outputs that two stages write, and a stage that reads its own output.
pub fn check_outputs(stages: &[Stage]) -> Result<()> {
    let outs: Vec<_> = stages
        .iter()
        .flat_map(|stage| stage.outs.iter().map(move |out| (stage, out)))
        .collect();
    for (index, (stage, out)) in outs.iter().enumerate() {
        if let Some((other, other_out)) = outs[..index]
            .iter()
            .find(|(_, other_out)| overlap(&out.at, &other_out.at))
        {
            return Err(Error::OverlappingOutputs {
                path: out.path.clone(),
                stage: stage.name.clone(),
                other_path: other_out.path.clone(),
                other: other.name.clone(),
            });
        }
        if stage.deps.iter().any(|dep| overlap(&dep.at, &out.at)) {
            return Err(Error::Cycle {
                stages: vec![stage.name.clone()],
            });
        }
    }
    Ok(())
}

/// The wanted stages and all that they need, each after what it needs; otherwise in the order given. DVC writes its
/// lock in this order.
pub fn in_order(stages: &[Stage], needs: &[Vec<usize>], wanted: &[usize]) -> Result<Vec<usize>> {
    let mut visit = Visit {
        stages,
        needs,
        path: Vec::new(),
        order: Vec::new(),
    };
    for &index in wanted {
        visit.stage(index)?;
    }
    Ok(visit.order)
}

struct Visit<'a> {
    stages: &'a [Stage],
    needs: &'a [Vec<usize>],
    path: Vec<usize>,
    order: Vec<usize>,
}

impl Visit<'_> {
    fn stage(&mut self, index: usize) -> Result<()> {
        if self.order.contains(&index) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|seen| *seen == index) {
            let stages = self.path[start..]
                .iter()
                .map(|index| self.stages[*index].name.clone())
                .collect();
            return Err(Error::Cycle { stages });
        }
        self.path.push(index);
        for &needed in &self.needs[index] {
            self.stage(needed)?;
        }
        self.path.pop();
        self.order.push(index);
        Ok(())
    }
}
