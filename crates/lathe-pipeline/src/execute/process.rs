use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lathe_types::executions::StageUsage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use wait4::Wait4;

use super::watchdog::Watchdog;

/// A line without an end is passed on in pieces of this size.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// How long a stage may take to end by itself once it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look whether an interruption came.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same where the system does not tell when a process ends.
const LOOK_OFTEN: Duration = Duration::from_millis(5);
/// What a command that has ended left in its pipes is read up to here.
const LEFT_BYTES_MAX: usize = 1024 * 1024;

/// Set by Ctrl-C and by a request to terminate, while it lives.
#[derive(Debug)]
pub struct Interruption {
    flag: Arc<AtomicBool>,
    /// Set by somebody else.
    also: Option<Arc<AtomicBool>>,
    handlers: Vec<signal_hook::SigId>,
}

impl Interruption {
    /// Takes the signals over from the process's default, which would end it and leave the stage alone.
    pub fn watch() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let mut handlers = Vec::new();
        for signal in [
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ] {
            handlers.push(signal_hook::flag::register(signal, flag.clone())?);
        }
        Ok(Self {
            flag,
            also: None,
            handlers,
        })
    }

    /// One that also comes when the flag is set.
    pub fn or(&self, also: Arc<AtomicBool>) -> Self {
        Self {
            flag: self.flag.clone(),
            also: Some(also),
            handlers: Vec::new(),
        }
    }

    /// Whether it came.
    pub fn came(&self) -> bool {
        let also = self.also.as_ref();
        self.flag.load(Ordering::Relaxed) || also.is_some_and(|also| also.load(Ordering::Relaxed))
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            signal_hook::low_level::unregister(handler);
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub enum Ending {
    /// With success.
    Success,
    /// In words: "exited with code 1".
    Failure(String),
    /// It was ended because an interruption came.
    Interrupted,
}

/// A command and where it is executed.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The shell with its options, up to `-c`.
    pub shell: &'a [String],
    /// What the shell is given.
    pub command: &'a str,
    /// The working folder.
    pub folder: &'a Path,
    /// Added to the environment.
    pub env: &'a [(String, String)],
    /// When it is ended.
    pub deadline: Option<Instant>,
}

/// Executes one command in a shell and a process group of its own; every line it prints, on whichever stream, goes to
/// `show` at once. Whatever it started is gone when this returns.
pub fn execute(
    job: Job<'_>,
    interruption: &Interruption,
    watchdog: &Watchdog,
    show: &mut dyn FnMut(String),
) -> std::io::Result<(Ending, StageUsage)> {
    let started = Instant::now();
    let (program, options) = job.shell.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(options)
        .arg(job.command)
        .current_dir(job.folder)
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    watchdog.watch(child.id());
    let mut streams = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        streams.push(Stream::new(stdout.into())?);
    }
    if let Some(stderr) = child.stderr.take() {
        streams.push(Stream::new(stderr.into())?);
    }
    let mut group = Group {
        exit: exit_of(&child),
        child,
        watchdog,
        asked_at: None,
        ended: None,
    };
    let mut late = false;
    // What it left in the background keeps the streams open, and nobody waits for it.
    while !group.has_ended() {
        group.wait_for_news(&streams)?;
        for stream in &mut streams {
            stream.read(show, LINE_BYTES_MAX);
        }
        let is_late = job.deadline.is_some_and(|deadline| deadline < Instant::now());
        late |= is_late && group.asked_at.is_none();
        group.react(interruption.came() || is_late);
    }
    for stream in &mut streams {
        stream.read(show, LEFT_BYTES_MAX);
        stream.finish(show);
    }
    let was_asked = group.asked_at.is_some();
    let (status, mut usage) = group.end()?;
    usage.wall_ms = millis(started.elapsed());
    let ending = match (was_asked, late) {
        (_, true) => Ending::Failure("took longer than its timeout and was ended".to_owned()),
        (true, false) => Ending::Interrupted,
        _ if status.success() => Ending::Success,
        _ => Ending::Failure(words(status)),
    };
    Ok((ending, usage))
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in no known way".to_owned(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Becomes readable when the child ends, where the system has such a thing.
#[cfg(target_os = "linux")]
fn exit_of(child: &Child) -> Option<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn exit_of(_child: &Child) -> Option<OwnedFd> {
    None
}

/// A child with all that it started; dropped, all of it is killed.
struct Group<'a> {
    child: Child,
    exit: Option<OwnedFd>,
    watchdog: &'a Watchdog,
    /// When it was asked to end.
    asked_at: Option<Instant>,
    ended: Option<ExitStatus>,
}

impl Group<'_> {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Looks without reaping: until then the group's id cannot become another group's.
    fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else {
            return true;
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    /// Returns when something was printed, when the child has ended, or after a while.
    fn wait_for_news(&self, streams: &[Stream]) -> std::io::Result<()> {
        let open = streams.iter().filter_map(Stream::source);
        let mut watched: Vec<PollFd<'_>> = open
            .chain(self.exit.as_ref().map(AsFd::as_fd))
            .map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN))
            .collect();
        let patience = if self.exit.is_some() {
            LOOK_EVERY
        } else {
            LOOK_OFTEN
        };
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(patience.as_nanos()).unwrap_or(0),
        };
        match poll(&mut watched, Some(&patience)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Asks it to end once it must, and ends it if it does not.
    fn react(&mut self, must_end: bool) {
        match self.asked_at {
            None if must_end => {
                self.signal(Signal::TERM);
                self.asked_at = Some(Instant::now());
            }
            Some(at) if PATIENCE < at.elapsed() => self.signal(Signal::KILL),
            _ => {}
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().filter(|_| self.ended.is_none()) {
            // It fails if nothing of the group is left, which is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn end(&mut self) -> std::io::Result<(ExitStatus, StageUsage)> {
        let (read_bytes, written_bytes) = bytes_of(self.child.id());
        self.signal(Signal::KILL);
        self.watchdog.forget(self.child.id());
        let used = self.child.wait4()?;
        self.ended = Some(used.status);
        let usage = StageUsage {
            wall_ms: 0,
            cpu_ms: millis(used.rusage.utime + used.rusage.stime),
            memory_bytes_max: if used.rusage.maxrss <= own_memory() {
                0
            } else {
                used.rusage.maxrss
            },
            read_bytes,
            written_bytes,
        };
        Ok((used.status, usage))
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.end();
        }
    }
}

/// The most memory that this process held. A child counts from what its parent held when it was made, so what is not
/// above that is not known.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// What a process that has ended, and is not waited for yet, read and wrote with all that it waited for. Only Linux
/// tells.
fn bytes_of(pid: u32) -> (u64, u64) {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/io")) else {
        return (0, 0);
    };
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    (number("rchar:"), number("wchar:"))
}

/// What a command prints on one of its streams, cut into lines.
struct Stream {
    source: Option<std::fs::File>,
    line: Vec<u8>,
}

impl Stream {
    fn new(source: OwnedFd) -> std::io::Result<Self> {
        let flags = fcntl_getfl(&source)?;
        fcntl_setfl(&source, flags | OFlags::NONBLOCK)?;
        Ok(Self {
            source: Some(source.into()),
            line: Vec::new(),
        })
    }

    fn source(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Passes on what is there, up to about `bytes_max`.
    fn read(&mut self, show: &mut dyn FnMut(String), bytes_max: usize) {
        let mut buffer = [0; 8192];
        let mut total = 0;
        while total < bytes_max {
            let Some(source) = self.source.as_mut() else {
                return;
            };
            match source.read(&mut buffer) {
                Ok(0) => self.source = None,
                Ok(read) => {
                    total += read;
                    self.cut(&buffer[..read], show);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.source = None,
            }
        }
    }

    fn cut(&mut self, bytes: &[u8], show: &mut dyn FnMut(String)) {
        for &byte in bytes {
            // A progress bar goes back to the start of its line; each state of it is shown as a line.
            let ends = byte == b'\n' || byte == b'\r';
            if !ends {
                self.line.push(byte);
            }
            let is_empty_state = byte == b'\r' && self.line.is_empty();
            if (ends && !is_empty_state) || LINE_BYTES_MAX <= self.line.len() {
                show(String::from_utf8_lossy(&self.line).into_owned());
                self.line.clear();
            }
        }
    }

    fn finish(&mut self, show: &mut dyn FnMut(String)) {
        if !self.line.is_empty() {
            show(String::from_utf8_lossy(&self.line).into_owned());
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        command: &str,
        seconds: Option<f64>,
        show: &mut dyn FnMut(String, &AtomicBool),
    ) -> (Ending, StageUsage) {
        let folder = tempfile::tempdir().unwrap();
        let flag = Arc::new(AtomicBool::new(false));
        let interruption = Interruption {
            flag: flag.clone(),
            also: None,
            handlers: Vec::new(),
        };
        let watchdog = Watchdog::new(tempfile::tempfile().unwrap());
        let job = Job {
            shell: &["/bin/sh".to_owned(), "-c".to_owned()],
            command,
            folder: folder.path(),
            env: &[],
            deadline: seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
        };
        let started = Instant::now();
        let ended = execute(job, &interruption, &watchdog, &mut |line| show(line, &flag)).unwrap();
        std::thread::sleep(Duration::from_millis(1700).saturating_sub(started.elapsed()));
        assert!(!folder.path().join("late").exists());
        ended
    }

    #[test]
    fn an_interruption_ends_the_command_and_what_it_started() {
        let started = Instant::now();
        let mut ended_after = None;
        let command = "(sleep 1.5; touch late) & echo begun; wait";
        let (ending, _) = run(command, None, &mut |line, flag| {
            assert_eq!(line, "begun");
            flag.store(true, Ordering::Relaxed);
            ended_after = Some(started.elapsed());
        });
        assert!(matches!(ending, Ending::Interrupted));
        assert!(ended_after.unwrap() < Duration::from_millis(1000));
    }

    #[test]
    fn a_timeout_ends_the_command_and_what_it_started() {
        let (ending, _) = run("(sleep 1.5; touch late) & wait", Some(0.2), &mut |_, _| {});
        assert!(matches!(ending, Ending::Failure(why) if why.contains("timeout")));
    }

    #[test]
    fn lines_come_whole_and_what_was_used_is_measured() {
        let mut lines = Vec::new();
        let command = "printf 'a\\rb\\n'; printf 'no end'; head -c 3000000 /dev/zero | cat > written; (sleep 1.5; touch late) &";
        let (ending, usage) = run(command, None, &mut |line, _| lines.push(line));
        assert!(matches!(ending, Ending::Success));
        assert_eq!(lines, ["a", "b", "no end"]);
        if cfg!(target_os = "linux") {
            assert!(6_000_000 <= usage.written_bytes, "{usage:?}");
        }
    }
}
