use std::collections::HashMap;

use crate::template::text_of;
use crate::yaml::{Node, Value};

/// Variables multiply fast.
const MEMBERS_MAX: usize = 100_000;

/// One stage of a group: the part of its name after `@`, and what its templates see besides the context.
pub struct Member {
    /// The part after `@`.
    pub key: String,
    /// `item`, `key`.
    pub locals: Vec<(Node, Node)>,
}

/// The members that `foreach` makes.
pub fn foreach(data: &Node) -> Result<Vec<Member>, String> {
    match &data.value {
        Value::List(items) => {
            let by_index = items.iter().any(|item| text_of(item).is_none());
            Ok(distinct(items.iter().enumerate().map(|(index, item)| Member {
                key: match text_of(item) {
                    Some(text) if !by_index => text,
                    _ => index.to_string(),
                },
                locals: vec![(Node::text("item"), item.clone())],
            })))
        }
        Value::Map(entries) => Ok(distinct(entries.iter().map(|(key, value)| {
            let key = text_of(key).unwrap_or_else(|| key.to_key());
            Member {
                locals: vec![
                    (Node::text("key"), Node::text(&key)),
                    (Node::text("item"), value.clone()),
                ],
                key,
            }
        }))),
        _ => Err(format!("is {}, neither a list nor a map", data.kind())),
    }
}

/// Of members of one name the last counts, in the place of the first.
fn distinct(members: impl Iterator<Item = Member>) -> Vec<Member> {
    let mut kept: Vec<Member> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for member in members {
        match places.get(&member.key) {
            Some(&place) => kept[place] = member,
            None => {
                places.insert(member.key.clone(), kept.len());
                kept.push(member);
            }
        }
    }
    kept
}

/// The members that `matrix` makes: every combination, the last variable changing fastest.
pub fn matrix(data: &Node) -> Result<Vec<Member>, String> {
    let variables = data
        .as_map()
        .ok_or_else(|| format!("is {}, not a map of lists", data.kind()))?;
    let mut members = vec![Combination::default()];
    for (name, values) in variables {
        let name_text = name.to_key();
        let Value::List(values) = &values.value else {
            return Err(format!(
                "has `{name_text}`, which is {} and not a list",
                values.kind()
            ));
        };
        if MEMBERS_MAX < members.len().saturating_mul(values.len()) {
            return Err(format!("makes more than {MEMBERS_MAX} stages"));
        }
        let mut longer = Vec::new();
        for member in &members {
            for (index, value) in values.iter().enumerate() {
                let mut member = member.clone();
                let text = text_of(value).unwrap_or_else(|| format!("{name_text}{index}"));
                member.names.push(text);
                member.items.push((name.clone(), value.clone()));
                longer.push(member);
            }
        }
        members = longer;
    }
    Ok(distinct(members.into_iter().map(Combination::member)))
}

/// One value of each variable.
#[derive(Clone, Default)]
struct Combination {
    names: Vec<String>,
    items: Vec<(Node, Node)>,
}

impl Combination {
    fn member(self) -> Member {
        let key = self.names.join("-");
        Member {
            locals: vec![
                (Node::text("item"), Node::new(Value::Map(self.items))),
                (Node::text("key"), Node::text(key.clone())),
            ],
            key,
        }
    }
}
