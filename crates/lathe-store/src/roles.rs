//! MLflow's roles: named bundles of permissions. What a user is granted directly is a role of its own, `__user_N__`.

use lathe_types::access::{Grant, Permission};

use crate::{Error, Result, Row, Store, Tx, users};

/// The only workspace that holds anything here; roles of others are kept and decide nothing.
pub const DEFAULT_WORKSPACE: &str = "default";

/// A bundle of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRole {
    /// Its number.
    pub id: i64,
    /// Where it counts.
    pub workspace: String,
    /// Its name there.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it allows.
    pub permissions: Vec<RolePermission>,
}

/// A permission in a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePermission {
    /// Its number.
    pub id: i64,
    /// The role's number.
    pub role_id: i64,
    /// On which kind of thing.
    pub resource_type: String,
    /// Which of them: an id, a name, or `*`.
    pub pattern: String,
    /// What is allowed.
    pub permission: String,
}

/// A role that a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its number.
    pub id: i64,
    /// The user's number.
    pub user_id: i64,
    /// The role's number.
    pub role_id: i64,
}

impl Store {
    /// Creates a role; its name must be free in the workspace.
    pub async fn create_role(
        &self,
        workspace: String,
        name: String,
        description: Option<String>,
    ) -> Result<AccessRole> {
        self.write(move |tx| {
            name_is_free(tx, &workspace, &name)?;
            let id = insert(tx, &workspace, &name, description.as_deref())?;
            get(tx, id)
        })
        .await
    }

    /// The role of this number.
    pub async fn get_role(&self, id: i64) -> Result<AccessRole> {
        self.read(move |tx| get(tx, id)).await
    }

    /// The roles of these workspaces, or of all; not those that stand for one user.
    pub async fn list_roles(&self, workspaces: Vec<String>) -> Result<Vec<AccessRole>> {
        self.read(move |tx| {
            let ids = tx.query(
                "SELECT role_no, workspace FROM roles WHERE SUBSTR(name, 1, 7) <> '__user_' ORDER BY role_no",
                &[],
                |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
            )?;
            let wanted = ids
                .into_iter()
                .filter(|(_, workspace)| workspaces.is_empty() || workspaces.contains(workspace));
            wanted.map(|(id, _)| get(tx, id)).collect()
        })
        .await
    }

    /// Renames a role or describes it anew.
    pub async fn update_role(
        &self,
        id: i64,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<AccessRole> {
        self.write(move |tx| {
            let role = get(tx, id)?;
            if let Some(name) = name.filter(|name| *name != role.name) {
                name_is_free(tx, &role.workspace, &name)?;
                tx.execute(
                    "UPDATE roles SET name = ?2 WHERE role_no = ?1",
                    &[id.into(), name.into()],
                )?;
            }
            if let Some(description) = description {
                tx.execute(
                    "UPDATE roles SET description = ?2 WHERE role_no = ?1",
                    &[id.into(), description.into()],
                )?;
            }
            get(tx, id)
        })
        .await
    }

    /// Removes a role with its permissions, from everybody who has it.
    pub async fn delete_role(&self, id: i64) -> Result<()> {
        self.write(move |tx| {
            get(tx, id)?;
            delete(tx, id)
        })
        .await
    }

    /// Adds a permission to a role.
    pub async fn add_role_permission(&self, id: i64, grant: Grant) -> Result<RolePermission> {
        self.write(move |tx| {
            get(tx, id)?;
            let resource = grant.resource.as_str();
            let made = tx.query_opt(
                "INSERT INTO role_permissions (role_no, resource_type, pattern, permission) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (role_no, resource_type, pattern) DO NOTHING
                 RETURNING permission_no, role_no, resource_type, pattern, permission",
                &[
                    id.into(),
                    resource.into(),
                    (&grant.pattern).into(),
                    grant.permission.as_str().into(),
                ],
                permission,
            )?;
            made.ok_or_else(|| Error::AlreadyExists {
                noun: "role permission",
                id: format!("{resource}/{} of role {id}", grant.pattern),
            })
        })
        .await
    }

    /// The permission of this number.
    pub async fn get_role_permission(&self, id: i64) -> Result<RolePermission> {
        self.read(move |tx| get_permission(tx, id)).await
    }

    /// Changes what a permission allows.
    pub async fn update_role_permission(&self, id: i64, level: Permission) -> Result<RolePermission> {
        self.write(move |tx| {
            get_permission(tx, id)?;
            tx.execute(
                "UPDATE role_permissions SET permission = ?2 WHERE permission_no = ?1",
                &[id.into(), level.as_str().into()],
            )?;
            get_permission(tx, id)
        })
        .await
    }

    /// Takes a permission out of its role.
    pub async fn remove_role_permission(&self, id: i64) -> Result<()> {
        self.write(move |tx| {
            get_permission(tx, id)?;
            tx.execute(
                "DELETE FROM role_permissions WHERE permission_no = ?1",
                &[id.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Gives a user a role.
    pub async fn assign_role(&self, username: String, role: i64) -> Result<RoleAssignment> {
        self.write(move |tx| {
            let user = users::get(tx, &username)?;
            let role = get(tx, role)?;
            let made = tx.query_opt(
                "INSERT INTO user_roles (user_no, role_no) VALUES (?1, ?2)
                 ON CONFLICT (user_no, role_no) DO NOTHING RETURNING assignment_no, user_no, role_no",
                &[user.id.into(), role.id.into()],
                assignment,
            )?;
            made.ok_or_else(|| Error::AlreadyExists {
                noun: "role assignment",
                id: format!("{} of {username}", role.name),
            })
        })
        .await
    }

    /// Takes a role from a user.
    pub async fn unassign_role(&self, username: String, role: i64) -> Result<()> {
        self.write(move |tx| {
            let user = users::get(tx, &username)?;
            let gone = tx.execute(
                "DELETE FROM user_roles WHERE user_no = ?1 AND role_no = ?2",
                &[user.id.into(), role.into()],
            )?;
            match gone {
                0 => Err(Error::NotFound {
                    noun: "role assignment",
                    id: format!("{role} of {username}"),
                }),
                _ => Ok(()),
            }
        })
        .await
    }

    /// The roles that a user has, its own among them.
    pub async fn list_user_roles(&self, username: String) -> Result<Vec<AccessRole>> {
        self.read(move |tx| {
            let user = users::get(tx, &username)?;
            roles_of(tx, user.id)
        })
        .await
    }

    /// Who has a role.
    pub async fn list_role_users(&self, role: i64) -> Result<Vec<RoleAssignment>> {
        self.read(move |tx| {
            get(tx, role)?;
            tx.query(
                "SELECT assignment_no, user_no, role_no FROM user_roles WHERE role_no = ?1 ORDER BY assignment_no",
                &[role.into()],
                assignment,
            )
        })
        .await
    }

    /// Grants a user a permission directly. If `replace` is false, it must not hold one on that thing yet.
    pub async fn grant_permission(&self, username: String, grant: Grant, replace: bool) -> Result<i64> {
        self.write(move |tx| {
            let user = users::get(tx, &username)?;
            let resource = grant.resource.as_str();
            if !replace && find_direct(tx, user.id, resource, &grant.pattern)?.is_some() {
                return Err(Error::AlreadyExists {
                    noun: "permission",
                    id: format!("{resource}/{} of {username}", grant.pattern),
                });
            }
            set_direct(tx, user.id, resource, &grant.pattern, grant.permission)?;
            Ok(user.id)
        })
        .await
    }

    /// Takes back what a user was granted directly on one thing.
    pub async fn revoke_permission(&self, username: String, resource: String, pattern: String) -> Result<()> {
        self.write(move |tx| {
            let user = users::get(tx, &username)?;
            let found = find_direct(tx, user.id, &resource, &pattern)?;
            let Some(found) = found else {
                return Err(no_permission(&resource, &pattern, &username));
            };
            tx.execute(
                "DELETE FROM role_permissions WHERE permission_no = ?1",
                &[found.id.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// What a user was granted directly on one thing, with the user's number.
    pub async fn get_direct_permission(
        &self,
        username: String,
        resource: String,
        pattern: String,
    ) -> Result<(i64, RolePermission)> {
        self.read(move |tx| {
            let user = users::get(tx, &username)?;
            let found = find_direct(tx, user.id, &resource, &pattern)?;
            found
                .map(|found| (user.id, found))
                .ok_or_else(|| no_permission(&resource, &pattern, &username))
        })
        .await
    }
}

fn no_permission(resource: &str, pattern: &str, username: &str) -> Error {
    let (noun, key) = match resource {
        "experiment" => ("Experiment permission", "experiment_id"),
        "registered_model" => ("Registered model permission", "name"),
        other => ("permission", other),
    };
    Error::NotFound {
        noun,
        id: format!("{key}={pattern} and username={username}"),
    }
}

fn direct_role_name(user: i64) -> String {
    format!("__user_{user}__")
}

/// Sets what a user is granted directly on one thing.
pub(crate) fn set_direct(
    tx: &Tx<'_>,
    user: i64,
    resource: &str,
    pattern: &str,
    level: Permission,
) -> Result<()> {
    let name = direct_role_name(user);
    let found = tx.query_opt(
        "SELECT role_no FROM roles WHERE workspace = ?1 AND name = ?2",
        &[DEFAULT_WORKSPACE.into(), (&name).into()],
        |row| row.get::<i64>(0),
    )?;
    let role = match found {
        Some(role) => role,
        None => {
            let role = insert(tx, DEFAULT_WORKSPACE, &name, None)?;
            tx.execute(
                "INSERT INTO user_roles (user_no, role_no) VALUES (?1, ?2)",
                &[user.into(), role.into()],
            )?;
            role
        }
    };
    tx.execute(
        "INSERT INTO role_permissions (role_no, resource_type, pattern, permission) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (role_no, resource_type, pattern) DO UPDATE SET permission = excluded.permission",
        &[
            role.into(),
            resource.into(),
            pattern.into(),
            level.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Forgets every grant on a thing that is named by its name, which may be given to another thing later.
pub(crate) fn forget(tx: &Tx<'_>, resource: &str, name: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM role_permissions WHERE resource_type = ?1 AND pattern = ?2",
        &[resource.into(), name.into()],
    )?;
    Ok(())
}

/// Lets the grants on a thing follow its new name.
pub(crate) fn rename(tx: &Tx<'_>, resource: &str, from: &str, to: &str) -> Result<()> {
    forget(tx, resource, to)?;
    tx.execute(
        "UPDATE role_permissions SET pattern = ?3 WHERE resource_type = ?1 AND pattern = ?2",
        &[resource.into(), from.into(), to.into()],
    )?;
    Ok(())
}

/// Removes the role that stands for a user.
pub(crate) fn delete_direct_role(tx: &Tx<'_>, user: i64) -> Result<()> {
    let found = tx.query_opt(
        "SELECT role_no FROM roles WHERE workspace = ?1 AND name = ?2",
        &[DEFAULT_WORKSPACE.into(), direct_role_name(user).into()],
        |row| row.get::<i64>(0),
    )?;
    found.map_or(Ok(()), |role| delete(tx, role))
}

fn delete(tx: &Tx<'_>, role: i64) -> Result<()> {
    tx.execute("DELETE FROM role_permissions WHERE role_no = ?1", &[role.into()])?;
    tx.execute("DELETE FROM user_roles WHERE role_no = ?1", &[role.into()])?;
    tx.execute("DELETE FROM roles WHERE role_no = ?1", &[role.into()])?;
    Ok(())
}

fn find_direct(tx: &Tx<'_>, user: i64, resource: &str, pattern: &str) -> Result<Option<RolePermission>> {
    tx.query_opt(
        "SELECT p.permission_no, p.role_no, p.resource_type, p.pattern, p.permission FROM role_permissions AS p
         JOIN roles AS r ON r.role_no = p.role_no
         WHERE r.workspace = ?1 AND r.name = ?2 AND p.resource_type = ?3 AND p.pattern = ?4",
        &[
            DEFAULT_WORKSPACE.into(),
            direct_role_name(user).into(),
            resource.into(),
            pattern.into(),
        ],
        permission,
    )
}

fn insert(tx: &Tx<'_>, workspace: &str, name: &str, description: Option<&str>) -> Result<i64> {
    let made = tx.query_opt(
        "INSERT INTO roles (workspace, name, description) VALUES (?1, ?2, ?3) RETURNING role_no",
        &[workspace.into(), name.into(), description.into()],
        |row| row.get(0),
    )?;
    Ok(made.expect("an insert that returns has a row"))
}

fn name_is_free(tx: &Tx<'_>, workspace: &str, name: &str) -> Result<()> {
    if name.starts_with("__user_") {
        return Err(Error::Invalid {
            message: format!(
                "the role name `{name}` begins with `__user_`, which stands for single users; choose another"
            ),
        });
    }
    let taken = tx.query_opt(
        "SELECT 1 FROM roles WHERE workspace = ?1 AND name = ?2",
        &[workspace.into(), name.into()],
        |_| Ok(()),
    )?;
    match taken {
        None => Ok(()),
        Some(()) => Err(Error::AlreadyExists {
            noun: "role",
            id: name.to_owned(),
        }),
    }
}

fn get(tx: &Tx<'_>, id: i64) -> Result<AccessRole> {
    let found = tx.query_opt(
        "SELECT role_no, workspace, name, description FROM roles WHERE role_no = ?1",
        &[id.into()],
        |row| {
            Ok(AccessRole {
                id: row.get(0)?,
                workspace: row.get(1)?,
                name: row.get(2)?,
                description: row.get(3)?,
                permissions: Vec::new(),
            })
        },
    )?;
    let mut role = found.ok_or_else(|| Error::NotFound {
        noun: "role",
        id: id.to_string(),
    })?;
    role.permissions = tx.query(
        "SELECT permission_no, role_no, resource_type, pattern, permission FROM role_permissions
         WHERE role_no = ?1 ORDER BY permission_no",
        &[id.into()],
        permission,
    )?;
    Ok(role)
}

fn roles_of(tx: &Tx<'_>, user: i64) -> Result<Vec<AccessRole>> {
    let ids = tx.query(
        "SELECT role_no FROM user_roles WHERE user_no = ?1 ORDER BY role_no",
        &[user.into()],
        |row| row.get::<i64>(0),
    )?;
    ids.into_iter().map(|id| get(tx, id)).collect()
}

fn get_permission(tx: &Tx<'_>, id: i64) -> Result<RolePermission> {
    let found = tx.query_opt(
        "SELECT permission_no, role_no, resource_type, pattern, permission FROM role_permissions
         WHERE permission_no = ?1",
        &[id.into()],
        permission,
    )?;
    found.ok_or_else(|| Error::NotFound {
        noun: "role permission",
        id: id.to_string(),
    })
}

fn permission(row: &Row<'_>) -> Result<RolePermission> {
    Ok(RolePermission {
        id: row.get(0)?,
        role_id: row.get(1)?,
        resource_type: row.get(2)?,
        pattern: row.get(3)?,
        permission: row.get(4)?,
    })
}

fn assignment(row: &Row<'_>) -> Result<RoleAssignment> {
    Ok(RoleAssignment {
        id: row.get(0)?,
        user_id: row.get(1)?,
        role_id: row.get(2)?,
    })
}
