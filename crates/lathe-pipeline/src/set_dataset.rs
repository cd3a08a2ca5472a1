//! Datasets written into `dvc.yaml` and `dvc.lock`.

use lathe_data::{Repo, write_atomically};

use crate::edit::{check, line_start, read_or_empty};
use crate::set_params::{byte_of, end_of_block, line_ended};
use crate::yaml::{Node, Value, emit, in_order_of, read, updated};
use crate::{Error, Result};

const KEY: &str = "datasets";

/// Writes a dataset into a pipeline file (relative to the repository), if `spec` is given, and what it is now into the
/// lock beside it; each in the place of one of the same name.
pub fn set_dataset(repo: &Repo, file: &str, spec: Option<&Node>, locked: &Node) -> Result<()> {
    let path = repo.root().join(file);
    if let Some(spec) = spec {
        let old = read_or_empty(&path)?;
        let text = with_dataset(file, &old, spec)?;
        check(repo, file, &text)?;
        write_atomically(&path, text.as_bytes())?;
    }
    let path = path.with_extension("lock");
    let old = read_or_empty(&path)?;
    let text = lock_with_dataset(&path.display().to_string(), &old, locked)?;
    Ok(write_atomically(&path, text.as_bytes())?)
}

fn name_of(dataset: &Node) -> Option<&str> {
    dataset.find("name")?.as_str()
}

/// A text that holds nothing is an empty map.
fn parsed(file: &str, text: &str) -> Result<Node> {
    let document = read(text).map_err(|source| Error::syntax(file, text, source))?;
    Ok(match document.value {
        Value::Null => Node::new(Value::Map(Vec::new())),
        _ => document,
    })
}

/// The document with the dataset in its list, which is made if there is none.
fn put(file: &str, document: &Node, dataset: &Node) -> Result<(Node, bool)> {
    let refuse = |problem: &str| Error::Edit {
        file: file.to_owned(),
        problem: problem.to_owned(),
    };
    let mut entries = document.as_map().ok_or_else(|| refuse("it is no map"))?.to_vec();
    let at = entries.iter().position(|(key, _)| key.as_str() == Some(KEY));
    let Some(at) = at else {
        let list = Node::new(Value::List(vec![dataset.clone()]));
        entries.push((Node::text(KEY), list));
        return Ok((Node::new(Value::Map(entries)), true));
    };
    let mut items = match &entries[at].1.value {
        Value::List(items) => items.clone(),
        Value::Null => Vec::new(),
        _ => return Err(refuse("its `datasets` are no list")),
    };
    let known = items.iter().position(|item| name_of(item) == name_of(dataset));
    match known {
        Some(known) => items[known] = dataset.clone(),
        None => items.push(dataset.clone()),
    }
    entries[at].1 = Node::new(Value::List(items));
    Ok((Node::new(Value::Map(entries)), known.is_none()))
}

fn with_dataset(file: &str, text: &str, dataset: &Node) -> Result<String> {
    let document = parsed(file, text)?;
    let (new, is_new) = put(file, &document, dataset)?;
    if !is_new {
        let same = updated(text, &document, &new);
        return Ok(same.unwrap_or_else(|| emit(&in_order_of(&document, &new))));
    }
    let item = emit(&Node::new(Value::List(vec![dataset.clone()])));
    let entries = document.as_map().unwrap_or_default();
    let list = entries.iter().find(|(key, _)| key.as_str() == Some(KEY));
    let Some((key, list)) = list else {
        return Ok(format!("{}{KEY}:\n{item}", line_ended(text)));
    };
    let first = match &list.value {
        Value::List(items) if !items.is_empty() && !list.span.flow => items.first(),
        Value::Null => None,
        // A list in brackets.
        _ => return Ok(emit(&new)),
    };
    let (at, column) = match first {
        Some(first) => {
            let start = byte_of(text, first.span.start);
            let dash = text[line_start(text, start)..start].find('-').unwrap_or(0);
            (end_of_block(text, &[(key.clone(), list.clone())]), dash)
        }
        None => (end_of_block(text, &[(key.clone(), key.clone())]), 0),
    };
    let blanks = " ".repeat(column);
    let item: String = item.lines().map(|line| format!("{blanks}{line}\n")).collect();
    Ok(format!("{}{item}{}", line_ended(&text[..at]), &text[at..]))
}

/// Locks are laid out by programs alone, so they are written anew as a whole.
fn lock_with_dataset(file: &str, text: &str, dataset: &Node) -> Result<String> {
    let mut document = parsed(file, text)?;
    if let Value::Map(entries) = &mut document.value
        && entries.is_empty()
    {
        entries.push((Node::text("schema"), Node::text("2.0")));
    }
    let (mut new, _) = put(file, &document, dataset)?;
    if new.find("stages").is_none()
        && let Value::Map(entries) = &mut new.value
    {
        entries.push((Node::text("stages"), Node::new(Value::Map(Vec::new()))));
    }
    Ok(emit(&new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(name: &str, rev: &str) -> Node {
        read(&format!("{{name: {name}, url: u, type: dvc, rev: {rev}}}")).unwrap()
    }

    fn items(text: &str) -> String {
        text.replace("; ", "\n  ")
    }

    #[test]
    fn a_dataset_is_added_to_what_is_there_or_replaced() {
        let add =
            |text: &str, name: &str, rev: &str| with_dataset("dvc.yaml", text, &dataset(name, rev)).unwrap();
        let one = items("datasets:\n- name: d; url: u; type: dvc; rev: main\n");
        assert_eq!(add("", "d", "main"), one);
        assert_eq!(
            add("stages: # all\n  a: {cmd: x}\n", "d", "main"),
            format!("stages: # all\n  a: {{cmd: x}}\n{one}")
        );
        let before = format!("{one}# more\nstages:\n  a:\n    cmd: x\n");
        let added = add(&before, "e", "main");
        let both = items(
            "datasets:\n- name: d; url: u; type: dvc; rev: main\n- name: e; url: u; type: dvc; rev: main\n",
        );
        assert_eq!(added, format!("{both}# more\nstages:\n  a:\n    cmd: x\n"));
        assert_eq!(add(&before, "d", "v2"), before.replace("rev: main", "rev: v2"));
    }

    #[test]
    fn a_lock_gets_its_datasets_where_dvc_puts_them() {
        let add = |text: &str| lock_with_dataset("dvc.lock", text, &dataset("d", "main")).unwrap();
        let one = items("datasets:\n- name: d; url: u; type: dvc; rev: main\n");
        assert_eq!(add(""), format!("schema: '2.0'\n{one}stages: {{}}\n"));
        let stages = "schema: '2.0'\nstages:\n  a:\n    cmd: x\n";
        assert_eq!(add(stages), format!("{stages}{one}"));
        assert_eq!(add(&add(stages)), add(stages));
    }
}
