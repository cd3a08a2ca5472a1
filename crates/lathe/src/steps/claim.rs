//! A worker's claim on a step: kept alive, with what the step prints, until it is ended or lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lathe_types::Span;
use lathe_types::steps::{StepLine, StepOutput, StepPlace};
use serde_json::{Value, json};

use super::{ASK_AGAIN, may_pass};
use crate::client::Client;

/// What was printed is sent so often.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Bytes sent at once.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes that wait to be sent; a step that prints faster waits too.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Bytes that are sent of one attempt; more is printed than anybody reads.
const TOLD_BYTES_MAX: u64 = 64 << 20;

/// A claim.
pub struct Claim {
    /// The step.
    pub id: i64,
    /// Counts from 1.
    pub attempt: u32,
    /// Who has it.
    pub worker: String,
    lease: Span,
    /// Set when it is lost.
    pub lost: Arc<AtomicBool>,
    outbox: Mutex<Outbox>,
    news: Condvar,
}

#[derive(Default)]
struct Outbox {
    /// Whole lines that wait.
    text: String,
    /// What was sent before.
    sent: u64,
    is_cut: bool,
    is_closed: bool,
}

impl Claim {
    /// Of a step that the server gave.
    pub fn new(id: i64, attempt: u32, worker: String, lease: Span) -> Self {
        Self {
            id,
            attempt,
            worker,
            lease,
            lost: Arc::default(),
            outbox: Mutex::default(),
            news: Condvar::new(),
        }
    }

    /// Whether somebody else has the step, or nobody wants it.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Tells a line.
    pub fn say(&self, line: &StepLine) {
        let mut outbox = self.outbox();
        while WAITING_BYTES_MAX < outbox.text.len() && !self.is_lost() {
            outbox = self
                .news
                .wait_timeout(outbox, TELL_EVERY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let told = outbox.sent + outbox.text.len() as u64;
        if TOLD_BYTES_MAX < told {
            if !std::mem::replace(&mut outbox.is_cut, true) {
                let note = StepLine::Note(format!(
                    "more than {} MiB were printed; the rest is left out",
                    TOLD_BYTES_MAX >> 20
                ));
                outbox.push(&note);
            }
            return;
        }
        outbox.push(line);
    }

    /// Nothing more will be told.
    pub fn close(&self) {
        self.outbox().is_closed = true;
        self.news.notify_all();
    }

    /// Keeps the claim and sends what is told, until it is closed and all is sent, or it is lost.
    pub fn keep_alive(&self, client: &Client) {
        let lease = Duration::from_millis(self.lease.0.unsigned_abs());
        let mut kept_at = Instant::now();
        loop {
            let (piece, is_closed) = self.next_piece();
            if piece.is_none() && is_closed {
                return;
            }
            if piece.is_some() || lease / 3 < kept_at.elapsed() {
                let length = piece.as_ref().map_or(0, |piece| piece.text.len());
                let asked = json!({ "worker": self.worker, "lease_ms": self.lease.0, "output": piece });
                let path = format!("/api/v1/steps/{}/keep", self.id);
                match client.post::<Value>(&path, &asked) {
                    Ok(_) => {
                        kept_at = Instant::now();
                        self.outbox().take(length);
                        self.news.notify_all();
                        continue;
                    }
                    Err(error) if may_pass(&error) && kept_at.elapsed() < lease => {
                        std::thread::sleep(ASK_AGAIN.min(lease / 4));
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), step = self.id, "the step is lost");
                        self.lost.store(true, Ordering::Relaxed);
                        self.news.notify_all();
                        return;
                    }
                }
            }
            let outbox = self.outbox();
            if !outbox.is_closed {
                drop(self.news.wait_timeout(outbox, TELL_EVERY));
            }
        }
    }

    /// What is to be sent next.
    fn next_piece(&self) -> (Option<StepOutput>, bool) {
        let outbox = self.outbox();
        let text = &outbox.text;
        if text.is_empty() {
            return (None, outbox.is_closed);
        }
        let mut end = text.len();
        if PIECE_BYTES < end {
            // Lines are shorter than a piece.
            let bytes = &text.as_bytes()[..PIECE_BYTES];
            end = bytes
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(end, |at| at + 1);
        }
        let piece = StepOutput {
            place: StepPlace {
                attempt: self.attempt,
                at: outbox.sent,
            },
            text: text[..end].to_owned(),
        };
        (Some(piece), outbox.is_closed)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    fn push(&mut self, line: &StepLine) {
        // A line is text in a variant: there is nothing in it that JSON could not hold.
        if let Ok(line) = serde_json::to_string(line) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    fn take(&mut self, length: usize) {
        self.text.drain(..length);
        self.sent += length as u64;
    }
}
