use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Timespec, Timestamps, futimens};
use rustix::time::{ClockId, clock_gettime};

/// How a file of the workspace gets the content of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Shares blocks until one of them is written to.
    Reflink,
    /// Is the object.
    Hardlink,
    /// Points at the object.
    Symlink,
    /// Has bytes of its own.
    Copy,
}

impl LinkKind {
    /// Of a setting of `cache.type`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "reflink" => Self::Reflink,
            "hardlink" => Self::Hardlink,
            "symlink" => Self::Symlink,
            "copy" => Self::Copy,
            _ => return None,
        })
    }
}

/// Whether a filesystem shares blocks is asked once.
static NO_REFLINKS: AtomicBool = AtomicBool::new(false);

/// Whether it is worth an attempt to share blocks.
pub(crate) fn may_reflink() -> bool {
    !NO_REFLINKS.load(Ordering::Relaxed)
}

/// Reads a file that is `size` bytes long, as far as is known, with one call if that is true.
pub(crate) fn read_whole(mut from: &File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Shares the blocks of the files, if the filesystem can.
pub(crate) fn reflink(from: &File, to: &File) -> bool {
    if !may_reflink() {
        return false;
    }
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => true,
        Err(errno) => {
            use rustix::io::Errno;
            if matches!(errno, Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) {
                NO_REFLINKS.store(true, Ordering::Relaxed);
            }
            false
        }
    }
}

/// Shares the blocks where the filesystem can, and copies the bytes where it cannot.
pub(crate) fn copy_bytes(from: &File, mut to: &File) -> io::Result<()> {
    if reflink(from, to) {
        return Ok(());
    }
    let mut from = from;
    let size = from.metadata()?.len();
    if size <= SMALL_BYTES {
        return to.write_all(&read_whole(from, size)?);
    }
    io::copy(&mut from, &mut to)?;
    Ok(())
}

/// One read and one write are cheaper than asking the kernel to copy.
const SMALL_BYTES: u64 = 1 << 18;

/// Gives the file a mtime that no later change can have: the fine clock, where the kernel's own stamps move in steps.
pub(crate) fn stamp(file: &File) -> io::Result<i128> {
    let now = clock_gettime(ClockId::Realtime);
    let time = Timespec {
        tv_sec: now.tv_sec,
        tv_nsec: now.tv_nsec,
    };
    futimens(
        file,
        &Timestamps {
            last_access: time,
            last_modification: time,
        },
    )?;
    Ok(i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec))
}

/// Whether both are one file.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
