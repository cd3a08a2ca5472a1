use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::Patience;

/// A body that has only so much time. Only waiting for the peer costs time, not what is done with the body meanwhile.
pub(super) struct Timed {
    body: Incoming,
    patience: Patience,
    /// What is left of the patience.
    left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    too_slow: Arc<AtomicBool>,
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the body came too slowly")]
    TooSlow,
    #[error("the body broke off")]
    Connection(#[source] hyper::Error),
}

impl Timed {
    /// `too_slow` is set when the time has run out.
    pub(super) fn new(body: Incoming, patience: Patience, too_slow: Arc<AtomicBool>) -> Self {
        Self {
            body,
            patience,
            left: patience.body,
            waiting: None,
            too_slow,
        }
    }

    fn received(&mut self, frame: &Frame<Bytes>) {
        if let Some((since, _)) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let given = bytes as f64 / f64::from(self.patience.body_bytes_per_s.max(1));
        self.left = self
            .left
            .saturating_add(Duration::from_secs_f64(given))
            .min(self.patience.body);
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received(&frame);
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Broken::Connection(error)))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let left = this.left;
        let (_, sleep) = this
            .waiting
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        match sleep.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                this.too_slow.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(Broken::TooSlow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
