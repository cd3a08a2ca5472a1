//! Parameters in Python files: assignments of literals at the top, in bodies of classes and to `self` in `__init__`.
//! Nothing is executed; whatever is no literal is passed over.

mod tokens;

use self::tokens::{Line, Token, logical_lines};
use crate::yaml::{Node, Value};

/// Literals nest this deep at most.
const DEPTH_MAX: usize = 100;

/// The parameters of a Python file; an error names its line.
pub fn parse(text: &str) -> Result<Node, (usize, String)> {
    let lines = logical_lines(text)?;
    let mut at = 0;
    Ok(Node::new(Value::Map(block(&lines, &mut at, 0, Kind::Body, 0))))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Names are parameters.
    Body,
    /// Only attributes of `self` are.
    Init,
    /// Nothing is.
    Elsewhere,
}

/// Reads the lines that are indented by at least `indent`; what is indented more belongs to the line before it.
fn block(lines: &[Line], at: &mut usize, indent: usize, kind: Kind, depth: usize) -> Vec<(Node, Node)> {
    let mut found = Vec::new();
    while let Some(line) = lines.get(*at) {
        if line.indent < indent {
            break;
        }
        *at += 1;
        let inner_indent = lines.get(*at).map_or(0, |next| next.indent);
        if line.indent < inner_indent {
            let (name, inner_kind) = opened(&line.tokens, kind);
            let inner_kind = if DEPTH_MAX < depth {
                Kind::Elsewhere
            } else {
                inner_kind
            };
            let inner = block(lines, at, inner_indent, inner_kind, depth + 1);
            match (name, inner_kind) {
                (_, Kind::Elsewhere) => {}
                (Some(name), _) => set(&mut found, name, Node::new(Value::Map(inner))),
                (None, _) => {
                    for (key, value) in inner {
                        set(&mut found, key.to_key(), value);
                    }
                }
            }
            continue;
        }
        if kind == Kind::Elsewhere {
            continue;
        }
        for statement in line.tokens.split(|token| *token == Token::Mark(';')) {
            if let Some((name, value)) = assignment(statement, kind) {
                set(&mut found, name, value);
            }
        }
    }
    found
}

fn set(found: &mut Vec<(Node, Node)>, name: String, value: Node) {
    match found.iter_mut().find(|(key, _)| key.as_str() == Some(&name)) {
        Some((_, old)) => *old = value,
        None => found.push((Node::text(name), value)),
    }
}

/// What a line opens: a class with its name, `__init__`, or anything else.
fn opened(tokens: &[Token], kind: Kind) -> (Option<String>, Kind) {
    match tokens {
        [Token::Name(word), Token::Name(name), ..] if kind != Kind::Elsewhere => match word.as_str() {
            "class" => (Some(name.clone()), Kind::Body),
            "def" if name == "__init__" => (None, Kind::Init),
            _ => (None, Kind::Elsewhere),
        },
        _ => (None, Kind::Elsewhere),
    }
}

/// `name = literal`, `name: type = literal` or the same of `self.name`.
fn assignment(tokens: &[Token], kind: Kind) -> Option<(String, Node)> {
    let (name, rest) = match (kind, tokens) {
        (
            _,
            [
                Token::Name(object),
                Token::Mark('.'),
                Token::Name(name),
                rest @ ..,
            ],
        ) if object == "self" => (name, rest),
        (Kind::Body, [Token::Name(name), rest @ ..]) => (name, rest),
        _ => return None,
    };
    let value = match rest {
        [Token::Mark('='), value @ ..] => value,
        [Token::Mark(':'), annotated @ ..] => {
            let equals = annotated.iter().position(|token| *token == Token::Mark('='))?;
            &annotated[equals + 1..]
        }
        _ => return None,
    };
    let mut literal = Literal {
        tokens: value,
        at: 0,
        depth: 0,
    };
    let found = literal.tuple()?;
    (literal.at == value.len()).then(|| (name.clone(), Node::new(found)))
}

struct Literal<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Literal<'_> {
    fn next(&mut self) -> Option<&Token> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn takes(&mut self, mark: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    /// A value, or several without brackets.
    fn tuple(&mut self) -> Option<Value> {
        let first = self.value()?;
        if !self.takes(',') {
            return Some(first);
        }
        let mut items = vec![Node::new(first)];
        while self.at < self.tokens.len() {
            items.push(Node::new(self.value()?));
            if !self.takes(',') {
                break;
            }
        }
        Some(Value::List(items))
    }

    fn value(&mut self) -> Option<Value> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return None;
        }
        let value = match self.next()?.clone() {
            Token::Number(number) => number.value,
            Token::Text(mut text) => {
                // Texts beside one another are one.
                while let Some(Token::Text(more)) = self.tokens.get(self.at) {
                    text.push_str(more);
                    self.at += 1;
                }
                Value::Str(text)
            }
            Token::Name(name) => match name.as_str() {
                "True" => Value::Bool(true),
                "False" => Value::Bool(false),
                "None" => Value::Null,
                _ => return None,
            },
            Token::Mark('-') => match self.value()? {
                Value::Int(int) => Value::Int(int.checked_neg()?),
                Value::Float(float) => Value::Float(-float),
                _ => return None,
            },
            Token::Mark('+') => match self.value()? {
                number @ (Value::Int(_) | Value::Float(_)) => number,
                _ => return None,
            },
            Token::Mark('[') => Value::List(self.items(']')?.0),
            Token::Mark('(') => {
                let (mut items, comma) = self.items(')')?;
                match items.pop() {
                    Some(only) if items.is_empty() && !comma => only.value,
                    last => {
                        items.extend(last);
                        Value::List(items)
                    }
                }
            }
            Token::Mark('{') => self.braces()?,
            _ => return None,
        };
        self.depth -= 1;
        Some(value)
    }

    /// Values up to the bracket, and whether a comma was among them.
    fn items(&mut self, end: char) -> Option<(Vec<Node>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        while !self.takes(end) {
            items.push(Node::new(self.value()?));
            if !self.takes(',') {
                return self.takes(end).then_some((items, comma));
            }
            comma = true;
        }
        Some((items, comma))
    }

    /// A dictionary, or a set, which becomes a list.
    fn braces(&mut self) -> Option<Value> {
        let mut entries = Vec::new();
        let mut items = Vec::new();
        while !self.takes('}') {
            let key = Node::new(self.value()?);
            if self.takes(':') {
                let value = Node::new(self.value()?);
                entries.retain(|(k, _)| *k != key);
                entries.push((key, value));
            } else {
                items.push(key);
            }
            if !self.takes(',') {
                if !self.takes('}') {
                    return None;
                }
                break;
            }
        }
        match (entries.is_empty(), items.is_empty()) {
            (_, true) => Some(Value::Map(entries)),
            (true, false) => Some(Value::List(items)),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_at_the_top_in_classes_and_of_self_are_parameters() {
        let text = r#"
import os  # not a parameter
LR = 1e-3
NAME: str = 'a' "b\n"
BIG = 1_000; HEX = -0x1F
SHAPE = (3, 4)
NESTED = {
    "a": [1, 2.5, None],  # a comment
    'b': {"c": True},
}
COMPUTED = LR * 2
PATH = os.path.join("a", "b")
DOC = """two
lines"""

class Train:
    epochs = 5

    class Inner:
        deep = r"\d"

    def __init__(self, x=3):
        self.layers = 5
        local = 7

    def other(self):
        self.hidden = 1

if True:
    INSIDE = 1
last = 1, 2
"#;
        let node = parse(text).unwrap();
        assert_eq!(
            node.to_json().to_string(),
            r#"{"LR":0.001,"NAME":"ab\n","BIG":1000,"HEX":-31,"SHAPE":[3,4],"NESTED":{"a":[1,2.5,null],"b":{"c":true}},"DOC":"two\nlines","Train":{"epochs":5,"Inner":{"deep":"\\d"},"layers":5},"last":[1,2]}"#
        );
    }

    #[test]
    fn what_is_not_closed_is_named_with_its_line() {
        assert_eq!(
            parse("a = 1\nb = [1,\n").unwrap_err().1,
            "a bracket is not closed"
        );
        assert_eq!(
            parse("a = 1\nb = 'x\n").unwrap_err(),
            (2, "a text is not closed".into())
        );
        assert!(parse("a = )").is_err());
        assert_eq!(parse("").unwrap().to_json().to_string(), "{}");
    }
}
