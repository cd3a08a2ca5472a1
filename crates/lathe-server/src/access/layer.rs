use std::sync::Arc;

use axum::RequestExt;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lathe_store::Target;
use lathe_store::caller::{Act, Caller, Sees, on_behalf_of};
use lathe_types::access::Permission;
use lathe_types::users::{Role, Scope};
use lathe_types::{ErrorKind, InputError};

use super::credentials::{identify, is_page};
use super::decide::{Denied, Wanted, has_role, may_ask, may_touch};
use super::door::{Door, Login};
use super::identity::{Identity, Source, Via};
use super::lines::on;
use super::peek::{Peek, VALUES_MAX};
use super::table::{Absent, Check, Kind, Need, Rule, normal_path, rule_of};
use crate::inference::artifact_path;
use crate::routes::BODY_BYTES_MAX;
use crate::{ApiError, AppState};

/// Lets a request through to its handler if whoever sends it may do what it asks; on their behalf from there on.
pub(crate) async fn check(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        // Nothing but the page answers here: its files, which hold no secrets, and that there is nothing.
        return next.run(request).await;
    };
    let path = normal_path(path.as_str(), &state.options.static_prefix);
    let rule = rule_of(request.method().as_str(), &path);
    let source = Source::of(&request);
    let action = format!("{} {path}", request.method());
    let asks = !is_page(&request);
    let (identity, door) = match &state.options.login {
        Login::Off => (None, None),
        Login::Local => (Some(Identity::trusted("local")), None),
        Login::On(door) => match identify(&state, door, request.headers(), &source).await {
            Ok(identity) => (identity, Some(door.clone())),
            // Who is let in anyway need not show anything that is right.
            Err(_) if rule.is_some_and(|rule| matches!(rule.need, Need::Open)) => (None, Some(door.clone())),
            Err(error) => {
                let who = "unknown".to_owned();
                let act = act_of(&state, who, &action, String::new(), &source);
                let told = format!("refused: {}", error.message());
                record(&state, act, told).await;
                return unauthenticated(error, asks);
            }
        },
    };
    let who = identity
        .as_ref()
        .map_or_else(|| "anonymous".to_owned(), |identity| identity.name.clone());
    if door.is_some() {
        let refusal = may_ask(identity.as_ref(), rule).and_then(|()| same_site(identity.as_ref(), &request));
        if let Err(denied) = refusal {
            let act = act_of(&state, who, &action, String::new(), &source);
            return refuse(&state, denied, act, asks).await;
        }
    }
    let Some(rule) = rule else {
        return next.run(request).await;
    };
    let judged = door.is_some() && identity.as_ref().is_some_and(|identity| !identity.is_admin);
    let audited = matches!(rule.scope, Scope::Write | Scope::Admin)
        && *request.method() != Method::GET
        && !(rule.is_data && door.is_none());
    let mut named = Named::default();
    if judged || audited {
        named = match name_things(&mut request, rule).await {
            Ok(named) => named,
            Err(error) => return error.into_response(),
        };
    }
    let subject = named
        .things
        .first()
        .map(|(_, label, _)| label.clone())
        .unwrap_or_default();
    let act = audited.then(|| act_of(&state, who, &action, subject, &source));
    if judged
        && let (Some(door), Some(identity)) = (&door, &identity)
        && let Err(refusal) = judge(&state, door, identity, named).await
    {
        return match refusal {
            Refusal::Denied(denied) => {
                let act = act.unwrap_or_else(|| {
                    act_of(&state, identity.name.clone(), &action, String::new(), &source)
                });
                refuse(&state, denied, act, asks).await
            }
            Refusal::Wrong(error) => error.into_response(),
        };
    }
    let act = act.filter(|act| !rule.is_data || state.options.told_lately.is_news(act));
    let caller = Caller {
        user: identity.as_ref().and_then(|identity| identity.user),
        sees: match (&identity, &door) {
            (Some(identity), Some(door)) => identity.sees(door.default),
            _ => Sees::default(),
        },
        act: act.clone(),
    };
    request.extensions_mut().insert(source);
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity);
    }
    let response = on_behalf_of(caller, next.run(request)).await;
    if let (Some(door), Scope::Admin) = (&door, rule.scope) {
        door.forget();
    }
    if let Some(act) = act {
        let status = response.status();
        if !status.is_success() {
            let outcome = match status {
                StatusCode::FORBIDDEN => "denied".to_owned(),
                _ => format!("failed {}", status.as_u16()),
            };
            record(&state, act, outcome).await;
        } else if !act.is_written() {
            record(&state, act, "done".into()).await;
        }
    }
    response
}

/// What a request names, with the permission that each needs.
#[derive(Default)]
struct Named {
    things: Vec<(Target, String, &'static Check)>,
    /// The role that a flag asks for.
    role: Option<Role>,
    /// A field that had to be there.
    missing: Option<&'static str>,
}

async fn name_things(request: &mut Request, rule: &'static Rule) -> Result<Named, ApiError> {
    let checks = match &rule.need {
        Need::On(checks) | Need::Role(_, checks) => *checks,
        Need::Open | Need::User => return Ok(Named::default()),
    };
    let names: Vec<&'static str> = checks
        .iter()
        .flat_map(|check| check.names.iter().copied())
        .collect();
    let mut peek = Peek::default();
    if let Ok(params) = request.extract_parts::<RawPathParams>().await {
        peek.add_params(&params, &names);
    }
    peek.add_query(request.uri().query().unwrap_or_default(), &names);
    peek.add_headers(request.headers(), &names);
    // An artifact is no JSON, and is not read here: it streams past.
    let only_in_path =
        checks.iter().all(|check| check.kind == Kind::Artifact) && rule.path.contains("{*path}");
    let reads_body = !matches!(*request.method(), Method::GET) && !only_in_path && !names.is_empty();
    if reads_body {
        let (parts, body) = std::mem::take(request).into_parts();
        let bytes = to_bytes(body, BODY_BYTES_MAX)
            .await
            .map_err(|_| ApiError::invalid("the body broke off, or is larger than this server accepts"))?;
        peek.add_body(&bytes, &names);
        *request = Request::from_parts(parts, Body::from(bytes));
    }
    if peek.is_too_long() {
        return Err(ApiError::invalid(format!(
            "the request names more than {VALUES_MAX} things; send it in parts"
        )));
    }
    let mut named = Named::default();
    for check in checks {
        let mut values: Vec<&str> = check.names.iter().flat_map(|name| peek.values(name)).collect();
        values.dedup();
        match check.absent {
            Absent::Means(default) if values.is_empty() => values.push(default),
            // The folder that holds all others is nobody's.
            Absent::Wrong if values.is_empty() && check.kind == Kind::Artifact => values.push(""),
            Absent::Wrong if values.is_empty() => named.missing = named.missing.or(Some(check.names[0])),
            _ => {}
        }
        if let Kind::Raises(role) = check.kind {
            if values.contains(&"true") {
                named.role = named.role.max(Some(role));
            }
            continue;
        }
        named
            .things
            .extend(values.into_iter().filter_map(|value| thing(check, value)));
    }
    Ok(named)
}

fn thing(check: &'static Check, value: &str) -> Option<(Target, String, &'static Check)> {
    let value = value.to_owned();
    let (target, label) = match check.kind {
        Kind::Experiment => (Target::Experiment(value.clone()), format!("experiment/{value}")),
        Kind::ExperimentName => (
            Target::ExperimentNamed(value.clone()),
            format!("experiment/{value}"),
        ),
        Kind::Run => (Target::Run(value.clone()), format!("run/{value}")),
        Kind::LoggedModel => (
            Target::LoggedModel(value.clone()),
            format!("logged_model/{value}"),
        ),
        Kind::Trace => (Target::Trace(value.clone()), format!("trace/{value}")),
        Kind::Model => (Target::Model(value.clone()), format!("model/{value}")),
        Kind::Version => (Target::ModelVersion(value.clone()), format!("model/{value}")),
        Kind::Artifact => (Target::Artifact(value.clone()), format!("artifact/{value}")),
        Kind::Raises(_) => return None,
        Kind::Location => {
            let target = location(&value);
            (target, format!("location/{value}"))
        }
    };
    let label: String = label.chars().take(300).collect();
    Some((target, label, check))
}

/// What a place names that the server reads or writes later in its own name.
fn location(uri: &str) -> Target {
    if let Some(path) = artifact_path(uri) {
        // One that is no path is refused by whoever takes it; nobody has it.
        let path = path.map(|path| path.to_string()).unwrap_or_default();
        let uri = format!("mlflow-artifacts:/{path}");
        return Target::Place {
            uri,
            path: Some(path),
        };
    }
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let first = rest
        .trim_start_matches('/')
        .split(['/', '@'])
        .next()
        .unwrap_or_default()
        .to_owned();
    let place = |uri: String| Target::Place { uri, path: None };
    match scheme.to_ascii_lowercase().as_str() {
        "runs" => Target::Run(first),
        "models" if first.starts_with("m-") => Target::LoggedModel(first),
        "models" => Target::ModelVersion(first),
        // As an experiment's place is kept.
        "" => {
            place(std::path::absolute(uri).map_or_else(|_| uri.to_owned(), |path| path.display().to_string()))
        }
        _ => place(uri.trim_end_matches('/').to_owned()),
    }
}

enum Refusal {
    Denied(Denied),
    Wrong(ApiError),
}

async fn judge(state: &AppState, door: &Door, identity: &Identity, named: Named) -> Result<(), Refusal> {
    if let Some(parameter) = named.missing {
        let missing = InputError::Missing {
            parameter: parameter.to_owned(),
        };
        return Err(Refusal::Wrong(missing.into()));
    }
    if let Some(role) = named.role {
        has_role(identity, role).map_err(Refusal::Denied)?;
    }
    if named.things.is_empty() {
        return Ok(());
    }
    let targets: Vec<Target> = named
        .things
        .iter()
        .map(|(target, _, _)| match target {
            Target::Place { uri, path: None } => Target::Place {
                uri: uri.clone(),
                // What the server reaches by itself is laid out as its own artifacts are.
                path: match state.artifacts.within(uri) {
                    Ok(found) => found.map(|(_, path)| path.to_string()),
                    Err(_) => Some(String::new()),
                },
            },
            other => other.clone(),
        })
        .collect();
    let facts = state
        .store
        .access_facts(identity.user, targets.clone())
        .await
        .map_err(|error| Refusal::Wrong(error.into()))?;
    let wanted: Vec<Wanted> = named
        .things
        .into_iter()
        .zip(targets)
        .zip(facts)
        .map(|(((_, label, check), target), mut facts)| {
            // Nothing is read where the server keeps artifacts unless it is somebody's.
            facts.is_kept |=
                check.level == Permission::Read && matches!(target, Target::Place { path: Some(_), .. });
            Wanted {
                level: check.level,
                kind: check.kind,
                label,
                facts,
            }
        })
        .collect();
    may_touch(identity, &wanted, door.default).map_err(Refusal::Denied)
}

static ADDS_SPANS: Check = on(Permission::Edit, Kind::Trace, &["trace_id"]);

/// Whether whoever sends spans may add to their traces: those that are known lie in an experiment of their own, whatever
/// the request says of where new ones belong.
pub(crate) async fn may_add_spans(
    state: &AppState,
    identity: Option<&Identity>,
    traces: impl Iterator<Item = &str>,
) -> Result<(), ApiError> {
    let Login::On(door) = &state.options.login else {
        return Ok(());
    };
    let Some(identity) = identity.filter(|identity| !identity.is_admin) else {
        return Ok(());
    };
    let named = Named {
        things: traces.filter_map(|id| thing(&ADDS_SPANS, id)).collect(),
        ..Named::default()
    };
    judge(state, door, identity, named)
        .await
        .map_err(|refusal| match refusal {
            Refusal::Denied(Denied::Because(reason)) => ApiError::new(
                ErrorKind::PermissionDenied,
                format!("Permission denied: {reason}"),
            ),
            Refusal::Denied(Denied::Unknown) => {
                ApiError::new(ErrorKind::Unauthenticated, "You are not authenticated.")
            }
            Refusal::Wrong(error) => error,
        })
}

/// A cookie goes along with whatever page of this site sends a request, so a change must come from this very page.
fn same_site(identity: Option<&Identity>, request: &Request) -> Result<(), Denied> {
    let by_cookie = identity.is_some_and(|identity| identity.via == Via::Session);
    if !by_cookie || matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let host = text("host");
    let origin = text("origin");
    let same_origin = match (&origin, &host) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        _ => false,
    };
    if same_origin || text("sec-fetch-site").as_deref() == Some("same-origin") {
        return Ok(());
    }
    Err(Denied::Because(
        "a change with the page's cookie must come from the page itself; programs send a token".into(),
    ))
}

fn act_of(state: &AppState, who: String, action: &str, subject: String, source: &Source) -> Arc<Act> {
    Arc::new(Act::new(
        who,
        action.to_owned(),
        subject,
        source.told.clone(),
        source.request_id.clone(),
        (state.options.now)(),
    ))
}

async fn refuse(state: &AppState, denied: Denied, act: Arc<Act>, asks: bool) -> Response {
    match denied {
        Denied::Unknown => {
            let error = ApiError::new(
                ErrorKind::Unauthenticated,
                "You are not authenticated. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
            );
            unauthenticated(error, asks)
        }
        Denied::Because(reason) => {
            record(state, act, "denied".into()).await;
            ApiError::new(
                ErrorKind::PermissionDenied,
                format!("Permission denied: {reason}"),
            )
            .into_response()
        }
    }
}

/// 401 that asks for name and password, except where the page asks by itself.
fn unauthenticated(error: ApiError, asks: bool) -> Response {
    let asks = asks && error.status() == StatusCode::UNAUTHORIZED;
    let waits = error.status() == StatusCode::TOO_MANY_REQUESTS;
    let mut response = error.into_response();
    if asks {
        let basic = HeaderValue::from_static("Basic realm=\"mlflow\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    if waits {
        let seconds = HeaderValue::from_static("30");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Writes what had no transaction of its own into the audit log. That it cannot must not hide the answer.
pub(crate) async fn record(state: &AppState, act: Arc<Act>, outcome: String) {
    if let Err(error) = state.store.record_act(act.clone(), outcome).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            action = act.action,
            "the audit log cannot be written"
        );
    }
}

/// Writes a login or its failure.
pub(crate) async fn record_login(state: &AppState, who: &str, source: &Source, outcome: &str) {
    let who: String = who.chars().take(250).collect();
    let act = act_of(state, who, "login", String::new(), source);
    record(state, act, outcome.to_owned()).await;
}
