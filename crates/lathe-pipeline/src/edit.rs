//! Changes to `dvc.yaml` itself: a stage added, frozen or thawed. Everything else in the file stays as it is, comments
//! included, and nothing is written that would not be a sound pipeline.

use std::path::PathBuf;

use lathe_data::{Repo, write_atomically};

use crate::graph::Graph;
use crate::pipeline_file::PipelineFile;
use crate::project::{Project, Selection};
use crate::set_params::{byte_of, end_of_block, line_ended};
use crate::sources::Source;
use crate::stage::{Stage, joined};
use crate::yaml::{Node, Value, emit, read};
use crate::{Error, Result, param_files, template};

/// A stage as people describe it on a command line.
#[derive(Debug, Clone, Default)]
pub struct NewStage {
    /// Its name.
    pub name: String,
    /// One command, or several.
    pub commands: Vec<String>,
    /// The folder that it is executed in, relative to the pipeline file.
    pub wdir: Option<String>,
    /// Inputs.
    pub deps: Vec<String>,
    /// Parameters: `key,key` of `params.yaml`, `file:key,key`, `file:` for a whole file.
    pub params: Vec<String>,
    /// Outputs.
    pub outs: Vec<NewOut>,
    /// Metrics.
    pub metrics: Vec<NewOut>,
    /// Plots.
    pub plots: Vec<NewOut>,
    /// Executed every time.
    pub always_changed: bool,
    /// What it is for.
    pub desc: Option<String>,
}

/// An output of a [`NewStage`].
#[derive(Debug, Clone, Default)]
pub struct NewOut {
    /// Relative to the stage's folder.
    pub path: String,
    /// Kept out of the cache.
    pub no_cache: bool,
    /// Not removed before the stage is executed.
    pub persist: bool,
}

/// Adds a stage to the `dvc.yaml` of a folder, which is made if it is not there; with `force` in the place of one of
/// the same name. Returns the file, relative to the repository.
pub fn add_stage(repo: &Repo, folder: &str, stage: &NewStage, force: bool) -> Result<String> {
    let file = joined(folder, crate::stage::PIPELINE_FILE);
    let plain = |c: char| !c.is_ascii_punctuation() || c == '-' || c == '_';
    if stage.name.is_empty() || !stage.name.chars().all(plain) {
        return Err(Error::Edit {
            file,
            problem: format!(
                "`{}` is no name: letters, digits, `-` and `_` make one",
                stage.name
            ),
        });
    }
    let path = repo.root().join(&file);
    let old = read_or_empty(&path)?;
    let entry = stage.to_node(&file)?;
    let text = with_stage(&file, &old, &stage.name, &entry, force)?;
    check(repo, &file, &text)?;
    write_atomically(&path, text.as_bytes())?;
    let wdir = joined(folder, stage.wdir.as_deref().unwrap_or("."));
    let outs = [&stage.outs, &stage.metrics, &stage.plots].into_iter().flatten();
    let cached = outs.filter(|out| !out.no_cache);
    let cached: Vec<PathBuf> = cached
        .map(|out| repo.root().join(joined(&wdir, &out.path)))
        .collect();
    // Without the folder of an output its `.gitignore` is written when the stage is executed.
    let there: Vec<PathBuf> = cached
        .into_iter()
        .filter(|path| path.parent().is_some_and(std::path::Path::is_dir))
        .collect();
    repo.keep_out_of_git(&there)?;
    Ok(file)
}

/// Freezes stages, or thaws them. Returns those that were changed.
pub fn set_frozen(
    repo: &Repo,
    project: &Project,
    selection: &Selection,
    frozen: bool,
) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    for index in project.targets(selection)? {
        let stage = &project.stages()[index];
        if stage.frozen == frozen {
            continue;
        }
        let path = repo.root().join(&*stage.file);
        let old = read_or_empty(&path)?;
        let text = with_frozen(&stage.file, &old, &stage.name, frozen)?;
        check(repo, &stage.file, &text)?;
        write_atomically(&path, text.as_bytes())?;
        changed.push(stage.address());
    }
    Ok(changed)
}

/// Adds inputs and outputs, given by their paths from the root, to what a stage declares.
pub fn declare(repo: &Repo, stage: &Stage, deps: &[String], outs: &[String]) -> Result<()> {
    let path = repo.root().join(&*stage.file);
    let mut text = read_or_empty(&path)?;
    for (key, paths) in [("deps", deps), ("outs", outs)] {
        for at in paths {
            text = with_item(&stage.file, &text, &stage.name, key, &relative(&stage.wdir, at))?;
        }
    }
    check(repo, &stage.file, &text)?;
    Ok(write_atomically(&path, text.as_bytes())?)
}

/// A path from the root as it is seen from a folder.
fn relative(folder: &str, at: &str) -> String {
    let parts = |path: &str| {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (folder, at) = (parts(folder), parts(at));
    let shared = folder.iter().zip(&at).take_while(|(a, b)| a == b).count();
    let mut path = vec!["..".to_owned(); folder.len() - shared];
    path.extend_from_slice(&at[shared..]);
    path.join("/")
}

pub(crate) fn read_or_empty(path: &std::path::Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Error::read(path)(error)),
    }
}

/// Reads all pipelines as they would be with this text of a file.
pub(crate) fn check(repo: &Repo, file: &str, text: &str) -> Result<()> {
    let mut paths = lathe_data::pipeline_files(repo)?;
    if !paths.iter().any(|path| path == file) {
        paths.push(file.to_owned());
    }
    let files = param_files::ParamFiles::new(repo.root());
    let mut stages = Vec::new();
    for path in &paths {
        let parsed = if path == file {
            PipelineFile::parse(path, text, &files, template::OptionStyle::default())?
        } else {
            let at = repo.root().join(path);
            let text = std::fs::read_to_string(&at).map_err(Error::read(&at))?;
            PipelineFile::parse(path, &text, &files, template::OptionStyle::default())?
        };
        stages.extend(parsed.stages);
    }
    let sources = Source::all(repo)?;
    Graph::of(&stages, &sources, paths.iter().map(String::as_str)).map(drop)
}

impl NewStage {
    /// In the order in which DVC writes it.
    fn to_node(&self, file: &str) -> Result<Node> {
        let text_list = |texts: &[String]| {
            let mut texts = texts.to_vec();
            texts.sort();
            texts.dedup();
            Node::new(Value::List(texts.into_iter().map(Node::text).collect()))
        };
        let mut entries: Vec<(&str, Node)> = Vec::new();
        if let Some(desc) = &self.desc {
            entries.push(("desc", Node::text(desc)));
        }
        let cmd = match self.commands.as_slice() {
            [] => {
                return Err(Error::Edit {
                    file: file.to_owned(),
                    problem: "a stage needs a command".to_owned(),
                });
            }
            [only] => Node::text(only),
            several => Node::new(Value::List(several.iter().map(Node::text).collect())),
        };
        entries.push(("cmd", cmd));
        if let Some(wdir) = self.wdir.as_ref().filter(|wdir| *wdir != ".") {
            entries.push(("wdir", Node::text(wdir)));
        }
        if !self.deps.is_empty() {
            entries.push(("deps", text_list(&self.deps)));
        }
        if !self.params.is_empty() {
            entries.push(("params", params_node(&self.params)));
        }
        for (key, outs) in [
            ("outs", &self.outs),
            ("metrics", &self.metrics),
            ("plots", &self.plots),
        ] {
            if !outs.is_empty() {
                entries.push((key, outs_node(outs)));
            }
        }
        if self.always_changed {
            entries.push(("always_changed", Node::new(Value::Bool(true))));
        }
        Ok(map(entries))
    }
}

fn map(entries: Vec<(&str, Node)>) -> Node {
    Node::new(Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (Node::text(key), value))
            .collect(),
    ))
}

/// The default file's keys first, then other files by name.
fn params_node(params: &[String]) -> Node {
    const DEFAULT: &str = "params.yaml";
    let mut files: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for given in params {
        let (file, keys) = given.split_once(':').unwrap_or((DEFAULT, given));
        let file = if file.is_empty() { DEFAULT } else { file };
        let keys = keys.split(',').filter(|key| !key.is_empty());
        files.entry(file).or_default().extend(keys);
    }
    let mut items = Vec::new();
    let mut others = Vec::new();
    for (file, mut keys) in files {
        keys.sort_unstable();
        keys.dedup();
        let listed: Vec<Node> = keys.into_iter().map(Node::text).collect();
        if file == DEFAULT && !listed.is_empty() {
            items = listed;
        } else {
            let value = if listed.is_empty() {
                Value::Null
            } else {
                Value::List(listed)
            };
            others.push(map(vec![(file, Node::new(value))]));
        }
    }
    items.extend(others);
    Node::new(Value::List(items))
}

fn outs_node(outs: &[NewOut]) -> Node {
    let mut outs: Vec<&NewOut> = outs.iter().collect();
    outs.sort_by(|a, b| a.path.cmp(&b.path));
    let items = outs.into_iter().map(|out| {
        let mut flags = Vec::new();
        if out.no_cache {
            flags.push(("cache", Node::new(Value::Bool(false))));
        }
        if out.persist {
            flags.push(("persist", Node::new(Value::Bool(true))));
        }
        match flags.is_empty() {
            true => Node::text(&out.path),
            false => map(vec![(&out.path, map(flags))]),
        }
    });
    Node::new(Value::List(items.collect()))
}

/// The text with the stage at the end of `stages:`, or in the place of the one of its name.
fn with_stage(file: &str, text: &str, name: &str, entry: &Node, force: bool) -> Result<String> {
    let refuse = |problem: String| Error::Edit {
        file: file.to_owned(),
        problem,
    };
    let document = read(text).map_err(|source| Error::syntax(file, text, source))?;
    let block = emit(&map(vec![(name, entry.clone())]));
    let indented = |column: usize| -> String {
        let blanks = " ".repeat(column);
        block.lines().map(|line| format!("{blanks}{line}\n")).collect()
    };
    let Some(stages) = document
        .find("stages")
        .filter(|stages| !matches!(stages.value, Value::Null))
    else {
        let at = match document.find("stages") {
            Some(empty) => byte_of(text, empty.span.end),
            None => text.len(),
        };
        let head = if document.find("stages").is_some() {
            ""
        } else {
            "stages:\n"
        };
        let line = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        return Ok(format!(
            "{}{head}{}{}",
            line_ended(&text[..line]),
            indented(2),
            &text[line..]
        ));
    };
    let entries = stages
        .as_map()
        .ok_or_else(|| refuse(format!("its `stages` are {} and not a map", stages.kind())))?;
    if stages.span.flow {
        return Err(refuse(
            "its `stages` are written in braces; write them in lines first".to_owned(),
        ));
    }
    let known = entries.iter().position(|(key, _)| key.as_str() == Some(name));
    let column = entries.first().map_or(2, |(key, _)| {
        // A name that is too long for a line stands behind a question mark.
        let behind_mark = text[..byte_of(text, key.span.start)].ends_with("? ");
        key.span.column.saturating_sub(if behind_mark { 2 } else { 0 })
    });
    let Some(position) = known else {
        let at = end_of_block(text, entries);
        return Ok(format!(
            "{}{}{}",
            line_ended(&text[..at]),
            indented(column),
            &text[at..]
        ));
    };
    if !force {
        return Err(refuse(format!(
            "it has a stage `{name}` already; `--force` replaces it"
        )));
    }
    let start = line_start(text, byte_of(text, entries[position].0.span.start));
    let end = end_of_block(text, &entries[position..=position]);
    Ok(format!("{}{}{}", &text[..start], indented(column), &text[end..]))
}

fn with_frozen(file: &str, text: &str, name: &str, frozen: bool) -> Result<String> {
    let refuse = |problem: String| Error::Edit {
        file: file.to_owned(),
        problem,
    };
    let document = read(text).map_err(|source| Error::syntax(file, text, source))?;
    let entry = document.find("stages").and_then(|stages| stages.find(name));
    let Some(entry) = entry else {
        return Err(refuse(format!(
            "`{name}` is one of a group; write `frozen` into the group itself"
        )));
    };
    let entries = entry.as_map().unwrap_or_default();
    if entry.span.flow || entries.is_empty() {
        return Err(refuse(format!(
            "`{name}` is written in braces; set its `frozen` by hand"
        )));
    }
    match entries.iter().position(|(key, _)| key.as_str() == Some("frozen")) {
        Some(position) => {
            let (key, value) = &entries[position];
            if frozen {
                let (start, end) = (byte_of(text, value.span.start), byte_of(text, value.span.end));
                return Ok(format!("{}true{}", &text[..start], &text[end..]));
            }
            let start = line_start(text, byte_of(text, key.span.start));
            let end = end_of_block(text, &entries[position..=position]);
            Ok(format!("{}{}", &text[..start], &text[end..]))
        }
        None if frozen => {
            let at = end_of_block(text, entries);
            let blanks = " ".repeat(entries[0].0.span.column);
            Ok(format!(
                "{}{blanks}frozen: true\n{}",
                line_ended(&text[..at]),
                &text[at..]
            ))
        }
        None => Ok(text.to_owned()),
    }
}

/// The text with one more item in a list of a stage.
fn with_item(file: &str, text: &str, name: &str, key: &str, item: &str) -> Result<String> {
    let refuse = |problem: String| Error::Edit {
        file: file.to_owned(),
        problem,
    };
    let document = read(text).map_err(|source| Error::syntax(file, text, source))?;
    let entry = document.find("stages").and_then(|stages| stages.find(name));
    let entry = entry.ok_or_else(|| {
        refuse(format!(
            "`{name}` is one of a group; declare `{item}` in the group itself"
        ))
    })?;
    let entries = entry.as_map().unwrap_or_default();
    if entry.span.flow || entries.is_empty() {
        return Err(refuse(format!(
            "`{name}` is written in braces; declare `{item}` by hand"
        )));
    }
    let written = lathe_yaml::emit_scalar(&Node::text(item));
    let Some((key_node, list)) = entries.iter().find(|(known, _)| known.as_str() == Some(key)) else {
        let at = end_of_block(text, entries);
        let blanks = " ".repeat(entries[0].0.span.column);
        let added = format!("{blanks}{key}:\n{blanks}- {written}\n");
        return Ok(format!("{}{added}{}", line_ended(&text[..at]), &text[at..]));
    };
    let items = match &list.value {
        Value::List(items) => items.as_slice(),
        Value::Null => &[],
        _ => {
            return Err(refuse(format!(
                "`{key}` of `{name}` is {} and not a list",
                list.kind()
            )));
        }
    };
    if list.span.flow {
        let at = byte_of(text, list.span.end).saturating_sub(1);
        let comma = if items.is_empty() { "" } else { ", " };
        let quoted = serde_json::Value::String(item.to_owned());
        return Ok(format!("{}{comma}{quoted}{}", text[..at].trim_end(), &text[at..]));
    }
    let Some(first) = items.first() else {
        let at = end_of_block(text, &[(key_node.clone(), key_node.clone())]);
        let blanks = " ".repeat(key_node.span.column);
        return Ok(format!(
            "{}{blanks}- {written}\n{}",
            line_ended(&text[..at]),
            &text[at..]
        ));
    };
    let start = byte_of(text, first.span.start);
    let dash = text[line_start(text, start)..start]
        .find('-')
        .unwrap_or(key_node.span.column);
    let at = end_of_block(text, &[(key_node.clone(), list.clone())]);
    let blanks = " ".repeat(dash);
    Ok(format!(
        "{}{blanks}- {written}\n{}",
        line_ended(&text[..at]),
        &text[at..]
    ))
}

pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\nstages:\n  a:   # first\n    cmd: one\n    deps:\n    - x   # an input\n\n  b: {cmd: two}\n# the end\nmetrics:\n- m.json\n";

    fn entry(cmd: &str) -> Node {
        map(vec![("cmd", Node::text(cmd))])
    }

    #[test]
    fn a_stage_is_added_after_the_others_and_the_rest_stays() {
        assert_eq!(
            with_stage("dvc.yaml", TEXT, "c", &entry("three"), false).unwrap(),
            TEXT.replace("  b: {cmd: two}\n", "  b: {cmd: two}\n  c:\n    cmd: three\n")
        );
        assert_eq!(
            with_stage("dvc.yaml", TEXT, "a", &entry("new"), true).unwrap(),
            "# mine\nstages:\n  a:\n    cmd: new\n\n  b: {cmd: two}\n# the end\nmetrics:\n- m.json\n"
        );
        let error = with_stage("dvc.yaml", TEXT, "a", &entry("new"), false).unwrap_err();
        assert!(error.to_string().contains("a stage `a` already"), "{error}");
        for (old, new) in [
            ("", "stages:\n  c:\n    cmd: x\n"),
            ("stages:\n", "stages:\n  c:\n    cmd: x\n"),
            ("vars: [1]", "vars: [1]\nstages:\n  c:\n    cmd: x\n"),
            ("stages:\nvars: []\n", "stages:\n  c:\n    cmd: x\nvars: []\n"),
            (
                "stages:\n    a:\n        cmd: y\n",
                "stages:\n    a:\n        cmd: y\n    c:\n      cmd: x\n",
            ),
        ] {
            assert_eq!(with_stage("dvc.yaml", old, "c", &entry("x"), false).unwrap(), new);
        }
    }

    #[test]
    fn freezing_and_thawing_give_the_same_text_back() {
        let frozen = with_frozen("dvc.yaml", TEXT, "a", true).unwrap();
        assert_eq!(
            frozen,
            TEXT.replace(
                "    - x   # an input\n",
                "    - x   # an input\n    frozen: true\n"
            )
        );
        assert_eq!(with_frozen("dvc.yaml", &frozen, "a", false).unwrap(), TEXT);
        assert!(with_frozen("dvc.yaml", TEXT, "b", true).is_err());
        assert!(with_frozen("dvc.yaml", TEXT, "a@1", true).is_err());
    }

    #[test]
    fn what_a_stage_declares_grows_by_items_in_the_layout_of_the_file() {
        let add = |text: &str, key: &str| with_item("dvc.yaml", text, "a", key, "new").unwrap();
        assert_eq!(
            add(TEXT, "deps"),
            TEXT.replace("- x   # an input\n", "- x   # an input\n    - new\n")
        );
        assert_eq!(
            add(TEXT, "outs"),
            TEXT.replace("- x   # an input\n", "- x   # an input\n    outs:\n    - new\n")
        );
        let flow = "stages:\n  a:\n    cmd: x\n    deps: [y]\n    outs: []\n";
        assert_eq!(add(flow, "deps"), flow.replace("[y]", "[y, \"new\"]"));
        assert_eq!(add(flow, "outs"), flow.replace("[]", "[\"new\"]"));
        let indented = "stages:\n  a:\n    cmd: x\n    deps:\n      - y\n";
        assert_eq!(add(indented, "deps"), format!("{indented}      - new\n"));
        assert_eq!(relative("a/b", "a/c/d"), "../c/d");
        assert_eq!(relative("", "x"), "x");
    }

    #[test]
    fn a_stage_is_written_in_the_order_of_dvc() {
        let out = |path: &str, no_cache, persist| NewOut {
            path: path.into(),
            no_cache,
            persist,
        };
        let stage = NewStage {
            name: "s".into(),
            commands: vec!["run it".into()],
            wdir: Some("w".into()),
            deps: vec!["z".into(), "b".into()],
            params: vec!["lr,epochs".into(), "other.json:x".into(), "all.yaml:".into()],
            outs: vec![out("o2", false, true), out("o1", false, false)],
            metrics: vec![out("m", true, false)],
            plots: Vec::new(),
            always_changed: true,
            desc: Some("why".into()),
        };
        assert_eq!(
            emit(&stage.to_node("dvc.yaml").unwrap()),
            "desc: why\ncmd: run it\nwdir: w\ndeps:\n- b\n- z\nparams:\n- epochs\n- lr\n- all.yaml:\n- other.json:\n  - x\nouts:\n- o1\n- o2:\n    persist: true\nmetrics:\n- m:\n    cache: false\nalways_changed: true\n"
        );
    }
}
