//! Every face of the server; each face lists its own paths.

use axum::Router;

use crate::{AppState, inference, mlflow, ui, v1};

/// The whole server as one router.
pub fn router(state: AppState) -> Router {
    Router::new()
        .merge(mlflow::routes())
        .merge(inference::routes())
        .merge(v1::routes())
        .merge(ui::routes())
        .with_state(state)
}
