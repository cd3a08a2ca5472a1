//! `mlflow/roles/*`

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::access::{
    AddRolePermission, AssignRole, AssignmentReply, Assignments, ChangeRolePermission, CreateRole, ListRoles,
    Role, RoleAssignment, RolePermission, RolePermissionReply, RolePermissions, RoleReply, Roles, UpdateRole,
};
use lathe_api::mlflow::{Empty, Int64};
use lathe_store::AccessRole;
use lathe_types::access::Grant;
use lathe_types::{InputError, required};

use super::extract::Message;
use crate::access::Sender;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/3.0/mlflow/roles/create", post(create))
        .route("/3.0/mlflow/roles/get", get(by_id))
        .route("/3.0/mlflow/roles/list", get(list))
        .route("/3.0/mlflow/roles/update", patch(update))
        .route("/3.0/mlflow/roles/delete", delete(remove))
        .route("/3.0/mlflow/roles/assign", post(assign))
        .route("/3.0/mlflow/roles/unassign", delete(unassign))
        .route("/3.0/mlflow/roles/permissions/add", post(add_permission))
        .route("/3.0/mlflow/roles/permissions/remove", delete(remove_permission))
        .route("/3.0/mlflow/roles/permissions/list", get(list_permissions))
        .route("/3.0/mlflow/roles/permissions/update", patch(update_permission))
        .route("/3.0/mlflow/roles/users/list", get(list_users))
}

/// What changes roles.
const CHANGE: &str = "change roles";

fn number(parameter: &str, value: Option<Int64>) -> Result<i64, ApiError> {
    let missing = || InputError::Missing {
        parameter: parameter.to_owned(),
    };
    Ok(value.ok_or_else(missing)?.0)
}

/// A name that is more than blanks.
fn name(parameter: &str, value: Option<String>) -> Result<String, ApiError> {
    let value = required(parameter, value)?;
    match value.trim().is_empty() || 250 < value.len() {
        true => {
            Err(InputError::invalid(parameter, &value, "it has 1 to 250 characters, not only blanks").into())
        }
        false => Ok(value),
    }
}

async fn create(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<CreateRole>,
) -> Result<Json<RoleReply>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let workspace = name("workspace", request.workspace)?;
    let name = name("name", request.name)?;
    let role = state
        .store
        .create_role(workspace, name, request.description)
        .await?;
    Ok(reply(role))
}

async fn by_id(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UpdateRole>,
) -> Result<Json<RoleReply>, ApiError> {
    let role = state.store.get_role(number("role_id", request.role_id)?).await?;
    visible(&state, &sender, &role).await?;
    Ok(reply(role))
}

async fn visible(state: &AppState, sender: &Sender, role: &AccessRole) -> Result<(), ApiError> {
    match sender.is_in(state, &role.workspace).await? {
        true => Ok(()),
        false => sender.must_manage_everything("look at roles there"),
    }
}

async fn list(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ListRoles>,
) -> Result<Json<Roles>, ApiError> {
    if request.workspace.is_empty() {
        sender.must_manage_everything("look at all roles")?;
    }
    for workspace in &request.workspace {
        if !sender.is_in(&state, workspace).await? {
            sender.must_manage_everything("look at roles there")?;
        }
    }
    let found = state.store.list_roles(request.workspace).await?;
    Ok(Json(Roles {
        roles: found.into_iter().map(role).collect(),
    }))
}

async fn update(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UpdateRole>,
) -> Result<Json<RoleReply>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let id = number("role_id", request.role_id)?;
    if request.name.is_none() && request.description.is_none() {
        return Err(ApiError::invalid(
            "At least one of 'name' or 'description' must be provided to update a role.",
        ));
    }
    let new_name = match request.name {
        Some(given) => Some(name("name", Some(given))?),
        None => None,
    };
    let role = state.store.update_role(id, new_name, request.description).await?;
    Ok(reply(role))
}

async fn remove(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UpdateRole>,
) -> Result<Json<Empty>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    state
        .store
        .delete_role(number("role_id", request.role_id)?)
        .await?;
    Ok(Json(Empty {}))
}

async fn assign(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<AssignRole>,
) -> Result<Json<AssignmentReply>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let username = required("username", request.username)?;
    let made = state
        .store
        .assign_role(username, number("role_id", request.role_id)?)
        .await?;
    Ok(Json(AssignmentReply {
        assignment: assignment(made),
    }))
}

async fn unassign(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<AssignRole>,
) -> Result<Json<Empty>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let username = required("username", request.username)?;
    state
        .store
        .unassign_role(username, number("role_id", request.role_id)?)
        .await?;
    Ok(Json(Empty {}))
}

async fn add_permission(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<AddRolePermission>,
) -> Result<Json<RolePermissionReply>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let grant = Grant::new(
        &required("resource_type", request.resource_type)?,
        &required("resource_pattern", request.resource_pattern)?,
        &required("permission", request.permission)?,
    )?;
    let added = state
        .store
        .add_role_permission(number("role_id", request.role_id)?, grant)
        .await?;
    Ok(Json(RolePermissionReply {
        role_permission: permission(added),
    }))
}

async fn remove_permission(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ChangeRolePermission>,
) -> Result<Json<Empty>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let id = number("role_permission_id", request.role_permission_id)?;
    state.store.remove_role_permission(id).await?;
    Ok(Json(Empty {}))
}

async fn list_permissions(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UpdateRole>,
) -> Result<Json<RolePermissions>, ApiError> {
    let role = state.store.get_role(number("role_id", request.role_id)?).await?;
    visible(&state, &sender, &role).await?;
    Ok(Json(RolePermissions {
        role_permissions: role.permissions.into_iter().map(permission).collect(),
    }))
}

async fn update_permission(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ChangeRolePermission>,
) -> Result<Json<RolePermissionReply>, ApiError> {
    sender.must_manage_everything(CHANGE)?;
    let id = number("role_permission_id", request.role_permission_id)?;
    let held = state.store.get_role_permission(id).await?;
    let level = required("permission", request.permission)?;
    let grant = Grant::new(&held.resource_type, &held.pattern, &level)?;
    let changed = state.store.update_role_permission(id, grant.permission).await?;
    Ok(Json(RolePermissionReply {
        role_permission: permission(changed),
    }))
}

async fn list_users(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UpdateRole>,
) -> Result<Json<Assignments>, ApiError> {
    sender.must_manage_everything("see who has a role")?;
    let found = state
        .store
        .list_role_users(number("role_id", request.role_id)?)
        .await?;
    Ok(Json(Assignments {
        assignments: found.into_iter().map(assignment).collect(),
    }))
}

fn reply(found: AccessRole) -> Json<RoleReply> {
    Json(RoleReply { role: role(found) })
}

/// A role on the wire.
pub(super) fn role(role: AccessRole) -> Role {
    Role {
        id: role.id,
        name: role.name,
        workspace: role.workspace,
        description: role.description,
        permissions: role.permissions.into_iter().map(permission).collect(),
    }
}

fn permission(held: lathe_store::RolePermission) -> RolePermission {
    RolePermission {
        id: held.id,
        role_id: held.role_id,
        resource_type: held.resource_type,
        resource_pattern: held.pattern,
        permission: held.permission,
    }
}

fn assignment(made: lathe_store::RoleAssignment) -> RoleAssignment {
    RoleAssignment {
        id: made.id,
        user_id: made.user_id,
        role_id: made.role_id,
    }
}
