//! The inference faces: Open Inference Protocol v2 and MLflow's `/invocations`.

use axum::Router;

use crate::AppState;

/// The models that answer, by deployment.
#[derive(Clone)]
pub struct Deployments {}

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
}
