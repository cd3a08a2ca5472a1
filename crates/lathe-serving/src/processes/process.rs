//! One process that answers for a model.

use std::ffi::OsString;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::frame::{self, Header};

/// Libraries are imported, and large models read.
const START_MAX: Duration = Duration::from_secs(300);

/// How processes of a model are started.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What errors call one.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Where they work.
    pub(crate) folder: PathBuf,
    /// They see no other variables.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) processes: usize,
    /// A call that takes longer ends its process.
    pub(crate) timeout: Duration,
}

/// A process; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    link: UnixStream,
    name: &'static str,
    /// Which of the model's processes it is.
    pub(super) number: usize,
}

/// Why a process did not answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It ended, or said something that is no answer.
    Ended(String),
    /// It took too long.
    TooLate,
}

impl Process {
    /// Starts a process and waits until it has loaded the model; tells what it says of that.
    pub(super) fn start(plan: &Plan, number: usize) -> Result<(Self, Header), String> {
        let failed = |error: io::Error| format!("`{}` cannot be started: {error}", plan.program.display());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new(&plan.program)
            .args(&plan.arguments)
            .current_dir(&plan.folder)
            .env_clear()
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(failed)?;
        let mut process = Self {
            child,
            link: ours,
            name: plan.name,
            number,
        };
        match process.hear(Instant::now() + START_MAX) {
            Ok((header, _)) if header.ready => Ok((process, header)),
            Ok((header, _)) => Err(header
                .failed
                .unwrap_or_else(|| "its process says nothing of it".into())),
            Err(Broken::Ended(how)) => Err(how),
            Err(Broken::TooLate) => Err(format!("it was not loaded within {} s", START_MAX.as_secs())),
        }
    }

    /// Sends a request and waits for the answer.
    pub(super) fn ask(&mut self, request: &[u8], until: Instant) -> Result<(Header, Vec<u8>), Broken> {
        let sent = Timed {
            link: &self.link,
            until,
        }
        .write_all(request);
        match sent {
            Ok(()) => self.hear(until),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn hear(&mut self, until: Instant) -> Result<(Header, Vec<u8>), Broken> {
        let mut timed = Timed {
            link: &self.link,
            until,
        };
        // It says nothing but the answer, so nothing is left in the buffer.
        frame::read(&mut BufReader::new(&mut timed)).map_err(|error| self.broken(&error))
    }

    fn broken(&mut self, error: &io::Error) -> Broken {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return Broken::TooLate;
        }
        // A process whose socket is closed is ending; one that sent rubbish is ended.
        let patience = Instant::now() + Duration::from_millis(500);
        while self.is_alive() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        let name = self.name;
        let how = match self.child.try_wait() {
            Ok(Some(status)) => match status.signal() {
                Some(signal) => format!("its {name} was ended by signal {signal}"),
                None => format!("its {name} ended with {}", status.code().unwrap_or_default()),
            },
            _ => format!("its {name} cannot be understood: {error}"),
        };
        Broken::Ended(how)
    }

    /// What it takes of memory now, where the system tells.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib << 10)
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket that is waited for until a moment.
struct Timed<'a> {
    link: &'a UnixStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.link.set_read_timeout(Some(self.left()?))?;
        (&mut &*self.link).read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.link.set_write_timeout(Some(self.left()?))?;
        (&mut &*self.link).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
