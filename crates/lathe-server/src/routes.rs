//! Every face of the server; each face lists its own paths.

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::{AppState, guard, inference, mlflow, ui, v1};

/// The whole server as one router.
pub fn router(state: AppState) -> Router {
    Router::new()
        .merge(mlflow::routes())
        .merge(inference::routes())
        .merge(v1::routes())
        .merge(ui::routes())
        .layer(from_fn_with_state(state.clone(), guard::check))
        .with_state(state)
}
