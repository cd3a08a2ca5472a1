use lathe_data::Hashed;

use crate::stage::Stage;
use crate::yaml::{Node, Value, emit, read, to_python_json};

/// What one stage was executed with, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LockEntry {
    /// Text or a list of texts.
    pub cmd: Node,
    /// Inputs by path.
    pub deps: Vec<LockedPath>,
    /// Parameters by file.
    pub params: Vec<LockedParams>,
    /// Outputs by path.
    pub outs: Vec<LockedPath>,
}

/// A file of parameters, as `dvc.yaml` writes it, and what was taken from it by dotted key.
pub type LockedParams = (String, Vec<(String, Node)>);

/// A path with its hash.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedPath {
    /// As `dvc.yaml` writes it, relative to the stage's folder.
    pub path: String,
    /// Its content. What is known by something else than its md5 has that in its place.
    pub hashed: Hashed,
    /// By what it is known.
    pub mark: Mark,
}

/// By what the content of an input or output is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Its md5.
    Md5,
    /// What its server calls it, under this key, and its bytes as far as the server tells them.
    Server(&'static str, Option<u64>),
    /// What a dataset was when it was updated last; in the place of the md5 is its JSON.
    Dataset(Node),
}

/// What servers call the content of a file, by DVC's keys.
const SERVER_MARKS: [&str; 2] = ["etag", "checksum"];

impl LockEntry {
    /// Reads an entry of `dvc.lock` or of the run cache; `None` if it is none.
    pub fn parse(node: &Node) -> Option<Self> {
        let mut params = Vec::new();
        for (file, values) in node.find("params").map_or(Some(&[][..]), Node::as_map)? {
            let values = values.as_map()?.iter();
            let values = values.map(|(key, value)| (key.to_key(), value.clone()));
            params.push((file.to_key(), values.collect()));
        }
        Some(Self {
            cmd: node.find("cmd")?.clone(),
            deps: paths(node.find("deps"))?,
            params,
            outs: paths(node.find("outs"))?,
        })
    }

    /// In the order that DVC writes, empty parts left out.
    pub fn to_node(&self) -> Node {
        let mut entries = vec![("cmd", self.cmd.clone())];
        if !self.deps.is_empty() {
            entries.push(("deps", path_list(&self.deps)));
        }
        if !self.params.is_empty() {
            let files = self.params.iter().map(|(file, values)| {
                let values = values
                    .iter()
                    .map(|(key, value)| (Node::text(key), value.clone()))
                    .collect();
                (Node::text(file), Node::new(Value::Map(values)))
            });
            entries.push(("params", Node::new(Value::Map(files.collect()))));
        }
        if !self.outs.is_empty() {
            entries.push(("outs", path_list(&self.outs)));
        }
        map(entries)
    }

    /// Whether the stage would execute the same.
    pub fn has_command_of(&self, stage: &Stage) -> bool {
        // Two blanks at the end of a wrapped line of the lock are read back as one.
        self.cmd == stage.cmd || read(&emit(&stage.cmd)).is_ok_and(|cmd| cmd == self.cmd)
    }

    /// The dep at this path, as written.
    pub fn dep(&self, path: &str) -> Option<&LockedPath> {
        self.deps.iter().find(|dep| dep.path == path)
    }

    /// The output at this path, as written.
    pub fn out(&self, path: &str) -> Option<&LockedPath> {
        self.outs.iter().find(|out| out.path == path)
    }

    /// The parameters of this file, as written.
    pub fn params_of(&self, path: &str) -> Option<&[(String, Node)]> {
        let found = self.params.iter().find(|(file, _)| file == path)?;
        Some(&found.1)
    }
}

fn paths(node: Option<&Node>) -> Option<Vec<LockedPath>> {
    let Some(node) = node else {
        return Some(Vec::new());
    };
    let Value::List(items) = &node.value else {
        return None;
    };
    items
        .iter()
        .map(|item| {
            let number = |key: &str| match item.find(key).map(|node| &node.value) {
                Some(Value::Int(int)) => u64::try_from(*int).ok(),
                _ => None,
            };
            let server = SERVER_MARKS
                .into_iter()
                .find_map(|key| Some((key, item.find(key)?.to_key())));
            let (md5, mark) = match (item.find("dataset"), item.find("md5"), server) {
                (Some(dataset), _, _) => (to_python_json(dataset), Mark::Dataset(dataset.clone())),
                (None, Some(md5), _) => (md5.as_str()?.to_owned(), Mark::Md5),
                (None, None, Some((key, value))) => (value, Mark::Server(key, number("size"))),
                // It is equal to nothing, and the stage is executed.
                (None, None, None) => (String::new(), Mark::Md5),
            };
            Some(LockedPath {
                path: item.find("path")?.as_str()?.to_owned(),
                mark,
                hashed: Hashed {
                    md5,
                    size: number("size").unwrap_or(0),
                    nfiles: number("nfiles"),
                    is_exec: matches!(
                        item.find("isexec").map(|node| &node.value),
                        Some(Value::Bool(true))
                    ),
                },
            })
        })
        .collect()
}

fn path_list(paths: &[LockedPath]) -> Node {
    let int = |int: u64| Node::new(Value::Int(int.into()));
    let items = paths.iter().map(|path| {
        let mut entries = vec![("path", Node::text(&path.path))];
        match &path.mark {
            Mark::Dataset(dataset) => {
                entries.push(("dataset", dataset.clone()));
                return map(entries);
            }
            Mark::Server(key, size) => {
                entries.push(("hash", Node::text("md5")));
                entries.push((key, Node::text(&path.hashed.md5)));
                entries.extend(size.map(|size| ("size", int(size))));
            }
            Mark::Md5 => entries.extend([
                ("hash", Node::text("md5")),
                ("md5", Node::text(&path.hashed.md5)),
                ("size", int(path.hashed.size)),
            ]),
        }
        if let Some(nfiles) = path.hashed.nfiles {
            entries.push(("nfiles", int(nfiles)));
        }
        if path.hashed.is_exec {
            entries.push(("isexec", Node::new(Value::Bool(true))));
        }
        map(entries)
    });
    Node::new(Value::List(items.collect()))
}

pub(super) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
    let entries = entries.into_iter().map(|(key, value)| (Node::text(key), value));
    Node::new(Value::Map(entries.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_read_and_written_as_dvc_does() {
        let text = "cmd: x
deps:
- path: ds://d
  dataset:
    name: d
    url: ../other
    type: dvc
    path: data
    rev_lock: 0f3d
- path: https://h/f
  hash: md5
  checksum: '\"abc\"'
  size: 6
- path: s3://b/dir
  hash: md5
  md5: d751713988987e9331980363e24189ce.dir
  size: 3
  nfiles: 2
- path: s3://b/f
  hash: md5
  etag: 5d41402abc4b2a76b9719d911017c592
  size: 5
outs:
- path: s3://b/unsized
  hash: md5
  etag: '12345'
";
        let entry = LockEntry::parse(&read(text).unwrap()).unwrap();
        assert_eq!(emit(&entry.to_node()), text);
        assert_eq!(entry.dep("https://h/f").unwrap().hashed.md5, "\"abc\"");
        assert!(matches!(entry.dep("ds://d").unwrap().mark, Mark::Dataset(_)));
        assert_eq!(entry.outs[0].mark, Mark::Server("etag", None));
    }
}
