use std::sync::Arc;

use crate::error::{Place, similar};
use crate::stage::{Dep, Kind, Out, OutKind, ParamFile, Stage, folder_of, joined};
use crate::yaml::{Node, Value};
use crate::{Error, Result};

const KEYS: [&str; 13] = [
    "cmd",
    "wdir",
    "deps",
    "params",
    "outs",
    "metrics",
    "plots",
    "vars",
    "matrix",
    "frozen",
    "always_changed",
    "desc",
    "meta",
];
const OUT_KEYS: [&str; 8] = [
    "cache", "persist", "remote", "push", "desc", "type", "labels", "meta",
];
const PLOT_KEYS: [&str; 7] = ["template", "x", "y", "x_label", "y_label", "title", "header"];

/// Reads one stage whose templates are resolved.
pub struct StageParser<'a> {
    file: &'a Arc<str>,
    name: String,
    name_node: &'a Node,
}

impl<'a> StageParser<'a> {
    /// For the stage of this name, written there.
    pub fn new(file: &'a Arc<str>, name: String, name_node: &'a Node) -> Self {
        Self {
            file,
            name,
            name_node,
        }
    }

    /// Reads its keys.
    pub fn parse(self, entries: &[(Node, Node)]) -> Result<Stage> {
        let mut stage = Stage {
            file: self.file.clone(),
            name: self.name.clone(),
            cmd: Node::new(Value::Null),
            wdir: folder_of(self.file).to_owned(),
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
            frozen: false,
            always_changed: false,
            desc: None,
        };
        if let Some((_, wdir)) = entries.iter().find(|(key, _)| key.as_str() == Some("wdir")) {
            stage.wdir = joined(folder_of(self.file), self.text("wdir", wdir)?);
            if stage.wdir.starts_with("..") || stage.wdir.starts_with('/') {
                return Err(self.error(wdir, "wdir", "leads out of the repository".to_owned()));
            }
        }
        for (key_node, value) in entries {
            let key = key_node.to_key();
            match key.as_str() {
                "cmd" => stage.cmd = self.cmd(value)?,
                "deps" => {
                    for item in self.list("deps", value)? {
                        let path = self.path("deps", item)?;
                        let at = joined(&stage.wdir, &path);
                        if !stage.deps.iter().any(|dep| dep.at == at) {
                            stage.deps.push(Dep { path, at });
                        }
                    }
                }
                "params" => stage.params = self.params(value, &stage.wdir)?,
                "outs" => self.outs(&key, OutKind::Data, value, &mut stage)?,
                "metrics" => self.outs(&key, OutKind::Metric, value, &mut stage)?,
                "plots" => self.outs(&key, OutKind::Plot, value, &mut stage)?,
                "frozen" => stage.frozen = self.boolean(&key, value)?,
                "always_changed" => stage.always_changed = self.boolean(&key, value)?,
                "desc" => stage.desc = Some(self.text("desc", value)?.to_owned()),
                "wdir" | "meta" => {}
                _ => return Err(self.unknown(key_node, &key, &KEYS)),
            }
        }
        if stage.commands().is_empty() {
            return Err(self.error(
                self.name_node,
                "cmd",
                "is missing: a stage needs a command".to_owned(),
            ));
        }
        Ok(stage)
    }

    fn cmd(&self, node: &Node) -> Result<Node> {
        match &node.value {
            Value::Str(_) => {}
            Value::List(items) => {
                for item in items {
                    self.text("cmd", item)?;
                }
            }
            _ => {
                let problem = format!("is {}, neither text nor a list of texts", node.kind());
                return Err(self.error(node, "cmd", problem));
            }
        }
        Ok(node.clone())
    }

    fn params(&self, node: &Node, wdir: &str) -> Result<Vec<ParamFile>> {
        let mut files: Vec<ParamFile> = Vec::new();
        let mut add = |path: &str, keys: Option<Vec<String>>| {
            let at = joined(wdir, path);
            let Some(file) = files.iter_mut().find(|file| file.at == at) else {
                files.push(ParamFile {
                    path: path.to_owned(),
                    at,
                    keys,
                });
                return;
            };
            match (&mut file.keys, keys) {
                (Some(old), Some(new)) => old.extend(new),
                (old, _) => *old = None,
            }
        };
        for item in self.list("params", node)? {
            match &item.value {
                Value::Str(key) => add("params.yaml", Some(vec![key.clone()])),
                Value::Map(entries) => {
                    for (path, keys) in entries {
                        let path = self.local_path("params", path)?;
                        let mut named = Vec::new();
                        if !matches!(keys.value, Value::Null) {
                            for key in self.list("params", keys)? {
                                named.push(self.text("params", key)?.to_owned());
                            }
                        }
                        add(&path, (!named.is_empty()).then_some(named));
                    }
                }
                _ => {
                    let problem = format!("holds {}, neither a key nor a file with keys", item.kind());
                    return Err(self.error(item, "params", problem));
                }
            }
        }
        for file in &mut files {
            if let Some(keys) = &mut file.keys {
                let mut seen = std::collections::HashSet::new();
                keys.retain(|key| seen.insert(key.clone()));
            }
        }
        Ok(files)
    }

    fn outs(&self, key: &str, kind: OutKind, node: &Node, stage: &mut Stage) -> Result<()> {
        for item in self.list(key, node)? {
            let flagged;
            let entries = match &item.value {
                Value::Map(entries) => entries.as_slice(),
                _ => {
                    flagged = [(item.clone(), Node::new(Value::Null))];
                    &flagged
                }
            };
            for (path, flags) in entries {
                let path_text = match kind {
                    OutKind::Data => self.path(key, path)?,
                    OutKind::Metric | OutKind::Plot => self.local_path(key, path)?,
                };
                if Kind::of(&path_text) == Kind::Dataset {
                    let problem = format!("`{path_text}` is a dataset, which stages only read");
                    return Err(self.error(path, key, problem));
                }
                let at = joined(&stage.wdir, &path_text);
                if at.is_empty() {
                    let problem = format!("`{path_text}` is the repository itself");
                    return Err(self.error(path, key, problem));
                }
                let mut out = Out {
                    path: path_text,
                    at,
                    kind,
                    cache: true,
                    persist: false,
                    remote: None,
                    push: true,
                    plot: None,
                };
                self.flags(key, flags, &mut out)?;
                let is_outside =
                    out.at.starts_with("..") || out.at.starts_with('/') || Kind::of(&out.at) == Kind::Url;
                if out.cache && is_outside {
                    let problem = format!("`{}` is outside the repository; give it `cache: false`", out.path);
                    return Err(self.error(path, key, problem));
                }
                if stage.outs.iter().any(|other| other.at == out.at) {
                    let problem = format!("`{}` is an output of the stage twice", out.path);
                    return Err(self.error(path, key, problem));
                }
                stage.outs.push(out);
            }
        }
        Ok(())
    }

    fn flags(&self, key: &str, flags: &Node, out: &mut Out) -> Result<()> {
        if matches!(flags.value, Value::Null) {
            return Ok(());
        }
        if out.kind == OutKind::Plot {
            // Several ways to draw one file are a list of settings.
            if let Value::List(several) = &flags.value {
                for one in several {
                    self.flags(key, one, out)?;
                }
                out.plot = Some(flags.clone());
                return Ok(());
            }
            out.plot = Some(flags.clone());
        }
        let Some(entries) = flags.as_map() else {
            let problem = format!("`{}` has {} where its settings belong", out.path, flags.kind());
            return Err(self.error(flags, key, problem));
        };
        for (flag_node, value) in entries {
            let flag = flag_node.to_key();
            match flag.as_str() {
                "cache" => out.cache = self.boolean("cache", value)?,
                "persist" => out.persist = self.boolean("persist", value)?,
                "push" => out.push = self.boolean("push", value)?,
                "remote" => out.remote = Some(self.text("remote", value)?.to_owned()),
                "checkpoint" => {
                    let problem = "checkpoints are not supported, nor does DVC 3 offer them".to_owned();
                    return Err(self.error(flag_node, "checkpoint", problem));
                }
                flag if OUT_KEYS.contains(&flag) => {}
                flag if out.kind == OutKind::Plot && PLOT_KEYS.contains(&flag) => {}
                flag if out.kind == OutKind::Plot => {
                    let known: Vec<&str> = OUT_KEYS.iter().chain(&PLOT_KEYS).copied().collect();
                    return Err(self.unknown(flag_node, flag, &known));
                }
                flag => return Err(self.unknown(flag_node, flag, &OUT_KEYS)),
            }
        }
        Ok(())
    }

    fn list<'n>(&self, key: &str, node: &'n Node) -> Result<&'n [Node]> {
        match &node.value {
            Value::List(items) => Ok(items),
            Value::Null => Ok(&[]),
            _ => Err(self.error(node, key, format!("is {}, not a list", node.kind()))),
        }
    }

    fn text<'n>(&self, key: &str, node: &'n Node) -> Result<&'n str> {
        node.as_str()
            .ok_or_else(|| self.error(node, key, format!("has {} where text belongs", node.kind())))
    }

    fn boolean(&self, key: &str, node: &Node) -> Result<bool> {
        match node.value {
            Value::Bool(boolean) => Ok(boolean),
            _ => Err(self.error(
                node,
                key,
                format!("is {}, neither `true` nor `false`", node.kind()),
            )),
        }
    }

    /// A path of this machine.
    fn local_path(&self, key: &str, node: &Node) -> Result<String> {
        let path = self.path(key, node)?;
        if Kind::of(&path) != Kind::Path {
            let problem = format!("`{path}` is not on this machine, where files of `{key}` must be");
            return Err(self.error(node, key, problem));
        }
        Ok(path)
    }

    /// A path, a URL or a dataset.
    fn path(&self, key: &str, node: &Node) -> Result<String> {
        let path = self.text(key, node)?;
        if path.is_empty() {
            return Err(self.error(node, key, "has an empty path".to_owned()));
        }
        Ok(path.to_owned())
    }

    fn place(&self, node: &Node, key: &str) -> Box<Place> {
        Box::new(Place {
            file: self.file.to_string(),
            line: node.span.line,
            stage: Some(self.name.clone()),
            key: Some(key.to_owned()),
        })
    }

    fn error(&self, node: &Node, key: &str, problem: String) -> Error {
        Error::Definition {
            place: self.place(node, key),
            problem,
            hint: None,
        }
    }

    fn unknown(&self, node: &Node, key: &str, known: &[&str]) -> Error {
        Error::Definition {
            place: self.place(node, key),
            problem: "there is no such key".to_owned(),
            hint: similar(key, known.iter().copied())
                .map(|known| format!("did you mean `{known}`?"))
                .or_else(|| Some(format!("known keys: {}", known.join(", ")))),
        }
    }
}
