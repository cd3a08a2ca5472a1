//! Users, what they may do with Lathe's own API, and their tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{InputError, Millis};

/// What a user may do with Lathe's own API; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks at everything that is not private, asks models for predictions.
    Viewer,
    /// Runs pipelines, registers, judges, deploys what passed its gate, rolls back.
    Editor,
    /// Approves; deploys what no gate passed.
    Approver,
    /// Also users, tokens of others, roles, the audit log.
    Admin,
}

impl Role {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        [Self::Viewer, Self::Editor, Self::Approver, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InputError::invalid("role", text, "it is viewer, editor, approver or admin"))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a token may be used for, at most; its user's own rights bound it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Looking.
    Read,
    /// Looking and changing.
    Write,
    /// Asking models for predictions.
    Inference,
    /// Users, tokens, roles, permissions, the audit log.
    Admin,
}

impl Scope {
    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "inference" => Ok(Self::Inference),
            "admin" => Ok(Self::Admin),
            _ => Err(InputError::invalid(
                "scopes",
                text,
                "a scope is read, write, inference or admin",
            )),
        }
    }
}

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub username: String,
    /// Whether every check passes.
    pub is_admin: bool,
    /// Its role in Lathe's own API.
    pub role: Role,
    /// Whether it has a password, or only tokens.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Millis,
}

/// What is checked of a user's name.
pub fn check_username(name: &str) -> Result<(), InputError> {
    let printable = name
        .chars()
        .all(|c| !c.is_control() && c != ':' && !c.is_whitespace());
    if name.is_empty() {
        return Err(InputError::invalid("username", name, "it cannot be empty"));
    }
    if 250 < name.len() || !printable || name.starts_with("__") {
        return Err(InputError::invalid(
            "username",
            name,
            "it has at most 250 bytes, no blank, no `:`, and does not begin with `__`",
        ));
    }
    Ok(())
}

/// Characters that a password has at least.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// What is checked of a password. It is never part of the message.
pub fn check_password(password: &str) -> Result<(), InputError> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(InputError::invalid(
            "password",
            "…",
            "it must be at least 12 characters long",
        ));
    }
    if 1_024 < password.len() {
        return Err(InputError::invalid(
            "password",
            "…",
            "it must be at most 1024 bytes long",
        ));
    }
    Ok(())
}

/// A token as its owner sees it later: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub username: String,
    /// What its owner calls it.
    pub name: String,
    /// `personal`, `service` or `session`.
    pub kind: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Millis,
    /// From when on it is refused; never if absent.
    pub expires_at: Option<Millis>,
}
