//! `3.0/mlflow/traces/{id}/assessments/*`

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lathe_api::mlflow::Empty;
use lathe_api::mlflow::assessments::{Assessment, AssessmentMessage, UpdateAssessment};
use lathe_types::InputError;
use lathe_types::traces::TraceId;

use super::extract::Message;
use super::traces::assessment_id;
use crate::path::Path;
use crate::{ApiError, AppState};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/3.0/mlflow/traces/{trace_id}/assessments", post(create))
        .route(
            "/3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}",
            get(by_id).patch(update).delete(remove),
        )
}

fn reply(assessment: lathe_types::assessments::Assessment) -> Json<AssessmentMessage> {
    Json(AssessmentMessage {
        assessment: Some(Assessment::from(assessment)),
    })
}

async fn create(
    State(state): State<AppState>,
    Path(trace): Path<String>,
    Message(request): Message<AssessmentMessage>,
) -> Result<Json<AssessmentMessage>, ApiError> {
    let trace = TraceId::parse("trace_id", &trace)?;
    let assessment = request.assessment.ok_or_else(|| InputError::Missing {
        parameter: "assessment".into(),
    })?;
    let assessment = assessment.parse(&trace, &mut assessment_id)?;
    let now = (state.options.now)();
    Ok(reply(state.store.create_assessment(assessment, now).await?))
}

async fn by_id(
    State(state): State<AppState>,
    Path((trace, id)): Path<(String, String)>,
) -> Result<Json<AssessmentMessage>, ApiError> {
    let trace = TraceId::parse("trace_id", &trace)?;
    Ok(reply(state.store.get_assessment(trace, id).await?))
}

async fn update(
    State(state): State<AppState>,
    Path((trace, id)): Path<(String, String)>,
    Message(request): Message<UpdateAssessment>,
) -> Result<Json<AssessmentMessage>, ApiError> {
    let trace = TraceId::parse("trace_id", &trace)?;
    let change = request.change()?;
    let now = (state.options.now)();
    Ok(reply(
        state.store.update_assessment(trace, id, change, now).await?,
    ))
}

async fn remove(
    State(state): State<AppState>,
    Path((trace, id)): Path<(String, String)>,
) -> Result<Json<Empty>, ApiError> {
    let trace = TraceId::parse("trace_id", &trace)?;
    state.store.delete_assessment(trace, id).await?;
    Ok(Json(Empty {}))
}
