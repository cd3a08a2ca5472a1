use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lathe_data::Repo;

use crate::Result;
use crate::lock::Lock;
use crate::stage::Stage;

/// Writing the locks may take this part of the time that stages take, so that the cost of many short stages does not
/// grow with the square of their number.
const SHARE: u32 = 10;
/// How often the disk is waited for.
const DURABLE_EVERY: Duration = Duration::from_secs(1);

/// The locks of the pipeline files, loaded when they are first asked for, and paths to keep out of git.
pub struct Locks<'a> {
    root: &'a Path,
    by_file: HashMap<Arc<str>, Lock>,
    keep_out: Vec<(usize, PathBuf)>,
    /// All stages before this one, in order, are done with.
    settled: usize,
    begun: Instant,
    spent: Duration,
    durable_at: Instant,
}

impl<'a> Locks<'a> {
    /// Of a repository.
    pub fn new(root: &'a Path) -> Self {
        let now = Instant::now();
        Self {
            root,
            by_file: HashMap::new(),
            keep_out: Vec::new(),
            settled: 0,
            begun: now,
            spent: Duration::ZERO,
            durable_at: now,
        }
    }

    /// The lock that holds the stage.
    pub fn of(&mut self, stage: &Stage) -> Result<&mut Lock> {
        if !self.by_file.contains_key(&stage.file) {
            let lock = Lock::load(self.root, &stage.file)?;
            self.by_file.insert(stage.file.clone(), lock);
        }
        Ok(self.by_file.get_mut(&stage.file).expect("it was just put there"))
    }

    /// Remembers paths to keep out of git, with the position of their stage.
    pub fn keep_out_of_git(&mut self, order: usize, paths: impl IntoIterator<Item = PathBuf>) {
        self.keep_out.extend(paths.into_iter().map(|path| (order, path)));
    }

    /// Writes the lines of folders that a stage is about to read: their `.gitignore` is a part of them. Whatever lies in
    /// such a folder comes from stages that are done with.
    pub fn keep_out_below(&mut self, repo: &Repo, folders: &[PathBuf]) -> Result<()> {
        let is_read = |path: &PathBuf| {
            let parent = path.parent();
            parent.is_some_and(|parent| folders.iter().any(|folder| parent.starts_with(folder)))
        };
        if !self.keep_out.iter().any(|(_, path)| is_read(path)) {
            return Ok(());
        }
        self.keep_out.sort_by_key(|(order, _)| *order);
        let (read, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.keep_out)
            .into_iter()
            .partition(|(_, path)| is_read(path));
        self.keep_out = rest;
        let paths: Vec<PathBuf> = read.into_iter().map(|(_, path)| path).collect();
        Ok(repo.keep_out_of_git(&paths)?)
    }

    /// All stages before this position are done with.
    pub fn settle(&mut self, position: usize) {
        self.settled = position;
    }

    /// Writes what is new unless too much time went into that already; says whether it did.
    pub fn write_now_and_then(&mut self, repo: &Repo) -> Result<bool> {
        let is_time = self.spent * SHARE < self.begun.elapsed();
        if is_time {
            let durable = DURABLE_EVERY < self.durable_at.elapsed();
            self.write(repo, durable)?;
        }
        Ok(is_time)
    }

    /// Writes what is new. A `durable` lock outlives the machine.
    pub fn write(&mut self, repo: &Repo, durable: bool) -> Result<()> {
        let started = Instant::now();
        // The lines are in the order of the stages, however these happened to finish.
        self.keep_out.sort_by_key(|(order, _)| *order);
        let settled = self.keep_out.partition_point(|(order, _)| *order < self.settled);
        let paths: Vec<PathBuf> = self.keep_out.drain(..settled).map(|(_, path)| path).collect();
        if !paths.is_empty() {
            repo.keep_out_of_git(&paths)?;
        }
        for lock in self.by_file.values_mut().filter(|lock| !lock.is_written()) {
            lock.write(durable)?;
        }
        if durable {
            self.durable_at = Instant::now();
        }
        self.spent += started.elapsed();
        Ok(())
    }
}
