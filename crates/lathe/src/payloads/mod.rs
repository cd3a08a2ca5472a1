//! Answered rows as Parquet files on the artifact store: `payloads/DEPLOYMENT/date=YYYY-MM-DD/vVERSION-….parquet`, by
//! the day of their event time.

mod table;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lathe_blob::{ArtifactPath, Artifacts};
use lathe_server::inference::{Payload, PayloadCounts};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock;

/// Rows on their way from answers to buffers; more than this and rows are dropped.
pub const WAITING_MAX: usize = 16_384;
/// About how many bytes of rows a deployment's buffer holds before they are written, whatever their age and number.
const BUFFER_BYTES: usize = 32 << 20;
/// Bytes of files that the store has not taken yet; beyond, the oldest are dropped.
const UNSENT_BYTES_MAX: usize = 128 << 20;
/// A store that refused is asked again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A store that says nothing for so long is away.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// At the end the store has this long for all that is left.
const END_WITHIN: Duration = Duration::from_secs(10);
/// No file waits longer.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
const RECEIVED_MAX: usize = 1_024;

/// Rows of one deployment that wait to be written.
struct Buffer {
    rows: Vec<Payload>,
    bytes: usize,
    due: Instant,
}

/// A file that the store has not taken yet.
struct Unsent {
    path: ArtifactPath,
    deployment: String,
    rows: u64,
    bytes: Vec<u8>,
}

struct Writer {
    artifacts: Artifacts,
    counts: PayloadCounts,
    buffers: BTreeMap<String, Buffer>,
    unsent: VecDeque<Unsent>,
    again: Option<Instant>,
}

/// Writes what comes until asked to stop, then what is left.
pub async fn write(
    artifacts: Artifacts,
    counts: PayloadCounts,
    mut payloads: mpsc::Receiver<Payload>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut writer = Writer {
        artifacts,
        counts,
        buffers: BTreeMap::new(),
        unsent: VecDeque::new(),
        again: None,
    };
    let mut received = Vec::new();
    loop {
        let due = writer.next_due();
        tokio::select! {
            count = payloads.recv_many(&mut received, RECEIVED_MAX) => {
                if count == 0 {
                    break;
                }
            }
            () = wait_until(due) => {}
            _ = &mut stop => break,
        }
        writer.take(received.drain(..));
        writer.write_due(false).await;
        // A store that hangs keeps nobody from ending; the file is sent again then.
        tokio::select! {
            () = writer.send(SEND_WITHIN) => {}
            _ = &mut stop => break,
        }
    }
    while let Ok(payload) = payloads.try_recv() {
        received.push(payload);
    }
    writer.take(received.drain(..));
    writer.write_due(true).await;
    writer.again = None;
    // What the store has not taken by then is lost, and counted.
    let _ = timeout(END_WITHIN, writer.send(END_WITHIN)).await;
    for file in &writer.unsent {
        writer.counts.dropped(&file.deployment, file.rows);
        tracing::error!(path = %file.path, rows = file.rows, "the store did not take payloads before the end");
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Writer {
    fn next_due(&self) -> Option<Instant> {
        let again = self.again.filter(|_| !self.unsent.is_empty());
        self.buffers.values().map(|buffer| buffer.due).chain(again).min()
    }

    fn take(&mut self, received: impl Iterator<Item = Payload>) {
        for payload in received {
            let age = Duration::from_millis(payload.kept.spec.file_age.0.unsigned_abs()).min(AGE_MAX);
            let name = &payload.sample.deployment;
            if !self.buffers.contains_key(name) {
                let empty = Buffer {
                    rows: Vec::new(),
                    bytes: 0,
                    due: Instant::now() + age,
                };
                self.buffers.insert(name.clone(), empty);
            }
            if let Some(buffer) = self.buffers.get_mut(name) {
                buffer.bytes += table::bytes(&payload);
                buffer.rows.push(payload);
            }
        }
    }

    /// Makes files of the buffers that are full or old; of all at the end.
    async fn write_due(&mut self, all: bool) {
        let now = Instant::now();
        let is_due = |buffer: &Buffer| {
            let rows_max = buffer.rows.first().map_or(0, |row| row.kept.spec.file_rows);
            all || buffer.due <= now || rows_max <= buffer.rows.len() as u64 || BUFFER_BYTES <= buffer.bytes
        };
        let due: Vec<String> = self
            .buffers
            .iter()
            .filter(|(_, buffer)| is_due(buffer))
            .map(|(name, _)| name.clone())
            .collect();
        for deployment in due {
            let Some(buffer) = self.buffers.remove(&deployment) else {
                continue;
            };
            let count = buffer.rows.len() as u64;
            let made = tokio::task::spawn_blocking(move || table::files(buffer.rows)).await;
            match made.map_err(anyhow::Error::from).flatten() {
                Ok(files) => {
                    for file in files {
                        self.unsent.push_back(Unsent {
                            path: file.path,
                            deployment: deployment.clone(),
                            rows: file.rows,
                            bytes: file.bytes,
                        });
                    }
                }
                Err(error) => {
                    self.counts.dropped(&deployment, count);
                    tracing::error!(deployment, rows = count, "payloads cannot be written: {error:#}");
                }
            }
        }
        while UNSENT_BYTES_MAX < self.unsent.iter().map(|file| file.bytes.len()).sum::<usize>() {
            if let Some(oldest) = self.unsent.pop_front() {
                self.counts.dropped(&oldest.deployment, oldest.rows);
                tracing::error!(path = %oldest.path, rows = oldest.rows, "the store takes no payloads; the oldest are dropped");
            }
        }
    }

    /// Hands files to the store, in their order; one that it does not take is tried again later.
    async fn send(&mut self, within: Duration) {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return;
        }
        self.again = None;
        while let Some(file) = self.unsent.front() {
            let put = self
                .artifacts
                .put(&file.path, file.bytes.as_slice(), Some(file.bytes.len() as u64));
            let problem = match timeout(within, put).await {
                Ok(Ok(_)) => {
                    self.counts.written(&file.deployment, file.rows);
                    self.unsent.pop_front();
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("the store says nothing for {} s", within.as_secs()),
            };
            tracing::warn!(path = %file.path, "payloads cannot be written: {problem}; trying again");
            self.again = Some(Instant::now() + AGAIN_AFTER);
            return;
        }
    }
}

/// Where a deployment's payloads lie.
pub fn folder(deployment: &str) -> Result<ArtifactPath, lathe_blob::PathError> {
    ArtifactPath::parse(&format!("payloads/{deployment}"))
}

/// A name that no file had before.
fn file_name(version: u32) -> String {
    format!("v{version}-{}-{:016x}.parquet", clock::now().0, fastrand::u64(..))
}
