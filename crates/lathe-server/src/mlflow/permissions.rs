//! `mlflow/experiments/permissions/*` and `mlflow/registered-models/permissions/*`: what clients of 2.x call. They
//! know `NO_PERMISSIONS` where later ones say `DENY`.

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::access::{
    ExperimentPermission, ExperimentPermissionReply, ExperimentPermissionRequest, RegisteredModelPermission,
    RegisteredModelPermissionReply, RegisteredModelPermissionRequest,
};
use lathe_types::access::{Grant, Permission, Resource};
use lathe_types::required;

use super::extract::Message;
use crate::access::Sender;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(
            "/2.0/mlflow/experiments/permissions/create",
            post(experiment_create),
        )
        .route("/2.0/mlflow/experiments/permissions/get", get(experiment_get))
        .route(
            "/2.0/mlflow/experiments/permissions/update",
            patch(experiment_update),
        )
        .route(
            "/2.0/mlflow/experiments/permissions/delete",
            delete(experiment_delete),
        )
        .route(
            "/2.0/mlflow/registered-models/permissions/create",
            post(model_create),
        )
        .route("/2.0/mlflow/registered-models/permissions/get", get(model_get))
        .route(
            "/2.0/mlflow/registered-models/permissions/update",
            patch(model_update),
        )
        .route(
            "/2.0/mlflow/registered-models/permissions/delete",
            delete(model_delete),
        )
}

/// The word that clients of 2.x know.
pub(super) fn old_word(permission: &str) -> String {
    match permission {
        "DENY" => Permission::None.as_str().to_owned(),
        other => other.to_owned(),
    }
}

fn new_word(permission: &str) -> &str {
    match permission {
        "NO_PERMISSIONS" => Permission::Deny.as_str(),
        other => other,
    }
}

/// A permission of one user on one thing.
struct Place<'a> {
    state: &'a AppState,
    sender: &'a Sender,
    resource: Resource,
    id: String,
    username: String,
}

impl Place<'_> {
    async fn checked(&self) -> Result<(), ApiError> {
        self.sender.must_manage(self.state, self.resource, &self.id).await
    }

    async fn get(&self) -> Result<(i64, String), ApiError> {
        self.checked().await?;
        let (user, held) = self
            .state
            .store
            .get_direct_permission(
                self.username.clone(),
                self.resource.as_str().to_owned(),
                self.id.clone(),
            )
            .await?;
        Ok((user, old_word(&held.permission)))
    }

    async fn set(&self, permission: Option<String>, replace: bool) -> Result<(i64, String), ApiError> {
        let permission = required("permission", permission)?;
        let grant = Grant::new(self.resource.as_str(), &self.id, new_word(&permission))?;
        self.checked().await?;
        if replace {
            self.get().await?;
        }
        let user = self
            .state
            .store
            .grant_permission(self.username.clone(), grant, replace)
            .await?;
        Ok((user, permission))
    }

    async fn delete(&self) -> Result<Json<Empty>, ApiError> {
        self.checked().await?;
        self.state
            .store
            .revoke_permission(
                self.username.clone(),
                self.resource.as_str().to_owned(),
                self.id.clone(),
            )
            .await?;
        Ok(Json(Empty {}))
    }
}

fn experiment<'a>(
    state: &'a AppState,
    sender: &'a Sender,
    request: &ExperimentPermissionRequest,
) -> Result<Place<'a>, ApiError> {
    Ok(Place {
        state,
        sender,
        resource: Resource::Experiment,
        id: required("experiment_id", request.experiment_id.clone())?,
        username: required("username", request.username.clone())?,
    })
}

fn experiment_reply(
    place: &Place<'_>,
    (user_id, permission): (i64, String),
) -> Json<ExperimentPermissionReply> {
    Json(ExperimentPermissionReply {
        experiment_permission: ExperimentPermission {
            experiment_id: place.id.clone(),
            user_id,
            permission,
        },
    })
}

async fn experiment_create(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ExperimentPermissionRequest>,
) -> Result<Json<ExperimentPermissionReply>, ApiError> {
    let place = experiment(&state, &sender, &request)?;
    let set = place.set(request.permission, false).await?;
    Ok(experiment_reply(&place, set))
}

async fn experiment_get(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ExperimentPermissionRequest>,
) -> Result<Json<ExperimentPermissionReply>, ApiError> {
    let place = experiment(&state, &sender, &request)?;
    let found = place.get().await?;
    Ok(experiment_reply(&place, found))
}

async fn experiment_update(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ExperimentPermissionRequest>,
) -> Result<Json<Empty>, ApiError> {
    let place = experiment(&state, &sender, &request)?;
    place.set(request.permission, true).await?;
    Ok(Json(Empty {}))
}

async fn experiment_delete(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ExperimentPermissionRequest>,
) -> Result<Json<Empty>, ApiError> {
    experiment(&state, &sender, &request)?.delete().await
}

fn model<'a>(
    state: &'a AppState,
    sender: &'a Sender,
    request: &RegisteredModelPermissionRequest,
) -> Result<Place<'a>, ApiError> {
    Ok(Place {
        state,
        sender,
        resource: Resource::RegisteredModel,
        id: required("name", request.name.clone())?,
        username: required("username", request.username.clone())?,
    })
}

fn model_reply(
    place: &Place<'_>,
    (user_id, permission): (i64, String),
) -> Json<RegisteredModelPermissionReply> {
    Json(RegisteredModelPermissionReply {
        registered_model_permission: RegisteredModelPermission {
            name: place.id.clone(),
            user_id,
            permission,
        },
    })
}

async fn model_create(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<RegisteredModelPermissionRequest>,
) -> Result<Json<RegisteredModelPermissionReply>, ApiError> {
    let place = model(&state, &sender, &request)?;
    let set = place.set(request.permission, false).await?;
    Ok(model_reply(&place, set))
}

async fn model_get(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<RegisteredModelPermissionRequest>,
) -> Result<Json<RegisteredModelPermissionReply>, ApiError> {
    let place = model(&state, &sender, &request)?;
    let found = place.get().await?;
    Ok(model_reply(&place, found))
}

async fn model_update(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<RegisteredModelPermissionRequest>,
) -> Result<Json<Empty>, ApiError> {
    let place = model(&state, &sender, &request)?;
    place.set(request.permission, true).await?;
    Ok(Json(Empty {}))
}

async fn model_delete(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<RegisteredModelPermissionRequest>,
) -> Result<Json<Empty>, ApiError> {
    model(&state, &sender, &request)?.delete().await
}
