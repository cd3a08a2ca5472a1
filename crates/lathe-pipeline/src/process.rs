use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A line without an end is passed on in pieces of this size.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Lines that wait to be shown; a stage that prints faster waits too.
const LINES_WAITING_MAX: usize = 1024;
/// How long a stage may take to end by itself once it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a line before looking whether the command has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Its streams are closed, so it is about to end.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// Set by Ctrl-C and by a request to terminate, while it lives.
pub struct Interruption {
    flag: Arc<AtomicBool>,
    handlers: Vec<signal_hook::SigId>,
}

impl Interruption {
    /// Takes the signals over from the process's default, which would end it and leave the stage alone.
    pub fn watch() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let mut handlers = Vec::new();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            handlers.push(signal_hook::flag::register(signal, flag.clone())?);
        }
        Ok(Self { flag, handlers })
    }

    /// Whether it came.
    pub fn came(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
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
pub enum Ending {
    /// With success.
    Success,
    /// In words: "exited with code 1".
    Failure(String),
    /// It was ended because an interruption came.
    Interrupted,
}

/// Executes one command in a shell and a process group of its own; every line it prints, on whichever stream, goes to
/// `show` at once. Whatever it started is gone when this returns.
pub fn execute(
    command: &str,
    folder: &Path,
    env: &[(String, String)],
    interruption: &Interruption,
    show: &mut dyn FnMut(String),
) -> std::io::Result<Ending> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(folder)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (sender, lines) = sync_channel(LINES_WAITING_MAX);
    if let Some(stdout) = child.stdout.take() {
        read_lines(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        read_lines(stderr, sender);
    }
    let mut group = Group {
        child,
        asked_at: None,
        ended: None,
    };
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => show(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // What it left in the background keeps the streams open, and nobody waits for it.
                if group.has_ended() {
                    break;
                }
            }
        }
        group.react(interruption);
    }
    while !group.has_ended() {
        group.react(interruption);
        thread::sleep(LOOK_AGAIN_AFTER);
    }
    let status = group.end()?;
    drain(&lines, show);
    Ok(if group.asked_at.is_some() {
        Ending::Interrupted
    } else if status.success() {
        Ending::Success
    } else {
        Ending::Failure(words(status))
    })
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in no known way".to_owned(),
    }
}

fn drain(lines: &Receiver<String>, show: &mut dyn FnMut(String)) {
    while let Ok(line) = lines.recv_timeout(LOOK_EVERY) {
        show(line);
    }
}

/// A child with all that it started; dropped, all of it is killed.
struct Group {
    child: Child,
    /// When it was asked to end.
    asked_at: Option<Instant>,
    ended: Option<ExitStatus>,
}

impl Group {
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

    /// Asks it to end once an interruption came, and ends it if it does not.
    fn react(&mut self, interruption: &Interruption) {
        match self.asked_at {
            None if interruption.came() => {
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

    fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.end();
        }
    }
}

fn read_lines(mut stream: impl Read + Send + 'static, lines: SyncSender<String>) {
    thread::spawn(move || {
        let mut line = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let read = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            for &byte in &buffer[..read] {
                // A progress bar goes back to the start of its line; each state of it is shown as a line.
                let ends = byte == b'\n' || byte == b'\r';
                if !ends {
                    line.push(byte);
                }
                let is_empty_state = byte == b'\r' && line.is_empty();
                if (ends && !is_empty_state) || LINE_BYTES_MAX <= line.len() {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    line.clear();
                    if lines.send(text).is_err() {
                        return;
                    }
                }
            }
        }
        if !line.is_empty() {
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_ends_the_command_and_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let flag = Arc::new(AtomicBool::new(false));
        let interruption = Interruption {
            flag: flag.clone(),
            handlers: Vec::new(),
        };
        let command = "(sleep 2; touch late) & echo begun; wait";
        let started = Instant::now();
        let ending = execute(command, folder.path(), &[], &interruption, &mut |line| {
            assert_eq!(line, "begun");
            flag.store(true, Ordering::Relaxed);
        });
        assert!(matches!(ending, Ok(Ending::Interrupted)));
        assert!(started.elapsed() < Duration::from_millis(1500));
        thread::sleep(Duration::from_millis(2500).saturating_sub(started.elapsed()));
        assert!(!folder.path().join("late").exists());
    }
}
