//! The inference faces: Open Inference Protocol v2 over REST and MLflow's `/invocations`. Every answer carries a
//! prediction id, by which a label can follow later.

mod answer;
mod deployments;
mod follow;
mod invocations;
mod oip;
mod source;
mod tensors;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use lathe_serving::Model;
use lathe_types::Millis;

use crate::AppState;

pub use deployments::Deployments;
pub use source::version_folder;
pub(crate) use source::{location_of_version, place_of};

/// Requests larger than this are refused.
const BODY_BYTES_MAX: usize = 64 << 20;

pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .merge(oip::routes())
        .merge(invocations::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

impl FromRef<AppState> for Deployments {
    fn from_ref(state: &AppState) -> Self {
        state.deployments.clone()
    }
}

/// One model that answers to `name`, without records: what `lathe serve` runs.
pub fn standalone(name: &str, model: Model, now: fn() -> Millis) -> Router {
    let healthy = axum::routing::get(async || "OK");
    Router::new()
        .merge(routes())
        .route("/health", healthy)
        .with_state(Deployments::of_model(name, model, now))
}
