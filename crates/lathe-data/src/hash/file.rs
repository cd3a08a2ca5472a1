use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use md5::{Digest, Md5};

use super::{Md5Sum, Memory, mode};
use crate::cache::{Intake, read_whole};
use crate::{Error, Result};

/// Up to here a file is read as a whole before anything is decided.
const SMALL_BYTES: u64 = 1 << 20;
const BUFFER_BYTES: usize = 1 << 20;
/// What a text file is judged by.
const HEAD_BYTES: usize = 512;

/// Whether line ends count, as DVC 2 had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Legacy(pub bool);

/// A file by content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedFile {
    pub md5: Md5Sum,
    pub size: u64,
    pub mode: u32,
}

/// Hashes a file, or remembers its hash; with an intake, the bytes that were hashed are the bytes that are kept.
pub(crate) fn look_at(
    memory: &Memory,
    path: &Path,
    legacy: Legacy,
    intake: Option<&Intake<'_>>,
) -> Result<HashedFile> {
    if legacy.0 {
        return look_at_legacy(path);
    }
    let before = fs::metadata(path).map_err(Error::read(path))?;
    let hashed = |md5, size| HashedFile {
        md5,
        size,
        mode: mode(&before),
    };
    if let Some(md5) = memory.find(&before) {
        let kept = match intake {
            None => true,
            Some(intake) => !intake.wants(&md5)?,
        };
        if kept {
            return Ok(hashed(md5, before.len()));
        }
    }
    let mut file = File::open(path).map_err(Error::read(path))?;
    let (md5, size) = match intake {
        None => hash_reader(&mut file).map_err(Error::read(path))?,
        Some(intake) if before.len() <= SMALL_BYTES => {
            let bytes = read_whole(&file, before.len()).map_err(Error::read(path))?;
            let md5 = hash_bytes(&bytes);
            if intake.wants(&md5)? {
                intake.put_bytes(md5, &bytes)?;
            }
            (md5, bytes.len() as u64)
        }
        Some(intake) => intake.put_file(&mut file, path)?,
    };
    let after = file.metadata().map_err(Error::read(path))?;
    memory.learn(&before, &after, md5);
    Ok(hashed(md5, size))
}

fn look_at_legacy(path: &Path) -> Result<HashedFile> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let meta = fs::metadata(path).map_err(Error::read(path))?;
    let md5 = if is_text(&bytes[..bytes.len().min(HEAD_BYTES)]) {
        let mut unix = Vec::with_capacity(bytes.len());
        for (index, byte) in bytes.iter().enumerate() {
            if !(*byte == b'\r' && bytes.get(index + 1) == Some(&b'\n')) {
                unix.push(*byte);
            }
        }
        hash_bytes(&unix)
    } else {
        hash_bytes(&bytes)
    };
    Ok(HashedFile {
        md5,
        size: bytes.len() as u64,
        mode: mode(&meta),
    })
}

/// Whether DVC 2 takes a file with this beginning for text: no zero byte, and at most three in ten bytes that no text
/// of people has.
fn is_text(head: &[u8]) -> bool {
    if head.contains(&0) {
        return false;
    }
    let is_text =
        |byte: &&u8| (32..=126).contains(*byte) || matches!(**byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x08);
    let other = head.len() - head.iter().filter(is_text).count();
    other * 10 <= head.len() * 3
}

/// md5 of bytes in memory.
pub(crate) fn hash_bytes(bytes: &[u8]) -> Md5Sum {
    Md5::digest(bytes).into()
}

/// md5 and size of a file, without remembering.
pub(crate) fn hash_file(path: &Path) -> Result<(Md5Sum, u64)> {
    let mut file = File::open(path).map_err(Error::read(path))?;
    hash_reader(&mut file).map_err(Error::read(path))
}

/// md5 and count of all that is read.
pub(crate) fn hash_reader(reader: &mut impl Read) -> std::io::Result<(Md5Sum, u64)> {
    let mut hasher = Md5::new();
    let mut size = 0;
    let mut buffer = vec![0; BUFFER_BYTES / 4];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((hasher.finalize().into(), size));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

/// Copies and hashes at once: one thread hashes while this one reads and writes.
pub(crate) fn copy_and_hash(
    from: &mut impl Read,
    mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<(Md5Sum, u64)> {
    let (full, to_hash) = sync_channel::<(Vec<u8>, usize)>(2);
    let (empty, to_fill) = sync_channel::<Vec<u8>>(4);
    for _ in 0..3 {
        // There is room for all, and its other end lives in this function.
        let _ = empty.send(vec![0; BUFFER_BYTES]);
    }
    // Both ends move in, so that an error here ends the other thread too.
    std::thread::scope(move |scope| {
        let hashing = scope.spawn(move || {
            let mut hasher = Md5::new();
            for (buffer, filled) in to_hash {
                hasher.update(&buffer[..filled]);
                // The other side may be done with reading.
                let _ = empty.send(buffer);
            }
            hasher.finalize().into()
        });
        let mut size = 0;
        while let Ok(mut buffer) = to_fill.recv() {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            write(&buffer[..read])?;
            size += read as u64;
            if full.send((buffer, read)).is_err() {
                break;
            }
        }
        drop(full);
        let md5 = hashing
            .join()
            .map_err(|_| std::io::Error::other("the thread that hashes died"))?;
        Ok((md5, size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_what_is_hashed() {
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut copied = Vec::new();
        let (md5, size) = copy_and_hash(&mut &bytes[..], |part| {
            copied.extend_from_slice(part);
            Ok(())
        })
        .unwrap();
        assert_eq!((md5, size), (hash_bytes(&bytes), bytes.len() as u64));
        assert_eq!(copied, bytes);
        let failed = copy_and_hash(&mut &bytes[..], |_| Err(std::io::Error::other("no space")));
        assert!(failed.is_err());
    }

    #[test]
    fn line_ends_of_text_do_not_count_for_dvc_2() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "a\r\nb\n").unwrap();
        let hashed = look_at_legacy(&path).unwrap();
        assert_eq!((hashed.md5, hashed.size), (hash_bytes(b"a\nb\n"), 5));
        fs::write(&path, b"a\r\n\0").unwrap();
        assert_eq!(look_at_legacy(&path).unwrap().md5, hash_bytes(b"a\r\n\0"));
    }
}
