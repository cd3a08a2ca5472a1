//! Every face of the server; each face lists its own paths.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::{AppState, access, guard, inference, mlflow, modules, telemetry, ui, v1};

/// Requests that are read into memory are refused beyond this; artifacts stream past it.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 20;

/// The whole server as one router.
pub fn router(state: AppState) -> Router {
    let prefix = state.options.static_prefix.clone();
    let around = |routes: Router| {
        routes
            .layer(from_fn_with_state(state.clone(), guard::check))
            .layer(from_fn_with_state(state.clone(), telemetry::tell))
    };
    let whole = Router::new()
        .merge(mlflow::routes())
        .merge(inference::routes())
        .merge(v1::routes())
        .route("/metrics", get(telemetry::show))
        .merge(ui::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), modules::check))
        .layer(from_fn_with_state(state.clone(), access::check))
        .with_state(state.clone());
    let whole = around(whole.clone()).merge(around(mlflow::graphql::routes(whole)));
    match prefix.is_empty() {
        true => whole,
        // Probes and clients that do not know the prefix are answered all the same.
        false => Router::new().nest(&prefix, whole.clone()).merge(whole),
    }
}
