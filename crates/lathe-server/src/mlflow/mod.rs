//! The REST API of MLflow's tracking server, registry and artifact proxy, as the unmodified client calls it. Each
//! noun lists its own paths; here they are put together.

use axum::Router;

use crate::AppState;

pub(crate) use extract::Message;

mod artifacts;
mod assessments;
mod eval_datasets;
mod experiments;
mod extract;
pub(crate) mod graphql;
mod health;
mod logged_models;
mod metrics;
mod model_versions;
mod models;
mod otlp;
mod permissions;
mod roles;
mod runs;
mod scorers;
mod trace_metrics;
mod traces;
mod traces_v2;
mod users;
mod webhooks;

/// Clients call `/api/…`, MLflow's own web page `/ajax-api/…`.
pub(crate) fn routes() -> Router<AppState> {
    let nouns = Router::new()
        .merge(artifacts::routes())
        .merge(experiments::routes())
        .merge(runs::routes())
        .merge(metrics::routes())
        .merge(models::routes())
        .merge(model_versions::routes())
        .merge(logged_models::routes())
        .merge(traces::routes())
        .merge(trace_metrics::routes())
        .merge(traces_v2::routes())
        .merge(assessments::routes())
        .merge(eval_datasets::routes())
        .merge(scorers::routes())
        .merge(webhooks::routes())
        .merge(users::routes())
        .merge(roles::routes())
        .merge(permissions::routes());
    Router::new()
        .merge(health::routes())
        .merge(artifacts::downloads())
        .merge(otlp::routes())
        .nest("/api", nouns.clone())
        .nest("/ajax-api", nouns)
}
