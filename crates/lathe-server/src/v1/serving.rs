use std::collections::BTreeSet;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lathe_types::deployments::TargetStats;
use lathe_types::samples::Sample;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mlflow::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/serving/reports", post(take))
}

/// What a `lathe serve` that follows this server did.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    #[serde(default)]
    stats: Vec<TargetStats>,
    #[serde(default)]
    samples: Vec<Sample>,
}

/// Entries of one report at most, of each kind.
const ENTRIES_MAX: usize = 10_000;

async fn take(
    State(state): State<AppState>,
    Message(report): Message<Report>,
) -> Result<Json<Value>, ApiError> {
    if ENTRIES_MAX < report.stats.len().max(report.samples.len()) {
        return Err(ApiError::invalid(format!(
            "a report has {} counts and {} samples; at most {ENTRIES_MAX} of each are taken at once",
            report.stats.len(),
            report.samples.len()
        )));
    }
    let named: BTreeSet<&str> = report
        .stats
        .iter()
        .map(|target| target.deployment.as_str())
        .chain(report.samples.iter().map(|sample| sample.deployment.as_str()))
        .collect();
    for name in named {
        state.store.expect_answering(name).await?;
    }
    if !report.stats.is_empty() {
        state.store.add_target_stats(report.stats).await?;
    }
    let sent = report.samples.len();
    let kept = report
        .samples
        .into_iter()
        .filter(|sample| state.deployments.watch(sample.clone()))
        .count();
    Ok(Json(json!({ "samples": kept, "samples_dropped": sent - kept })))
}
