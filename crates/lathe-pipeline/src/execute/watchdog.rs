use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Ends the process groups that are still listed when its input closes.
const SCRIPT: &str = r#"trap '' INT TERM HUP QUIT
all=
while read -r sign id; do
  if [ "$sign" = + ]; then all="$all $id"; continue; fi
  rest=
  for one in $all; do [ "$one" = "$id" ] || rest="$rest $one"; done
  all=$rest
done
for id in $all; do kill -KILL "-$id" 2>/dev/null; done
"#;

/// A process beside this one that ends the commands of stages if this process is killed and cannot: its input closes
/// then. It holds the lock of the execution until it has done so, so that nobody begins before.
#[derive(Debug)]
pub struct Watchdog {
    started: Mutex<Option<(Child, ChildStdin)>>,
    lock: File,
}

impl Watchdog {
    /// Started with the first command; nothing is, if nothing is executed.
    pub fn new(lock: File) -> Self {
        Self {
            started: Mutex::new(None),
            lock,
        }
    }

    /// From now on the group ends with this process.
    pub fn watch(&self, group: u32) {
        self.tell(&format!("+ {group}\n"));
    }

    /// The group has ended.
    pub fn forget(&self, group: u32) {
        self.tell(&format!("- {group}\n"));
    }

    fn tell(&self, line: &str) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if started.is_none() {
            *started = self.start().ok();
        }
        // Without a watchdog stages are executed all the same; only a killed `lathe` would leave them running.
        if let Some((_, input)) = started.as_mut() {
            let _ = input.write_all(line.as_bytes());
        }
    }

    fn start(&self) -> std::io::Result<(Child, ChildStdin)> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::from(self.lock.try_clone()?))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let input = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok((child, input))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((mut child, input)) = started {
            drop(input);
            // It ends at once; if it does not, it is no concern of the stages any more.
            let _ = child.wait();
        }
    }
}
