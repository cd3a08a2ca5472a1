//! JSON bodies and queries: read into the types that handlers work with, or refused with a message.

use lathe_api::mlflow::experiments::{CreateExperiment, SearchExperiments};
use lathe_api::mlflow::logged_models::{CreateLoggedModel, SearchLoggedModels, model_params};
use lathe_api::mlflow::metrics::{GetIntervals, LogMetric};
use lathe_api::mlflow::models::{
    CreateVersion, ModelAlias, alias_name, model_name, registry_tags, version_key,
};
use lathe_api::mlflow::runs::{
    CreateRun, LogBatchRequest, LogInputs, LogModel, LogOutputs, SearchRuns, UpdateRun, run_tags,
};
use lathe_api::mlflow::webhooks::WebhookFields;
use lathe_api::mlflow::{parse_body, parse_query};
use lathe_types::experiments::NewExperiment;
use lathe_types::metrics::NewMetric;
use lathe_types::models::{Origin, check_source};
use lathe_types::runs::{LogBatch, NewInputs, RunChange};
use lathe_types::{InputError, LoggedModelId, RunId};

/// Messages go to clients: they are bounded, whatever was sent.
fn told(error: &InputError, sent: usize) {
    assert!(error.to_string().len() <= 10 * sent + 10_000);
}

/// Reads it; panics if what comes out breaks a promise.
pub fn check(body: &[u8]) {
    macro_rules! read {
        ($wire:ty, |$request:ident| $inner:expr) => {
            match parse_body::<$wire>(body) {
                Ok($request) => {
                    let _ = $inner;
                }
                Err(error) => told(&error, body.len()),
            }
        };
    }
    read!(LogBatchRequest, |request| <(RunId, LogBatch)>::try_from(request)
        .map_err(|error| told(&error, body.len())));
    read!(LogMetric, |request| NewMetric::try_from(request)
        .map(|metric| assert!(!metric.metric().value.is_infinite())));
    read!(CreateExperiment, |request| NewExperiment::try_from(request));
    read!(CreateRun, |request| run_tags(request.tags));
    read!(UpdateRun, |request| <(RunId, RunChange)>::try_from(request));
    read!(LogInputs, |request| <(RunId, NewInputs)>::try_from(request));
    read!(LogOutputs, |request| {
        <(RunId, Vec<(LoggedModelId, i64)>)>::try_from(request)
    });
    read!(LogModel, |request| request.model());
    read!(SearchRuns, |request| lathe_api::mlflow::parse_page_token(
        request.page_token.as_deref()
    ));
    read!(CreateLoggedModel, |request| model_params(request.params));
    read!(SearchLoggedModels, |request| request
        .order_by
        .into_iter()
        .map(|order| order.parse())
        .collect::<Vec<_>>());
    read!(CreateVersion, |request| {
        let source = request.source.clone().unwrap_or_default();
        let origin = Origin {
            run: Some(("r1", "mlflow-artifacts:/0/r1/artifacts")),
            model: None,
        };
        if check_source(&source, &origin).is_ok() && source.starts_with("mlflow-artifacts:") {
            assert!(source.starts_with("mlflow-artifacts:/0/r1/artifacts") && !source.contains(".."));
        }
        (model_name(request.name), registry_tags(request.tags))
    });
    read!(ModelAlias, |request| (
        version_key(request.name, request.version),
        alias_name(request.alias)
    ));
    read!(WebhookFields, |request| request.new_webhook());
    if let Ok(query) = std::str::from_utf8(body) {
        let _ = parse_query::<SearchExperiments>(query).map_err(|error| told(&error, body.len()));
        let _ = parse_query::<GetIntervals>(query).map(|request| request.steps());
    }
}
