//! Which environment each stage was executed in, last. Kept beside the records and not in DVC's files, which DVC would
//! take for changed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::settings::STATE_FOLDER;

/// The digests by stage.
#[derive(Debug)]
pub struct EnvironmentMarks {
    path: PathBuf,
    known: BTreeMap<String, String>,
    /// Lines of the file; each stage may have several, of which the last counts.
    lines: usize,
}

impl EnvironmentMarks {
    /// Those of a project. A file that cannot be read knows nothing: then nothing is executed on its account.
    pub fn load(root: &Path) -> Self {
        let path = root.join(STATE_FOLDER).join("environments");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut known = BTreeMap::new();
        for line in text.lines() {
            if let Some((digest, stage)) = line.split_once(' ') {
                known.insert(stage.to_owned(), digest.to_owned());
            }
        }
        Self {
            path,
            known,
            lines: text.lines().count(),
        }
    }

    /// By stage.
    pub fn known(&self) -> &BTreeMap<String, String> {
        &self.known
    }

    /// Remembers that the stage was executed in this environment. One that cannot be remembered is unknown, as before.
    pub fn set(&mut self, stage: &str, digest: &str) {
        if stage.contains('\n') || self.known.get(stage).is_some_and(|known| known == digest) {
            return;
        }
        self.known.insert(stage.to_owned(), digest.to_owned());
        self.lines += 1;
        if 2 * self.known.len() + 100 < self.lines {
            let text: String = self
                .known
                .iter()
                .map(|(stage, digest)| format!("{digest} {stage}\n"))
                .collect();
            if lathe_data::write_by_rename(&self.path, text.as_bytes()).is_ok() {
                self.lines = self.known.len();
            }
            return;
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{digest} {stage}\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_digest_of_a_stage_counts_and_the_file_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(STATE_FOLDER)).unwrap();
        let mut marks = EnvironmentMarks::load(folder.path());
        for number in 0..500 {
            marks.set("a b", &format!("d{number}"));
        }
        marks.set("c", "x");
        let again = EnvironmentMarks::load(folder.path());
        assert_eq!(again.known()["a b"], "d499");
        assert_eq!(again.known()["c"], "x");
        assert!(again.lines < 200);
    }
}
