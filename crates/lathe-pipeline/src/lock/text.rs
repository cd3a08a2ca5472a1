use std::collections::HashMap;
use std::ops::Range;

use crate::yaml::read;

/// The text of a lock as DVC lays it out, cut into the entries of its stages without parsing them.
#[derive(Debug)]
pub struct Sections {
    text: String,
    /// The version of the format.
    pub schema: String,
    /// Up to the first entry.
    head: usize,
    /// Where the entries end.
    tail: usize,
    entries: Vec<Range<usize>>,
    by_name: HashMap<String, usize>,
}

impl Sections {
    /// Cuts the text; `None` if it is laid out in another way. An empty text is an empty lock.
    pub fn split(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Self::split("schema: '2.0'\nstages:\n");
        }
        let mut sections = Self {
            text: text.to_owned(),
            schema: String::new(),
            head: 0,
            tail: 0,
            entries: Vec::new(),
            by_name: HashMap::new(),
        };
        let mut in_stages = false;
        let mut has_stages = false;
        let mut has_datasets = false;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            let content = line.trim_end();
            if !content.starts_with([' ', '#']) && !content.is_empty() {
                if in_stages {
                    sections.end_entry(start);
                    sections.tail = start;
                    in_stages = false;
                }
                match content.split_once(':') {
                    Some(("schema", value)) => {
                        sections.schema = read(value).ok()?.as_str()?.to_owned();
                    }
                    Some(("stages", "")) if !has_stages => {
                        in_stages = true;
                        has_stages = true;
                        sections.head = at;
                    }
                    Some(("datasets", _)) => has_datasets = true,
                    // Items of a list in `datasets`.
                    _ if content.starts_with("- ") && has_datasets => {}
                    _ => return None,
                }
                continue;
            }
            let indent = content.len() - content.trim_start_matches(' ').len();
            if !in_stages
                || content.trim_start().is_empty()
                || 2 < indent
                || content[indent..].starts_with('#')
            {
                // The first thing in an entry is its `cmd`, so nothing can be indented more before an entry.
                let is_lost = in_stages && sections.entries.is_empty() && 2 < indent;
                if is_lost {
                    return None;
                }
                continue;
            }
            let name = match &content[indent..] {
                _ if indent != 2 => return None,
                // A name that is too long for a line has lines of its own; what it names follows behind a colon.
                long if long.starts_with("? ") => {
                    let key = text[start..].split_once("\n  :")?.0;
                    let map = read(&format!("{key}\n  : 0\n")).ok()?;
                    map.as_map()?.first()?.0.as_str()?.to_owned()
                }
                value if value.starts_with(':') && !sections.entries.is_empty() => continue,
                name => read(name.strip_suffix(':')?).ok()?.as_str()?.to_owned(),
            };
            sections.end_entry(start);
            if sections.entries.is_empty() {
                sections.head = start;
            }
            let index = sections.entries.len();
            if sections.by_name.insert(name, index).is_some() {
                return None;
            }
            sections.entries.push(start..start);
        }
        if in_stages {
            sections.end_entry(at);
            sections.tail = at;
        }
        if !text.ends_with('\n') {
            return None;
        }
        (has_stages && !sections.schema.is_empty()).then_some(sections)
    }

    fn end_entry(&mut self, end: usize) {
        if let Some(last) = self.entries.last_mut() {
            last.end = end;
        }
    }

    /// The position of the stage's entry.
    pub fn find(&self, stage: &str) -> Option<usize> {
        self.by_name.get(stage).copied()
    }

    /// The lines of an entry.
    pub fn text(&self, index: usize) -> &str {
        &self.text[self.entries[index].clone()]
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// What is before the first entry.
    pub fn head(&self) -> &str {
        &self.text[..self.head]
    }

    /// What is after the last entry.
    pub fn tail(&self) -> &str {
        &self.text[self.tail..]
    }

    /// Bytes of the whole text.
    pub fn len(&self) -> usize {
        self.text.len()
    }
}
