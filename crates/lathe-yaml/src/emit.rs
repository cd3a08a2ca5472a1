use super::scalar::needs_quotes;
use super::{Node, Value, python_float};

/// Where a line is broken at the next blank.
const WIDTH: usize = 80;

/// The text of a document as ruamel's dumper writes it: block style, indented by 2, dashes not indented, long text
/// wrapped. `dvc.lock` must be equal byte for byte whoever writes it, so this follows the dumper's decisions one by
/// one.
pub fn emit(root: &Node) -> String {
    let mut writer = Writer {
        whitespace: true,
        ..Writer::default()
    };
    match &root.value {
        Value::Map(entries) if !entries.is_empty() => writer.map(entries, 0),
        Value::List(items) if !items.is_empty() => writer.list(items, 0),
        _ => {
            // Broken to the first column, a line could begin as a document does. DVC writes no such document.
            writer.unbroken = true;
            writer.value(root, 0);
        }
    }
    if 0 < writer.column {
        writer.text.push('\n');
    }
    writer.text
}

/// A scalar on one line, for a value that is put into a text.
pub fn emit_scalar(value: &Node) -> String {
    let mut writer = Writer {
        unbroken: true,
        whitespace: true,
        ..Writer::default()
    };
    writer.scalar(value, 0, true);
    writer.text
}

#[derive(Default)]
struct Writer {
    text: String,
    /// Characters since the last line break.
    column: usize,
    /// Whether a blank or an indentation was written last.
    whitespace: bool,
    unbroken: bool,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.column += text.chars().count();
        self.text.push_str(text);
    }

    fn line_break(&mut self, indent: usize) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
        self.whitespace = true;
    }

    /// Goes on at `indent`, on the same line if it is there already.
    fn indent(&mut self, indent: usize) {
        if indent < self.column || (self.column == indent && !self.whitespace) {
            self.line_break(indent);
        } else if self.column < indent {
            self.put(&" ".repeat(indent - self.column));
            self.whitespace = true;
        }
    }

    fn map(&mut self, entries: &[(Node, Node)], indent: usize) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if 0 < index {
                self.line_break(indent);
            } else {
                self.indent(indent);
            }
            self.whitespace = true;
            if !is_simple_key(key) {
                self.long_entry(key, value, indent);
                continue;
            }
            self.scalar(key, indent + 2, true);
            self.put(":");
            self.whitespace = false;
            match &value.value {
                Value::Map(entries) if !entries.is_empty() => {
                    self.line_break(indent + 2);
                    self.map(entries, indent + 2);
                }
                Value::List(items) if !items.is_empty() => {
                    self.line_break(indent);
                    self.list(items, indent);
                }
                _ => self.value(value, indent + 2),
            }
        }
    }

    /// A key that is too long for a line with its value has lines of its own, behind a question mark.
    fn long_entry(&mut self, key: &Node, value: &Node, indent: usize) {
        self.put("?");
        self.whitespace = false;
        self.scalar(key, indent + 2, false);
        self.line_break(indent);
        self.put(":");
        self.whitespace = false;
        if !self.collection_on_line(value, indent + 2) {
            self.value(value, indent + 2);
        }
    }

    /// Begins a collection on the line of the mark before it; whether it is one, and has something in it.
    fn collection_on_line(&mut self, node: &Node, indent: usize) -> bool {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                self.put(" ");
                self.whitespace = true;
                self.map(entries, indent);
                true
            }
            Value::List(items) if !items.is_empty() => {
                self.put(" ");
                self.whitespace = true;
                self.list(items, indent);
                true
            }
            _ => false,
        }
    }

    fn list(&mut self, items: &[Node], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if 0 < index {
                self.line_break(indent);
            } else {
                self.indent(indent);
            }
            self.put("-");
            self.whitespace = false;
            if self.collection_on_line(item, indent + 2) {
                continue;
            }
            match &item.value {
                // The dumper leaves the blank after the dash of nothing.
                Value::Null => self.put(" "),
                _ => self.value(item, indent + 2),
            }
        }
    }

    /// A scalar or an empty list or map; wrapped lines go on at `indent`.
    fn value(&mut self, node: &Node, indent: usize) {
        match &node.value {
            Value::List(_) => self.blank_then("[]"),
            Value::Map(_) => self.blank_then("{}"),
            _ => self.scalar(node, indent, false),
        }
    }

    fn blank_then(&mut self, text: &str) {
        if !self.whitespace && 0 < self.column {
            self.put(" ");
        }
        self.put(text);
        self.whitespace = false;
    }

    fn scalar(&mut self, node: &Node, indent: usize, is_key: bool) {
        let split = !is_key;
        match &node.value {
            Value::Null if is_key => self.plain("null", indent, split),
            Value::Null => {}
            Value::Bool(b) => self.plain(if *b { "true" } else { "false" }, indent, split),
            Value::Int(i) => self.plain(&i.to_string(), indent, split),
            Value::Float(f) => {
                let text = python_float(*f);
                let text = match text.as_str() {
                    "nan" => ".nan",
                    "inf" => ".inf",
                    "-inf" => "-.inf",
                    text => text,
                };
                self.plain(text, indent, split);
            }
            Value::Str(text) => match Style::of(text, is_key) {
                Style::Plain => self.plain(text, indent, split),
                Style::Single => self.single_quoted(text, indent, split),
                Style::Double => self.double_quoted(text, indent, split),
            },
            // A list or map as a key: nothing that DVC writes has one.
            Value::List(_) | Value::Map(_) => self.double_quoted(&node.to_key(), indent, split),
        }
    }

    fn plain(&mut self, text: &str, indent: usize, split: bool) {
        self.blank_then("");
        let words = runs(text, |c| c == ' ');
        for (index, word) in words.iter().enumerate() {
            let count = word.chars().count();
            if word.starts_with(' ') {
                let breaks = count == 1 && WIDTH <= self.column && split && index + 1 < words.len();
                if breaks && !self.unbroken {
                    self.line_break(indent);
                } else {
                    self.put(word);
                }
            } else {
                // A word that is longer than what is left of the line gets a line of its own. The dumper breaks keys so
                // too, and cannot read them afterwards; a lock that nobody can read is no use.
                if split && WIDTH < self.column + count && indent < self.column && !self.unbroken {
                    self.line_break(indent);
                }
                self.put(word);
            }
        }
        self.whitespace = false;
    }

    fn single_quoted(&mut self, text: &str, indent: usize, split: bool) {
        self.blank_then("'");
        let words = runs(text, |c| c == ' ');
        for (index, word) in words.iter().enumerate() {
            let inner = 0 < index && index + 1 < words.len();
            if *word == " " && WIDTH < self.column && split && inner && !self.unbroken {
                self.line_break(indent);
            } else {
                self.put(&word.replace('\'', "''"));
            }
        }
        self.put("'");
        self.whitespace = false;
    }

    fn double_quoted(&mut self, text: &str, indent: usize, split: bool) {
        self.blank_then("\"");
        let chars: Vec<char> = text.chars().collect();
        let part = |start: usize, end: usize| chars[start..end].iter().collect::<String>();
        let mut start = 0;
        for end in 0..=chars.len() {
            let c = chars.get(end).copied();
            if c.is_none_or(needs_escape) {
                if start < end {
                    self.put(&part(start, end));
                    start = end;
                }
                if let Some(c) = c {
                    self.put(&escape(c));
                    start = end + 1;
                }
            }
            let inner = 0 < end && end + 1 < chars.len() && (c == Some(' ') || end <= start);
            let pending = end as isize - start as isize;
            if inner && split && !self.unbroken && (WIDTH as isize) < self.column as isize + pending {
                let needs_backslash = needs_backslash(&chars, start, end);
                if start < end {
                    self.put(&part(start, end));
                    start = end;
                }
                if needs_backslash {
                    self.put("\\");
                }
                self.line_break(indent);
                if chars.get(start) == Some(&' ') {
                    if needs_backslash {
                        self.put("\\");
                    } else {
                        start += 1;
                    }
                }
            }
        }
        self.put("\"");
        self.whitespace = false;
    }
}

/// Whether a break in double quotes must be escaped: unless it stands for the one blank that it replaces.
fn needs_backslash(chars: &[char], start: usize, end: usize) -> bool {
    let Some(blank) = chars[end..].iter().position(|c| *c == ' ').map(|at| end + at) else {
        return true;
    };
    // A line break before the blank is looked at in its place.
    let blank = chars[end..blank]
        .iter()
        .position(|c| *c == '\n')
        .map_or(blank, |at| end + at);
    let Some(after) = chars.get(blank + 1).copied() else {
        return true;
    };
    if chars[blank] == '\n' && after != ' ' {
        return true;
    }
    let quoted = chars[end..blank].iter().any(|c| matches!(c, '"' | '\''));
    let two_blanks = 0 < end && chars[end - 1] == ' ' && chars[end] == ' ';
    quoted || matches!(after, ' ' | '\n') || two_blanks || start == end
}

/// Whether a key stands on a line with its value. The dumper counts the five characters of the tag that it leaves out.
fn is_simple_key(key: &Node) -> bool {
    const CHARS_MAX: usize = 128 - "!!str".len();
    let is_short = |text: &str| text.chars().count() < CHARS_MAX && !text.contains(is_break);
    match &key.value {
        Value::Str(text) => is_short(text),
        Value::List(_) | Value::Map(_) => is_short(&key.to_key()),
        _ => true,
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The text cut where the answer changes.
fn runs(text: &str, is_blank: impl Fn(char) -> bool) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let blank = is_blank(c);
        if last.is_some_and(|last| last != blank) {
            runs.push(&text[start..at]);
            start = at;
        }
        last = Some(blank);
    }
    if start < text.len() {
        runs.push(&text[start..]);
    }
    runs
}

enum Style {
    Plain,
    Single,
    Double,
}

impl Style {
    fn of(text: &str, is_key: bool) -> Self {
        let breaks = is_break;
        let special = text.chars().any(|c| c != '\n' && !is_printable(c));
        let multiline = text.chars().any(breaks);
        let outer_blank = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
        if !text.is_empty()
            && !special
            && !multiline
            && !outer_blank
            && !has_indicator(text)
            && !needs_quotes(text)
        {
            return Self::Plain;
        }
        let chars: Vec<char> = text.chars().collect();
        let blank_at_break = chars
            .windows(2)
            .any(|pair| (pair[0] == ' ' && breaks(pair[1])) || (breaks(pair[0]) && pair[1] == ' '));
        if text.contains(['\'', '\n']) || special || blank_at_break || (is_key && multiline) {
            Self::Double
        } else {
            Self::Single
        }
    }
}

fn has_indicator(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let blank = |c: Option<&char>| c.is_none_or(|c| "\0 \t\r\n\u{85}\u{2028}\u{2029}".contains(*c));
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let followed = blank(chars.get(1));
    match chars[0] {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            return true;
        }
        '?' | ':' | '-' if followed => return true,
        _ => {}
    }
    chars.iter().enumerate().skip(1).any(|(index, c)| match c {
        ':' => blank(chars.get(index + 1)),
        '#' => blank(chars.get(index - 1)),
        _ => false,
    })
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
        && c != '\u{feff}'
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\u{85}' | '\u{2028}' | '\u{2029}') || !is_printable(c)
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            return match code {
                ..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_one_text_can_be_read_again() {
        for text in [
            format!("{} --- x", "word ".repeat(16)),
            format!("x:{}\u{b} --- &a", "k".repeat(80)),
        ] {
            assert_eq!(crate::read(&emit(&Node::text(&text))).unwrap(), Node::text(&text));
        }
    }

    #[test]
    fn a_long_key_can_be_read_again() {
        let key = format!("{} {}", "b".repeat(22), "1".repeat(70));
        let map = Node::new(Value::Map(vec![(Node::text(&key), Node::text("x"))]));
        assert_eq!(crate::read(&emit(&map)).unwrap(), map);
    }

    /// The right sides were written by ruamel 0.19.
    #[test]
    fn a_key_that_is_too_long_for_a_line_has_lines_of_its_own() {
        let (long, words) = ("k".repeat(123), "word ".repeat(25));
        let words = words.trim_end();
        let wrapped = format!(
            "{} \n  {}",
            "word ".repeat(15).trim_end(),
            "word ".repeat(10).trim_end()
        );
        let one = || Node::new(Value::Int(1));
        let map = |key: &str, value| Node::new(Value::Map(vec![(Node::text(key), value)]));
        let list = |items| Node::new(Value::List(items));
        let cases = [
            (map(&long[1..], one()), format!("{}: \n  1\n", &long[1..])),
            (map(&long, one()), format!("? {long}\n: 1\n")),
            (map(&long, Node::new(Value::Null)), format!("? {long}\n:\n")),
            (map(&long, list(Vec::new())), format!("? {long}\n: []\n")),
            (
                map(&long, list(vec![one(), one()])),
                format!("? {long}\n: - 1\n  - 1\n"),
            ),
            (
                map(&long, map(&long, one())),
                format!("? {long}\n: ? {long}\n  : 1\n"),
            ),
            (
                map(&long, Node::text("y".repeat(100))),
                format!("? {long}\n: {}\n", "y".repeat(100)),
            ),
            (map("a", map(&long, one())), format!("a:\n  ? {long}\n  : 1\n")),
            (list(vec![map(&long, one())]), format!("- ? {long}\n  : 1\n")),
            (map("a\nb", map("c", one())), "? \"a\\nb\"\n: c: 1\n".to_owned()),
            (map(words, one()), format!("? {wrapped}\n: 1\n")),
        ];
        for (node, expected) in cases {
            assert_eq!(emit(&node), expected);
            assert_eq!(crate::read(&expected).unwrap(), node, "{expected}");
        }
    }

    /// The right side was written by ruamel 0.19.
    #[test]
    fn text_is_laid_out_as_the_dumper_lays_it_out() {
        let long = "word ".repeat(20);
        let long = long.trim_end();
        let cases = [
            ("yes", "k: yes\n"),
            ("true", "k: 'true'\n"),
            ("2020-01-01", "k: '2020-01-01'\n"),
            ("", "k: ''\n"),
            ("a: b", "k: 'a: b'\n"),
            ("- x", "k: '- x'\n"),
            ("it's", "k: it's\n"),
            ("'it'", "k: \"'it'\"\n"),
            ("a\nb\n", "k: \"a\\nb\\n\"\n"),
            ("\u{7}é", "k: \"\\aé\"\n"),
            (
                long,
                "k: word word word word word word word word word word word word word word word \n  word word word \
                 word word\n",
            ),
            (&"x".repeat(90), &format!("k: \n  {}\n", "x".repeat(90))),
        ];
        for (text, expected) in cases {
            let map = Value::Map(vec![(Node::text("k"), Node::text(text))]);
            assert_eq!(emit(&Node::new(map)), expected);
        }
    }
}
