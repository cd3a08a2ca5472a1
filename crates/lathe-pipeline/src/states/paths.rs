use lathe_data::Hashed;

use super::State;
use crate::stage::OutKind;

/// A dependency or an output, and what the lock knows of it.
#[derive(Debug, Clone)]
pub struct LockedPath {
    /// From the root of the repository.
    pub at: String,
    /// What was hashed last; nothing if its stage never was executed.
    pub hashed: Option<Hashed>,
    /// Whether the cache keeps it.
    pub cache: bool,
}

impl State {
    /// What stages depend on, apart from parameters, each path once.
    pub fn deps(&self) -> Vec<LockedPath> {
        let deps = self.stages().flat_map(|stage| {
            let entry = self.entry(stage);
            stage.deps.iter().map(move |dep| LockedPath {
                at: dep.at.clone(),
                hashed: entry.and_then(|entry| Some(entry.dep(&dep.path)?.hashed.clone())),
                cache: false,
            })
        });
        once(deps)
    }

    /// What stages make, apart from metrics and plots.
    pub fn outs(&self) -> Vec<LockedPath> {
        let outs = self.stages().flat_map(|stage| {
            let entry = self.entry(stage);
            let outs = stage.outs.iter().filter(|out| out.kind == OutKind::Data);
            outs.map(move |out| LockedPath {
                at: out.at.clone(),
                hashed: entry.and_then(|entry| Some(entry.out(&out.path)?.hashed.clone())),
                cache: out.cache,
            })
        });
        once(outs)
    }
}

fn once(paths: impl Iterator<Item = LockedPath>) -> Vec<LockedPath> {
    let mut seen = std::collections::HashSet::new();
    paths.filter(|path| seen.insert(path.at.clone())).collect()
}
