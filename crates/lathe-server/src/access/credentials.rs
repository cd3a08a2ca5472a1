//! From the headers of a request to who sends it: HTTP Basic, a bearer token, or the cookie of the page.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lathe_store::Account;
use lathe_types::ErrorKind;
use lathe_types::users::{Role, Token};
use sha2::{Digest, Sha256};

use super::door::Door;
use super::identity::{Identity, Source, Via};
use crate::{ApiError, AppState};

/// Every token begins like this, so that leaked ones can be found by their look.
pub(crate) const TOKEN_PREFIX: &str = "lathe_";
/// The cookie of the page's session.
pub(crate) const COOKIE: &str = "lathe_session";
/// A name and a password are shorter than this.
const HEADER_BYTES_MAX: usize = 4_096;

/// What a request shows of who sends it.
enum Shown {
    Nothing,
    Password { name: String, password: String },
    Token { secret: String, via: Via },
}

/// Who sends this request; nobody if it shows nothing.
pub(super) async fn identify(
    state: &AppState,
    door: &Door,
    request_headers: &HeaderMap,
    source: &Source,
) -> Result<Option<Identity>, ApiError> {
    match shown(request_headers)? {
        Shown::Nothing => Ok(None),
        Shown::Token { secret, via } => by_token(state, door, &secret, via, source).await.map(Some),
        Shown::Password { name, password } => {
            by_password(state, door, name, password, source).await.map(Some)
        }
    }
}

fn shown(headers: &HeaderMap) -> Result<Shown, ApiError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().ok().filter(|text| text.len() <= HEADER_BYTES_MAX);
        let (scheme, rest) = text
            .and_then(|text| text.split_once(' '))
            .ok_or_else(unreadable)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Shown::Token {
                secret: rest.trim().to_owned(),
                via: Via::Token,
            });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(unreadable());
        }
        let decoded = STANDARD.decode(rest.trim()).map_err(|_| unreadable())?;
        let decoded = String::from_utf8(decoded).map_err(|_| unreadable())?;
        let (name, password) = decoded.split_once(':').ok_or_else(unreadable)?;
        // A token is taken where a client only knows names and passwords.
        if password.starts_with(TOKEN_PREFIX) {
            return Ok(Shown::Token {
                secret: password.to_owned(),
                via: Via::Token,
            });
        }
        return Ok(Shown::Password {
            name: name.to_owned(),
            password: password.to_owned(),
        });
    }
    Ok(match cookie(headers) {
        Some(secret) => Shown::Token {
            secret,
            via: Via::Session,
        },
        None => Shown::Nothing,
    })
}

fn unreadable() -> ApiError {
    ApiError::new(
        ErrorKind::Unauthenticated,
        "the header `Authorization` is neither `Basic` with a name and a password nor `Bearer` with a token",
    )
}

/// The session that the page's cookie names.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then(|| value.to_owned())
    })
}

async fn by_token(
    state: &AppState,
    door: &Door,
    secret: &str,
    via: Via,
    source: &Source,
) -> Result<Identity, ApiError> {
    // Digests of equal length: the comparison takes the same time wherever they differ.
    if via == Via::Token && same(secret, door.internal_token()) {
        return Ok(Identity::trusted("lathe"));
    }
    let now = Instant::now();
    if let Some(wait) = door.throttle.wait(&source.address, "token", now) {
        return Err(too_many(wait));
    }
    let found = state
        .store
        .find_token(token_digest(secret), (state.options.now)())
        .await?;
    // A cookie is a session, and a session is only a cookie.
    let found = found.filter(|(token, _)| (token.kind == "session") == (via == Via::Session));
    let account = match &found {
        Some((_, user)) => account_of(state, door, Who::Number(*user)).await?,
        None => None,
    };
    let (Some((token, _)), Some(account)) = (found, account) else {
        if via == Via::Token {
            door.throttle.failed(&source.address, "token", now);
        }
        return Err(ApiError::new(
            ErrorKind::Unauthenticated,
            "the token is not known, was revoked or has expired; make one with `lathe token create`",
        ));
    };
    Ok(identity(account, Some(token), via))
}

async fn by_password(
    state: &AppState,
    door: &Door,
    name: String,
    password: String,
    source: &Source,
) -> Result<Identity, ApiError> {
    let now = Instant::now();
    let account = account_of(state, door, Who::Name(&name)).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let digest = credentials_digest(door, &name, &password);
    let known = hash
        .as_ref()
        .is_some_and(|hash| door.was_checked(&digest, hash, now));
    if !known {
        if let Some(wait) = door.throttle.wait(&source.address, &name, now) {
            return Err(too_many(wait));
        }
        if !door.hasher.verify(password, hash.clone()).await? {
            door.throttle.failed(&source.address, &name, now);
            return Err(ApiError::new(
                ErrorKind::Unauthenticated,
                "the name or the password is wrong",
            ));
        }
        if let Some(hash) = hash {
            door.set_checked(digest, hash, now);
        }
    }
    match account {
        Some(account) => Ok(identity(account, None, Via::Password)),
        // Nothing matches where there is no hash.
        None => Err(unreadable()),
    }
}

/// Checks name and password for a session of the page.
pub(crate) async fn log_in(
    state: &AppState,
    door: &Door,
    name: String,
    password: String,
    source: &Source,
) -> Result<Identity, ApiError> {
    by_password(state, door, name, password, source).await
}

fn too_many(wait: std::time::Duration) -> ApiError {
    ApiError::new(
        ErrorKind::Exhausted,
        format!("too many failed logins; try again in {} s", wait.as_secs().max(1)),
    )
}

fn identity(account: Account, token: Option<Token>, via: Via) -> Identity {
    let user = account.user;
    let role = if user.is_admin { Role::Admin } else { user.role };
    Identity {
        user: Some(user.id),
        name: user.username,
        is_admin: user.is_admin,
        role,
        scopes: token.filter(|_| via == Via::Token).map(|token| token.scopes),
        grants: account.grants,
        via,
    }
}

enum Who<'a> {
    Name(&'a str),
    Number(i64),
}

async fn account_of(state: &AppState, door: &Door, who: Who<'_>) -> Result<Option<Account>, ApiError> {
    let now = Instant::now();
    let key = match who {
        Who::Name(name) if 300 < name.len() => return Ok(None),
        Who::Name(name) => format!("={name}"),
        Who::Number(number) => format!("#{number}"),
    };
    if let Some(account) = door.remembered(&key, now) {
        return Ok(account);
    }
    let found = match who {
        Who::Number(id) => state.store.find_account_by_id(id).await?,
        Who::Name(name) => state.store.find_account(name.to_owned()).await?,
    };
    door.remember(key, found.clone(), now);
    Ok(found)
}

/// What is stored of a token. It has 244 random bits, so that no slow hash is needed.
pub(crate) fn token_digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn credentials_digest(door: &Door, name: &str, password: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [door.salt.as_str(), name, password] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one.as_bytes()), Sha256::digest(other.as_bytes()));
    one.iter()
        .zip(other.iter())
        .fold(0, |different, (a, b)| different | (a ^ b))
        == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a browser's own code asks, which shows its own login instead of the browser's.
pub(super) fn is_page(request: &Request) -> bool {
    let mode = request.headers().get("sec-fetch-mode");
    mode.is_some_and(|mode| mode != "navigate")
}
