//! Lathe's own API: what MLflow's does not have. The web UI and the command line are its clients.

use axum::Router;

use crate::AppState;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
}
