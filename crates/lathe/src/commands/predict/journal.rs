//! Answers on their way to a file: written beside its name, so that there are all of them or none, with a note of how
//! far they are, so that a run that was killed goes on there.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::write::Written;
use crate::exit::hinted;

/// How often what is written is made safe.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// What is done of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub rows: u64,
    pub input_offset: u64,
    output_bytes: u64,
}

/// What is done, of which files.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    /// Model and input as they were: names, sizes and times.
    of: Vec<(PathBuf, u64, SystemTime)>,
    done: Done,
}

/// A file of answers that is being written.
pub struct Journal {
    pub done: Done,
    out: BufWriter<File>,
    of: Vec<(PathBuf, u64, SystemTime)>,
    output: PathBuf,
    partial: PathBuf,
    note: PathBuf,
    noted: Instant,
}

impl Journal {
    /// Goes on with what an earlier run left of the same model and the same rows, else begins anew.
    pub fn open(model: &Path, input: &Path, output: &Path) -> anyhow::Result<Self> {
        let beside = |end: &str| {
            let mut name = output.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (partial, note) = (beside(".partial"), beside(".progress"));
        let mut of = Vec::new();
        stamp(input, &mut of).with_context(|| format!("`{}` cannot be read", input.display()))?;
        stamp(model, &mut of).with_context(|| format!("`{}` cannot be read", model.display()))?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial)
            .with_context(|| format!("failed to write `{}`", partial.display()))?;
        if file.try_lock().is_err() {
            return Err(hinted(
                format!("another process writes `{}`", output.display()),
                "wait for it, or name another output",
            ));
        }
        let left = std::fs::read(&note)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok())
            .filter(|note| note.of == of)
            .map(|note| note.done);
        let length = file.metadata()?.len();
        let done = left
            .filter(|done| done.output_bytes <= length)
            .unwrap_or_default();
        file.set_len(done.output_bytes)?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.seek(SeekFrom::Start(done.output_bytes))?;
        Ok(Self {
            done,
            out,
            of,
            output: output.to_owned(),
            partial,
            note,
            noted: Instant::now(),
        })
    }

    /// Adds the answers to the next piece.
    pub fn write(&mut self, piece: Written) -> anyhow::Result<()> {
        let header = match self.done.output_bytes {
            0 => piece.header.as_slice(),
            _ => &[],
        };
        for bytes in [header, &piece.body] {
            self.out
                .write_all(bytes)
                .with_context(|| format!("failed to write `{}`", self.partial.display()))?;
            self.done.output_bytes += bytes.len() as u64;
        }
        self.done.rows += piece.rows;
        self.done.input_offset = piece.input_offset;
        if NOTE_EVERY <= self.noted.elapsed() {
            self.note_down()
                .with_context(|| format!("failed to write `{}`", self.note.display()))?;
            self.noted = Instant::now();
        }
        Ok(())
    }

    fn note_down(&mut self) -> std::io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_data()?;
        let note = Note {
            of: self.of.clone(),
            done: self.done.clone(),
        };
        let mut next = self.note.clone().into_os_string();
        next.push(".next");
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(&note)?)?;
        file.sync_data()?;
        std::fs::rename(&next, &self.note)
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.partial, &self.output))
            .with_context(|| format!("failed to write `{}`", self.output.display()))?;
        match std::fs::remove_file(&self.note) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove `{}`", self.note.display()))
            }
            _ => Ok(()),
        }
    }

    /// What cannot be ended is of no use; the error tells more than a failure to remove it.
    pub fn discard(self) {
        let _ = std::fs::remove_file(&self.partial);
        let _ = std::fs::remove_file(&self.note);
    }
}

/// Name, size and time of a file, or of all in a folder.
fn stamp(path: &Path, into: &mut Vec<(PathBuf, u64, SystemTime)>) -> std::io::Result<()> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        into.push((path.to_owned(), metadata.len(), metadata.modified()?));
        return Ok(());
    }
    let mut inside: Vec<PathBuf> = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    inside.sort();
    inside.iter().try_for_each(|path| stamp(path, into))
}
