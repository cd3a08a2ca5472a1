//! Sessions of the page, users with their roles, tokens.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch};
use axum::{Json, Router};
use lathe_store::{NewToken, UserChange};
use lathe_types::users::{Role, Scope, Token, User, check_password, check_username};
use lathe_types::{ErrorKind, InputError, Millis, Span, required};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::{
    COOKIE, Login, Sender, TOKEN_PREFIX, Via, cookie, hasher, log_in, new_secret, record_login, token_digest,
};
use crate::mlflow::Message;
use crate::path::Path;
use crate::{ApiError, AppState};

/// For how long a login of the page is good.
const SESSION_MS: i64 = 12 * 3_600 * 1_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/session", get(who_am_i).post(log_in_page).delete(log_out))
        .route("/users", get(list_users).post(create_user))
        .route("/users/{name}", patch(change_user).delete(delete_user))
        .route("/tokens", get(list_tokens).post(create_token))
        .route("/tokens/{id}", delete(revoke_token))
}

/// Who asks; also answers those who are nobody, so that the page knows whether to ask for a name.
async fn who_am_i(State(state): State<AppState>, sender: Result<Sender, ApiError>) -> Json<Value> {
    let login = matches!(state.options.login, Login::On(_));
    Json(match sender {
        Ok(sender) => json!({
            "login": login,
            "user": {
                "username": sender.identity.name,
                "is_admin": sender.identity.is_admin,
                "role": sender.identity.role,
            },
        }),
        Err(_) => json!({ "login": login, "user": null }),
    })
}

#[derive(Deserialize)]
struct LogIn {
    username: Option<String>,
    password: Option<String>,
}

async fn log_in_page(
    State(state): State<AppState>,
    source: axum::Extension<crate::access::Source>,
    headers: HeaderMap,
    Message(request): Message<LogIn>,
) -> Result<Response, ApiError> {
    let Login::On(door) = &state.options.login else {
        return Err(ApiError::new(
            ErrorKind::NotFound,
            "nobody logs in here; start the server with `--auth`",
        ));
    };
    let username = required("username", request.username)?;
    let password = required("password", request.password)?;
    let identity = match log_in(&state, door, username.clone(), password, &source).await {
        Ok(identity) => identity,
        Err(error) => {
            record_login(&state, &username, &source, "denied").await;
            return Err(error);
        }
    };
    let secret = new_secret();
    let now = (state.options.now)();
    let session = NewToken {
        username: identity.name.clone(),
        name: "page".into(),
        kind: "session".into(),
        digest: token_digest(&secret),
        scopes: Vec::new(),
        expires_at: Some(Millis(now.0 + SESSION_MS)),
    };
    state.store.create_token(session, now).await?;
    record_login(&state, &identity.name, &source, "done").await;
    let told = json!({
        "login": true,
        "user": { "username": identity.name, "is_admin": identity.is_admin, "role": identity.role },
    });
    let cookie = set_cookie(&headers, &secret, SESSION_MS / 1_000);
    Ok(([(header::SET_COOKIE, cookie)], Json(told)).into_response())
}

/// Only sent back to this server, by its own pages, and never shown to their code.
fn set_cookie(headers: &HeaderMap, value: &str, seconds: i64) -> String {
    let proxied = headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto == "https");
    let secure = if proxied { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

async fn log_out(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(secret) = cookie(&headers) {
        let now = (state.options.now)();
        if let Some((token, _)) = state.store.find_token(token_digest(&secret), now).await? {
            state.store.revoke_token(token.id).await?;
        }
    }
    let gone = set_cookie(&headers, "", 0);
    Ok((StatusCode::OK, [(header::SET_COOKIE, gone)], Json(json!({}))).into_response())
}

async fn list_users(State(state): State<AppState>, sender: Sender) -> Result<Json<Value>, ApiError> {
    sender.must_be_admin("list users")?;
    Ok(Json(json!({ "users": state.store.list_users().await? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    username: Option<String>,
    /// None: the user has tokens only.
    password: Option<String>,
    role: Option<String>,
}

async fn create_user(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<NewUser>,
) -> Result<Json<User>, ApiError> {
    sender.must_be_admin("create users")?;
    let username = required("username", request.username)?;
    check_username(&username)?;
    let role = Role::parse(request.role.as_deref().unwrap_or("viewer"))?;
    let hash = match request.password {
        Some(password) => {
            check_password(&password)?;
            Some(hasher(&state)?.hash(password).await?)
        }
        None => None,
    };
    let now = (state.options.now)();
    let user = state
        .store
        .create_user(username, hash, role == Role::Admin, role, now)
        .await?;
    Ok(Json(user))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    password: Option<String>,
    role: Option<String>,
}

async fn change_user(
    State(state): State<AppState>,
    sender: Sender,
    Path(name): Path<String>,
    Message(request): Message<ChangeUser>,
) -> Result<Json<User>, ApiError> {
    sender.must_be_admin("change users")?;
    let password_hash = match request.password {
        Some(password) => {
            check_password(&password)?;
            Some(hasher(&state)?.hash(password).await?)
        }
        None => None,
    };
    let role = request.role.as_deref().map(Role::parse).transpose()?;
    let change = UserChange {
        password_hash,
        role,
        is_admin: None,
    };
    Ok(Json(state.store.change_user(name, change).await?))
}

async fn delete_user(
    State(state): State<AppState>,
    sender: Sender,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    sender.must_be_admin("delete users")?;
    if sender.identity.name == name {
        return Err(ApiError::invalid(
            "nobody deletes their own account; ask another administrator",
        ));
    }
    state.store.delete_user(name).await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct ListTokens {
    username: Option<String>,
}

/// One's own; administrators see those of others, and of all with `username=*`.
async fn list_tokens(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<ListTokens>,
) -> Result<Json<Value>, ApiError> {
    let whose = match request.username.as_deref() {
        Some("*") => {
            sender.must_be_admin("look at the tokens of others")?;
            None
        }
        Some(name) => {
            sender.must_be(name, "look at the tokens of others")?;
            Some(name.to_owned())
        }
        None => Some(sender.identity.name.clone()),
    };
    let tokens = state.store.list_tokens(whose, (state.options.now)()).await?;
    Ok(Json(json!({ "tokens": tokens })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskToken {
    username: Option<String>,
    name: Option<String>,
    kind: Option<String>,
    scopes: Option<Vec<String>>,
    /// A span, as `30d`; none: 90 days for a personal token, never for one of a service.
    expires_in: Option<String>,
}

/// A new token; the only answer that ever holds it.
#[derive(Serialize)]
struct MadeToken {
    token: String,
    #[serde(flatten)]
    described: Token,
}

async fn create_token(
    State(state): State<AppState>,
    sender: Sender,
    Message(request): Message<AskToken>,
) -> Result<Json<MadeToken>, ApiError> {
    let username = request.username.unwrap_or_else(|| sender.identity.name.clone());
    sender.must_be(&username, "make tokens for others")?;
    let name = required("name", request.name)?;
    if 250 < name.len() {
        return Err(InputError::invalid("name", "…", "it has at most 250 bytes").into());
    }
    let kind = request.kind.unwrap_or_else(|| "personal".into());
    if !["personal", "service"].contains(&kind.as_str()) {
        return Err(InputError::invalid("kind", &kind, "it is personal or service").into());
    }
    let scopes = match request.scopes {
        Some(scopes) => scopes
            .iter()
            .map(|scope| Scope::parse(scope))
            .collect::<Result<Vec<_>, _>>()?,
        None => vec![Scope::Read, Scope::Write, Scope::Inference],
    };
    // A token must not be a way to more than oneself has.
    if sender.identity.via == Via::Token && !scopes.iter().all(|scope| sender.identity.has_scope(*scope)) {
        return Err(ApiError::new(
            ErrorKind::PermissionDenied,
            "Permission denied: a token makes none with more scopes than its own",
        ));
    }
    let now = (state.options.now)();
    let expires_at = match (request.expires_in.as_deref(), kind.as_str()) {
        (Some(span), _) => {
            let span = span
                .parse::<Span>()
                .map_err(|error| ApiError::invalid(error.to_string()))?;
            Some(now.plus(span))
        }
        (None, "personal") => Some(Millis(now.0 + 90 * 86_400_000)),
        (None, _) => None,
    };
    let token = format!("{TOKEN_PREFIX}{}", new_secret());
    let described = state
        .store
        .create_token(
            NewToken {
                username,
                name,
                kind,
                digest: token_digest(&token),
                scopes,
                expires_at,
            },
            now,
        )
        .await?;
    Ok(Json(MadeToken { token, described }))
}

async fn revoke_token(
    State(state): State<AppState>,
    sender: Sender,
    Path(id): Path<i64>,
) -> Result<Json<Value>, ApiError> {
    let token = state.store.get_token(id).await?;
    sender.must_be(&token.username, "revoke the tokens of others")?;
    state.store.revoke_token(id).await?;
    Ok(Json(json!({})))
}
