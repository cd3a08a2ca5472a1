//! Where the values of a model lie that are not in its file. ONNX Runtime opens those files itself, so a model that names
//! one outside its own folder must not get there.

use std::path::Path;

use super::message::location;
use super::wire::fields;

/// Graphs lie in attributes of graphs; real ones a few deep.
const DEPTH_MAX: usize = 64;

/// Refuses a model that names a file outside its folder, links included.
pub(super) fn check(model: &[u8], folder: &Path) -> Result<(), String> {
    fields(model, |number, field| match number {
        7 => graph(field.bytes()?, folder, 0),
        25 => fields(field.bytes()?, |number, field| match number {
            7 => node(field.bytes()?, folder, 0),
            11 => attribute(field.bytes()?, folder, 0),
            _ => Ok(()),
        }),
        // What training is begun with is a graph as well.
        20 => fields(field.bytes()?, |number, field| match number {
            1 | 2 => graph(field.bytes()?, folder, 0),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })
}

fn graph(bytes: &[u8], folder: &Path, depth: usize) -> Result<(), String> {
    if DEPTH_MAX < depth {
        return Err("its graphs lie too deep in each other".into());
    }
    fields(bytes, |number, field| match number {
        1 => node(field.bytes()?, folder, depth),
        5 => tensor(field.bytes()?, folder),
        15 => sparse(field.bytes()?, folder),
        _ => Ok(()),
    })
}

fn node(bytes: &[u8], folder: &Path, depth: usize) -> Result<(), String> {
    fields(bytes, |number, field| match number {
        5 => attribute(field.bytes()?, folder, depth),
        _ => Ok(()),
    })
}

fn attribute(bytes: &[u8], folder: &Path, depth: usize) -> Result<(), String> {
    fields(bytes, |number, field| match number {
        5 | 10 => tensor(field.bytes()?, folder),
        6 | 11 => graph(field.bytes()?, folder, depth + 1),
        22 | 23 => sparse(field.bytes()?, folder),
        _ => Ok(()),
    })
}

fn sparse(bytes: &[u8], folder: &Path) -> Result<(), String> {
    fields(bytes, |number, field| match number {
        1 | 2 => tensor(field.bytes()?, folder),
        _ => Ok(()),
    })
}

fn tensor(bytes: &[u8], folder: &Path) -> Result<(), String> {
    let mut name = String::new();
    let mut place = Vec::new();
    fields(bytes, |number, field| {
        match number {
            8 => field.text()?.clone_into(&mut name),
            13 => place.push(field.bytes()?),
            _ => {}
        }
        Ok(())
    })?;
    if place.is_empty() {
        return Ok(());
    }
    let (file, ..) = location(&name, &place)?;
    crate::file::within(&folder.join(&file), folder)
        .map(|_| ())
        .map_err(|error| format!("the values of `{name}` cannot be read from `{file}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that holds a message, or a text.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let number = u32::from(number) << 3 | 2;
        let mut bytes = vec![(number & 0x7f) as u8 | 0x80, (number >> 7) as u8];
        bytes.extend([(content.len() & 0x7f) as u8 | 0x80, (content.len() >> 7) as u8]);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn files_outside_the_folder_are_found_wherever_a_model_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("model"), folder.path().join("secret"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(&outside, "x").unwrap();
        std::fs::write(inside.join("weights"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let tensor = |file: &str| {
            let entry = [field(1, b"location"), field(2, file.as_bytes())].concat();
            [field(8, b"w"), field(13, &entry)].concat()
        };
        type Way = fn(&[u8]) -> Vec<u8>;
        let ways: [Way; 5] = [
            |tensor| field(7, &field(5, tensor)),
            |tensor| field(7, &field(1, &field(5, &field(5, tensor)))),
            |tensor| field(7, &field(1, &field(5, &field(6, &field(5, tensor))))),
            |tensor| field(7, &field(15, &field(1, tensor))),
            |tensor| field(25, &field(7, &field(5, &field(10, tensor)))),
        ];
        for (way, place) in ways.iter().zip(1..) {
            let told = |file: &str| check(&way(&tensor(file)), &inside);
            assert_eq!(told("weights"), Ok(()), "{place}");
            for file in ["../secret", "link", outside.to_str().unwrap()] {
                let told = told(file).unwrap_err();
                assert!(
                    told.contains("outside the model's folder"),
                    "{place} {file}: {told}"
                );
            }
            assert!(told("missing").unwrap_err().contains("`missing`"), "{place}");
        }
    }
}
