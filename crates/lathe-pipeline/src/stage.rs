use std::sync::Arc;

use crate::yaml::{Node, Value};

/// The name of pipeline files.
pub const PIPELINE_FILE: &str = "dvc.yaml";

/// A node of a pipeline, everything resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The pipeline file that defines it, relative to the repository: `dvc.yaml`, `sub/dvc.yaml`.
    pub file: Arc<str>,
    /// `train`, or `train@large` of a group.
    pub name: String,
    /// As `dvc.lock` keeps it: text or a list of texts.
    pub cmd: Node,
    /// The folder that commands are executed in, relative to the repository; empty for its root.
    pub wdir: String,
    /// Inputs, in the order of the file.
    pub deps: Vec<Dep>,
    /// Parameters by file, in the order of the file.
    pub params: Vec<ParamFile>,
    /// Outputs, metrics and plots.
    pub outs: Vec<Out>,
    /// Never executed.
    pub frozen: bool,
    /// Always executed.
    pub always_changed: bool,
    /// What people wrote about it.
    pub desc: Option<String>,
}

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Dep {
    /// As written, relative to the stage's folder.
    pub path: String,
    /// Relative to the repository.
    pub at: String,
}

/// What an input is, by how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file or folder of this machine.
    Path,
    /// What lies behind a URL: `s3://…`, `https://…`, `remote://name/…`.
    Url,
    /// A dataset that the pipeline file lists: `ds://name`.
    Dataset,
}

impl Kind {
    /// Of what is written so.
    pub fn of(path: &str) -> Self {
        match path.split_once("://") {
            None => Self::Path,
            Some(("ds", _)) => Self::Dataset,
            Some(_) => Self::Url,
        }
    }
}

/// Parameters of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamFile {
    /// As written, relative to the stage's folder.
    pub path: String,
    /// Relative to the repository.
    pub at: String,
    /// Dotted keys; `None` for the whole file.
    pub keys: Option<Vec<String>>,
}

/// An output.
#[derive(Debug, Clone, PartialEq)]
pub struct Out {
    /// As written, relative to the stage's folder.
    pub path: String,
    /// Relative to the repository.
    pub at: String,
    /// Which list it is in.
    pub kind: OutKind,
    /// Kept in the cache and out of git.
    pub cache: bool,
    /// Not removed before the stage is executed.
    pub persist: bool,
    /// The remote that it goes to, if not the default.
    pub remote: Option<String>,
    /// Whether it goes to remotes at all.
    pub push: bool,
    /// How a plot is drawn, as written; nothing for other outputs.
    pub plot: Option<Node>,
}

/// The list that an output is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutKind {
    /// `outs`
    Data,
    /// `metrics`
    Metric,
    /// `plots`
    Plot,
}

impl Stage {
    /// How people name it from the root: `train`, `sub/dvc.yaml:train`.
    pub fn address(&self) -> String {
        if &*self.file == PIPELINE_FILE {
            self.name.clone()
        } else {
            format!("{}:{}", self.file, self.name)
        }
    }

    /// The group that `foreach` or `matrix` made it for.
    pub fn group(&self) -> Option<&str> {
        self.name.rsplit_once('@').map(|(group, _)| group)
    }

    /// One shell each. As in DVC, text of several lines is a command for each line, so that `cd` does not outlive its
    /// line; an item of a list is one command whatever is in it.
    pub fn commands(&self) -> Vec<String> {
        match &self.cmd.value {
            Value::List(items) => items.iter().filter_map(Node::as_str).map(str::to_owned).collect(),
            _ => lines(self.cmd.as_str().unwrap_or_default())
                .filter(|line| !line.trim().is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// For people: the commands, one a line.
    pub fn command_text(&self) -> String {
        self.commands().join("\n")
    }

    /// Whether an earlier execution with the same inputs can stand for a new one.
    pub fn is_restorable(&self) -> bool {
        let has_inputs = !self.deps.is_empty() || !self.params.is_empty();
        let inside = |at: &str| !at.starts_with("..") && !at.starts_with('/') && Kind::of(at) == Kind::Path;
        let known_outs = self.outs.iter().all(|out| !out.persist && inside(&out.at));
        has_inputs && known_outs && !self.always_changed && !self.outs.is_empty()
    }

    /// Whether an execution is remembered for later: its outputs must be kept somewhere.
    pub fn is_remembered(&self) -> bool {
        let is_kept = |out: &Out| out.cache || out.kind != OutKind::Data;
        self.is_restorable() && self.outs.iter().all(is_kept) && self.reads_only_files()
    }

    /// Whether nothing that it needs lies elsewhere. Of what does, an earlier execution does not say what it was.
    pub fn reads_only_files(&self) -> bool {
        self.deps.iter().all(|dep| Kind::of(&dep.at) == Kind::Path)
    }

    /// A stage that declares neither inputs nor outputs is executed every time.
    pub fn is_callback(&self) -> bool {
        self.deps.is_empty() && self.params.is_empty() && self.outs.is_empty()
    }
}

/// The lines of a text, cut where Python cuts them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    })
}

/// The folder of a path relative to the repository; empty for its root.
pub fn folder_of(at: &str) -> &str {
    at.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `path` seen from `folder`, without `.` and `..` as far as possible; absolute paths and URLs stay.
pub fn joined(folder: &str, path: &str) -> String {
    if path.starts_with('/') || Kind::of(path) != Kind::Path {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
