//! Every face of the server; each face lists its own paths.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;

use crate::{AppState, guard, inference, mlflow, ui, v1};

/// Requests that are read into memory are refused beyond this; artifacts stream past it.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The whole server as one router.
pub fn router(state: AppState) -> Router {
    Router::new()
        .merge(mlflow::routes())
        .merge(inference::routes())
        .merge(v1::routes())
        .merge(ui::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), guard::check))
        .with_state(state)
}
