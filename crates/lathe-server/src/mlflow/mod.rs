//! The REST API of MLflow's tracking server, registry and artifact proxy, as the unmodified client calls it.

use axum::Router;

use crate::AppState;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
}
