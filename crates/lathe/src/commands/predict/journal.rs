//! Answers on their way to a file: written beside its name, so that there are all of them or none, with a note of how
//! far they are, so that a run that was killed goes on there.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow};
use lathe_parquet::{Assembly, Cells, Field};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Format;
use super::write::{Body, Written};
use crate::exit::hinted;

/// How often what is written is made safe.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Rows of a row group of Parquet, and about how many bytes of them wait at most.
const GROUP_ROWS: u64 = 131_072;
const GROUP_BYTES: usize = 64 << 20;

/// What is done of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub rows: u64,
    pub input_offset: u64,
    output_bytes: u64,
    /// What would end the file here: Parquet is read from its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "packed")]
    footer: Vec<u8>,
}

/// Bytes within JSON.
mod packed {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}

/// What is answered with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Of {
    /// Name, size and time of the rows' file.
    input: (PathBuf, u64, SystemTime),
    /// What tells the model and its params from others: see `Answering::identity`.
    model: String,
}

/// What is done, of which files.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    of: Of,
    done: Done,
}

/// A file of answers that is being written.
pub struct Journal {
    /// What is written. Of Parquet, answers that wait for their row group to be full are not.
    pub done: Done,
    table: Option<Rows>,
    out: BufWriter<File>,
    of: Of,
    output: PathBuf,
    partial: PathBuf,
    note: PathBuf,
    noted: Instant,
}

/// Rows of a Parquet file.
#[derive(Default)]
struct Rows {
    assembly: Option<Assembly>,
    /// What the next row group is made of: cells, rows, and where the input goes on after them.
    cells: Vec<Cells>,
    rows: u64,
    input_offset: u64,
}

impl Rows {
    fn is_full(&self) -> bool {
        GROUP_ROWS <= self.rows || GROUP_BYTES <= self.cells.iter().map(Cells::bytes).sum::<usize>()
    }

    /// Takes the answers to the next piece, which must be of the same types as those before.
    fn take(&mut self, columns: Vec<(Field, Cells)>, done: &Done) -> anyhow::Result<()> {
        let (fields, cells): (Vec<Field>, Vec<Cells>) = columns.into_iter().unzip();
        let assembly = match self.assembly.take() {
            Some(assembly) => assembly,
            None if done.output_bytes == 0 => Assembly::new(fields.clone())?,
            None => Assembly::resume(fields.clone(), &done.footer, done.output_bytes)?.ok_or_else(|| {
                anyhow!("the file that was begun has other columns; remove it to begin anew")
            })?,
        };
        if let Some((before, now)) = differing(assembly.fields(), &fields) {
            return Err(hinted(
                format!("the model answers with {now} where it answered with {before} before"),
                "write `.jsonl`, where each row may be of its own type",
            ));
        }
        self.assembly = Some(assembly);
        if self.cells.is_empty() {
            self.cells = cells;
        } else {
            for (known, more) in self.cells.iter_mut().zip(cells) {
                known.append(more);
            }
        }
        Ok(())
    }

    /// The bytes of the row group.
    fn group(&mut self) -> anyhow::Result<Vec<u8>> {
        self.rows = 0;
        match &mut self.assembly {
            Some(assembly) => Ok(assembly.push(&std::mem::take(&mut self.cells))?),
            None => Ok(Vec::new()),
        }
    }
}

/// Where two lists of columns differ first, in words.
fn differing(before: &[Field], now: &[Field]) -> Option<(String, String)> {
    let told = |field: Option<&Field>| match field {
        None => "nothing".to_owned(),
        Some(field) => format!("`{}` of type {}", field.name, field.kind),
    };
    (0..before.len().max(now.len()))
        .find(|at| before.get(*at) != now.get(*at))
        .map(|at| (told(before.get(at)), told(now.get(at))))
}

impl Journal {
    /// Goes on with what an earlier run left of the same model, params and rows, else begins anew.
    pub fn open(model: &str, input: &Path, output: &Path, format: Format) -> anyhow::Result<Self> {
        let beside = |end: &str| {
            let mut name = output.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (partial, note) = (beside(".partial"), beside(".progress"));
        let unread = |path: &Path| format!("`{}` cannot be read", path.display());
        let rows = std::fs::metadata(input).with_context(|| unread(input))?;
        let of = Of {
            input: (input.to_owned(), rows.len(), rows.modified()?),
            model: model.to_owned(),
        };
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
        let is_table = format == Format::Parquet;
        let done = left
            .filter(|done| done.output_bytes <= length && done.footer.is_empty() != is_table)
            .unwrap_or_default();
        file.set_len(done.output_bytes)?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.seek(SeekFrom::Start(done.output_bytes))?;
        Ok(Self {
            done,
            table: is_table.then(Rows::default),
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
        match (piece.body, &mut self.table) {
            (Body::Bytes { header, body }, _) => {
                let header = match self.done.output_bytes {
                    0 => header.as_slice(),
                    _ => &[],
                };
                let bytes = [header, &body].concat();
                self.put(&bytes)?;
                self.done.rows += piece.rows;
                self.done.input_offset = piece.input_offset;
            }
            (Body::Columns(columns), Some(table)) => {
                table.take(columns, &self.done)?;
                table.rows += piece.rows;
                table.input_offset = piece.input_offset;
                if !table.is_full() {
                    return Ok(());
                }
                self.put_group()?;
            }
            (Body::Columns(_), None) => return Err(anyhow!("columns cannot be written as lines")),
        }
        if NOTE_EVERY <= self.noted.elapsed() {
            self.end()?;
            self.note_down()
                .with_context(|| format!("failed to write `{}`", self.note.display()))?;
            self.noted = Instant::now();
        }
        Ok(())
    }

    /// How far it is: rows, and where the input goes on.
    pub fn reached(&self) -> (u64, u64) {
        match &self.table {
            Some(table) if 0 < table.rows => (self.done.rows + table.rows, table.input_offset),
            _ => (self.done.rows, self.done.input_offset),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.out
            .write_all(bytes)
            .with_context(|| format!("failed to write `{}`", self.partial.display()))?;
        self.done.output_bytes += bytes.len() as u64;
        Ok(())
    }

    fn put_group(&mut self) -> anyhow::Result<()> {
        let Some(table) = self.table.as_mut().filter(|table| 0 < table.rows) else {
            return Ok(());
        };
        self.done.rows += table.rows;
        self.done.input_offset = table.input_offset;
        let bytes = table.group()?;
        self.put(&bytes)
    }

    /// Finds out what would end the file here. A run that goes on behind the last row has it from its note.
    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(assembly) = self.table.as_ref().and_then(|table| table.assembly.as_ref()) {
            self.done.footer = assembly.footer()?;
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
        self.put_group()?;
        self.end()?;
        let footer = std::mem::take(&mut self.done.footer);
        self.put(&footer)?;
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

/// SHA-256 of a file, or of all files in a folder: what is fetched each time lies elsewhere each time.
pub fn digest_of(path: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    digest(path, Path::new(""), &mut hash).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(hex::encode(hash.finalize()))
}

/// Adds the names and the content of a file, or of all files in a folder, to a hash.
fn digest(path: &Path, name: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    hash.update(name.as_os_str().as_encoded_bytes());
    if !path.is_dir() {
        let file = File::open(path)?;
        hash.update(file.metadata()?.len().to_le_bytes());
        let mut file = BufReader::with_capacity(1 << 16, file);
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            hash.update(bytes);
            let count = bytes.len();
            file.consume(count);
        }
    }
    let mut inside: Vec<OsString> = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<_>>()?;
    inside.sort();
    hash.update(inside.len().to_le_bytes());
    inside
        .iter()
        .try_for_each(|file| digest(&path.join(file), &name.join(file), hash))
}
