//! `POST /graphql`: MLflow's page asks some things in one go. Every field of the root is a call of the REST API, sent
//! through the same router with the same headers, so that nobody reads here what they may not read there.

mod document;
mod schema;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use self::document::{Operation, Selected};
use self::schema::{GET_EXPERIMENT_CALL, Kind, MUTATIONS, QUERIES, Root, SEARCH_VERSIONS_CALL, Type};
use crate::ApiError;
use crate::routes::BODY_BYTES_MAX;

/// A query is text that somebody wrote; more than this is none.
const QUERY_BYTES_MAX: usize = 64 << 10;

/// The path, answered by calls of `whole`.
pub(crate) fn routes(whole: Router) -> Router {
    Router::new().route("/graphql", post(answer)).with_state(whole)
}

#[derive(Deserialize)]
struct Query {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

async fn answer(State(whole): State<Router>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 2 * QUERY_BYTES_MAX).await else {
        return ApiError::too_large("the query is larger than this server accepts").into_response();
    };
    let query: Query = match serde_json::from_slice(&body) {
        Ok(query) => query,
        Err(error) => {
            return ApiError::invalid(format!("the body must be JSON with `query`: {error}")).into_response();
        }
    };
    if QUERY_BYTES_MAX < query.query.len() {
        return ApiError::too_large("the query is larger than this server accepts").into_response();
    }
    let variables = query.variables.unwrap_or_default();
    let operation = match document::read(&query.query, query.operation_name.as_deref(), &variables) {
        Ok(operation) => operation,
        Err(message) => return told(Value::Null, vec![message]),
    };
    let calls = Calls { whole, parts };
    match calls.execute(&operation).await {
        Ok((data, errors)) => told(data, errors),
        Err(refused) => refused,
    }
}

fn told(data: Value, errors: Vec<String>) -> Response {
    let errors = match errors.is_empty() {
        true => Value::Null,
        false => json!(errors),
    };
    Json(json!({"data": data, "errors": errors})).into_response()
}

/// What stops a field from being answered.
enum Stop {
    /// The query is wrong: nothing is answered.
    Wrong(String),
    /// The field stays empty, and this is said.
    Said(String),
    /// Nobody is known to have sent this.
    Refused(Response),
}

/// Asks the REST API on behalf of whoever sent the query.
struct Calls {
    whole: Router,
    parts: Parts,
}

impl Calls {
    async fn execute(&self, operation: &Operation) -> Result<(Value, Vec<String>), Response> {
        let (roots, kind) = match operation.is_mutation {
            true => (MUTATIONS, "Mutation"),
            false => (QUERIES, "Query"),
        };
        let (mut data, mut errors) = (Map::new(), Vec::new());
        for field in &operation.fields {
            let found = match (
                field.name.as_str(),
                roots.iter().find(|root| root.name == field.name),
            ) {
                ("__typename", _) => Ok(json!(kind)),
                ("test", _) if !operation.is_mutation => Ok(echo(field)),
                ("testMutation", _) if operation.is_mutation => Ok(echo(field)),
                (_, Some(root)) => self.call(root, field).await,
                (_, None) => Err(Stop::Wrong(unknown(&field.name, kind))),
            };
            let found = match found {
                Ok(found) => found,
                Err(Stop::Wrong(message)) => return Ok((Value::Null, vec![message])),
                Err(Stop::Refused(response)) => return Err(response),
                Err(Stop::Said(message)) => {
                    errors.push(message);
                    Value::Null
                }
            };
            data.insert(field.key.clone(), found);
        }
        Ok((Value::Object(data), errors))
    }

    async fn call(&self, root: &Root, field: &Selected) -> Result<Value, Stop> {
        let input = match field.arguments.get("input") {
            Some(Value::Object(input)) => snake(input),
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(Stop::Wrong(format!("the input of `{}` is no object", field.name))),
        };
        let answer = self.ask(root, &input).await?;
        self.object(root.answer, &answer, field).await
    }

    /// The answer of the REST API.
    async fn ask(&self, root: &Root, input: &Map<String, Value>) -> Result<Value, Stop> {
        let mut uri = format!("/ajax-api/2.0/mlflow/{}", root.path);
        let mut body = Body::empty();
        if root.method == "GET" {
            uri = format!("{uri}?{}", query_string(input));
        } else {
            body = Body::from(Value::Object(input.clone()).to_string());
        }
        let mut request = Request::builder()
            .method(root.method)
            .uri(uri)
            .body(body)
            .map_err(|_| Stop::Said("the request cannot be written as a path".into()))?;
        let headers = self.parts.headers.iter();
        for (name, value) in headers.filter(|(name, _)| *name != header::CONTENT_LENGTH) {
            request.headers_mut().append(name, value.clone());
        }
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Who is at the other end of the connection belongs to the record of what was done.
        *request.extensions_mut() = self.parts.extensions.clone();
        request.extensions_mut().remove::<MatchedPath>();
        let Ok(response) = self.whole.clone().oneshot(request).await;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(Stop::Refused(response));
        }
        let body = to_bytes(response.into_body(), BODY_BYTES_MAX).await;
        let answer: Value = body
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok())
            .ok_or_else(|| Stop::Said("the answer is larger than this server sends at once".into()))?;
        match status.is_success() {
            true => Ok(answer),
            false => Err(Stop::Said(match answer["message"].as_str() {
                Some(message) => message.to_owned(),
                None => format!("the request was answered with {status}"),
            })),
        }
    }

    /// What is selected of an object.
    fn object<'a>(
        &'a self,
        of: &'a Type,
        from: &'a Value,
        field: &'a Selected,
    ) -> BoxFuture<'a, Result<Value, Stop>> {
        Box::pin(async move {
            if field.fields.is_empty() {
                return Err(Stop::Wrong(format!(
                    "Field '{}' of type '{}' must have a selection of subfields.",
                    field.name, of.name
                )));
            }
            let mut object = Map::new();
            for selected in &field.fields {
                if selected.name == "__typename" {
                    object.insert(selected.key.clone(), json!(of.name));
                    continue;
                }
                let (name, kind) = of
                    .fields
                    .iter()
                    .find(|(name, _)| *name == selected.name)
                    .ok_or_else(|| Stop::Wrong(unknown(&selected.name, of.name)))?;
                let value = self.value(*kind, from, &snake_case(name), selected).await?;
                object.insert(selected.key.clone(), value);
            }
            Ok(Value::Object(object))
        })
    }

    async fn value(&self, kind: Kind, of: &Value, key: &str, field: &Selected) -> Result<Value, Stop> {
        let found = &of[key];
        let is_scalar = matches!(
            kind,
            Kind::Text | Kind::Texts | Kind::Long | Kind::Float | Kind::Bool
        );
        if is_scalar && !field.fields.is_empty() {
            return Err(Stop::Wrong(format!(
                "Field '{}' must not have a selection since it has no subfields.",
                field.name
            )));
        }
        // What a message does not say has its type's default, as in protocol buffers.
        Ok(match kind {
            Kind::Text => json!(found.as_str().unwrap_or_default()),
            Kind::Texts => json!(found.as_array().map(Vec::as_slice).unwrap_or_default()),
            Kind::Long => match found {
                Value::Number(number) => json!(number.to_string()),
                Value::String(text) => json!(text),
                _ => json!("0"),
            },
            Kind::Float => match found {
                Value::Null => json!(0.0),
                // NaN and infinities are texts there.
                number => json!(number.as_f64()),
            },
            Kind::Bool => json!(found.as_bool().unwrap_or_default()),
            Kind::One(of) => self.object(of, found, field).await?,
            Kind::Many(of) => {
                let items = found.as_array().map(Vec::as_slice).unwrap_or_default();
                if items.is_empty() {
                    // Wrong fields are wrong with nothing to show, too.
                    self.object(of, &Value::Null, field).await?;
                }
                self.list(of, items, field).await?
            }
            Kind::ExperimentOfRun => {
                let id = &of["info"]["experiment_id"];
                let answer = self
                    .ask_unless_null(&GET_EXPERIMENT_CALL, "experiment_id", id)
                    .await?;
                self.object(&schema::EXPERIMENT, &answer["experiment"], field)
                    .await?
            }
            Kind::VersionsOfRun => {
                let filter = of["info"]["run_id"]
                    .as_str()
                    .map(|id| json!(format!("run_id='{id}'")));
                let filter = filter.unwrap_or_default();
                let answer = self
                    .ask_unless_null(&SEARCH_VERSIONS_CALL, "filter", &filter)
                    .await?;
                let versions = answer["model_versions"].as_array();
                let versions = versions.map(Vec::as_slice).unwrap_or_default();
                self.list(&schema::VERSION, versions, field).await?
            }
            Kind::ApiError => Value::Null,
        })
    }

    async fn ask_unless_null(&self, root: &Root, key: &str, value: &Value) -> Result<Value, Stop> {
        match value.is_null() {
            true => Ok(Value::Null),
            false => {
                self.ask(root, &Map::from_iter([(key.to_owned(), value.clone())]))
                    .await
            }
        }
    }

    async fn list(&self, of: &Type, items: &[Value], field: &Selected) -> Result<Value, Stop> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.push(self.object(of, item, field).await?);
        }
        Ok(Value::Array(list))
    }
}

/// `test(inputString: "x") { output }` says `x`.
fn echo(field: &Selected) -> Value {
    let said = field.arguments.get("inputString").cloned().unwrap_or_default();
    let outputs = field.fields.iter().filter(|one| one.name == "output");
    Value::Object(outputs.map(|one| (one.key.clone(), said.clone())).collect())
}

fn unknown(field: &str, of: &str) -> String {
    format!("Cannot query field '{field}' on type '{of}'.")
}

fn snake(input: &Map<String, Value>) -> Map<String, Value> {
    let pairs = input.iter().filter(|(_, value)| !value.is_null());
    pairs
        .map(|(key, value)| (snake_case(key), value.clone()))
        .collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// Lists are a key for each item.
fn query_string(input: &Map<String, Value>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in input {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items {
            match item {
                Value::String(text) => query.append_pair(key, text),
                other => query.append_pair(key, &other.to_string()),
            };
        }
    }
    query.finish()
}
