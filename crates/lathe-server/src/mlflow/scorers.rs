//! `3.0/mlflow/scorers/*`

use axum::extract::State;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::experiments::experiment_id;
use lathe_api::mlflow::scorers::{
    GetOnlineScorings, ListScorers, OnlineConfig, OnlineConfigReply, OnlineConfigs, RegisteredScorer, Scorer,
    ScorerReply, ScorerRequest, Scorers, SetOnlineScoring,
};
use lathe_api::mlflow::traces::experiment_ids;
use lathe_types::scorers::{sample_rate, scorer_name, serialized_scorer};
use lathe_types::search::parse_trace_filter;
use lathe_types::{ExperimentId, InputError, required};
use uuid::Uuid;

use super::extract::Message;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/3.0/mlflow/scorers/register", post(register))
        .route("/3.0/mlflow/scorers/list", get(list))
        .route("/3.0/mlflow/scorers/versions", get(versions))
        .route("/3.0/mlflow/scorers/get", get(by_name))
        .route("/3.0/mlflow/scorers/delete", delete(remove))
        .route("/3.0/mlflow/scorers/online-config", put(set_online))
        .route("/3.0/mlflow/scorers/online-configs", get(online))
}

fn which(experiment: Option<String>, name: Option<String>) -> Result<(ExperimentId, String), InputError> {
    Ok((experiment_id(experiment)?, scorer_name(name.unwrap_or_default())?))
}

async fn register(
    State(state): State<AppState>,
    Message(request): Message<ScorerRequest>,
) -> Result<Json<RegisteredScorer>, ApiError> {
    let (experiment, name) = which(request.experiment_id, request.name)?;
    let serialized = serialized_scorer(required("serialized_scorer", request.serialized_scorer)?)?;
    let new_id = Uuid::new_v4().to_string();
    let now = (state.options.now)();
    let scorer = state
        .store
        .register_scorer(experiment, name, serialized, new_id, now)
        .await?;
    Ok(Json(scorer.into()))
}

async fn list(
    State(state): State<AppState>,
    Message(request): Message<ListScorers>,
) -> Result<Json<Scorers>, ApiError> {
    let of = request.experiments()?.map(experiment_ids).transpose()?;
    let found = state.store.list_scorers(of).await?;
    Ok(Json(Scorers {
        scorers: found.into_iter().map(Scorer::from).collect(),
    }))
}

async fn versions(
    State(state): State<AppState>,
    Message(request): Message<ScorerRequest>,
) -> Result<Json<Scorers>, ApiError> {
    let (experiment, name) = which(request.experiment_id, request.name)?;
    let found = state.store.list_scorer_versions(experiment, name).await?;
    Ok(Json(Scorers {
        scorers: found.into_iter().map(Scorer::from).collect(),
    }))
}

async fn by_name(
    State(state): State<AppState>,
    Message(request): Message<ScorerRequest>,
) -> Result<Json<ScorerReply>, ApiError> {
    let (experiment, name) = which(request.experiment_id, request.name)?;
    let version = request.version.map(|version| version.0);
    let scorer = state.store.get_scorer(experiment, name, version).await?;
    Ok(Json(ScorerReply {
        scorer: scorer.into(),
    }))
}

async fn remove(
    State(state): State<AppState>,
    Message(request): Message<ScorerRequest>,
) -> Result<Json<Empty>, ApiError> {
    let (experiment, name) = which(request.experiment_id, request.name)?;
    let version = request.version.map(|version| version.0);
    state.store.delete_scorer(experiment, name, version).await?;
    Ok(Json(Empty {}))
}

async fn set_online(
    State(state): State<AppState>,
    Message(request): Message<SetOnlineScoring>,
) -> Result<Json<OnlineConfigReply>, ApiError> {
    let (experiment, name) = which(request.experiment_id, request.name)?;
    let rate = request.sample_rate.ok_or_else(|| InputError::Missing {
        parameter: "sample_rate".into(),
    })?;
    let filter = request.filter_string.filter(|text| !text.is_empty());
    parse_trace_filter(filter.as_deref().unwrap_or_default())?;
    let new_id = Uuid::new_v4().to_string();
    let config = state
        .store
        .set_online_scoring(experiment, name, sample_rate(rate.0)?, filter, new_id)
        .await?;
    Ok(Json(OnlineConfigReply {
        config: OnlineConfig::from(config),
    }))
}

async fn online(
    State(state): State<AppState>,
    Message(request): Message<GetOnlineScorings>,
) -> Result<Json<OnlineConfigs>, ApiError> {
    let found = state.store.list_online_scorings(request.scorer_ids).await?;
    Ok(Json(OnlineConfigs {
        configs: found.into_iter().map(OnlineConfig::from).collect(),
    }))
}
