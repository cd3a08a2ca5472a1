//! Reading files into memory, bounded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::LoadError;

/// Larger model files are refused: they would not fit beside others.
const MODEL_BYTES_MAX: u64 = 8 << 30;

/// A model file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    read_at_most(path, MODEL_BYTES_MAX)
}

/// A file of text.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, LoadError> {
    String::from_utf8(read_at_most(path, bytes_max)?).map_err(|_| LoadError::Damaged {
        path: path.to_owned(),
        what: "it is not UTF-8".into(),
    })
}

/// Where a file really is, which must be within a folder, links included.
pub(crate) fn within(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    match path.starts_with(folder.canonicalize()?) {
        true => Ok(path),
        false => Err(io::Error::other("it lies outside the model's folder")),
    }
}

/// A part of a file that must lie within a folder, links included.
pub(crate) fn read_part(path: &Path, folder: &Path, offset: u64, length: Option<u64>) -> io::Result<Vec<u8>> {
    let path = within(path, folder)?;
    let mut file = File::open(path)?;
    let rest = file.metadata()?.len().saturating_sub(offset);
    let length = length.unwrap_or(rest);
    if rest < length || MODEL_BYTES_MAX < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_at_most(path: &Path, bytes_max: u64) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes_max < read as u64 {
        return Err(LoadError::Damaged {
            path: path.to_owned(),
            what: format!("it is larger than {bytes_max} bytes"),
        });
    }
    Ok(bytes)
}
