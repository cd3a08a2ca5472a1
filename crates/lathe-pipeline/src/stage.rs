use crate::yaml::{Node, Value};

/// A node of a pipeline, everything resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
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
}

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Dep {
    /// As written, relative to the stage's folder.
    pub path: String,
    /// Relative to the repository.
    pub at: String,
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
    /// One shell each. DVC splits text of several lines into commands, so that `cd` does not outlive its line.
    pub fn commands(&self) -> Vec<String> {
        let texts: Vec<&str> = match &self.cmd.value {
            Value::List(items) => items.iter().filter_map(Node::as_str).collect(),
            _ => self.cmd.as_str().into_iter().collect(),
        };
        texts
            .iter()
            .flat_map(|text| text.lines())
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// For people: the commands, one a line.
    pub fn command_text(&self) -> String {
        self.commands().join("\n")
    }

    /// Whether its outputs are a function of what is declared, so that an execution can stand for another.
    pub fn is_repeatable(&self) -> bool {
        let known_outs = self
            .outs
            .iter()
            .all(|out| !out.persist && (out.cache || out.kind != OutKind::Data));
        let has_inputs = !self.deps.is_empty() || !self.params.is_empty();
        has_inputs && known_outs && !self.always_changed && !self.outs.is_empty()
    }

    /// A stage that declares neither inputs nor outputs is executed every time.
    pub fn is_callback(&self) -> bool {
        self.deps.is_empty() && self.params.is_empty() && self.outs.is_empty()
    }
}

/// `path` seen from `folder`, without `.` and `..` as far as possible; absolute paths stay.
pub fn joined(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
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

/// Whether one is the other or holds it.
pub fn overlap(a: &str, b: &str) -> bool {
    let holds = |outer: &str, inner: &str| {
        outer.is_empty()
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    holds(a, b) || holds(b, a)
}
