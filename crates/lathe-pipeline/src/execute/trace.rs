use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use lathe_types::executions::Undeclared;

use crate::stage::{Stage, folder_of};
use crate::{Error, Result};

/// Folders whose content is nobody's input: the tools' own, caches, environments.
const PASSED_OVER: [&str; 10] = [
    ".git",
    ".hg",
    ".dvc",
    ".lathe",
    ".venv",
    "venv",
    ".pixi",
    "node_modules",
    "__pycache__",
    ".ipynb_checkpoints",
];

/// Files that were closed after reading or writing, by their paths from the root.
#[derive(Debug, Default)]
struct Seen {
    read: BTreeSet<String>,
    written: BTreeSet<String>,
    is_incomplete: bool,
}

/// Listens to what happens to the files of a repository, as the system tells it to everybody (inotify): nothing is
/// slowed down, no privilege is needed, and it does not matter how a program opens its files.
pub struct Trace {
    root: PathBuf,
    must_end: Arc<AtomicBool>,
    listener: JoinHandle<std::io::Result<Seen>>,
}

impl Trace {
    /// Begins to listen.
    pub fn start(root: &Path) -> Result<Self> {
        let mut listener = listen::Listener::of(root).map_err(|source| Error::Trace { source })?;
        let must_end = Arc::new(AtomicBool::new(false));
        let flag = must_end.clone();
        let listener = std::thread::spawn(move || {
            // What is asked last is whether to end, so that nothing before that is missed.
            while !flag.load(Ordering::Acquire) {
                listener.hear(true)?;
            }
            listener.hear(false)?;
            Ok(listener.seen)
        });
        Ok(Self {
            root: root.to_owned(),
            must_end,
            listener,
        })
    }

    /// Ends listening; what of it the stage does not declare.
    pub fn end(self, stage: &Stage) -> Result<Undeclared> {
        self.must_end.store(true, Ordering::Release);
        let seen = self.listener.join().unwrap_or_else(|_| Ok(Seen::default()));
        let seen = seen.map_err(|source| Error::Trace { source })?;
        let outs = || stage.outs.iter().map(|out| out.at.as_str());
        let deps = stage.deps.iter().map(|dep| dep.at.as_str());
        let inputs: Vec<&str> = deps
            .chain(stage.params.iter().map(|file| file.at.as_str()))
            .chain(outs())
            .collect();
        let is_own = |path: &&String| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let of_tools = matches!(
                name,
                "dvc.yaml" | "dvc.lock" | ".gitignore" | ".dvcignore" | "lathe.toml"
            );
            let is_passed_over = folder_of(path).split('/').any(|part| PASSED_OVER.contains(&part));
            of_tools || is_passed_over || name.ends_with(".pyc")
        };
        let written: Vec<String> = seen
            .written
            .iter()
            .filter(|path| !is_own(path) && !outs().any(|out| holds(out, path)))
            .filter(|path| self.root.join(path).is_file())
            .cloned()
            .collect();
        let read = seen
            .read
            .iter()
            .filter(|path| !is_own(path) && !seen.written.contains(*path))
            .filter(|path| !inputs.iter().any(|input| holds(input, path)))
            .cloned()
            .collect();
        Ok(Undeclared {
            read,
            written,
            is_incomplete: seen.is_incomplete,
        })
    }
}

fn holds(outer: &str, inner: &str) -> bool {
    outer.is_empty()
        || inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(target_os = "linux")]
mod listen {
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

    use super::{HashMap, PASSED_OVER, Path, PathBuf, Seen};

    /// Folders that are listened to; the system has its own bound, which may be lower.
    const FOLDERS_MAX: usize = 200_000;
    /// How long to wait for something to happen.
    const PATIENCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };

    pub struct Listener {
        root: PathBuf,
        events: OwnedFd,
        folders: HashMap<i32, String>,
        pub seen: Seen,
    }

    impl Listener {
        pub fn of(root: &Path) -> std::io::Result<Self> {
            let mut listener = Self {
                root: root.to_owned(),
                events: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
                folders: HashMap::new(),
                seen: Seen::default(),
            };
            listener.add(String::new(), false)?;
            Ok(listener)
        }

        /// Listens to a folder and those below. What is in one that is new was written.
        fn add(&mut self, folder: String, is_new: bool) -> std::io::Result<()> {
            let mut open = vec![folder];
            while let Some(folder) = open.pop() {
                if FOLDERS_MAX <= self.folders.len() {
                    self.seen.is_incomplete = true;
                    return Ok(());
                }
                let path = self.root.join(&folder);
                let flags = WatchFlags::CLOSE
                    | WatchFlags::MOVED_TO
                    | WatchFlags::CREATE
                    | WatchFlags::ONLYDIR
                    | WatchFlags::DONT_FOLLOW;
                match inotify::add_watch(&self.events, &path, flags) {
                    Ok(watch) => self.folders.insert(watch, folder.clone()),
                    // Gone again, or no folder any more.
                    Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => continue,
                    Err(errno) => return Err(errno.into()),
                };
                for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                    let Ok(name) = entry.file_name().into_string() else {
                        continue;
                    };
                    let at = if folder.is_empty() {
                        name.clone()
                    } else {
                        format!("{folder}/{name}")
                    };
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    let is_environment = is_folder && entry.path().join("pyvenv.cfg").exists();
                    if is_folder && !PASSED_OVER.contains(&name.as_str()) && !is_environment {
                        open.push(at);
                    } else if is_new && !is_folder {
                        self.seen.written.insert(at);
                    }
                }
            }
            Ok(())
        }

        /// Takes in what happened; waits a little for something to happen.
        pub fn hear(&mut self, waits: bool) -> std::io::Result<()> {
            if waits {
                let mut watched = [PollFd::from_borrowed_fd(self.events.as_fd(), PollFlags::IN)];
                match poll(&mut watched, Some(&PATIENCE)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
            let mut happened = Vec::new();
            let mut reader = inotify::Reader::new(&self.events, &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => {
                        let name = event
                            .file_name()
                            .and_then(|name| name.to_str().ok().map(str::to_owned));
                        happened.push((event.wd(), event.events(), name));
                    }
                    Err(rustix::io::Errno::WOULDBLOCK) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            for (watch, what, name) in happened {
                self.note(watch, what, name)?;
            }
            Ok(())
        }

        fn note(&mut self, watch: i32, what: ReadFlags, name: Option<String>) -> std::io::Result<()> {
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.seen.is_incomplete = true;
            }
            let (Some(folder), Some(name)) = (self.folders.get(&watch), name) else {
                return Ok(());
            };
            let at = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if what.contains(ReadFlags::ISDIR) {
                let is_new = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                if is_new && !PASSED_OVER.contains(&name.as_str()) {
                    self.add(at, true)?;
                }
            } else if what.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
                self.seen.written.insert(at);
            } else if what.contains(ReadFlags::CLOSE_NOWRITE) {
                self.seen.read.insert(at);
            }
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod listen {
    use super::{Path, Seen};

    /// Only Linux tells who reads a file.
    pub struct Listener {
        pub seen: Seen,
    }

    impl Listener {
        pub fn of(_root: &Path) -> std::io::Result<Self> {
            Err(std::io::ErrorKind::Unsupported.into())
        }

        pub fn hear(&mut self, _waits: bool) -> std::io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn files_read_and_written_are_seen_in_new_folders_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        std::fs::write(root.join("src/code.py"), "x").unwrap();
        std::fs::write(root.join("unread"), "x").unwrap();
        std::fs::create_dir(root.join(".git")).unwrap();
        std::fs::write(root.join(".git/HEAD"), "x").unwrap();
        let trace = Trace::start(&root).unwrap();
        std::fs::read(root.join("src/code.py")).unwrap();
        std::fs::read(root.join(".git/HEAD")).unwrap();
        std::fs::create_dir_all(root.join("new/deep")).unwrap();
        std::fs::write(root.join("new/deep/file"), "y").unwrap();
        std::fs::write(root.join("temporary"), "y").unwrap();
        std::fs::rename(root.join("temporary"), root.join("renamed")).unwrap();
        let stage = Stage {
            file: "dvc.yaml".into(),
            name: "s".into(),
            cmd: crate::yaml::Node::text("x"),
            wdir: String::new(),
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
            frozen: false,
            always_changed: false,
            desc: None,
        };
        let undeclared = trace.end(&stage).unwrap();
        assert_eq!(undeclared.read, ["src/code.py"]);
        assert_eq!(undeclared.written, ["new/deep/file", "renamed"]);
    }
}
