use super::{Node, Value, emit, emit_scalar, read};

/// The text of a block-style document after its values became those of `new`: what did not change stays byte for
/// byte, comments and quotes included; new keys go to the end of their map. `None` if the change needs another layout
/// (a list of another length, a map in brackets); then [`emit`] writes it anew, with keys in their old order.
pub fn updated(text: &str, old: &Node, new: &Node) -> Option<String> {
    let mut update = Update {
        text: text.chars().collect(),
        edits: Vec::new(),
    };
    update.node(old, new)?;
    update.edits.sort_by_key(|edit| (edit.start, edit.end));
    let mut result = String::new();
    let mut at = 0;
    for edit in update.edits {
        result.extend(update.text.get(at..edit.start)?);
        result.push_str(&edit.text);
        at = edit.end;
    }
    result.extend(update.text.get(at..)?);
    // A text that would be read as something else is none.
    (read(&result).ok()? == *new).then_some(result)
}

/// `new` with the keys of its maps in the order that `old` has them, new ones at the end.
pub fn in_order_of(old: &Node, new: &Node) -> Node {
    let value = match (&old.value, &new.value) {
        (Value::Map(before), Value::Map(after)) => {
            let kept = before.iter().filter_map(|(key, value)| {
                let (_, new) = after.iter().find(|(k, _)| k == key)?;
                Some((key.clone(), in_order_of(value, new)))
            });
            let added = after
                .iter()
                .filter(|(key, _)| !before.iter().any(|(k, _)| k == key));
            Value::Map(kept.chain(added.cloned()).collect())
        }
        (Value::List(before), Value::List(after)) if before.len() == after.len() => Value::List(
            before
                .iter()
                .zip(after)
                .map(|(old, new)| in_order_of(old, new))
                .collect(),
        ),
        _ => new.value.clone(),
    };
    Node::new(value)
}

struct Update {
    text: Vec<char>,
    edits: Vec<Edit>,
}

struct Edit {
    start: usize,
    end: usize,
    text: String,
}

impl Update {
    fn node(&mut self, old: &Node, new: &Node) -> Option<()> {
        match (&old.value, &new.value) {
            (Value::Map(before), Value::Map(after)) => self.map(old, before, after),
            (Value::List(before), Value::List(after)) if before.len() == after.len() => before
                .iter()
                .zip(after)
                .try_for_each(|(old, new)| self.node(old, new)),
            _ if old == new => Some(()),
            (Value::Map(_) | Value::List(_), _) | (_, Value::Map(_) | Value::List(_)) => None,
            _ => self.scalar(old, new),
        }
    }

    fn scalar(&mut self, old: &Node, new: &Node) -> Option<()> {
        let start = old.span.start;
        let end = start + length_of_scalar(self.text.get(start..old.span.end)?)?;
        if matches!(new.value, Value::Null) {
            return None;
        }
        self.edits.push(Edit {
            start,
            end,
            text: emit_scalar(new),
        });
        Some(())
    }

    fn map(&mut self, map: &Node, before: &[(Node, Node)], after: &[(Node, Node)]) -> Option<()> {
        let changed =
            before.len() != after.len() || before.iter().any(|(key, _)| !after.iter().any(|(k, _)| k == key));
        if map.span.flow && changed {
            return None;
        }
        for (key, value) in before {
            match after.iter().find(|(k, _)| k == key) {
                Some((_, new)) => self.node(value, new)?,
                None => self.remove(key, value)?,
            }
        }
        let added: Vec<(Node, Node)> = after
            .iter()
            .filter(|(key, _)| !before.iter().any(|(k, _)| k == key))
            .cloned()
            .collect();
        if added.is_empty() {
            return Some(());
        }
        let (first, _) = before.first()?;
        let (last_key, last) = before.last()?;
        // A long key stands behind a question mark.
        let before_key = self.text.get(..first.span.start)?;
        let behind_mark = before_key.ends_with(&['?', ' ']);
        let indent = " ".repeat(first.span.column.saturating_sub(if behind_mark { 2 } else { 0 }));
        let block = emit(&Node::new(Value::Map(added)));
        let lines = block.lines().map(|line| format!("\n{indent}{line}"));
        let end = self.end_of_line(last_line_of(last_key, last));
        self.edits.push(Edit {
            start: end,
            end,
            text: lines.collect(),
        });
        Some(())
    }

    /// Removes the lines of a key and its value, if they hold nothing else.
    fn remove(&mut self, key: &Node, value: &Node) -> Option<()> {
        let before_key = self.text.get(..key.span.start)?;
        let line_start = before_key.iter().rposition(|c| *c == '\n').map_or(0, |at| at + 1);
        if before_key[line_start..].iter().any(|c| *c != ' ') {
            return None;
        }
        let end = self.end_of_line(last_line_of(key, value));
        self.edits.push(Edit {
            start: line_start,
            end: (end + 1).min(self.text.len()),
            text: String::new(),
        });
        Some(())
    }

    fn end_of_line(&self, mut at: usize) -> usize {
        // A text in lines of its own ends where the next line begins.
        while 0 < at && self.text.get(at - 1) == Some(&'\n') {
            at -= 1;
        }
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
    }
}

/// How much of a value's place is the value: a comment behind it may be counted in. `None` if it is not written in
/// one line, or is more than a mere value.
fn length_of_scalar(text: &[char]) -> Option<usize> {
    let first = *text.first()?;
    let length = match first {
        '|' | '>' | '!' | '&' | '*' => return None,
        '\'' | '"' => {
            let mut at = 1;
            loop {
                match *text.get(at)? {
                    '\\' if first == '"' => at += 2,
                    '\'' if first == '\'' && text.get(at + 1) == Some(&'\'') => at += 2,
                    c if c == first => break at + 1,
                    _ => at += 1,
                }
            }
        }
        _ => {
            let comment = text
                .windows(2)
                .position(|pair| pair[0].is_whitespace() && pair[1] == '#');
            let plain = &text[..comment.unwrap_or(text.len())];
            plain.iter().rposition(|c| !c.is_whitespace())? + 1
        }
    };
    (!text[..length].contains(&'\n')).then_some(length)
}

/// A place in the last line of a value.
fn last_line_of(key: &Node, value: &Node) -> usize {
    match &value.value {
        Value::Map(entries) if !value.span.flow => entries
            .last()
            .map_or(key.span.end, |(key, value)| last_line_of(key, value)),
        Value::List(items) if !value.span.flow => {
            items.last().map_or(key.span.end, |item| last_line_of(key, item))
        }
        Value::Null => key.span.end.max(value.span.start),
        _ => value.span.end.max(key.span.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(text: &str, change: impl Fn(&mut serde_json::Value)) -> Option<String> {
        let old = read(text).unwrap();
        let mut json = old.to_json();
        change(&mut json);
        let new = Node::from_json(&json);
        let updated = updated(text, &old, &new)?;
        assert_eq!(read(&updated).unwrap(), new, "{updated}");
        Some(updated)
    }

    #[test]
    fn only_what_changed_is_written_anew() {
        let text = "# top\nouts:\n- md5: 'a'  # the hash\n  size: 3\n\n  path: ü.bin # end\ndesc: |\n  two\n  lines\n";
        let changed = update(text, |json| {
            json["outs"][0]["md5"] = "b".into();
            json["outs"][0]["nfiles"] = 7.into();
            json["meta"] = serde_json::json!({ "x": [1, 2] });
        });
        let expected = "# top\nouts:\n- md5: b  # the hash\n  size: 3\n\n  path: ü.bin # end\n  nfiles: 7\ndesc: |\n  \
                        two\n  lines\nmeta:\n  x:\n  - 1\n  - 2\n";
        assert_eq!(changed.as_deref(), Some(expected));
        let removed = update(text, |json| {
            json["outs"][0].as_object_mut().unwrap().shift_remove("size");
        });
        assert_eq!(
            removed.as_deref(),
            Some("# top\nouts:\n- md5: 'a'  # the hash\n\n  path: ü.bin # end\ndesc: |\n  two\n  lines\n")
        );
        for (text, expected) in [
            ("a: 'it''s' # x\nb: 1\n", "a: c # x\nb: 1\n"),
            ("a: \"q\\\"\" # x\nb: 1\n", "a: c # x\nb: 1\n"),
            ("a: x#y  # x\nb: 1\n", "a: c  # x\nb: 1\n"),
        ] {
            let changed = update(text, |json| json["a"] = "c".into());
            assert_eq!(changed.as_deref(), Some(expected));
        }
        let removed = update("a: |\n  two\n  lines\nb: 1\n", |json| {
            json.as_object_mut().unwrap().shift_remove("a");
        });
        assert_eq!(removed.as_deref(), Some("b: 1\n"));
    }

    #[test]
    fn what_needs_another_layout_is_not_updated() {
        assert_eq!(
            update("a:\n- 1\n", |json| json["a"] = serde_json::json!([1, 2])),
            None
        );
        assert_eq!(
            update("a: {b: 1}\n", |json| json["a"] = serde_json::json!({ "c": 1 })),
            None
        );
        assert_eq!(
            update("- a: 1\n  b: 2\n", |json| json[0] = serde_json::json!({ "b": 2 })),
            None
        );
        let kept = in_order_of(
            &read("b: 1\na: 1\n").unwrap(),
            &read("a: 2\nc: 3\nb: 1\n").unwrap(),
        );
        assert_eq!(emit(&kept), "b: 1\na: 2\nc: 3\n");
    }
}
