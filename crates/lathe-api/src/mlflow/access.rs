//! `mlflow/users/*`, `mlflow/roles/*` and permissions, as `AuthServiceClient` speaks them; also as clients of 2.x do.

use serde::{Deserialize, Serialize};

use super::Int64;

/// Which user.
#[derive(Debug, Deserialize)]
pub struct UserByName {
    /// Its name.
    pub username: Option<String>,
}

/// A user to be made, or a new password for one.
#[derive(Deserialize)]
pub struct Credentials {
    /// Its name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The present one, if a user changes its own.
    pub current_password: Option<String>,
}

/// Whether a user is an administrator.
#[derive(Debug, Deserialize)]
pub struct UpdateAdmin {
    /// Its name.
    pub username: Option<String>,
    /// Whether.
    pub is_admin: Option<bool>,
}

/// A user. The lists are those that clients of 2.x read.
#[derive(Debug, Serialize)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub username: String,
    /// Whether every check passes.
    pub is_admin: bool,
    /// What it was granted on experiments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_permissions: Option<Vec<ExperimentPermission>>,
    /// What it was granted on registered models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_model_permissions: Option<Vec<RegisteredModelPermission>>,
    /// The roles that whoever asks may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
}

impl From<lathe_types::users::User> for User {
    fn from(user: lathe_types::users::User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            is_admin: user.is_admin,
            experiment_permissions: None,
            registered_model_permissions: None,
            roles: None,
        }
    }
}

/// A user in a reply.
#[derive(Debug, Serialize)]
pub struct UserReply {
    /// It.
    pub user: User,
}

/// Who asks.
#[derive(Debug, Serialize)]
pub struct CurrentUser {
    /// The user.
    pub user: User,
    /// Whether names and passwords are taken.
    pub is_basic_auth: bool,
}

/// Every user.
#[derive(Debug, Serialize)]
pub struct Users {
    /// Them.
    pub users: Vec<User>,
}

/// A bundle of permissions.
#[derive(Debug, Clone, Serialize)]
pub struct Role {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Where it counts.
    pub workspace: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it allows.
    pub permissions: Vec<RolePermission>,
}

/// A permission in a role.
#[derive(Debug, Clone, Serialize)]
pub struct RolePermission {
    /// Its number.
    pub id: i64,
    /// The role's number.
    pub role_id: i64,
    /// On which kind of thing.
    pub resource_type: String,
    /// Which of them, or `*`.
    pub resource_pattern: String,
    /// What is allowed.
    pub permission: String,
}

/// A role that a user has.
#[derive(Debug, Serialize)]
pub struct RoleAssignment {
    /// Its number.
    pub id: i64,
    /// The user's number.
    pub user_id: i64,
    /// The role's number.
    pub role_id: i64,
}

/// A role in a reply.
#[derive(Debug, Serialize)]
pub struct RoleReply {
    /// It.
    pub role: Role,
}

/// Roles in a reply.
#[derive(Debug, Serialize)]
pub struct Roles {
    /// Them.
    pub roles: Vec<Role>,
}

/// A permission of a role in a reply.
#[derive(Debug, Serialize)]
pub struct RolePermissionReply {
    /// It.
    pub role_permission: RolePermission,
}

/// Permissions of a role in a reply.
#[derive(Debug, Serialize)]
pub struct RolePermissions {
    /// Them.
    pub role_permissions: Vec<RolePermission>,
}

/// An assignment in a reply.
#[derive(Debug, Serialize)]
pub struct AssignmentReply {
    /// It.
    pub assignment: RoleAssignment,
}

/// Assignments in a reply.
#[derive(Debug, Serialize)]
pub struct Assignments {
    /// Them.
    pub assignments: Vec<RoleAssignment>,
}

/// A role to be made.
#[derive(Debug, Deserialize)]
pub struct CreateRole {
    /// Where it counts.
    pub workspace: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// Which roles.
#[derive(Debug, Deserialize)]
pub struct ListRoles {
    /// Of these workspaces; of all if there are none.
    #[serde(default)]
    pub workspace: Vec<String>,
}

/// Which role, and what is new about it.
#[derive(Debug, Deserialize)]
pub struct UpdateRole {
    /// Its number.
    pub role_id: Option<Int64>,
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
}

/// Which role, and whose.
#[derive(Debug, Deserialize)]
pub struct AssignRole {
    /// The user.
    pub username: Option<String>,
    /// The role's number.
    pub role_id: Option<Int64>,
}

/// A permission for a role.
#[derive(Debug, Deserialize)]
pub struct AddRolePermission {
    /// The role's number.
    pub role_id: Option<Int64>,
    /// On which kind of thing.
    pub resource_type: Option<String>,
    /// Which of them, or `*`.
    pub resource_pattern: Option<String>,
    /// What is allowed.
    pub permission: Option<String>,
}

/// Which permission of a role, and what it is to allow.
#[derive(Debug, Deserialize)]
pub struct ChangeRolePermission {
    /// Its number.
    pub role_permission_id: Option<Int64>,
    /// What is allowed.
    pub permission: Option<String>,
}

/// A permission of a user on a thing.
#[derive(Debug, Deserialize)]
pub struct UserPermission {
    /// The user.
    pub username: Option<String>,
    /// On which kind of thing.
    pub resource_type: Option<String>,
    /// Which of them, or `*`.
    pub resource_id: Option<String>,
    /// What is allowed.
    pub permission: Option<String>,
}

/// What a user may do with a thing.
#[derive(Debug, Serialize)]
pub struct EffectivePermission {
    /// Whether it may use it.
    pub allowed: bool,
    /// The level.
    pub permission: String,
}

/// Every permission that a user holds.
#[derive(Debug, Serialize)]
pub struct HeldPermissions {
    /// Whether every check passes.
    pub is_admin: bool,
    /// The permissions, by role.
    pub permissions: Vec<HeldPermission>,
}

/// A permission with the role by which a user holds it.
#[derive(Debug, Serialize)]
pub struct HeldPermission {
    /// The role's number.
    pub role_id: i64,
    /// The role's name.
    pub role_name: String,
    /// Where it counts.
    pub workspace: String,
    /// On which kind of thing.
    pub resource_type: String,
    /// Which of them, or `*`.
    pub resource_pattern: String,
    /// What is allowed.
    pub permission: String,
}

/// A permission on an experiment, as clients of 2.x ask for it.
#[derive(Debug, Deserialize)]
pub struct ExperimentPermissionRequest {
    /// The experiment.
    pub experiment_id: Option<String>,
    /// The user.
    pub username: Option<String>,
    /// What is allowed.
    pub permission: Option<String>,
}

/// A permission on a registered model, as clients of 2.x ask for it.
#[derive(Debug, Deserialize)]
pub struct RegisteredModelPermissionRequest {
    /// The model.
    pub name: Option<String>,
    /// The user.
    pub username: Option<String>,
    /// What is allowed.
    pub permission: Option<String>,
}

/// A permission on an experiment.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentPermission {
    /// The experiment.
    pub experiment_id: String,
    /// The user's number.
    pub user_id: i64,
    /// What is allowed.
    pub permission: String,
}

/// A permission on a registered model.
#[derive(Debug, Clone, Serialize)]
pub struct RegisteredModelPermission {
    /// The model.
    pub name: String,
    /// The user's number.
    pub user_id: i64,
    /// What is allowed.
    pub permission: String,
}

/// A permission on an experiment in a reply.
#[derive(Debug, Serialize)]
pub struct ExperimentPermissionReply {
    /// It.
    pub experiment_permission: ExperimentPermission,
}

/// A permission on a registered model in a reply.
#[derive(Debug, Serialize)]
pub struct RegisteredModelPermissionReply {
    /// It.
    pub registered_model_permission: RegisteredModelPermission,
}
