use crate::yaml::{Node, Value, python_float};

/// What is wrong with a `${…}`.
pub type Problem = String;

/// Nothing that people nest comes near; deeper data is refused instead of filling the stack.
const DEPTH_MAX: usize = 128;
/// Templates that repeat a long text make a small file into a huge one.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What templates see: the locals of a member of a group first, then what all stages of the file share.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `item`, `key`.
    pub locals: &'a [(Node, Node)],
    /// `params.yaml` and `vars`, one map.
    pub shared: &'a Node,
    /// How a map becomes options.
    pub options: OptionStyle,
}

/// The `parsing` section of `.dvc/config`: how maps become options of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptionStyle {
    /// `bool = boolean_optional`: false becomes `--no-key` and not nothing.
    pub negated_flags: bool,
    /// `list = append`: `--key 1 --key 2` and not `--key 1 2`.
    pub repeated_lists: bool,
}

/// What a `${…}` may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a command a map becomes options.
    Command,
    /// Elsewhere in a stage only scalars can be put in.
    Stage,
    /// In `foreach`, `matrix` and outside of stages also lists and maps.
    Anywhere,
}

/// Replaces every `${a.b[0]}` in a value, keys included, by what is found in scope.
pub fn resolve(node: &Node, scope: Scope<'_>, place: Place) -> Result<Node, Problem> {
    resolve_within(node, scope, place, 0)
}

fn resolve_within(node: &Node, scope: Scope<'_>, place: Place, depth: usize) -> Result<Node, Problem> {
    if DEPTH_MAX < depth {
        return Err("is nested too deeply".to_owned());
    }
    let value = match &node.value {
        Value::Str(text) => {
            let mut resolved = resolve_text(text, scope, place)?;
            resolved.span = node.span;
            return Ok(resolved);
        }
        Value::List(items) => Value::List(
            items
                .iter()
                .map(|item| resolve_within(item, scope, place, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| {
                    Ok((
                        resolve_within(key, scope, place, depth + 1)?,
                        resolve_within(value, scope, place, depth + 1)?,
                    ))
                })
                .collect::<Result<_, Problem>>()?,
        ),
        other => other.clone(),
    };
    Ok(Node {
        value,
        span: node.span,
    })
}

/// Whether a text anywhere in the value holds a `${…}`.
pub fn interpolates(node: &Node) -> bool {
    match &node.value {
        Value::Str(text) => parts(text).iter().any(|part| matches!(part, Part::Expression(_))),
        Value::List(items) => items.iter().any(interpolates),
        Value::Map(entries) => entries
            .iter()
            .any(|(key, value)| interpolates(key) || interpolates(value)),
        _ => false,
    }
}

enum Part<'a> {
    Text(&'a str),
    Expression(&'a str),
}

/// A `${` after a backslash is text, and so is one that is not closed on its line.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let at = from + found;
        let inner = &text[at + 2..];
        let end = inner.find('}').filter(|end| !inner[..*end].contains('\n'));
        let (Some(end), false) = (end, text[..at].ends_with('\\')) else {
            from = at + 2;
            continue;
        };
        if start < at {
            parts.push(Part::Text(&text[start..at]));
        }
        parts.push(Part::Expression(&inner[..end]));
        start = at + 2 + end + 1;
        from = start;
    }
    if start < text.len() {
        parts.push(Part::Text(&text[start..]));
    }
    parts
}

fn resolve_text(text: &str, scope: Scope<'_>, place: Place) -> Result<Node, Problem> {
    let parts = parts(text);
    if let [Part::Expression(path)] = parts.as_slice() {
        let found = find(path, scope)?;
        return Ok(match &found.value {
            Value::Map(_) if place == Place::Command => Node::text(options(found, scope.options)?),
            Value::Map(_) | Value::List(_) if place != Place::Anywhere => return Err(no_text(path, found)),
            _ => found.clone(),
        });
    }
    let mut resolved = String::new();
    for part in parts {
        match part {
            Part::Text(text) => resolved.push_str(text),
            Part::Expression(path) => {
                let found = find(path, scope)?;
                let text = match &found.value {
                    Value::Map(_) if place == Place::Command => options(found, scope.options)?,
                    _ => text_of(found).ok_or_else(|| no_text(path, found))?,
                };
                resolved.push_str(&text);
            }
        }
        if TEXT_BYTES_MAX < resolved.len() {
            return Err("becomes too long a text".to_owned());
        }
    }
    Ok(Node::text(resolved.replace("\\${", "${")))
}

fn no_text(path: &str, found: &Node) -> Problem {
    format!(
        "`${{{path}}}` is {}, which cannot be put into a text",
        found.kind()
    )
}

fn find<'a>(path: &str, scope: Scope<'a>) -> Result<&'a Node, Problem> {
    let mut keys = keys_of(path)?.into_iter();
    let missing = |key: &str| {
        format!(
            "`${{{}}}` is not in params.yaml or `vars`: there is no `{key}`",
            path.trim()
        )
    };
    let first = keys.next().unwrap_or_default();
    let local = scope.locals.iter().find(|(key, _)| key.as_str() == Some(first));
    let mut at = match local {
        Some((_, value)) => value,
        None => scope.shared.find(first).ok_or_else(|| missing(first))?,
    };
    for key in keys {
        let next = match &at.value {
            // As Python counts: -1 is the last.
            Value::List(items) => key.parse::<isize>().ok().and_then(|index| {
                let index = if index < 0 {
                    items.len().checked_add_signed(index)?
                } else {
                    index.unsigned_abs()
                };
                items.get(index)
            }),
            _ => at.find(key),
        };
        at = next.ok_or_else(|| missing(key))?;
    }
    Ok(at)
}

/// The names and positions of `a.b[0].c`.
fn keys_of(path: &str) -> Result<Vec<&str>, Problem> {
    let wrong = || format!("`${{{path}}}` is no path: write names with dots, as `${{a.b[0].c}}`");
    let mut keys = Vec::new();
    let mut rest = path;
    let mut is_first = true;
    while !rest.is_empty() || is_first {
        let (key, after) = if let Some(inner) = rest.strip_prefix('[').filter(|_| !is_first) {
            let end = inner.find(']').ok_or_else(wrong)?;
            (&inner[..end], &inner[end + 1..])
        } else {
            let named = match rest.strip_prefix('.').filter(|_| !is_first) {
                Some(named) => named,
                None if is_first => rest,
                None => return Err(wrong()),
            };
            let end = named.find(['.', '[', ']']).unwrap_or(named.len());
            named.split_at(end)
        };
        let key = key.trim();
        if key.is_empty() || key.contains(['.', '[', ']']) {
            return Err(wrong());
        }
        keys.push(key);
        rest = after;
        is_first = false;
    }
    Ok(keys)
}

/// A scalar as templates write it into a text.
pub fn text_of(node: &Node) -> Option<String> {
    Some(match &node.value {
        Value::Null => "None".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => python_float(*f),
        Value::Str(text) => text.clone(),
        Value::List(_) | Value::Map(_) => return None,
    })
}

/// A map as options of a command: `--key value`, `--flag` for true, nothing for false, `--a.b v` for maps in it.
fn options(map: &Node, style: OptionStyle) -> Result<String, Problem> {
    let mut words = Vec::new();
    add_options("", map, style, &mut words)?;
    Ok(words.join(" "))
}

fn add_options(prefix: &str, map: &Node, style: OptionStyle, words: &mut Vec<String>) -> Result<(), Problem> {
    for (key, value) in map.as_map().unwrap_or_default() {
        let key = format!("{prefix}{}", key.to_key());
        match &value.value {
            Value::Map(_) => add_options(&format!("{key}."), value, style, words)?,
            Value::Bool(true) => words.push(format!("--{key}")),
            Value::Bool(false) if style.negated_flags => words.push(format!("--no-{key}")),
            Value::Bool(false) => {}
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index == 0 || style.repeated_lists {
                        words.push(format!("--{key}"));
                    }
                    words.push(list_word(item).ok_or_else(|| {
                        format!("`{key}` is a list with {} in it, which is no option", item.kind())
                    })?);
                }
            }
            _ => {
                words.push(format!("--{key}"));
                words.extend(shell_word(value));
            }
        }
    }
    Ok(())
}

/// DVC writes what is in a list as Python does.
fn list_word(node: &Node) -> Option<String> {
    match node.value {
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        _ => shell_word(node),
    }
}

fn shell_word(node: &Node) -> Option<String> {
    let Value::Str(text) = &node.value else {
        return text_of(node);
    };
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    Some(if !text.is_empty() && text.chars().all(safe) {
        text.clone()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::read;

    fn resolved_as(text: &str, place: Place, options: OptionStyle) -> Result<Node, Problem> {
        let context = "a: {b: [1, x y], f: 1.0e-05, t: true, n: }\nopts: {lr: 0.1, v: true, no: false, w: [1, 'x y', true], s: {t: \"it's\"}, e: []}";
        let scope = Scope {
            locals: &[(Node::text("item"), Node::text("own"))],
            shared: &read(context).unwrap(),
            options,
        };
        resolve(&Node::text(text), scope, place)
    }

    fn resolved(text: &str, place: Place) -> Result<Node, Problem> {
        resolved_as(text, place, OptionStyle::default())
    }

    #[test]
    fn a_template_takes_the_type_alone_and_text_among_text() {
        assert_eq!(
            resolved("${a.b[0]}", Place::Stage).unwrap(),
            Node::new(Value::Int(1))
        );
        let cases = [
            (
                "${ a.f } ${a.t} ${a.n} \\${a} ${a.b[1]}",
                "1e-05 true None ${a} x y",
            ),
            ("${item} ${a.b[-1]} ${a.b.0}", "own x y 1"),
            ("${a", "${a"),
            ("${a\n}${item}", "${a\n}own"),
            ("$${item}", "$own"),
            ("\\${item} $HOME $(ls)", "${item} $HOME $(ls)"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                resolved(text, Place::Stage).unwrap().as_str(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_map_in_a_command_becomes_its_options() {
        let text = resolved("train ${opts}", Place::Command).unwrap();
        assert_eq!(
            text.as_str(),
            Some("train --lr 0.1 --v --w 1 'x y' True --s.t 'it'\"'\"'s'")
        );
        let style = OptionStyle {
            negated_flags: true,
            repeated_lists: true,
        };
        let text = resolved_as("${opts}", Place::Command, style).unwrap();
        assert_eq!(
            text.as_str(),
            Some("--lr 0.1 --v --no-no --w 1 --w 'x y' --w True --s.t 'it'\"'\"'s'")
        );
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        let error = |text: &str| resolved(text, Place::Stage).unwrap_err();
        assert_eq!(
            error("${a.x}"),
            "`${a.x}` is not in params.yaml or `vars`: there is no `x`"
        );
        assert_eq!(
            error("n=${a.b}"),
            "`${a.b}` is a list, which cannot be put into a text"
        );
        assert_eq!(error("${a}"), "`${a}` is a map, which cannot be put into a text");
        assert!(resolved("${a}", Place::Anywhere).is_ok());
        for wrong in ["${}", "${a..b}", "${a[b}", "${a[]}", "${.a}", "${a]}", "${a[0]b}"] {
            assert!(error(wrong).contains("is no path"), "{wrong}");
        }
    }
}
