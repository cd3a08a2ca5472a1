//! `mlflow/users/*`

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::access::{
    Credentials, CurrentUser, EffectivePermission, ExperimentPermission, HeldPermission, HeldPermissions,
    RegisteredModelPermission, Roles, UpdateAdmin, User, UserByName, UserPermission, UserReply, Users,
};
use lathe_store::{AccessRole, UserChange};
use lathe_types::access::{Grant, Permission, Resource, check_pattern};
use lathe_types::users::{Role, check_password, check_username};
use lathe_types::{ErrorKind, required};

use super::extract::Message;
use super::{permissions, roles};
use crate::access::{Sender, hasher, permission_of};
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/2.0/mlflow/users/create", post(create))
        .route("/2.0/mlflow/users/get", get(by_name))
        .route("/2.0/mlflow/users/current", get(current))
        .route("/2.0/mlflow/users/list", get(list))
        .route("/2.0/mlflow/users/update-password", patch(update_password))
        .route("/2.0/mlflow/users/update-admin", patch(update_admin))
        .route("/2.0/mlflow/users/delete", delete(remove))
        .route("/3.0/mlflow/users/current/permissions", get(current_permissions))
        .route("/3.0/mlflow/users/permissions/list", get(list_permissions))
        .route("/3.0/mlflow/users/permissions/grant", post(grant))
        .route("/3.0/mlflow/users/permissions/revoke", post(revoke))
        .route("/3.0/mlflow/users/permissions/get", get(effective))
        .route("/3.0/mlflow/users/roles/list", get(list_roles))
}

async fn create(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<Credentials>,
) -> Result<Json<UserReply>, ApiError> {
    sender.must_manage_everything("create users")?;
    let username = required("username", request.username)?;
    let password = required("password", request.password)?;
    check_username(&username)?;
    check_password(&password)?;
    let hash = hasher(&state)?.hash(password).await?;
    let now = (state.options.now)();
    let user = state
        .store
        .create_user(username, Some(hash), false, Role::Viewer, now)
        .await?;
    Ok(Json(UserReply {
        user: with_permissions(&state, user).await?,
    }))
}

async fn by_name(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserByName>,
) -> Result<Json<UserReply>, ApiError> {
    let username = required("username", request.username)?;
    sender.must_be(&username, "look at other users")?;
    let user = state.store.get_user(username).await?;
    Ok(Json(UserReply {
        user: with_permissions(&state, user).await?,
    }))
}

/// With what clients of 2.x read of a user.
async fn with_permissions(state: &AppState, user: lathe_types::users::User) -> Result<User, ApiError> {
    let roles = state.store.list_user_roles(user.username.clone()).await?;
    let direct: Vec<_> = roles
        .into_iter()
        .filter(|role| role.name.starts_with("__user_"))
        .flat_map(|role| role.permissions)
        .filter(|held| held.pattern != "*")
        .collect();
    let of = |resource: Resource| {
        direct
            .iter()
            .filter(move |held| held.resource_type == resource.as_str())
    };
    Ok(User {
        experiment_permissions: Some(
            of(Resource::Experiment)
                .map(|held| ExperimentPermission {
                    experiment_id: held.pattern.clone(),
                    user_id: user.id,
                    permission: permissions::old_word(&held.permission),
                })
                .collect(),
        ),
        registered_model_permissions: Some(
            of(Resource::RegisteredModel)
                .map(|held| RegisteredModelPermission {
                    name: held.pattern.clone(),
                    user_id: user.id,
                    permission: permissions::old_word(&held.permission),
                })
                .collect(),
        ),
        ..User::from(user)
    })
}

async fn current(State(state): State<AppState>, sender: Sender) -> Result<Json<CurrentUser>, ApiError> {
    let user = state.store.get_user(sender.identity.name).await?;
    Ok(Json(CurrentUser {
        user: user.into(),
        is_basic_auth: true,
    }))
}

/// Everybody may know who the others are; their roles are shown to administrators, and to each its own.
async fn list(State(state): State<AppState>, sender: Sender) -> Result<Json<Users>, ApiError> {
    let mut users = Vec::new();
    for user in state.store.list_users().await? {
        let visible = sender.manages_everything() || user.username == sender.identity.name;
        let roles = match visible {
            true => state.store.list_user_roles(user.username.clone()).await?,
            false => Vec::new(),
        };
        users.push(User {
            roles: Some(roles.into_iter().map(roles::role).collect()),
            ..User::from(user)
        });
    }
    Ok(Json(Users { users }))
}

async fn update_password(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<Credentials>,
) -> Result<Json<Empty>, ApiError> {
    let username = required("username", request.username)?;
    let password = required("password", request.password)?;
    sender.must_be(&username, "change the passwords of others")?;
    check_password(&password)?;
    let hasher = hasher(&state)?;
    if sender.identity.name == username {
        // A session that somebody else took over must not be able to lock its owner out.
        let current = request
            .current_password
            .filter(|password| !password.is_empty())
            .ok_or_else(|| {
                ApiError::invalid("Current password is required when changing your own password.")
            })?;
        let account = state.store.find_account(username.clone()).await?;
        let known = account.and_then(|account| account.password_hash);
        if !hasher.verify(current.clone(), known).await? {
            return Err(ApiError::invalid("Current password does not match."));
        }
        if current == password {
            return Err(ApiError::invalid(
                "New password must differ from the current password.",
            ));
        }
    }
    let change = UserChange {
        password_hash: Some(hasher.hash(password).await?),
        ..UserChange::default()
    };
    state.store.change_user(username, change).await?;
    Ok(Json(Empty {}))
}

async fn update_admin(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UpdateAdmin>,
) -> Result<Json<Empty>, ApiError> {
    sender.must_be_admin("make administrators")?;
    let username = required("username", request.username)?;
    let is_admin = request
        .is_admin
        .ok_or_else(|| ApiError::invalid("Missing value for required parameter 'is_admin'."))?;
    let change = UserChange {
        is_admin: Some(is_admin),
        ..UserChange::default()
    };
    state.store.change_user(username, change).await?;
    Ok(Json(Empty {}))
}

async fn remove(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserByName>,
) -> Result<Json<Empty>, ApiError> {
    sender.must_be_admin("delete users")?;
    let username = required("username", request.username)?;
    if sender.identity.name == username {
        return Err(ApiError::invalid(
            "Users cannot delete their own account. Ask another admin to delete this user instead.",
        ));
    }
    state.store.delete_user(username).await?;
    Ok(Json(Empty {}))
}

async fn current_permissions(
    State(state): State<AppState>,
    sender: Sender,
) -> Result<Json<HeldPermissions>, ApiError> {
    held(&state, sender.identity.name).await.map(Json)
}

async fn list_permissions(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserByName>,
) -> Result<Json<HeldPermissions>, ApiError> {
    let username = required("username", request.username)?;
    sender.must_be_or_manage(&username, "look at the permissions of others")?;
    held(&state, username).await.map(Json)
}

async fn held(state: &AppState, username: String) -> Result<HeldPermissions, ApiError> {
    let user = state.store.get_user(username.clone()).await?;
    let roles = state.store.list_user_roles(username).await?;
    let rows = roles.into_iter().flat_map(
        |AccessRole {
             name,
             workspace,
             permissions,
             ..
         }| {
            permissions.into_iter().map(move |held| HeldPermission {
                role_id: held.role_id,
                role_name: name.clone(),
                workspace: workspace.clone(),
                resource_type: held.resource_type,
                resource_pattern: held.pattern,
                permission: held.permission,
            })
        },
    );
    Ok(HeldPermissions {
        is_admin: user.is_admin,
        permissions: rows.collect(),
    })
}

async fn grant(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserPermission>,
) -> Result<Json<Empty>, ApiError> {
    let username = required("username", request.username)?;
    let (resource, id) = thing(request.resource_type, request.resource_id)?;
    let permission = required("permission", request.permission)?;
    let grant = Grant::new(resource.as_str(), &id, &permission)?;
    sender.must_manage(&state, resource, &id).await?;
    state.store.grant_permission(username, grant, false).await?;
    Ok(Json(Empty {}))
}

async fn revoke(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserPermission>,
) -> Result<Json<Empty>, ApiError> {
    let username = required("username", request.username)?;
    let (resource, id) = thing(request.resource_type, request.resource_id)?;
    sender.must_manage(&state, resource, &id).await?;
    state
        .store
        .revoke_permission(username, resource.as_str().to_owned(), id)
        .await?;
    Ok(Json(Empty {}))
}

async fn effective(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserPermission>,
) -> Result<Json<EffectivePermission>, ApiError> {
    let username = required("username", request.username)?;
    let (resource, id) = thing(request.resource_type, request.resource_id)?;
    sender.must_be_or_manage(&username, "look at the permissions of others")?;
    let permission = permission_of(&state, &username, resource, &id).await?;
    Ok(Json(EffectivePermission {
        allowed: Permission::Use <= permission,
        permission: permission.as_str().to_owned(),
    }))
}

/// What a user can be granted directly: everything but a workspace.
fn thing(resource: Option<String>, id: Option<String>) -> Result<(Resource, String), ApiError> {
    let resource = Resource::parse(&required("resource_type", resource)?)?;
    let id = required("resource_id", id)?;
    if resource == Resource::Workspace {
        return Err(ApiError::new(
            ErrorKind::InvalidInput,
            "resource_type 'workspace' is not supported by the per-user permission APIs; put it into a role",
        ));
    }
    check_pattern(resource, &id)?;
    Ok((resource, id))
}

async fn list_roles(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<UserByName>,
) -> Result<Json<Roles>, ApiError> {
    let username = required("username", request.username)?;
    sender.must_be_or_manage(&username, "look at the roles of others")?;
    let found = state.store.list_user_roles(username).await?;
    Ok(Json(Roles {
        roles: found.into_iter().map(roles::role).collect(),
    }))
}
