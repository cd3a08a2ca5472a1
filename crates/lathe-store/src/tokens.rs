//! Tokens of users: for programs, for services, and for the sessions of the page. Only their digests are kept.

use lathe_types::Millis;
use lathe_types::users::{Scope, Token};

use crate::{Error, Result, Row, Store, Tx, json, users};

const COLUMNS: &str =
    "SELECT t.token_no, u.username, t.name, t.kind, t.scopes, t.created_at, t.expires_at, t.user_no
                       FROM tokens AS t JOIN users AS u ON u.user_no = t.user_no";
/// Tokens of one kind that a user has at most; of sessions the oldest make room.
const TOKENS_MAX: usize = 100;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Whose it is.
    pub username: String,
    /// What its owner calls it.
    pub name: String,
    /// `personal`, `service` or `session`.
    pub kind: String,
    /// The digest of the token.
    pub digest: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// From when on it is refused.
    pub expires_at: Option<Millis>,
}

impl Store {
    /// Makes a token, and clears away what has expired.
    pub async fn create_token(&self, new: NewToken, now: Millis) -> Result<Token> {
        self.write(move |tx| {
            let user = users::get(tx, &new.username)?;
            tx.execute("DELETE FROM tokens WHERE expires_at <= ?1", &[now.0.into()])?;
            make_room(tx, user.id, &new.kind)?;
            let id: Option<i64> = tx.query_opt(
                "INSERT INTO tokens (user_no, name, kind, digest, scopes, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING token_no",
                &[
                    user.id.into(),
                    (&new.name).into(),
                    (&new.kind).into(),
                    (&new.digest).into(),
                    json::text(&new.scopes),
                    now.0.into(),
                    new.expires_at.map(|at| at.0).into(),
                ],
                |row| row.get(0),
            )?;
            let id = id.expect("an insert that returns has a row");
            let found = tx.query_opt(&format!("{COLUMNS} WHERE t.token_no = ?1"), &[id.into()], token)?;
            found.map(|(token, _)| token).ok_or(Error::Closed)
        })
        .await
    }

    /// The token with this digest and the number of its user, unless it has expired.
    pub async fn find_token(&self, digest: String, now: Millis) -> Result<Option<(Token, i64)>> {
        self.read(move |tx| {
            let found = tx.query_opt(&format!("{COLUMNS} WHERE t.digest = ?1"), &[digest.into()], token)?;
            Ok(found.filter(|(token, _)| token.expires_at.is_none_or(|end| now < end)))
        })
        .await
    }

    /// The tokens of a user, or of all; the newest first. Sessions are not shown.
    pub async fn list_tokens(&self, username: Option<String>, now: Millis) -> Result<Vec<Token>> {
        self.read(move |tx| {
            let sql = format!(
                "{COLUMNS} WHERE t.kind <> 'session' AND (CAST(?1 AS TEXT) IS NULL OR u.username = ?1)
                 ORDER BY t.token_no DESC LIMIT 10000"
            );
            let found = tx.query(&sql, &[username.into()], token)?;
            let valid = found.into_iter().map(|(token, _)| token);
            Ok(valid
                .filter(|token| token.expires_at.is_none_or(|end| now < end))
                .collect())
        })
        .await
    }

    /// The token of this number.
    pub async fn get_token(&self, id: i64) -> Result<Token> {
        self.read(move |tx| {
            let found = tx.query_opt(&format!("{COLUMNS} WHERE t.token_no = ?1"), &[id.into()], token)?;
            found.map(|(token, _)| token).ok_or_else(|| no_token(id))
        })
        .await
    }

    /// Makes a token useless at once.
    pub async fn revoke_token(&self, id: i64) -> Result<()> {
        self.write(
            move |tx| match tx.execute("DELETE FROM tokens WHERE token_no = ?1", &[id.into()])? {
                0 => Err(no_token(id)),
                _ => Ok(()),
            },
        )
        .await
    }
}

fn make_room(tx: &Tx<'_>, user: i64, kind: &str) -> Result<()> {
    let held = tx.query(
        "SELECT token_no FROM tokens WHERE user_no = ?1 AND kind = ?2 ORDER BY token_no",
        &[user.into(), kind.into()],
        |row| row.get::<i64>(0),
    )?;
    match held.first() {
        Some(oldest) if TOKENS_MAX <= held.len() && kind == "session" => {
            tx.execute("DELETE FROM tokens WHERE token_no = ?1", &[(*oldest).into()])?;
            Ok(())
        }
        Some(_) if TOKENS_MAX <= held.len() => Err(Error::Invalid {
            message: format!("{TOKENS_MAX} tokens are as many as a user can have; revoke one first"),
        }),
        _ => Ok(()),
    }
}

fn no_token(id: i64) -> Error {
    Error::NotFound {
        noun: "token",
        id: id.to_string(),
    }
}

fn token(row: &Row<'_>) -> Result<(Token, i64)> {
    let token = Token {
        id: row.get(0)?,
        username: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        scopes: json::column(row, 4, "token")?,
        created_at: Millis(row.get(5)?),
        expires_at: row.get::<Option<i64>>(6)?.map(Millis),
    };
    Ok((token, row.get(7)?))
}
