//! MLflow's scoring protocol: `/invocations`, for the only deployment or for one by name; `/ping`.

use std::sync::Arc;

use axum::extract::FromRef;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_serving::{Answers, ColumnType, Facts, PredictError, Signature, Table, without_bare_nan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{Refusal, Request, answer, unread};
use super::deployments::{Deployments, Live};
use super::sent::Sent;

pub(super) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Deployments: FromRef<S>,
{
    Router::new()
        .route("/ping", get(async || "\n"))
        .route("/invocations", post(invoke_only))
        .route("/deployments/{name}/invocations", post(invoke))
}

/// An error as MLflow's scoring server tells it.
pub(super) struct ScoringError {
    pub(super) status: StatusCode,
    code: &'static str,
    pub(super) message: String,
    retry_after_s: Option<u64>,
}

impl ScoringError {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_s: None,
        }
    }
}

impl IntoResponse for ScoringError {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code, "message": self.message });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<BytesRejection> for ScoringError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), "BAD_REQUEST", unread(&rejection))
    }
}

impl From<PredictError> for ScoringError {
    fn from(error: PredictError) -> Self {
        let code = match error {
            PredictError::MissingColumn { .. }
            | PredictError::Shape(_)
            | PredictError::Invalid(_)
            | PredictError::UnevenColumns { .. } => "INVALID_PARAMETER_VALUE",
            _ => "BAD_REQUEST",
        };
        Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
    }
}

impl From<Refusal> for ScoringError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Request(error) => return error.into(),
            Refusal::Unknown(_) => "RESOURCE_DOES_NOT_EXIST",
            Refusal::NotReady(_) => "TEMPORARILY_UNAVAILABLE",
            Refusal::Failed(_) => "INTERNAL_ERROR",
            // As MLflow's scoring server calls it.
            Refusal::Raised(message) => return Self::bad_request(message),
            Refusal::Busy { .. } => "RESOURCE_EXHAUSTED",
            Refusal::TooLate => "DEADLINE_EXCEEDED",
            Refusal::Member { member, refusal } => {
                let told = Self::from(*refusal);
                return Self {
                    message: format!("{member}: {}", told.message),
                    ..told
                };
            }
        };
        let (status, retry_after_s) = (refusal.status(), refusal.retry_after_s());
        Self {
            retry_after_s,
            ..Self::new(status, code, refusal.message())
        }
    }
}

async fn invoke_only(
    State(deployments): State<Deployments>,
    Sent { headers, body }: Sent,
) -> Result<Response, ScoringError> {
    let all = deployments.all();
    let [live] = all.as_slice() else {
        let names: Vec<String> = all
            .iter()
            .map(|live| format!("/deployments/{}/invocations", live.name))
            .collect();
        let message = match names.is_empty() {
            true => "nothing is deployed here; deploy a version with `lathe deploy`".into(),
            false => format!("more than one model answers here; ask {}", names.join(" or ")),
        };
        return Err(Refusal::Unknown(message).into());
    };
    reply(&deployments, live, &headers, &body?).await
}

async fn invoke(
    State(deployments): State<Deployments>,
    Path(name): Path<String>,
    Sent { headers, body }: Sent,
) -> Result<Response, ScoringError> {
    let live = deployments.find(&name)?;
    reply(&deployments, &live, &headers, &body?).await
}

async fn reply(
    deployments: &Deployments,
    live: &Arc<Live>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ScoringError> {
    let request = Request::of_headers(headers).map_err(ScoringError::bad_request)?;
    let mut rows = 0;
    let read = |model: &Facts| {
        let table = read(headers, body, model)?;
        rows = table.rows();
        Ok::<_, ScoringError>(table)
    };
    let answered = answer(deployments, live, request, read).await?;
    let ids: Vec<String> = (0..rows)
        .map(|row| answered.id.row(row, rows).to_string())
        .collect();
    Ok((
        answered.headers(),
        Json(Told {
            predictions: &answered.answers,
            prediction_ids: ids,
        }),
    )
        .into_response())
}

#[derive(Serialize)]
struct Told<'a> {
    predictions: &'a Answers,
    prediction_ids: Vec<String>,
}

fn read(headers: &HeaderMap, body: &[u8], model: &Facts) -> Result<Table, ScoringError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let (kind, parameters) = content_type
        .unwrap_or_default()
        .split_once(';')
        .unwrap_or((content_type.unwrap_or_default(), ""));
    let parameters = parameters.trim().to_ascii_lowercase();
    let unsupported = || {
        ScoringError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "BAD_REQUEST",
            "the content type must be `application/json` or `text/csv`, in UTF-8",
        )
    };
    if !parameters.is_empty() && parameters.replace(' ', "") != "charset=utf-8" {
        return Err(unsupported());
    }
    let text = std::str::from_utf8(body).map_err(|_| ScoringError::bad_request("the body is not UTF-8"))?;
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/json" => read_json(text, model),
        "text/csv" => read_csv(text, model.signature()),
        _ => Err(unsupported()),
    }
}

/// What rows stand under.
const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

#[derive(Deserialize)]
struct Split {
    #[serde(default)]
    columns: Option<Vec<Value>>,
    data: Vec<Vec<Value>>,
}

fn read_json(text: &str, model: &Facts) -> Result<Table, ScoringError> {
    let body: Map<String, Value> = serde_json::from_str(&without_bare_nan(text))
        .map_err(|error| ScoringError::bad_request(format!("the body is not a JSON object: {error}")))?;
    let (mut rows, mut forms, mut said) = (None, 0, Value::Null);
    for (key, value) in body {
        match key.as_str() {
            "params" => said = value,
            form if FORMS.contains(&form) => {
                forms += 1;
                rows = Some((key, value));
            }
            _ => {}
        }
    }
    let (Some((form, value)), 1) = (rows, forms) else {
        return Err(ScoringError::bad_request(format!(
            "the body must hold exactly one of {}",
            FORMS.join(", ")
        )));
    };
    let table = read_rows(form, value, model.signature())?;
    Ok(match said {
        Value::Null => table,
        said => table.with_params(Some(params(said, model)?)),
    })
}

/// What a request says beside its rows, as the model takes it. MLflow's server bears what a model does not take, too.
fn params(said: Value, model: &Facts) -> Result<Map<String, Value>, ScoringError> {
    let Some(schema) = model.params() else {
        let is_nothing = said.as_object().is_some_and(Map::is_empty);
        if !is_nothing {
            tracing::warn!("a request has `params`; the model's signature has none, so they are left out");
        }
        return Ok(Map::new());
    };
    let given = schema.check(said)?;
    if !given.ignored.is_empty() {
        let known: Vec<&str> = schema.names().collect();
        tracing::warn!(left_out = ?given.ignored, ?known, "a request has params that the model does not take");
    }
    Ok(given.params)
}

fn read_rows(form: String, value: Value, signature: &Signature) -> Result<Table, ScoringError> {
    if signature.reads_sent() {
        return Ok(Table::of_sent(&form, value));
    }
    let wrong =
        |error: serde_json::Error| ScoringError::bad_request(format!("`{form}` cannot be read: {error}"));
    Ok(match form.as_str() {
        "dataframe_split" => {
            let split: Split = serde_json::from_value(value).map_err(wrong)?;
            match split.columns {
                None if signature.tensors().is_empty() => Table::from_rows(&split.data, signature)?,
                None => {
                    let width = split.data.first().map_or(0, Vec::len);
                    let names = (0..width).map(|place| place.to_string()).collect();
                    framed(&columns(names, split.data)?, signature)?
                }
                Some(names) => {
                    // Columns without names are numbered.
                    let names = names.into_iter().map(|name| match name {
                        Value::String(name) => name,
                        other => other.to_string(),
                    });
                    framed(&columns(names.collect(), split.data)?, signature)?
                }
            }
        }
        "dataframe_records" => {
            let records: Vec<Map<String, Value>> = serde_json::from_value(value).map_err(wrong)?;
            match signature.tensors().is_empty() {
                true => Table::from_records(&records, signature)?,
                false => framed(&by_column(&records), signature)?,
            }
        }
        _ => tensors(value, &form, signature)?,
    })
}

/// `instances` (rows) and `inputs` (rows, or columns by name).
pub(super) fn tensors(value: Value, form: &str, signature: &Signature) -> Result<Table, ScoringError> {
    if signature.reads_sent() {
        return Ok(Table::of_sent(form, value));
    }
    if !signature.tensors().is_empty() {
        return Ok(match records_of(&value) {
            None => Table::from_tensors(&value, signature)?,
            Some(rows) if form == "instances" => Table::from_tensor_instances(&rows, signature)?,
            Some(_) => {
                let told = "`inputs` must hold lists within lists, or an object of them by name";
                return Err(PredictError::Invalid(told.into()).into());
            }
        });
    }
    match value {
        Value::Object(by_name) => {
            let columns: Vec<(String, Vec<Value>)> = by_name
                .into_iter()
                .map(|(name, value)| match value {
                    Value::Array(values) => (name, values.into_iter().map(scalar).collect()),
                    single => (name, vec![single]),
                })
                .collect();
            Ok(Table::from_columns(&columns, signature)?)
        }
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            let records: Vec<Map<String, Value>> = rows
                .into_iter()
                .filter_map(|row| match row {
                    Value::Object(record) => Some(record),
                    _ => None,
                })
                .collect();
            Ok(Table::from_records(&records, signature)?)
        }
        // Values alone are rows of one column.
        Value::Array(values) if values.iter().all(|value| !value.is_array() && !value.is_object()) => {
            let rows: Vec<Vec<Value>> = values.into_iter().map(|value| vec![value]).collect();
            Ok(Table::from_rows(&rows, signature)?)
        }
        Value::Array(rows) => {
            let rows: Result<Vec<Vec<Value>>, _> = rows.into_iter().map(serde_json::from_value).collect();
            let rows = rows.map_err(|_| {
                ScoringError::bad_request(format!("`{form}` must hold rows: lists or objects"))
            })?;
            Ok(Table::from_rows(&rows, signature)?)
        }
        _ => Err(ScoringError::bad_request(format!(
            "`{form}` must be a list or an object"
        ))),
    }
}

/// Rows that are objects.
fn records_of(value: &Value) -> Option<Vec<Map<String, Value>>> {
    let rows = value.as_array().filter(|rows| !rows.is_empty())?;
    rows.iter().map(|row| row.as_object().cloned()).collect()
}

/// Columns of a data frame, whose cells are a tensor's rows where the model takes tensors.
fn framed(columns: &[(String, Vec<Value>)], signature: &Signature) -> Result<Table, PredictError> {
    if !signature.tensors().is_empty()
        && let Some(table) = Table::from_tensor_columns(columns, signature)?
    {
        return Ok(table);
    }
    Table::from_columns(columns, signature)
}

fn by_column(records: &[Map<String, Value>]) -> Vec<(String, Vec<Value>)> {
    let mut names: Vec<&String> = Vec::new();
    for name in records.iter().flat_map(Map::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let cells = records
            .iter()
            .map(|record| record.get(name).cloned().unwrap_or_default());
        columns.push((name.clone(), cells.collect()));
    }
    columns
}

/// `[1.5]` is `1.5`: a column of shape (n, 1).
fn scalar(value: Value) -> Value {
    match value {
        Value::Array(mut one) if one.len() == 1 => one.remove(0),
        other => other,
    }
}

fn columns(names: Vec<String>, rows: Vec<Vec<Value>>) -> Result<Vec<(String, Vec<Value>)>, ScoringError> {
    let mut columns: Vec<(String, Vec<Value>)> = names.into_iter().map(|name| (name, Vec::new())).collect();
    for (index, row) in rows.into_iter().enumerate() {
        if row.len() != columns.len() {
            return Err(ScoringError::bad_request(format!(
                "row {index} has {} values for {} columns",
                row.len(),
                columns.len()
            )));
        }
        for ((_, column), value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    Ok(columns)
}

/// Texts that pandas reads as missing.
const MISSING: [&str; 18] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan",
];

/// Reads CSV as `pandas.read_csv` does with the signature's types: missing values by their usual texts, short rows
/// filled up, whole numbers only where the signature says so.
fn read_csv(text: &str, signature: &Signature) -> Result<Table, ScoringError> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let wrong = |error: csv::Error| ScoringError::bad_request(format!("the body is not CSV: {error}"));
    let names: Vec<String> = reader
        .headers()
        .map_err(wrong)?
        .iter()
        .map(str::to_owned)
        .collect();
    let kind = |name: &String| {
        let column = signature.inputs.iter().find(|column| column.name == *name);
        column.map(|column| column.kind)
    };
    let kinds: Vec<Option<ColumnType>> = names.iter().map(kind).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let mut row = Vec::with_capacity(names.len());
        for (index, text) in record.iter().enumerate() {
            let kind = kinds.get(index).copied().flatten();
            let field = field(text, kind).map_err(|expected| {
                let name = names.get(index).map_or("", String::as_str);
                ScoringError::bad_request(format!(
                    "column `{name}`, row {}: `{text}` is no {expected}",
                    rows.len()
                ))
            })?;
            row.push(field);
        }
        while row.len() < names.len() {
            row.push(Value::Null);
        }
        rows.push(row);
    }
    Ok(framed(&columns(names, rows)?, signature)?)
}

/// One field of CSV in a column of this type; an error says which type it is not of.
fn field(text: &str, kind: Option<ColumnType>) -> Result<Value, &'static str> {
    let is_text = matches!(kind, None | Some(ColumnType::String));
    let trimmed = if is_text { text } else { text.trim() };
    if MISSING.contains(&trimmed) || trimmed == "null" {
        return Ok(Value::Null);
    }
    match kind {
        Some(kind @ (ColumnType::Integer | ColumnType::Long)) => {
            trimmed.parse::<i64>().map(Value::from).map_err(|_| kind.name())
        }
        Some(ColumnType::Boolean) => match trimmed {
            "True" | "TRUE" | "true" | "1" => Ok(true.into()),
            "False" | "FALSE" | "false" | "0" => Ok(false.into()),
            _ => Err("boolean"),
        },
        _ => Ok(Value::from(text)),
    }
}
