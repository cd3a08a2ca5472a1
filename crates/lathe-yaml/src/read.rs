use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Stretch};

use super::scalar::resolve;
use super::{Node, Span, Value};

/// Far deeper than anything that people write, and shallow enough for every stack.
const DEPTH_MAX: usize = 128;
/// Aliases of aliases can make a small file into a huge value.
const NODES_MAX: usize = 1_000_000;

/// Text that is not YAML.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}

/// Reads one document; an empty one is null.
pub fn read(text: &str) -> Result<Node, SyntaxError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Node::new(Value::Null)),
            (event, stretch) => {
                let node = reader.node(event, stretch, 0)?;
                loop {
                    match reader.next()? {
                        (Event::DocumentEnd, _) => {}
                        (Event::StreamEnd, _) => return Ok(node),
                        (_, stretch) => return Err(problem(stretch, "a second document begins here")),
                    }
                }
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Stretch), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok((event, stretch))) => Ok((event, stretch)),
            Some(Err(error)) => Err(SyntaxError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                problem: error.info().to_owned(),
            }),
            None => Err(SyntaxError {
                line: 1,
                column: 1,
                problem: "the text ends too early".to_owned(),
            }),
        }
    }

    fn node(&mut self, event: Event<'a>, stretch: Stretch, depth: usize) -> Result<Node, SyntaxError> {
        self.nodes += 1;
        if DEPTH_MAX < depth || NODES_MAX < self.nodes {
            return Err(problem(stretch, "there is too much nested in here"));
        }
        let mut span = Span {
            start: stretch.start.index(),
            end: stretch.end.index(),
            line: stretch.start.line(),
            column: stretch.start.col(),
            // The start of a list or map in brackets spans its bracket, of any other it spans nothing.
            flow: stretch.start.index() < stretch.end.index(),
        };
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let value = if is_text {
                    Value::Str(text.into_owned())
                } else {
                    resolve(&text)
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, stretch) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        span.end = stretch.end.index();
                        break;
                    }
                    items.push(self.node(event, stretch, depth + 1)?);
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(anchor, _) => {
                let mut entries = Vec::new();
                let mut names = HashSet::new();
                loop {
                    let (event, stretch) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        span.end = stretch.end.index();
                        break;
                    }
                    let key = self.node(event, stretch, depth + 1)?;
                    if !may_be_key(&key) {
                        return Err(problem(stretch, "neither a map nor a list of lists can be a key"));
                    }
                    let (event, value_stretch) = self.next()?;
                    let value = self.node(event, value_stretch, depth + 1)?;
                    if !names.insert(name_of(&key)) {
                        let text = format!("the key `{}` is here twice", key.to_key());
                        return Err(problem(stretch, &text));
                    }
                    entries.push((key, value));
                }
                (Value::Map(merged(entries, stretch)?), anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor);
                let node = node.ok_or_else(|| problem(stretch, "an alias of nothing"))?;
                self.nodes = self.nodes.saturating_add(size(node));
                if NODES_MAX < self.nodes {
                    return Err(problem(stretch, "there is too much nested in here"));
                }
                let mut node = node.clone();
                node.span = span;
                return Ok(node);
            }
            _ => return Err(problem(stretch, "a value is missing")),
        };
        let node = Node { value, span };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

/// Whether Python could look it up, as DVC's reader asks. The text of keys within keys would also grow without bounds.
fn may_be_key(key: &Node) -> bool {
    match &key.value {
        Value::Map(_) => false,
        Value::List(items) => !items
            .iter()
            .any(|item| matches!(item.value, Value::List(_) | Value::Map(_))),
        _ => true,
    }
}

/// How many nodes a value is made of; long texts count for several.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => items.iter().map(size).sum::<usize>() + 1,
        Value::Map(entries) => {
            let pairs = entries.iter().map(|(key, value)| size(key) + size(value));
            pairs.sum::<usize>() + 1
        }
        Value::Str(text) => 1 + text.len() / 64,
        _ => 1,
    }
}

/// The same for keys that are equal: text and what is no text stay apart.
fn name_of(key: &Node) -> (bool, String) {
    let is_text = key.as_str().is_some();
    let name = match key.value {
        // As in Python, `1.0` is the key `1`.
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
        Value::Bool(boolean) => u8::from(boolean).to_string(),
        _ => key.to_key(),
    };
    (is_text, name)
}

/// Replaces `<<: *base` by the keys of the base that are not there.
fn merged(entries: Vec<(Node, Node)>, stretch: Stretch) -> Result<Vec<(Node, Node)>, SyntaxError> {
    if !entries.iter().any(|(key, _)| key.as_str() == Some("<<")) {
        return Ok(entries);
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|(key, _)| key.as_str() == Some("<<"));
    for (_, base) in merges {
        let bases = match base.value {
            Value::List(bases) => bases,
            _ => vec![base],
        };
        for base in bases {
            let Value::Map(inherited) = base.value else {
                return Err(problem(stretch, "`<<` merges maps only"));
            };
            for (key, value) in inherited {
                if !own.iter().any(|(k, _)| *k == key) {
                    own.push((key, value));
                }
            }
        }
    }
    Ok(own)
}

fn problem(stretch: Stretch, text: &str) -> SyntaxError {
    SyntaxError {
        line: stretch.start.line(),
        column: stretch.start.col() + 1,
        problem: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_python_could_look_up() {
        assert!(read("? [a, b]\n: 1\n").is_ok());
        for text in ["? {a: 1}\n: 2\n", "? - a\n  - - b\n: 1\n", "a: {{x}}\n"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("can be a key"), "{error}");
        }
        let deep = "? ".repeat(100) + "a\n";
        assert!(read(&deep).is_err());
    }

    #[test]
    fn anchors_merges_and_blocks_are_read() {
        let node = read("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\ntext: |\n  a\n  b\n").unwrap();
        assert_eq!(
            node.to_json(),
            serde_json::json!({ "base": { "x": 1, "y": 2 }, "more": { "y": 3, "x": 1 }, "text": "a\nb\n" })
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(
            message("a: 1\nb: 2\na: 3\n"),
            "line 3, column 1: the key `a` is here twice"
        );
        assert!(message("a: [1\nb: 2\n").starts_with("line "));
        assert!(message("a: *nothing\n").starts_with("line 1"));
        assert!(message(&"[".repeat(10_000)).starts_with("line 1"));
        assert!(message("1: a\n1.0: b\n").contains("twice"));
        assert!(read("1: a\n'1': b\n").is_ok());
    }

    #[test]
    fn aliases_of_aliases_are_bounded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(read(&bomb).unwrap_err().problem.contains("too much"));
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(100_000),
            vec!["*a"; 10_000].join(", ")
        );
        assert!(read(&long).unwrap_err().problem.contains("too much"));
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(read("# nothing\n").unwrap(), Node::new(Value::Null));
    }
}
