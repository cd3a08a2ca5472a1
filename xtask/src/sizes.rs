//! How long files are. A long file holds a second noun; generated ones and data are not looked at.

use crate::tidy::{File, Finding};

/// Look for the second noun.
const LONG: usize = 400;
/// Nobody reads it in one sitting.
const TOO_LONG: usize = 600;

/// Notes long files, faults those that are too long.
pub fn check(files: &[File]) -> Vec<Finding> {
    let mut sized: Vec<(usize, &str)> = files
        .iter()
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    sized.sort_unstable_by(|a, b| b.cmp(a));
    let long = sized.into_iter().take_while(|(lines, _)| LONG < *lines);
    long.map(|(lines, path)| {
        let told = format!("`{path}` has {lines} lines");
        match TOO_LONG < lines {
            true => Finding::Fault(format!("{told}, {TOO_LONG} at most: give its second noun a file")),
            false => Finding::Note(format!("{told}; near {LONG} look for a second noun")),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> File {
        File {
            path: path.into(),
            text: "x\n".repeat(lines),
        }
    }

    #[test]
    fn long_files_are_noted_and_too_long_ones_are_faults_longest_first() {
        let files = [
            file("a.rs", 400),
            file("b.rs", 401),
            file("c.rs", 600),
            file("d.rs", 601),
        ];
        let found = check(&files);
        assert!(matches!(&found[0], Finding::Fault(text) if text.starts_with("`d.rs` has 601 lines")));
        assert!(matches!(&found[1], Finding::Note(text) if text.starts_with("`c.rs`")));
        assert!(matches!(&found[2], Finding::Note(text) if text.starts_with("`b.rs`")));
        assert_eq!(found.len(), 3);
    }
}
