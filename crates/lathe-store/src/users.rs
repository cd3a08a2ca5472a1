//! Users. Their passwords come here hashed and never leave again but to be compared.

use lathe_types::Millis;
use lathe_types::access::{Grant, Permission, Resource};
use lathe_types::users::{Role, User};

use crate::{Error, Result, Row, Store, Tx, roles};

const COLUMNS: &str = "SELECT user_no, username, is_admin, role, password_hash, created_at FROM users";

/// A user with what is needed to let it in and to decide what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub user: User,
    /// What its password is compared with.
    pub password_hash: Option<String>,
    /// What it holds on all of a kind; grants on single things are looked up when they are needed.
    pub grants: Vec<Grant>,
}

/// What may be changed about a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// A new password, hashed.
    pub password_hash: Option<String>,
    /// Whether every check passes.
    pub is_admin: Option<bool>,
    /// Its role in Lathe's own API.
    pub role: Option<Role>,
}

impl Store {
    /// Creates a user; its name must be free.
    pub async fn create_user(
        &self,
        username: String,
        password_hash: Option<String>,
        is_admin: bool,
        role: Role,
        now: Millis,
    ) -> Result<User> {
        self.write(move |tx| {
            if find(tx, &username)?.is_some() {
                return Err(Error::AlreadyExists {
                    noun: "user",
                    id: username,
                });
            }
            tx.execute(
                "INSERT INTO users (username, password_hash, is_admin, role, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                &[
                    (&username).into(),
                    password_hash.into(),
                    is_admin.into(),
                    role.as_str().into(),
                    now.0.into(),
                ],
            )?;
            get(tx, &username)
        })
        .await
    }

    /// Creates a user unless there is one already; says whether it did. Two servers that start at once make one.
    pub async fn create_first_user(
        &self,
        username: String,
        password_hash: String,
        now: Millis,
    ) -> Result<bool> {
        self.write(move |tx| {
            let taken = tx.query_opt("SELECT 1 FROM users WHERE is_admin = 1 LIMIT 1", &[], |_| Ok(()))?;
            if taken.is_some() {
                return Ok(false);
            }
            tx.execute(
                "INSERT INTO users (username, password_hash, is_admin, role, created_at)
                 VALUES (?1, ?2, 1, 'admin', ?3)
                 ON CONFLICT (username) DO UPDATE SET is_admin = 1, role = 'admin',
                 password_hash = excluded.password_hash",
                &[(&username).into(), password_hash.into(), now.0.into()],
            )?;
            Ok(true)
        })
        .await
    }

    /// Whether anybody could log in as an administrator.
    pub async fn has_admin(&self) -> Result<bool> {
        self.read(|tx| {
            let found = tx.query_opt("SELECT 1 FROM users WHERE is_admin = 1 LIMIT 1", &[], |_| Ok(()))?;
            Ok(found.is_some())
        })
        .await
    }

    /// The user of this name.
    pub async fn get_user(&self, username: String) -> Result<User> {
        self.read(move |tx| get(tx, &username)).await
    }

    /// Every user, by name.
    pub async fn list_users(&self) -> Result<Vec<User>> {
        self.read(|tx| tx.query(&format!("{COLUMNS} ORDER BY username"), &[], user))
            .await
    }

    /// The user of this name, to let it in.
    pub async fn find_account(&self, username: String) -> Result<Option<Account>> {
        self.read(move |tx| account(tx, "username = ?1", username.into()))
            .await
    }

    /// The user of this number, to let it in.
    pub async fn find_account_by_id(&self, id: i64) -> Result<Option<Account>> {
        self.read(move |tx| account(tx, "user_no = ?1", id.into())).await
    }

    /// Changes a user. The last administrator stays one.
    pub async fn change_user(&self, username: String, change: UserChange) -> Result<User> {
        self.write(move |tx| {
            let user = get(tx, &username)?;
            let demoted = change.is_admin == Some(false) && user.is_admin;
            if demoted {
                another_admin(tx, &user)?;
            }
            // Who is an administrator there is one here, and the other way round.
            let is_admin = change
                .is_admin
                .or(change.role.map(|role| role == Role::Admin))
                .unwrap_or(user.is_admin);
            let role = match (change.role, is_admin, user.role) {
                (_, true, _) => Role::Admin,
                (Some(role), false, _) => role,
                (None, false, Role::Admin) => Role::Viewer,
                (None, false, role) => role,
            };
            if user.is_admin && !is_admin {
                another_admin(tx, &user)?;
            }
            tx.execute(
                "UPDATE users SET is_admin = ?2, role = ?3, password_hash = COALESCE(CAST(?4 AS TEXT), password_hash)
                 WHERE user_no = ?1",
                &[
                    user.id.into(),
                    is_admin.into(),
                    role.as_str().into(),
                    change.password_hash.clone().into(),
                ],
            )?;
            if change.password_hash.is_some() {
                // Whoever knew the old password is out.
                tx.execute(
                    "DELETE FROM tokens WHERE user_no = ?1 AND kind = 'session'",
                    &[user.id.into()],
                )?;
            }
            get(tx, &username)
        })
        .await
    }

    /// Removes a user with its tokens and what it was granted. The last administrator stays.
    pub async fn delete_user(&self, username: String) -> Result<()> {
        self.write(move |tx| {
            let user = get(tx, &username)?;
            if user.is_admin {
                another_admin(tx, &user)?;
            }
            roles::delete_direct_role(tx, user.id)?;
            tx.execute("DELETE FROM tokens WHERE user_no = ?1", &[user.id.into()])?;
            tx.execute("DELETE FROM user_roles WHERE user_no = ?1", &[user.id.into()])?;
            tx.execute("DELETE FROM users WHERE user_no = ?1", &[user.id.into()])?;
            Ok(())
        })
        .await
    }
}

fn another_admin(tx: &Tx<'_>, user: &User) -> Result<()> {
    let other = tx.query_opt(
        "SELECT 1 FROM users WHERE is_admin = 1 AND user_no <> ?1 LIMIT 1",
        &[user.id.into()],
        |_| Ok(()),
    )?;
    match other {
        Some(()) => Ok(()),
        None => Err(Error::Invalid {
            message: format!(
                "`{}` is the only administrator; make another user one first",
                user.username
            ),
        }),
    }
}

/// The user of this name.
pub(crate) fn get(tx: &Tx<'_>, username: &str) -> Result<User> {
    find(tx, username)?.ok_or_else(|| Error::NotFound {
        noun: "user",
        id: username.to_owned(),
    })
}

fn find(tx: &Tx<'_>, username: &str) -> Result<Option<User>> {
    tx.query_opt(
        &format!("{COLUMNS} WHERE username = ?1"),
        &[username.into()],
        user,
    )
}

fn account(tx: &Tx<'_>, which: &str, value: crate::Value) -> Result<Option<Account>> {
    let found = tx.query_opt(&format!("{COLUMNS} WHERE {which}"), &[value], |row| {
        Ok((user(row)?, row.get::<Option<String>>(4)?))
    })?;
    let Some((user, password_hash)) = found else {
        return Ok(None);
    };
    let grants = tx.query(
        "SELECT p.resource_type, p.permission FROM role_permissions AS p
         JOIN user_roles AS u ON u.role_no = p.role_no WHERE u.user_no = ?1 AND p.pattern = '*'",
        &[user.id.into()],
        |row| grant(row.get(0)?, "*", row.get(1)?),
    )?;
    Ok(Some(Account {
        user,
        password_hash,
        grants,
    }))
}

/// A stored grant.
pub(crate) fn grant(resource: String, pattern: &str, permission: String) -> Result<Grant> {
    let unreadable = |error: lathe_types::InputError| Error::Invalid {
        message: format!("a stored permission cannot be read: {error}"),
    };
    Ok(Grant {
        resource: Resource::parse(&resource).map_err(unreadable)?,
        pattern: pattern.to_owned(),
        permission: Permission::parse(&permission).map_err(unreadable)?,
    })
}

/// Reads the columns `COLUMNS`.
fn user(row: &Row<'_>) -> Result<User> {
    let role: String = row.get(3)?;
    Ok(User {
        id: row.get(0)?,
        username: row.get(1)?,
        is_admin: row.get::<i64>(2)? != 0,
        role: Role::parse(&role).map_err(|error| Error::Invalid {
            message: format!("a stored role cannot be read: {error}"),
        })?,
        has_password: row.get::<Option<String>>(4)?.is_some(),
        created_at: Millis(row.get(5)?),
    })
}
