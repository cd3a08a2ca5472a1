use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_types::deployments::{Deployment, Target};
use lathe_types::graphs::{Graph, Shape, VersionName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::limit;
use crate::inference::Traffic;
use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/deployments", get(list))
        .route("/deployments/{name}", get(by_name))
        .route("/deployments/{name}/rollouts", get(rollouts))
        .route("/deployments/{name}/windows", get(windows))
        .route("/deployments/{name}/rollback", post(roll_back))
}

/// A deployment with what follows from it.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    deployment: Deployment,
    targets: Vec<SeenTarget>,
    model_name: Option<String>,
    alias: Option<String>,
}

/// A version with what answers for it here.
#[derive(Serialize)]
struct SeenTarget {
    #[serde(flatten)]
    target: Target,
    /// `native`, `onnxruntime` or `python`; none while this process does not answer for it.
    runtime: Option<&'static str>,
    /// Whether answering executes what the model holds.
    executes_code: bool,
}

impl Seen {
    fn new(deployment: Deployment, state: &AppState) -> Self {
        let model_alias = deployment.spec.model_alias();
        let seen = |target: Target| {
            let answering = state.deployments.runtime_of(&deployment.name, target.version);
            SeenTarget {
                target,
                runtime: answering.map(|(runtime, _)| runtime),
                executes_code: answering.is_some_and(|(_, executes_code)| executes_code),
            }
        };
        Self {
            targets: deployment.targets().into_iter().map(seen).collect(),
            model_name: model_alias.map(|(model, _)| model.to_owned()),
            alias: model_alias.map(|(_, alias)| alias.to_owned()),
            deployment,
        }
    }
}

/// A graph with what follows from it.
#[derive(Serialize)]
struct SeenGraph {
    #[serde(flatten)]
    graph: Graph,
    /// The versions that answer together, in the order in which the graph names them.
    members: Vec<VersionName>,
    /// Whether this process answers for it as it is declared.
    ready: bool,
    /// Whether answering executes what a model holds.
    executes_code: bool,
    #[serde(flatten)]
    traffic: Traffic,
}

impl SeenGraph {
    fn new(graph: Graph, state: &AppState) -> Self {
        let answering = state.deployments.runtime_of(&graph.name, graph.version);
        Self {
            members: graph.shape.as_ref().map(Shape::versions).unwrap_or_default(),
            ready: answering.is_some(),
            executes_code: answering.is_some_and(|(_, executes_code)| executes_code),
            traffic: state
                .deployments
                .traffic_of(&graph.name, graph.version)
                .unwrap_or_default(),
            graph,
        }
    }
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

async fn list(State(state): State<AppState>) -> Result<Json<Value>, ApiError> {
    let deployments: Vec<Seen> = state
        .store
        .list_deployments()
        .await?
        .into_iter()
        .map(|deployment| Seen::new(deployment, &state))
        .collect();
    let graphs: Vec<SeenGraph> = state
        .store
        .list_graphs()
        .await?
        .into_iter()
        .map(|graph| SeenGraph::new(graph, &state))
        .collect();
    Ok(Json(json!({ "deployments": deployments, "graphs": graphs })))
}

async fn by_name(State(state): State<AppState>, Path(name): Path<String>) -> Result<Json<Seen>, ApiError> {
    let deployment = state.store.get_deployment(&name).await?;
    Ok(Json(Seen::new(deployment, &state)))
}

async fn rollouts(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Message(page): Message<Page>,
) -> Result<Json<Value>, ApiError> {
    state.store.get_deployment(&name).await?;
    let rollouts = state.store.list_rollouts(&name, limit(page.limit)).await?;
    Ok(Json(json!({ "rollouts": rollouts })))
}

/// Windows with their verdicts; their profiles stay here, as nobody reads them.
async fn windows(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Message(page): Message<Page>,
) -> Result<Json<Value>, ApiError> {
    state.store.get_deployment(&name).await?;
    let mut windows = state.store.list_windows(&name, limit(page.limit)).await?;
    windows.iter_mut().for_each(|window| window.profile = Value::Null);
    Ok(Json(json!({ "windows": windows })))
}

#[derive(Deserialize)]
struct RollBack {
    #[serde(default)]
    reason: Option<String>,
}

async fn roll_back(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Message(request): Message<RollBack>,
) -> Result<Json<Seen>, ApiError> {
    let reason = request.reason.unwrap_or_else(|| "asked for by hand".into());
    let deployment = state
        .store
        .roll_back_deployment(&name, reason, (state.options.now)())
        .await?;
    Ok(Json(Seen::new(deployment, &state)))
}
