use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lathe_store::DEFAULT_WORKSPACE;
use lathe_types::ErrorKind;
use lathe_types::access::{Permission, Resource, effective, manages_everything};

use super::door::Login;
use super::identity::Identity;
use crate::{ApiError, AppState};

/// Who sends a request, for handlers to whom it matters: those of users and their rights.
pub(crate) struct Sender {
    pub(crate) identity: Identity,
}

impl FromRequestParts<AppState> for Sender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, ApiError> {
        let found = parts.extensions.get::<Identity>().cloned();
        let identity = found.ok_or_else(|| {
            ApiError::new(
                ErrorKind::NotFound,
                "this server keeps no users; start it with `--auth`",
            )
        })?;
        Ok(Self { identity })
    }
}

impl Sender {
    fn refuse<T>(&self, what: &str) -> Result<T, ApiError> {
        Err(ApiError::new(
            ErrorKind::PermissionDenied,
            format!("Permission denied: `{}` may not {what}", self.identity.name),
        ))
    }

    /// An administrator of everything but users.
    pub(crate) fn manages_everything(&self) -> bool {
        self.identity.is_admin || manages_everything(&self.identity.grants)
    }

    pub(crate) fn must_be_admin(&self, to: &str) -> Result<(), ApiError> {
        match self.identity.is_admin {
            true => Ok(()),
            false => self.refuse(to),
        }
    }

    pub(crate) fn must_manage_everything(&self, to: &str) -> Result<(), ApiError> {
        match self.manages_everything() {
            true => Ok(()),
            false => self.refuse(to),
        }
    }

    pub(crate) fn must_be(&self, username: &str, to: &str) -> Result<(), ApiError> {
        match self.identity.is_admin || self.identity.name == username {
            true => Ok(()),
            false => self.refuse(to),
        }
    }

    pub(crate) fn must_be_or_manage(&self, username: &str, to: &str) -> Result<(), ApiError> {
        match self.manages_everything() || self.identity.name == username {
            true => Ok(()),
            false => self.refuse(to),
        }
    }

    /// Whoever hands on permissions on a thing must manage it; on all of a kind, everything.
    pub(crate) async fn must_manage(
        &self,
        state: &AppState,
        resource: Resource,
        id: &str,
    ) -> Result<(), ApiError> {
        let to = "hand on permissions there";
        if self.manages_everything() {
            return Ok(());
        }
        if id == "*" {
            return self.refuse(to);
        }
        let has = permission_of(state, &self.identity.name, resource, id).await?;
        match Permission::Manage <= has {
            true => Ok(()),
            false => self.refuse(to),
        }
    }

    /// Whether it has a role in the workspace.
    pub(crate) async fn is_in(&self, state: &AppState, workspace: &str) -> Result<bool, ApiError> {
        if self.manages_everything() && workspace == DEFAULT_WORKSPACE || self.identity.is_admin {
            return Ok(true);
        }
        let roles = state.store.list_user_roles(self.identity.name.clone()).await?;
        Ok(roles.iter().any(|role| role.workspace == workspace))
    }
}

/// What a user may do with a thing, as it is decided for its requests.
pub(crate) async fn permission_of(
    state: &AppState,
    username: &str,
    resource: Resource,
    id: &str,
) -> Result<Permission, ApiError> {
    let default = match &state.options.login {
        Login::On(door) => door.default,
        Login::Off | Login::Local => Permission::Read,
    };
    let user = state.store.get_user(username.to_owned()).await?;
    if user.is_admin {
        return Ok(Permission::Manage);
    }
    let roles = state.store.list_user_roles(username.to_owned()).await?;
    let held = roles
        .into_iter()
        .flat_map(|role| role.permissions)
        .filter(|held| held.pattern == "*" || held.pattern == id && held.resource_type == resource.as_str());
    let mut grants = Vec::new();
    for held in held {
        grants.push(lathe_types::access::Grant {
            resource: Resource::parse(&held.resource_type)?,
            permission: Permission::parse(&held.permission)?,
            pattern: held.pattern,
        });
    }
    Ok(effective(&grants, &[(resource, id)], default))
}
