use std::collections::HashMap;
use std::sync::Arc;

use lathe_data::Repo;

use crate::error::similar;
use crate::external::{Dataset, Reach};
use crate::graph::Graph;
use crate::param_files::ParamFiles;
use crate::pipeline_file::PipelineFile;
use crate::sources::Source;
use crate::stage::{PIPELINE_FILE, Stage, folder_of, joined};
use crate::template::OptionStyle;
use crate::{Error, Result};

/// All pipelines of a repository, everything resolved and checked.
#[derive(Debug, Clone)]
pub struct Project {
    pub(crate) stages: Vec<Stage>,
    pub(crate) graph: Graph,
    pub(crate) sources: Vec<Source>,
    files: Vec<PipelineFile>,
    param_files: Arc<ParamFiles>,
    datasets: HashMap<String, Dataset>,
    reach: Reach,
}

/// Which stages a command is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The folder that targets are relative to, from the root; empty for the root.
    pub folder: String,
    /// Stages, groups, `path/dvc.yaml`, `path/dvc.yaml:stage`, `path/x.dvc`, with `recursive` folders; those of the
    /// folder's `dvc.yaml` if empty.
    pub targets: Vec<String>,
    /// Every stage of the repository.
    pub all: bool,
    /// Nothing but the targets, whatever they need.
    pub single: bool,
    /// Also all that is connected with the targets.
    pub pipeline: bool,
    /// The targets and what needs them, in the place of what they need.
    pub downstream: bool,
    /// Targets may be folders, which stand for all stages in them.
    pub recursive: bool,
    /// Names of stages may hold `*`, `?` and `[…]`.
    pub glob: bool,
}

impl Project {
    /// Reads every `dvc.yaml` and every `.dvc` file of the repository.
    pub fn load(repo: &Repo) -> Result<Self> {
        let param_files = Arc::new(ParamFiles::new(repo.root()));
        let options = OptionStyle {
            negated_flags: repo.setting("parsing", "bool") == Some("boolean_optional"),
            repeated_lists: repo.setting("parsing", "list") == Some("append"),
        };
        let mut files = Vec::new();
        let mut stages = Vec::new();
        for path in lathe_data::pipeline_files(repo)? {
            let at = repo.root().join(&path);
            let text = std::fs::read_to_string(&at).map_err(Error::read(&at))?;
            let mut file = PipelineFile::parse(&path, &text, &param_files, options)?;
            stages.append(&mut file.stages);
            files.push(file);
        }
        if files.is_empty() {
            return Err(Error::NoPipeline {
                root: repo.root().to_owned(),
            });
        }
        let sources = Source::all(repo)?;
        let graph = Graph::of(&stages, &sources, files.iter().map(|file| &*file.path))?;
        Ok(Self {
            stages,
            graph,
            sources,
            datasets: Dataset::all(repo.root(), &files)?,
            files,
            param_files,
            reach: Reach::default(),
        })
    }

    /// The same, which reaches URLs by this.
    pub fn reaching(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// What reaches URLs.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Datasets by name.
    pub fn datasets(&self) -> &HashMap<String, Dataset> {
        &self.datasets
    }

    /// Every stage, in the order of the files.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The pipeline files; their stages are taken out of them, see [`Project::stages`].
    pub fn files(&self) -> &[PipelineFile] {
        &self.files
    }

    /// What was read of files of parameters.
    pub(crate) fn param_files(&self) -> &Arc<ParamFiles> {
        &self.param_files
    }

    /// The selected stages in the order to execute them.
    pub fn select(&self, selection: &Selection) -> Result<Vec<usize>> {
        let all = vec![true; self.stages.len()];
        // What a frozen stage needs is not looked at on its behalf.
        let is_frozen = |index: usize| self.stages[index].frozen;
        let ordered = |result: std::result::Result<Vec<usize>, Vec<usize>>| {
            result.map_err(|circle| Error::Cycle {
                stages: circle
                    .into_iter()
                    .map(|index| self.stages[index].address())
                    .collect(),
            })
        };
        if selection.all {
            return ordered(self.graph.sorted(&all, is_frozen));
        }
        let wanted = self.targets(selection)?;
        if selection.single && !selection.pipeline {
            return Ok(wanted);
        }
        if selection.pipeline {
            return ordered(self.graph.sorted(&self.graph.connected(&wanted), is_frozen));
        }
        if selection.downstream {
            return ordered(self.graph.sorted(&self.graph.downstream(&wanted), is_frozen));
        }
        ordered(self.graph.in_order(&wanted, is_frozen))
    }

    /// The stages that the targets name, without what they need.
    pub fn targets(&self, selection: &Selection) -> Result<Vec<usize>> {
        let mut by_file: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, stage) in self.stages.iter().enumerate() {
            by_file.entry(&stage.file).or_default().push(index);
        }
        let own = joined(&selection.folder, PIPELINE_FILE);
        if selection.targets.is_empty() {
            return self.of_file(&own, &by_file);
        }
        let mut wanted = Vec::new();
        for target in &selection.targets {
            wanted.extend(self.target(target, selection, &own, &by_file)?);
        }
        let mut seen = std::collections::HashSet::new();
        wanted.retain(|index| seen.insert(*index));
        Ok(wanted)
    }

    fn of_file(&self, path: &str, by_file: &HashMap<&str, Vec<usize>>) -> Result<Vec<usize>> {
        if !self.files.iter().any(|file| &*file.path == path) {
            return Err(Error::NoPipelineFile {
                path: path.to_owned(),
                other: self.files.first().map(|file| file.path.to_string()),
            });
        }
        Ok(by_file.get(path).cloned().unwrap_or_default())
    }

    fn target(
        &self,
        target: &str,
        selection: &Selection,
        own: &str,
        by_file: &HashMap<&str, Vec<usize>>,
    ) -> Result<Vec<usize>> {
        if let Some(source) = self.source(target, selection)? {
            let follows = selection.downstream || selection.pipeline;
            let readers = (0..self.stages.len()).filter(|index| self.graph.reads[*index].contains(&source));
            return Ok(if follows { readers.collect() } else { Vec::new() });
        }
        if selection.recursive {
            let folder = joined(&selection.folder, target.trim_end_matches('/'));
            let inside = |file: &str| {
                let at = folder_of(file);
                folder.is_empty() || at == folder || at.starts_with(&format!("{folder}/"))
            };
            let found: Vec<usize> = (0..self.stages.len())
                .filter(|index| inside(&self.stages[*index].file))
                .collect();
            if !found.is_empty() || self.sources.iter().any(|source| inside(&source.path)) {
                return Ok(found);
            }
        }
        let is_file = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
        if is_file(target) {
            return self.of_file(&joined(&selection.folder, target), by_file);
        }
        let (file, name) = match target.rsplit_once(':') {
            Some((file, name)) if is_file(file) => (joined(&selection.folder, file), name),
            Some(("", name)) => (own.to_owned(), name),
            _ => (own.to_owned(), target),
        };
        let stages = self.of_file(&file, by_file)?;
        let group = self
            .files
            .iter()
            .any(|known| *known.path == *file && known.groups.iter().any(|group| group == name));
        let is_wanted = |index: &usize| {
            let stage = &self.stages[*index];
            match (group, selection.glob) {
                (true, _) => stage.group() == Some(name),
                (false, true) => glob(name, &stage.name),
                (false, false) => stage.name == name,
            }
        };
        let found: Vec<usize> = stages.iter().copied().filter(is_wanted).collect();
        if found.is_empty() && !selection.glob && !group {
            let names = self.stages.iter().map(Stage::address).collect::<Vec<_>>();
            return Err(Error::UnknownTarget {
                target: target.to_owned(),
                similar: similar(name, names.iter().map(String::as_str)),
            });
        }
        Ok(found)
    }
}

/// Shell patterns as Python's `fnmatch` has them.
fn glob(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to go on after the last `*` if what follows does not fit.
    let mut back: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                back = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => match class(&pattern[p..], name[n]) {
                Some((true, length)) => Some(p + length),
                Some((false, _)) => None,
                None => (name[n] == '[').then_some(p + 1),
            },
            Some(c) => (*c == name[n]).then_some(p + 1),
            None => None,
        };
        match (step, back) {
            (Some(next), _) => {
                p = next;
                n += 1;
            }
            (None, Some((after, from))) => {
                back = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether `[…]` takes the character, and its length; `None` if it is not closed.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let inner = &pattern[start..end];
    let mut found = false;
    let mut at = 0;
    while at < inner.len() {
        if inner.get(at + 1) == Some(&'-') && at + 2 < inner.len() {
            found |= inner[at] <= c && c <= inner[at + 2];
            at += 3;
        } else {
            found |= inner[at] == c;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_the_shells() {
        for (pattern, name, expected) in [
            ("train*", "train@a", true),
            ("*@a", "train@a", true),
            ("t?ain", "train", true),
            ("t?ain", "tain", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("a*b*c", "aXbXbc", true),
            ("[x", "[x", true),
            ("", "", true),
            ("a", "ab", false),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
