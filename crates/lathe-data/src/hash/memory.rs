use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use super::Md5Sum;
use crate::write;

const MAGIC: &[u8; 8] = b"lathehs1";
/// device, inode, size, mtime, ctime (ns), md5
const RECORD_BYTES: usize = 56;
/// 224 MB; what was not met lately goes first.
const RECORDS_MAX: usize = 4_000_000;
/// A kernel's clock for file times moves in steps of at most 10 ms. A file that changed within the step in which it
/// was read could change again without a trace.
const STEP_NS: i128 = 20_000_000;
/// Filesystems without fractions of seconds.
const COARSE_STEP_NS: i128 = 2_500_000_000;

/// The hashes of files as they were seen last: by inode, and valid while size, mtime and ctime stay. It is kept in
/// one file of fixed records with a checksum, replaced as a whole; a damaged one is no more than an empty one. What
/// is in it can be found out again, so it is not forced to the disk.
#[derive(Debug)]
pub struct Memory {
    file: PathBuf,
    state: OnceLock<State>,
}

#[derive(Debug)]
struct State {
    /// Sorted by device and inode.
    known: Vec<Record>,
    learned: Mutex<HashMap<(u64, u64), Record>>,
    /// What the clock of the filesystem said at the start; `None` if it cannot be asked, and nothing is remembered.
    started_ns: Option<i128>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    device: u64,
    inode: u64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    md5: Md5Sum,
}

impl Record {
    fn of(meta: &Metadata, md5: Md5Sum) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            mtime_ns: nanos(meta.mtime(), meta.mtime_nsec()) as i64,
            ctime_ns: nanos(meta.ctime(), meta.ctime_nsec()) as i64,
            md5,
        }
    }

    fn key(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

impl Memory {
    /// Kept in this file, which is read when it is first asked.
    pub(crate) fn at(file: PathBuf) -> Self {
        Self {
            file,
            state: OnceLock::new(),
        }
    }

    /// The hash of a file whose inode is still as it was when it was hashed.
    pub(crate) fn find(&self, meta: &Metadata) -> Option<Md5Sum> {
        let state = self.state();
        let key = (meta.dev(), meta.ino());
        let learned = state
            .learned
            .lock()
            .expect("no thread panics with it")
            .get(&key)
            .copied();
        let record = learned.or_else(|| {
            let at = state.known.binary_search_by_key(&key, Record::key).ok()?;
            Some(state.known[at])
        })?;
        (record == Record::of(meta, record.md5)).then_some(record.md5)
    }

    /// Remembers the hash of a file that was the same before and after it was read, unless it changed so lately that
    /// a later change could go unseen.
    pub(crate) fn learn(&self, before: &Metadata, after: &Metadata, md5: Md5Sum) {
        let record = Record::of(after, md5);
        let Some(started) = self.state().started_ns else {
            return;
        };
        let coarse = record.mtime_ns % 1_000_000_000 == 0 && record.ctime_ns % 1_000_000_000 == 0;
        let step = if coarse { COARSE_STEP_NS } else { STEP_NS };
        let changed = i128::from(record.mtime_ns.max(record.ctime_ns));
        if record == Record::of(before, md5) && changed + step < started {
            self.insert(record);
        }
    }

    /// Remembers the hash of a file that this process wrote under a name nobody knew, with a mtime of its own making
    /// (`stamped_ns`) that no later change can have.
    pub(crate) fn learn_own(&self, meta: &Metadata, stamped_ns: i128, md5: Md5Sum) {
        let record = Record::of(meta, md5);
        if i128::from(record.mtime_ns) == stamped_ns && record.mtime_ns % 1_000_000 != 0 {
            self.insert(record);
        }
    }

    /// Goes on remembering the hash of a file that only got another name, which changes its ctime. Content that changed
    /// since shows in the mtime, which is old: a later change cannot have it.
    pub(crate) fn learn_linked(&self, before: &Metadata, after: &Metadata, md5: Md5Sum) {
        let Some(started) = self.state().started_ns else {
            return;
        };
        let (old, new) = (Record::of(before, md5), Record::of(after, md5));
        let same = old.key() == new.key() && old.size == new.size && old.mtime_ns == new.mtime_ns;
        if same && i128::from(old.mtime_ns) + COARSE_STEP_NS < started {
            self.insert(new);
        }
    }

    fn insert(&self, record: Record) {
        let mut learned = self.state().learned.lock().expect("no thread panics with it");
        learned.insert(record.key(), record);
    }

    fn state(&self) -> &State {
        self.state.get_or_init(|| State {
            known: read(&self.file).unwrap_or_default(),
            learned: Mutex::default(),
            started_ns: self.clock_of_filesystem(),
        })
    }

    /// The time that the filesystem gives a file made now; it may differ from this machine's.
    fn clock_of_filesystem(&self) -> Option<i128> {
        let probe = write::new_beside(&self.file).ok()?;
        let meta = probe.as_file().metadata().ok()?;
        Some(nanos(meta.mtime(), meta.mtime_nsec()))
    }

    /// Writes what was learned. Another process may have written meanwhile: both are kept.
    pub(crate) fn save(&self) {
        let Some(state) = self.state.get() else { return };
        let mut learned = state.learned.lock().expect("no thread panics with it");
        if learned.is_empty() {
            return;
        }
        let mut records: Vec<Record> = read(&self.file).unwrap_or_default();
        records.retain(|record| !learned.contains_key(&record.key()));
        let room = RECORDS_MAX.saturating_sub(learned.len());
        if room < records.len() {
            records.sort_unstable_by_key(|record| std::cmp::Reverse(record.ctime_ns));
            records.truncate(room);
        }
        records.extend(learned.drain().map(|(_, record)| record));
        records.sort_unstable_by_key(Record::key);
        // Losing it costs time, never data: a failure to write it is none of the command.
        let _ = write::write_by_rename(&self.file, &to_bytes(&records));
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.save();
    }
}

fn nanos(seconds: i64, nanos: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

fn to_bytes(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + records.len() * RECORD_BYTES + 8);
    bytes.extend_from_slice(MAGIC);
    for record in records {
        bytes.extend_from_slice(&record.device.to_le_bytes());
        bytes.extend_from_slice(&record.inode.to_le_bytes());
        bytes.extend_from_slice(&record.size.to_le_bytes());
        bytes.extend_from_slice(&record.mtime_ns.to_le_bytes());
        bytes.extend_from_slice(&record.ctime_ns.to_le_bytes());
        bytes.extend_from_slice(&record.md5);
    }
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

fn read(file: &PathBuf) -> Option<Vec<Record>> {
    let bytes = fs::read(file).ok()?;
    let (body, sum) = bytes.split_last_chunk::<8>()?;
    if u64::from_le_bytes(*sum) != checksum(body) {
        return None;
    }
    let (chunks, rest) = body.strip_prefix(MAGIC)?.as_chunks::<RECORD_BYTES>();
    rest.is_empty().then(|| chunks.iter().map(record).collect())
}

fn record(bytes: &[u8; RECORD_BYTES]) -> Record {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let mut md5 = [0; 16];
    md5.copy_from_slice(&bytes[40..]);
    Record {
        device: word(0),
        inode: word(8),
        size: word(16),
        mtime_ns: word(24) as i64,
        ctime_ns: word(32) as i64,
        md5,
    }
}

/// Finds torn and damaged files, as FNV-1a does, but eight bytes at a time.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }
    for byte in rest {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn aged(path: &Path, text: &str) -> Metadata {
        fs::write(path, text).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_123))
            .unwrap();
        fs::metadata(path).unwrap()
    }

    #[test]
    fn a_hash_is_remembered_while_the_file_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("hashes"));
        let meta = aged(&data, "one");
        std::thread::sleep(Duration::from_millis(40));
        let memory = Memory::at(file.clone());
        memory.learn(&meta, &meta, [7; 16]);
        drop(memory);

        let memory = Memory::at(file.clone());
        assert_eq!(memory.find(&meta), Some([7; 16]));
        let changed = aged(&data, "two");
        assert_eq!(
            memory.find(&changed),
            None,
            "same size and mtime, but another ctime"
        );

        let mut bytes = fs::read(&file).unwrap();
        bytes[20] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(Memory::at(file).find(&meta), None, "a damaged file holds nothing");
    }

    #[test]
    fn a_file_that_changed_just_now_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let memory = Memory::at(folder.path().join("hashes"));
        memory.state();
        let meta = aged(&data, "one");
        memory.learn(&meta, &meta, [7; 16]);
        assert_eq!(memory.find(&meta), None);
    }
}
