use crate::yaml::{Node, Value, python_float};

/// What is wrong with a `${…}`.
pub type Problem = String;

/// Replaces every `${a.b[0]}` in a value, keys included, by what `context` has there.
pub fn resolve(node: &Node, context: &Node, in_cmd: bool) -> Result<Node, Problem> {
    let value = match &node.value {
        Value::Str(text) => {
            let mut resolved = resolve_text(text, context, in_cmd)?;
            resolved.span = node.span;
            return Ok(resolved);
        }
        Value::List(items) => Value::List(
            items
                .iter()
                .map(|item| resolve(item, context, in_cmd))
                .collect::<Result<_, _>>()?,
        ),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| Ok((resolve(key, context, false)?, resolve(value, context, in_cmd)?)))
                .collect::<Result<_, Problem>>()?,
        ),
        other => other.clone(),
    };
    Ok(Node {
        value,
        span: node.span,
    })
}

enum Part<'a> {
    Text(&'a str),
    Expression(&'a str),
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, Problem> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('\\') {
            parts.push(Part::Text(&rest[..at - 1]));
            parts.push(Part::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        if 0 < at {
            parts.push(Part::Text(&rest[..at]));
        }
        let inner = &rest[at + 2..];
        let end = inner
            .find('}')
            .ok_or_else(|| format!("`{}` has no closing `}}`", &rest[at..]))?;
        parts.push(Part::Expression(inner[..end].trim()));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn resolve_text(text: &str, context: &Node, in_cmd: bool) -> Result<Node, Problem> {
    let parts = parts(text)?;
    if let [Part::Expression(path)] = parts.as_slice() {
        let found = find(path, context)?;
        return Ok(match &found.value {
            Value::Map(_) if in_cmd => Node::text(options(found)?),
            _ => found.clone(),
        });
    }
    let mut resolved = String::new();
    for part in parts {
        match part {
            Part::Text(text) => resolved.push_str(text),
            Part::Expression(path) => {
                let found = find(path, context)?;
                let text = match &found.value {
                    Value::Map(_) if in_cmd => options(found)?,
                    _ => text_of(found).ok_or_else(|| {
                        format!(
                            "`${{{path}}}` is {}, which cannot be put into a text",
                            found.kind()
                        )
                    })?,
                };
                resolved.push_str(&text);
            }
        }
    }
    Ok(Node::text(resolved))
}

fn find<'a>(path: &str, context: &'a Node) -> Result<&'a Node, Problem> {
    let mut at = context;
    for key in path.replace('[', ".[").split('.') {
        let index = key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let next = match (index, &at.value) {
            (Some(index), Value::List(items)) => index
                .trim()
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index)),
            (Some(key), _) => at.find(key),
            (None, _) => at.find(key),
        };
        at = next
            .ok_or_else(|| format!("`${{{path}}}` is not in params.yaml or `vars`: there is no `{key}`"))?;
    }
    Ok(at)
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
fn options(map: &Node) -> Result<String, Problem> {
    let mut words = Vec::new();
    add_options("", map, &mut words)?;
    Ok(words.join(" "))
}

fn add_options(prefix: &str, map: &Node, words: &mut Vec<String>) -> Result<(), Problem> {
    for (key, value) in map.as_map().unwrap_or_default() {
        let key = format!("{prefix}{}", key.to_key());
        match &value.value {
            Value::Map(_) => add_options(&format!("{key}."), value, words)?,
            Value::Bool(true) => words.push(format!("--{key}")),
            Value::Bool(false) => {}
            Value::List(items) => {
                words.push(format!("--{key}"));
                for item in items {
                    words.push(shell_word(item).ok_or_else(|| {
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

    fn resolved(text: &str, in_cmd: bool) -> Result<Node, Problem> {
        let context = "a: {b: [1, x y], f: 1.0e-05, t: true, n: }\nopts: {lr: 0.1, v: true, no: false, w: [1, 'x y'], s: {t: \"it's\"}}";
        resolve(&Node::text(text), &read(context).unwrap(), in_cmd)
    }

    #[test]
    fn a_template_takes_the_type_alone_and_text_among_text() {
        assert_eq!(resolved("${a.b[0]}", false).unwrap(), Node::new(Value::Int(1)));
        let text = resolved("${ a.f } ${a.t} ${a.n} \\${a} ${a.b[1]}", false).unwrap();
        assert_eq!(text.as_str(), Some("1e-05 true None ${a} x y"));
    }

    #[test]
    fn a_map_in_a_command_becomes_its_options() {
        let text = resolved("train ${opts}", true).unwrap();
        assert_eq!(
            text.as_str(),
            Some("train --lr 0.1 --v --w 1 'x y' --s.t 'it'\"'\"'s'")
        );
    }

    #[test]
    fn what_cannot_be_resolved_is_named() {
        assert_eq!(
            resolved("${a.x}", false).unwrap_err(),
            "`${a.x}` is not in params.yaml or `vars`: there is no `x`"
        );
        assert_eq!(
            resolved("n=${a.b}", false).unwrap_err(),
            "`${a.b}` is a list, which cannot be put into a text"
        );
        assert_eq!(resolved("${a", false).unwrap_err(), "`${a` has no closing `}`");
    }
}
