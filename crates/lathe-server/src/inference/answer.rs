//! One request through a deployment: the split picks a target, the target answers, a failing canary is stood in for,
//! a shadow sees a copy, the rows go to the watcher.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use lathe_serving::{Answers, PredictError, Table};
use lathe_types::deployments::Role;
use lathe_types::samples::Sample;
use lathe_types::{Millis, PredictionId};

use super::deployments::{Deployments, Live, LiveTarget};

/// More rows than this are answered on a thread of their own, so that small requests do not wait.
const ROWS_INLINE_MAX: usize = 64;

/// An answered request.
pub(super) struct Answered {
    pub(super) id: PredictionId,
    pub(super) version: u32,
    pub(super) answers: Answers,
}

/// Why a request was not answered.
pub(super) enum Refusal {
    /// The request does not fit the model.
    Request(PredictError),
    /// No version answers (yet, or as asked).
    NotReady(String),
    /// The model failed.
    Failed(String),
}

/// The header with the caller's own time of a request.
pub(super) const EVENT_TIME: &str = "lathe-event-time";
/// The header that carries the answer's id.
pub(super) const PREDICTION_ID: &str = "lathe-prediction-id";

/// The time that the caller says the request belongs to: ISO 8601, or milliseconds since 1970.
pub(super) fn event_time(headers: &HeaderMap) -> Result<Option<Millis>, String> {
    let Some(value) = headers.get(EVENT_TIME) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    Millis::parse(text)
        .map(Some)
        .ok_or_else(|| format!("`{EVENT_TIME}: {text}` is neither ISO 8601 nor milliseconds since 1970"))
}

/// Answers a table of rows; `version` asks for one version of the split.
pub(super) async fn answer(
    deployments: &Deployments,
    live: &Arc<Live>,
    version: Option<u32>,
    table: Table,
    at: Option<Millis>,
) -> Result<Answered, Refusal> {
    let started = Instant::now();
    let bits = uuid::Uuid::now_v7().as_u128();
    let id = PredictionId::from_bits(bits);
    // Only the low 32 bits are drawn anew for each id: above them is a counter that starts anew each millisecond, and
    // a draw from it would send all requests of one millisecond to one side of the split.
    let draw = (bits & 0xffff_ffff) as f64 / (1u64 << 32) as f64;
    let not_ready = || Refusal::NotReady(format!("no version of `{}` answers yet", live.name));
    let asked = match version {
        Some(version) => live.of_version(version),
        None => live.pick(draw),
    };
    let mut target = asked.ok_or_else(not_ready)?;
    let table = Arc::new(table);
    let mut answers = ask(target, &table, draw).await;
    if target.role == Role::Canary
        && version.is_none()
        && matches!(answers, Err(Refusal::Failed(_)))
        && let Some(stable) = live.of_role(Role::Stable)
    {
        target = stable;
        answers = ask(stable, &table, draw).await;
    }
    let answers = answers?;
    if target.role == Role::Stable && live.of_role(Role::Shadow).is_some() {
        shadow(live, &table, draw);
    }
    let answered = Answered {
        id,
        version: target.version,
        answers,
    };
    record(
        deployments,
        live,
        target,
        &table,
        &answered,
        at,
        started.elapsed(),
    );
    Ok(answered)
}

/// Asks one target and counts what it did. A request that does not fit counts for nobody.
async fn ask(target: &LiveTarget, table: &Arc<Table>, draw: f64) -> Result<Answers, Refusal> {
    let started = Instant::now();
    let result = predict(target, table, draw).await;
    let failed = match &result {
        Ok(_) => false,
        Err(Refusal::Failed(_)) => true,
        Err(_) => return result,
    };
    target.count(failed, started.elapsed().as_micros() as u64);
    result
}

async fn predict(target: &LiveTarget, table: &Arc<Table>, draw: f64) -> Result<Answers, Refusal> {
    if let Some(fault) = &target.fault {
        if 0 < fault.delay_ms {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        // The split uses up the coarse part of the draw, so the fault takes a finer one.
        if (draw * 1e4).fract() < fault.error_share {
            return Err(Refusal::Failed("a fault was injected on purpose".into()));
        }
    }
    let model = target
        .model
        .as_ref()
        .map_err(|reason| Refusal::Failed(reason.clone()))?;
    let answers = if table.rows() <= ROWS_INLINE_MAX {
        model.predict(table)
    } else {
        let (model, table) = (model.clone(), table.clone());
        tokio::task::spawn_blocking(move || model.predict(&table))
            .await
            .map_err(|error| Refusal::Failed(error.to_string()))?
    };
    answers.map_err(Refusal::Request)
}

/// Lets the shadow see the request, aside; while too many copies wait for it already, it misses some.
fn shadow(live: &Arc<Live>, table: &Arc<Table>, draw: f64) {
    let Ok(permit) = live.shadow_places.clone().try_acquire_owned() else {
        return;
    };
    let (live, table) = (live.clone(), table.clone());
    tokio::spawn(async move {
        let _permit = permit;
        if let Some(target) = live.of_role(Role::Shadow) {
            // The answer is counted and thrown away.
            let _ = ask(target, &table, draw).await;
        }
    });
}

fn record(
    deployments: &Deployments,
    live: &Live,
    target: &LiveTarget,
    table: &Table,
    answered: &Answered,
    at: Option<Millis>,
    took: Duration,
) {
    let Some(samples) = &deployments.inner.samples else {
        return;
    };
    let at = at.unwrap_or_else(deployments.inner.now);
    for (row, prediction) in answered.answers.values().into_iter().enumerate() {
        let sample = Sample {
            prediction_id: answered.id.row(row, table.rows()),
            deployment: live.name.clone(),
            model: live.model.clone(),
            version: target.version,
            role: target.role,
            at,
            latency_us: took.as_micros() as u64,
            features: table.record(row),
            prediction,
        };
        if samples.try_send(sample).is_err() {
            deployments.inner.samples_dropped.fetch_add(1, Relaxed);
            // Answers come first: a watcher that cannot keep up loses rows, and says so.
            tracing::warn!(
                deployment = live.name,
                "the watcher is behind; a sample was dropped"
            );
        }
    }
}
