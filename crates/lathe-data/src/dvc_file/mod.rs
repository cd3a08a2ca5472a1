//! `.dvc` files: data that people add, next to the data, in git.

mod collect;
mod import;
mod write;

use std::path::{Path, PathBuf};

use lathe_yaml::{Node, Value, read};

pub use collect::{Collected, collect};
pub use import::Origin;

use crate::{Algorithm, Error, Hashed, Result, paths};

/// What the name of every one of them ends with.
pub const SUFFIX: &str = ".dvc";

/// The keys of a `.dvc` file, in the order in which DVC writes them.
const KEYS: [&str; 9] = [
    "desc",
    "md5",
    "cmd",
    "wdir",
    "frozen",
    "deps",
    "outs",
    "always_changed",
    "meta",
];

/// A `.dvc` file.
#[derive(Debug, Clone)]
pub struct DvcFile {
    path: PathBuf,
    /// As it was read; empty if it is new.
    text: String,
    document: Node,
    /// Its keys but `outs`, as they are now.
    top: Vec<(Node, Node)>,
    folder: PathBuf,
    outs: Vec<DvcOut>,
}

/// A file or folder that a `.dvc` file tracks.
#[derive(Debug, Clone)]
pub struct DvcOut {
    /// As written, relative to the file.
    pub path: String,
    /// What it was when it was added last; `None` if it was never.
    pub recorded: Option<Recorded>,
    /// Keys that say anything else.
    fields: Vec<(Node, Node)>,
}

/// The content that a file of DVC's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// md5 in hex, with `.dir` for a folder.
    pub md5: String,
    /// Bytes; DVC leaves it out where it would have to look at all files for it.
    pub size: Option<u64>,
    /// Files of a folder.
    pub nfiles: Option<u64>,
    /// A file that may be executed.
    pub is_exec: bool,
    /// How the md5 was computed.
    pub algorithm: Algorithm,
}

impl Recorded {
    /// Of something that was hashed today's way.
    pub fn new(hashed: &Hashed) -> Self {
        Self {
            md5: hashed.md5.clone(),
            size: Some(hashed.size),
            nfiles: hashed.nfiles,
            is_exec: hashed.is_exec,
            algorithm: Algorithm::Md5,
        }
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.md5.ends_with(".dir")
    }
}

impl DvcFile {
    /// A new one, for data at `out`, relative to its folder.
    pub fn new(path: PathBuf, out: String) -> Self {
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Self {
            path,
            text: String::new(),
            document: Node::new(Value::Map(Vec::new())),
            top: Vec::new(),
            folder,
            outs: vec![DvcOut {
                path: out,
                recorded: None,
                fields: Vec::new(),
            }],
        }
    }

    /// Reads one.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::read(path))?;
        let text = String::from_utf8(bytes).map_err(|_| malformed(path, "it is not UTF-8"))?;
        Self::parse(path, text)
    }

    /// Reads the text of one that is, or was, at `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self> {
        if text
            .lines()
            .any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "))
        {
            return Err(malformed(path, "it holds the marks of a merge conflict"));
        }
        let document = read(&text).map_err(|error| malformed(path, &error.to_string()))?;
        let Some(entries) = document.as_map() else {
            return Err(malformed(
                path,
                &format!("it holds {}, not a map", document.kind()),
            ));
        };
        if let Some((key, _)) = entries
            .iter()
            .find(|(key, _)| !KEYS.contains(&key.to_key().as_str()))
        {
            return Err(malformed(
                path,
                &format!("there is no such key as `{}`", key.to_key()),
            ));
        }
        let mut folder = path.parent().map(Path::to_owned).unwrap_or_default();
        if let Some(wdir) = document.find("wdir").and_then(Node::as_str) {
            folder = paths::normal(&folder.join(wdir));
        }
        let outs = list(&document, "outs").ok_or_else(|| malformed(path, "its `outs` are no list"))?;
        let outs = outs
            .iter()
            .map(|node| DvcOut::parse(node, path))
            .collect::<Result<_>>()?;
        if list(&document, "deps").is_none() {
            return Err(malformed(path, "its `deps` are no list"));
        }
        Ok(Self {
            path: path.to_owned(),
            text,
            top: entries
                .iter()
                .filter(|(key, _)| key.as_str() != Some("outs"))
                .cloned()
                .collect(),
            document,
            folder,
            outs,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it tracks.
    pub fn outs(&self) -> &[DvcOut] {
        &self.outs
    }

    /// What it tracks, to be changed.
    pub fn outs_mut(&mut self) -> &mut Vec<DvcOut> {
        &mut self.outs
    }

    /// Where an output of it is: absolute.
    pub fn place_of(&self, out: &DvcOut) -> PathBuf {
        paths::normal(&self.folder.join(&out.path))
    }

    /// Whether its inputs are looked at only when they are asked for.
    pub fn is_frozen(&self) -> bool {
        matches!(
            self.find_top("frozen").map(|node| &node.value),
            Some(Value::Bool(true))
        )
    }

    /// Inputs in the workspace, absolute.
    pub fn local_deps(&self) -> Vec<PathBuf> {
        self.deps()
            .iter()
            .filter(|dep| dep.find("repo").is_none() && dep.find("db").is_none())
            .filter_map(|dep| dep.find("path")?.as_str())
            .filter(|path| !path.contains("://"))
            .map(|path| paths::normal(&self.folder.join(path)))
            .collect()
    }

    /// Whether it says the same as another of its one output and of itself, whatever the data is.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let map = |entries: &[(Node, Node)]| Node::new(Value::Map(entries.to_vec()));
        let fields = |file: &Self| file.outs.iter().map(|out| map(&out.fields)).collect::<Vec<_>>();
        map(&self.top) == map(&other.top) && fields(self) == fields(other)
    }

    fn find_top(&self, key: &str) -> Option<&Node> {
        self.top
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, value)| value)
    }

    /// Whether it says what its inputs were.
    fn knows_deps(&self) -> bool {
        let is_known = |dep: &Node| match dep.find("repo") {
            Some(repo) => repo.find("rev_lock").is_some(),
            None => {
                dep.find("db").is_some()
                    || ["md5", "etag", "checksum"]
                        .iter()
                        .any(|key| dep.find(key).is_some())
            }
        };
        self.deps().iter().any(is_known)
    }

    pub(crate) fn deps(&self) -> &[Node] {
        match self.find_top("deps").map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }
}

impl DvcOut {
    fn parse(node: &Node, file: &Path) -> Result<Self> {
        let path = node.find("path").and_then(Node::as_str);
        let (Some(path), Some(entries)) = (path, node.as_map()) else {
            return Err(malformed(file, "an output has no `path`"));
        };
        let is_own = |key: &str| matches!(key, "md5" | "size" | "nfiles" | "isexec" | "hash" | "path");
        Ok(Self {
            path: path.to_owned(),
            recorded: recorded(node).map_err(|problem| malformed(file, problem))?,
            fields: entries
                .iter()
                .filter(|(key, _)| !is_own(&key.to_key()))
                .cloned()
                .collect(),
        })
    }

    /// Whether its content is kept in the cache.
    pub fn is_cached(&self) -> bool {
        !self.is_false("cache")
    }

    /// Whether its content goes to remotes.
    pub fn is_pushed(&self) -> bool {
        !self.is_false("push")
    }

    /// The remote that it goes to, if not to the default one.
    pub fn remote(&self) -> Option<&str> {
        self.field("remote")?.as_str()
    }

    /// The files of a folder that a versioned remote keeps under their own names.
    pub fn has_files(&self) -> bool {
        self.field("files").is_some()
    }

    fn is_false(&self, key: &str) -> bool {
        matches!(self.field(key).map(|node| &node.value), Some(Value::Bool(false)))
    }

    fn field(&self, key: &str) -> Option<&Node> {
        self.fields
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .map(|(_, value)| value)
    }
}

/// Reads the content that an entry of a `.dvc` file or of `dvc.lock` records.
pub fn recorded(node: &Node) -> std::result::Result<Option<Recorded>, &'static str> {
    let number = |key: &str| match node.find(key).map(|node| &node.value) {
        Some(Value::Int(int)) => u64::try_from(*int).ok(),
        _ => None,
    };
    let Some(md5) = node.find("md5") else {
        return Ok(None);
    };
    let md5 = match (&md5.value, md5.as_str()) {
        (Value::Null, _) => return Ok(None),
        (_, Some(md5)) => md5.to_owned(),
        // Thirty-two digits, all of them decimal.
        (Value::Int(int), _) => int.to_string(),
        _ => return Err("an md5 is no text"),
    };
    if !crate::cache::is_md5(md5.strip_suffix(".dir").unwrap_or(&md5)) {
        return Err("an md5 is none");
    }
    let algorithm = match node.find("hash").and_then(Node::as_str) {
        None => Algorithm::Md5Dos2Unix,
        Some("md5") => Algorithm::Md5,
        Some(_) => return Err("its `hash` is not md5"),
    };
    Ok(Some(Recorded {
        md5,
        size: number("size"),
        nfiles: number("nfiles"),
        is_exec: matches!(
            node.find("isexec").map(|node| &node.value),
            Some(Value::Bool(true))
        ),
        algorithm,
    }))
}

fn list<'a>(node: &'a Node, key: &str) -> Option<&'a [Node]> {
    match node.find(key).map(|node| &node.value) {
        None | Some(Value::Null) => Some(&[]),
        Some(Value::List(items)) => Some(items),
        Some(_) => None,
    }
}

fn malformed(path: &Path, problem: &str) -> Error {
    Error::DvcFile {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
