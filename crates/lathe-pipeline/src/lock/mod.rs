//! `dvc.lock`: what every stage of a pipeline file was executed with, last. The text of an entry is only parsed when
//! it is asked for, and only the entries that change are written anew: the rest of the file stays as it is, byte for
//! byte, and the cost of a stage does not grow with the number of stages.

mod entry;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lathe_data::write_atomically;

pub use self::entry::{LockEntry, LockedParams, LockedPath, Mark};
use self::text::Sections;
use crate::stage::folder_of;
use crate::yaml::{Node, Value, emit, read};
use crate::{Error, Result};

const SCHEMA: &str = "2.0";

/// The lock of one pipeline file.
#[derive(Debug)]
pub struct Lock {
    file: String,
    path: PathBuf,
    sections: Sections,
    /// New texts of entries that the file has.
    replaced: HashMap<usize, String>,
    /// Entries that it does not have yet, in the order of execution.
    added: BTreeMap<usize, (String, String)>,
    /// Stages whose entries the file does not have as they are here, with their places in the order of execution.
    pending: BTreeMap<String, usize>,
    /// The file as it was read or written here.
    seen: Option<Version>,
    is_written: bool,
}

/// By what it is noticed that somebody else wrote a file.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Version {
    /// Of the file at a path, if there is one.
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: found.ino(),
            size: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }
}

impl Lock {
    /// Reads the lock beside a pipeline file; one that is not there holds nothing.
    pub fn load(root: &Path, pipeline: &str) -> Result<Self> {
        let folder = folder_of(pipeline);
        let stem = Path::new(pipeline).with_extension("lock");
        let name = stem.file_name().unwrap_or_default().to_string_lossy();
        let file = crate::stage::joined(folder, &name);
        let path = root.join(&file);
        Self::read(file, path)
    }

    fn read(file: String, path: PathBuf) -> Result<Self> {
        let seen = Version::of(&path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::read(&path)(error)),
        };
        Ok(Self {
            seen,
            ..Self::parse(file, path, text)?
        })
    }

    /// Reads the text of the lock `file`, which is written to `path`.
    pub fn parse(file: String, path: PathBuf, text: String) -> Result<Self> {
        let sections = match Sections::split(&text) {
            Some(sections) => sections,
            None => Sections::split(&canonical(&file, &text)?).ok_or_else(|| Error::Format {
                file: file.clone(),
                problem: "its layout is not understood".to_owned(),
            })?,
        };
        if sections.schema != SCHEMA {
            return Err(Error::Format {
                file,
                problem: format!(
                    "its schema is `{}` and not `{SCHEMA}`: another version of DVC wrote it",
                    sections.schema
                ),
            });
        }
        Ok(Self {
            file,
            path,
            sections,
            replaced: HashMap::new(),
            added: BTreeMap::new(),
            pending: BTreeMap::new(),
            seen: None,
            is_written: true,
        })
    }

    /// What the stage was executed with last.
    pub fn find(&self, stage: &str) -> Result<Option<LockEntry>> {
        let Some(text) = self.text_of(stage) else {
            return Ok(None);
        };
        let malformed = || Error::Format {
            file: self.file.clone(),
            problem: format!("the entry of stage `{stage}` is malformed"),
        };
        let document = read(text).map_err(|source| Error::syntax(&self.file, text, source))?;
        let entries = document.as_map().and_then(<[_]>::first);
        let entry = entries.and_then(|(_, node)| LockEntry::parse(node));
        entry.map(Some).ok_or_else(malformed)
    }

    /// Whether the entry of the stage reads exactly so.
    pub fn holds(&self, stage: &str, entry: &LockEntry) -> bool {
        self.text_of(stage)
            .is_some_and(|text| text == text_of(stage, entry))
    }

    fn text_of(&self, stage: &str) -> Option<&str> {
        match self.sections.find(stage) {
            Some(index) => Some(match self.replaced.get(&index) {
                Some(text) => text,
                None => self.sections.text(index),
            }),
            None => self
                .added
                .values()
                .find(|(name, _)| name == stage)
                .map(|(_, text)| text.as_str()),
        }
    }

    /// Replaces the entry of the stage where it is, or adds it after those that come earlier in the `order` of
    /// execution. The file is left as it is until [`Lock::write`].
    pub fn set(&mut self, stage: &str, entry: &LockEntry, order: usize) {
        self.set_text(stage, text_of(stage, entry), order);
    }

    fn set_text(&mut self, stage: &str, text: String, order: usize) {
        match self.sections.find(stage) {
            Some(index) => {
                if self.sections.text(index) == text {
                    if self.replaced.remove(&index).is_some() {
                        self.pending.insert(stage.to_owned(), order);
                        self.is_written = false;
                    }
                    return;
                }
                self.replaced.insert(index, text);
            }
            None => {
                self.added.insert(order, (stage.to_owned(), text));
            }
        }
        self.pending.insert(stage.to_owned(), order);
        self.is_written = false;
    }

    /// Takes the entry of the stage out.
    pub fn remove(&mut self, stage: &str) {
        if let Some(index) = self.sections.find(stage) {
            self.replaced.insert(index, String::new());
            self.pending.insert(stage.to_owned(), 0);
            self.is_written = false;
        }
        self.added.retain(|_, (name, _)| name != stage);
    }

    /// Whether no stage has an entry.
    fn has_no_entries(&self) -> bool {
        let is_gone = |index: usize| self.replaced.get(&index).is_some_and(String::is_empty);
        (0..self.sections.count()).all(is_gone) && self.added.is_empty()
    }

    /// Whether nothing is in the file at all. Datasets may stand before the stages and behind them.
    fn is_empty(&self) -> bool {
        let mut head = self.sections.head().lines();
        self.has_no_entries()
            && !head.any(|line| line.starts_with("datasets:"))
            && self.sections.tail().trim().is_empty()
    }

    /// Writes the file; without an entry of anything it goes.
    pub fn write_or_remove(&mut self) -> Result<()> {
        if self.is_empty() && self.path.exists() {
            lathe_data::remove_path(&self.path)?;
            self.is_written = true;
        }
        match self.is_written {
            true => Ok(()),
            false => self.write(true),
        }
    }

    /// Whether the file holds all that was set.
    pub fn is_written(&self) -> bool {
        self.is_written
    }

    /// Writes the file, if there is something to write. The old file or the new one is there whatever happens to this
    /// process; a `durable` one also outlives the machine.
    pub fn write(&mut self, durable: bool) -> Result<()> {
        if self.is_written {
            return Ok(());
        }
        self.take_in_changes()?;
        let text = self.render();
        if durable {
            write_atomically(&self.path, text.as_bytes())?;
        } else {
            lathe_data::write_by_rename(&self.path, text.as_bytes())?;
        }
        self.pending.clear();
        self.seen = Version::of(&self.path);
        self.is_written = true;
        Ok(())
    }

    /// What somebody else wrote meanwhile stays, except for the entries that are new here.
    fn take_in_changes(&mut self) -> Result<()> {
        if Version::of(&self.path) == self.seen {
            return Ok(());
        }
        let mut fresh = Self::read(self.file.clone(), self.path.clone())?;
        for (stage, order) in &self.pending {
            match self.text_of(stage).unwrap_or_default() {
                "" => fresh.remove(stage),
                text => fresh.set_text(stage, text.to_owned(), *order),
            }
        }
        *self = fresh;
        Ok(())
    }

    fn render(&self) -> String {
        let mut text = String::with_capacity(self.sections.len() + 1024);
        match self.has_no_entries() {
            // Nothing at all is no map to DVC.
            true => {
                for line in self.sections.head().split_inclusive('\n') {
                    text.push_str(match line.trim_end() {
                        "stages:" => "stages: {}\n",
                        _ => line,
                    });
                }
            }
            false => text.push_str(self.sections.head()),
        }
        for index in 0..self.sections.count() {
            match self.replaced.get(&index) {
                Some(entry) => text.push_str(entry),
                None => text.push_str(self.sections.text(index)),
            }
        }
        for (_, entry) in self.added.values() {
            text.push_str(entry);
        }
        text.push_str(self.sections.tail());
        text
    }
}

/// The lines of an entry, as they are in the file.
fn text_of(stage: &str, entry: &LockEntry) -> String {
    let stages = Node::new(Value::Map(vec![(Node::text(stage), entry.to_node())]));
    let text = emit(&Node::new(Value::Map(vec![(Node::text("stages"), stages)])));
    match text.strip_prefix("stages:\n") {
        Some(entry) => entry.to_owned(),
        None => text,
    }
}

/// The same lock, laid out as the dumper lays it out.
fn canonical(file: &str, text: &str) -> Result<String> {
    let document = read(text).map_err(|source| Error::syntax(file, text, source))?;
    let format = |problem: String| Error::Format {
        file: file.to_owned(),
        problem,
    };
    let Value::Map(entries) = &document.value else {
        return Err(format(format!("it holds {} and not a map", document.kind())));
    };
    let schema = document.find("schema").and_then(Node::as_str);
    if schema != Some(SCHEMA) {
        return Err(format(match schema {
            Some(other) => {
                format!("its schema is `{other}` and not `{SCHEMA}`: another version of DVC wrote it")
            }
            None => format!("it has no `schema: '{SCHEMA}'`: another version of DVC wrote it"),
        }));
    }
    for (key, value) in entries {
        match (key.as_str(), &value.value) {
            (Some("schema" | "datasets"), _) | (Some("stages"), Value::Map(_) | Value::Null) => {}
            (Some("stages"), _) => return Err(format("its `stages` are no map".to_owned())),
            _ => return Err(format(format!("there is no such key as `{}`", key.to_key()))),
        }
    }
    let mut text = emit(&document).replace("\nstages: {}\n", "\nstages:\n");
    if document.find("stages").is_none() {
        text.push_str("stages:\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(text: &str) -> Result<Lock> {
        Lock::parse("dvc.lock".into(), PathBuf::from("dvc.lock"), text.to_owned())
    }

    fn entry(cmd: &str) -> LockEntry {
        LockEntry {
            cmd: Node::text(cmd),
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
        }
    }

    #[test]
    fn entries_are_replaced_in_place_and_added_in_the_order_of_execution() {
        let old = "schema: '2.0'\nstages:\n  a:\n    cmd: one   # why\n  b@x y:\n    cmd: two\n";
        let mut lock = lock(old).unwrap();
        lock.set("late", &entry("4"), 9);
        lock.set("b@x y", &entry("2"), 3);
        lock.set("early", &entry("3"), 5);
        assert_eq!(
            lock.render(),
            "schema: '2.0'\nstages:\n  a:\n    cmd: one   # why\n  b@x y:\n    cmd: '2'\n  early:\n    cmd: '3'\n  late:\n    cmd: '4'\n"
        );
        assert_eq!(lock.find("a").unwrap().unwrap().cmd, Node::text("one"));
        assert!(lock.holds("early", &entry("3")) && !lock.holds("early", &entry("4")));
    }

    #[test]
    fn a_new_lock_begins_with_its_schema_and_sections_around_the_stages_stay() {
        let mut new = lock("").unwrap();
        new.set("a", &entry("x"), 0);
        assert_eq!(new.render(), "schema: '2.0'\nstages:\n  a:\n    cmd: x\n");
        let old = "# mine\nschema: '2.0'\nstages:\n  a:\n    cmd: y\ndatasets:\n- name: d\n";
        let mut kept = lock(old).unwrap();
        kept.set("b", &entry("x"), 0);
        assert_eq!(
            kept.render(),
            old.replace("datasets", "  b:\n    cmd: x\ndatasets")
        );
    }

    #[test]
    fn a_lock_of_another_layout_is_read_too() {
        let mut lock = lock("stages:\n    a: {cmd: y}\nschema: \"2.0\"\n").unwrap();
        assert_eq!(lock.find("a").unwrap().unwrap().cmd, Node::text("y"));
        lock.set("b", &entry("x"), 0);
        assert_eq!(
            lock.render(),
            "stages:\n  a:\n    cmd: y\n  b:\n    cmd: x\nschema: '2.0'\n"
        );
    }

    #[test]
    fn datasets_may_stand_before_the_stages() {
        let old = "schema: '2.0'\ndatasets:\n- name: d\n  url: u\nstages: {}\n";
        let mut lock = lock(old).unwrap();
        lock.set("a", &entry("x"), 0);
        assert_eq!(
            lock.render(),
            "schema: '2.0'\ndatasets:\n- name: d\n  url: u\nstages:\n  a:\n    cmd: x\n"
        );
    }

    #[test]
    fn what_others_write_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dvc.lock");
        let with = |stages: &str| format!("schema: '2.0'\nstages:\n{stages}");
        std::fs::write(&path, with("  a:\n    cmd: a1\n  gone:\n    cmd: x\n")).unwrap();
        let mut lock = Lock::load(folder.path(), "dvc.yaml").unwrap();
        lock.set("a", &entry("a2"), 0);
        lock.write(false).unwrap();
        // Another process executes `a` again, removes one stage and commits another.
        std::fs::write(&path, with("  a:\n    cmd: a3\n  c:\n    cmd: c1\n")).unwrap();
        lock.set("b", &entry("b1"), 1);
        lock.write(false).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            with("  a:\n    cmd: a3\n  c:\n    cmd: c1\n  b:\n    cmd: b1\n")
        );
        assert_eq!(lock.find("a").unwrap().unwrap().cmd, Node::text("a3"));
    }

    #[test]
    fn datasets_outlive_the_last_stage() {
        let datasets = "datasets:\n- name: d\n  url: u\n";
        let stages = "stages:\n  a:\n    cmd: x\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dvc.lock");
        for (old, expected) in [
            (
                format!("{datasets}{stages}"),
                Some(format!("{datasets}stages: {{}}\n")),
            ),
            (
                format!("{stages}{datasets}"),
                Some(format!("stages: {{}}\n{datasets}")),
            ),
            (stages.to_owned(), None),
        ] {
            let text = format!("schema: '2.0'\n{old}");
            std::fs::write(&path, &text).unwrap();
            let mut lock = Lock::parse("dvc.lock".into(), path.clone(), text).unwrap();
            lock.remove("a");
            lock.write_or_remove().unwrap();
            let expected = expected.map(|rest| format!("schema: '2.0'\n{rest}"));
            assert_eq!(std::fs::read_to_string(&path).ok(), expected);
        }
    }

    #[test]
    fn what_is_no_lock_of_this_version_is_refused() {
        let error = |text: &str| lock(text).unwrap_err().to_string();
        assert!(error("schema: '3.0'\nstages:\n").contains("its schema is `3.0`"));
        assert!(error("a:\n  cmd: x\n").contains("another version of DVC"));
        assert!(error("schema: '2.0'\nstages: [1]\n").contains("no map"));
        assert!(error("schema: '2.0'\nmore: 1\n").contains("`more`"));
        assert_eq!(
            error("schema: '2.0'\nstages:\n<<<<<<< HEAD\n  a:\n    cmd: x\n=======\n>>>>>>> b\n"),
            "`dvc.lock` line 3: a merge left its conflict marks here"
        );
        let broken = lock("schema: '2.0'\nstages:\n  a:\n    command: x\n").unwrap();
        assert!(
            broken
                .find("a")
                .unwrap_err()
                .to_string()
                .contains("stage `a` is malformed")
        );
    }
}
