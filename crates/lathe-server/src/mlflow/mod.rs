//! The REST API of MLflow's tracking server, registry and artifact proxy, as the unmodified client calls it. Each
//! noun lists its own paths; here they are put together.

use axum::Router;

use crate::AppState;

mod experiments;
mod extract;

/// Clients call `/api/…`, MLflow's own web page `/ajax-api/…`.
pub(crate) fn routes() -> Router<AppState> {
    let nouns = Router::new().merge(experiments::routes());
    Router::new().nest("/api", nouns.clone()).nest("/ajax-api", nouns)
}
