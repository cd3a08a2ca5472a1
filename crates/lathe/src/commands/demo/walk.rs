//! What the steps share: the project, the server, the traffic, and how they are spoken to.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use lathe_types::deployments::Rollout;
use lathe_types::events::Event;
use serde::de::DeserializeOwned;

use super::replay::Traffic;
use super::story::Story;
use crate::client::Client;
use crate::settings::Place;
use crate::terminal::{Style, paint};

/// The example's only model, and its deployment.
pub const MODEL: &str = "bike-demand";
/// No step may hang longer than this.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the steps share.
pub struct Walk {
    pub(super) folder: PathBuf,
    pub(super) port: u16,
    pub(super) server: Option<(Child, String)>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) replay: Option<JoinHandle<()>>,
    /// The last event that was told.
    seen: i64,
}

impl Walk {
    /// A walk through the project in `folder`.
    pub fn new(folder: &Path, port: u16) -> Self {
        Self {
            folder: folder.to_owned(),
            port,
            server: None,
            traffic: Arc::default(),
            replay: None,
            seen: 0,
        }
    }

    /// The server's address, once it is up.
    pub fn url(&self) -> Option<&str> {
        self.server.as_ref().map(|(_, url)| url.as_str())
    }

    /// Ends the traffic and the server.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end_traffic()?;
        if let Some((mut server, _)) = self.server.take() {
            let pid = rustix::process::Pid::from_child(&server);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
            server.wait()?;
        }
        Ok(())
    }

    /// Waits until the server ends: Ctrl-C reaches it too.
    pub fn wait(&mut self) -> anyhow::Result<()> {
        if let Some((server, _)) = &mut self.server {
            server.wait()?;
        }
        Ok(())
    }

    pub(super) fn end_traffic(&mut self) -> anyhow::Result<()> {
        self.traffic.stop();
        match self.replay.take().map(JoinHandle::join) {
            Some(Err(_)) => bail!("the replay panicked"),
            _ => Ok(()),
        }
    }

    pub(super) fn command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        if let Some(url) = self.url() {
            command.args(["--server", url]);
        }
        Ok(command)
    }

    /// Runs `lathe ARGS`, which must end with `code`, showing what it prints; returns its JSON where asked for.
    pub(super) fn lathe(&self, args: &[&str], code: i32, story: &Story) -> anyhow::Result<()> {
        story.detail(&paint(&format!("$ lathe {}", args.join(" ")), Style::Strong));
        let mut child = self
            .command(args)?
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("the child has no stderr")?;
        let complaint = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
        let stdout = child.stdout.take().context("the child has no stdout")?;
        for line in BufReader::new(stdout).lines() {
            story.detail(&format!("  {}", line?));
        }
        let status = child.wait()?;
        let complaint = complaint
            .join()
            .map_err(|_| anyhow!("the child's errors were lost"))?;
        ensure!(
            status.code() == Some(code),
            "`lathe {}` ended with {status}, not {code}: {}",
            args.join(" "),
            complaint.trim()
        );
        Ok(())
    }

    pub(super) fn lathe_json<T: DeserializeOwned>(&self, args: &[&str], code: i32) -> anyhow::Result<T> {
        let output = self.command(args)?.arg("--json").output()?;
        ensure!(
            output.status.code() == Some(code),
            "`lathe {}` ended with {}, not {code}: {}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`lathe {} --json` printed something else", args.join(" ")))
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Client::open(&Place::Server(
            self.url().context("the server is not up")?.to_owned(),
        ))
    }

    /// Tells the events of the loop until one satisfies `wanted`.
    pub(super) fn follow(
        &mut self,
        story: &Story,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> anyhow::Result<Event> {
        #[derive(serde::Deserialize)]
        struct Events {
            events: Vec<Event>,
        }
        let client = self.client()?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Events { events } = client.get(&format!("/api/v1/events?after={}&limit=200", self.seen))?;
            for event in events {
                self.seen = event.seq;
                if told(&event) {
                    story.detail(&format!(
                        "{} {}",
                        paint(&format!("{:<18}", event.kind), Style::Faint),
                        event.summary
                    ));
                }
                if event.kind == "job.failed" {
                    bail!("a job failed: {}", event.summary);
                }
                if wanted(&event) {
                    return Ok(event);
                }
            }
            ensure!(
                self.traffic.failed() == 0,
                "{} requests failed, the last: {}",
                self.traffic.failed(),
                self.traffic.last_failure()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("nothing of the kind happened within {} s", PATIENCE.as_secs())
    }

    pub(super) fn newest_rollout(&self) -> anyhow::Result<Rollout> {
        #[derive(serde::Deserialize)]
        struct Rollouts {
            rollouts: Vec<Rollout>,
        }
        let found: Rollouts = self
            .client()?
            .get(&format!("/api/v1/deployments/{MODEL}/rollouts?limit=1"))?;
        found.rollouts.into_iter().next().context("there is no rollout")
    }
}

/// Whether an event is told; windows that are fine and single stages of jobs are not.
fn told(event: &Event) -> bool {
    !matches!(
        event.kind.as_str(),
        "run.created" | "job.queued" | "window.labelled" | "project.declared"
    )
}
