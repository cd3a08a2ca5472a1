use std::path::Path;

use lathe_data::write_atomically;

use crate::set_params::{byte_of, end_of_block};
use crate::yaml::{Node, read};
use crate::{Error, Result};

/// Whether a file has a parameter at a dotted key.
pub fn has_param(path: &Path, key: &str) -> Result<bool> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::read(path)(error)),
    };
    let root = read(&text).map_err(|source| Error::Syntax {
        file: name_of(path),
        source,
    })?;
    Ok(root.find_path(key).is_some())
}

/// Removes the parameter at a dotted key from a file, leaving everything else as it is.
pub fn remove_param(path: &Path, key: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).map_err(Error::read(path))?;
    let failed = |problem: &str| Error::SetParam {
        file: name_of(path),
        key: key.to_owned(),
        problem: problem.to_owned(),
    };
    let root = read(&text).map_err(|source| Error::Syntax {
        file: name_of(path),
        source,
    })?;
    let left =
        without(&text, &root, key).ok_or_else(|| failed("it cannot be removed, so remove it by hand"))?;
    let after = read(&left).map_err(|_| failed("its layout is not understood, so remove it by hand"))?;
    if after.find_path(key).is_some() {
        return Err(failed("its layout is not understood, so remove it by hand"));
    }
    write_atomically(path, left.as_bytes())?;
    Ok(())
}

fn without(text: &str, root: &Node, key: &str) -> Option<String> {
    let (parent, name) = match key.rsplit_once('.') {
        Some((parent, name)) => (root.find_path(parent)?, name),
        None => (root, key),
    };
    let entries = parent.as_map()?;
    let index = entries.iter().position(|(key, _)| key.as_str() == Some(name))?;
    let start = byte_of(text, entries[index].0.span.start);
    if parent.span.flow {
        // Up to the next key, or back to the end of the one before.
        let next = entries.get(index + 1);
        let before = index.checked_sub(1).map(|before| &entries[before].1);
        let (from, to) = match (before, next) {
            (_, Some((next, _))) => (start, byte_of(text, next.span.start)),
            (Some(before), None) => (
                byte_of(text, before.span.end),
                byte_of(text, parent.span.end).checked_sub(1)?,
            ),
            (None, None) => (start, byte_of(text, parent.span.end).checked_sub(1)?),
        };
        return Some(format!("{}{}", text.get(..from)?, text.get(to..)?));
    }
    let line = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = end_of_block(text, std::slice::from_ref(&entries[index]));
    if entries.len() == 1 && parent.span.end != root.span.end {
        // The map above becomes an empty one, not nothing.
        let indent = text.get(line..start)?;
        return Some(format!("{}{indent}{{}}\n{}", text.get(..line)?, text.get(end..)?));
    }
    Some(format!("{}{}", text.get(..line)?, text.get(end..)?))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_goes_and_its_neighbours_stay_as_they_are() {
        let text = "# about\na: 1  # one\nb:\n  c: 2\n  d:\n  - 3\n  - 4\ne: {f: 5, g: 6, h: 7}\nlast: x\n";
        for (key, left) in [
            ("a", text.replace("a: 1  # one\n", "")),
            ("b.c", text.replace("  c: 2\n", "")),
            ("b.d", text.replace("  d:\n  - 3\n  - 4\n", "")),
            ("b", text.replace("b:\n  c: 2\n  d:\n  - 3\n  - 4\n", "")),
            ("e.f", text.replace("f: 5, ", "")),
            ("e.g", text.replace("g: 6, ", "")),
            ("e.h", text.replace(", h: 7", "")),
            ("last", text.replace("last: x\n", "")),
        ] {
            let root = read(text).unwrap();
            assert_eq!(without(text, &root, key), Some(left), "{key}");
        }
    }

    #[test]
    fn the_only_key_of_a_map_leaves_an_empty_map() {
        let text = "a:\n  b: 1\nc: 2\n";
        let root = read(text).unwrap();
        assert_eq!(without(text, &root, "a.b").as_deref(), Some("a:\n  {}\nc: 2\n"));
    }
}
