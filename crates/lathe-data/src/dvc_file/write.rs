use std::path::PathBuf;

use lathe_yaml::{Node, Value, emit, in_order_of, updated};
use md5::{Digest, Md5};

use super::{DvcFile, DvcOut, KEYS, Recorded};
use crate::{Algorithm, Result, write};

impl DvcFile {
    /// Writes what it is now. Comments, the order of keys and what nobody changed stay as they were.
    pub fn save(&self) -> Result<()> {
        let text = self.to_text();
        if text == self.text {
            return Ok(());
        }
        write::write_atomically(&self.path, text.as_bytes())
    }

    /// The text that [`DvcFile::save`] writes.
    pub fn to_text(&self) -> String {
        let new = self.to_node();
        if self.text.is_empty() {
            return emit(&new);
        }
        match updated(&self.text, &self.document, &new) {
            Some(text) => text,
            None => emit(&in_order_of(&self.document, &new)),
        }
    }

    /// The same for data at another place, which it names by `out`.
    pub fn moved(&self, path: PathBuf, out: String) -> Self {
        let mut moved = self.clone();
        moved.folder = path.parent().map(std::path::Path::to_owned).unwrap_or_default();
        moved.path = path;
        moved.text = String::new();
        if let Some(first) = moved.outs.first_mut() {
            first.path = out;
        }
        moved
    }

    /// Says whether its inputs are looked at.
    pub fn set_frozen(&mut self, frozen: bool) {
        let value = frozen.then(|| Node::new(Value::Bool(true)));
        self.set_top("frozen", value);
    }

    /// Sets or removes a top-level key.
    pub(crate) fn set_top(&mut self, key: &str, value: Option<Node>) {
        self.top.retain(|(k, _)| k.as_str() != Some(key));
        self.top.extend(value.map(|value| (Node::text(key), value)));
    }

    fn to_node(&self) -> Node {
        let outs = Node::new(Value::List(self.outs.iter().map(DvcOut::to_node).collect()));
        let mut entries = Vec::new();
        for key in KEYS {
            match key {
                "outs" if !self.outs.is_empty() => entries.push((Node::text(key), outs.clone())),
                "outs" => {}
                _ => entries.extend(self.find_top(key).map(|value| (Node::text(key), value.clone()))),
            }
        }
        let mut node = Node::new(Value::Map(entries));
        // DVC hashes the definition of what has inputs or a command; a mere `add` has neither, and what nobody looked at
        // yet says nothing of its inputs.
        if self.knows_deps() {
            let md5 = definition_md5(&node);
            if let Value::Map(entries) = &mut node.value {
                entries.retain(|(key, _)| key.as_str() != Some("md5"));
                let at = entries
                    .iter()
                    .take_while(|(key, _)| key.as_str() == Some("desc"))
                    .count();
                entries.insert(at, (Node::text("md5"), Node::text(md5)));
            }
        }
        node
    }
}

/// md5 of the JSON of all that decides over the content.
fn definition_md5(node: &Node) -> String {
    const TOP: [&str; 3] = ["md5", "meta", "desc"];
    const ANYWHERE: [&str; 10] = [
        "desc", "type", "labels", "meta", "locked", "frozen", "metric", "persist", "isexec", "size",
    ];
    fn without(node: &Node) -> Node {
        Node::new(match &node.value {
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .filter(|(key, _)| {
                        let key = key.to_key();
                        !ANYWHERE.contains(&key.as_str()) && key != "nfiles"
                    })
                    .map(|(key, value)| (key.clone(), without(value)))
                    .collect(),
            ),
            Value::List(items) => Value::List(items.iter().map(without).collect()),
            other => other.clone(),
        })
    }
    let entries = node.as_map().unwrap_or_default().iter().filter(|(key, value)| {
        let key = key.to_key();
        let is_default = key == "wdir" && value.as_str() == Some(".");
        !is_default && !TOP.contains(&key.as_str())
    });
    let top = Node::new(Value::Map(entries.cloned().collect()));
    hex::encode(Md5::digest(lathe_yaml::to_python_json(&without(&top))))
}

impl DvcOut {
    /// In the order that DVC writes.
    fn to_node(&self) -> Node {
        let mut entries = Vec::new();
        if let Some(recorded) = &self.recorded {
            entries.extend(recorded.to_entries());
        }
        let is_legacy = self
            .recorded
            .as_ref()
            .is_some_and(|recorded| recorded.algorithm == Algorithm::Md5Dos2Unix);
        if !is_legacy {
            entries.push((Node::text("hash"), Node::text("md5")));
        }
        entries.push((Node::text("path"), Node::text(&self.path)));
        entries.extend(self.fields.iter().cloned());
        Node::new(Value::Map(entries))
    }
}

impl Recorded {
    /// `md5`, `size`, `nfiles`, `isexec`, as far as they are known.
    pub fn to_entries(&self) -> Vec<(Node, Node)> {
        let int = |int: u64| Node::new(Value::Int(int.into()));
        let mut entries = vec![(Node::text("md5"), Node::text(&self.md5))];
        entries.extend(self.size.map(|size| (Node::text("size"), int(size))));
        entries.extend(self.nfiles.map(|nfiles| (Node::text("nfiles"), int(nfiles))));
        if self.is_exec {
            entries.push((Node::text("isexec"), Node::new(Value::Bool(true))));
        }
        entries
    }
}
