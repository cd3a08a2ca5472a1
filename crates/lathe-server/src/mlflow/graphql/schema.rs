//! What can be asked for: the types of MLflow's GraphQL schema, in the order in which it writes their fields.

/// An object of the schema.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind)],
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Texts,
    /// 64 bits, written as a text.
    Long,
    /// NaN and the infinities are `null`.
    Float,
    Bool,
    One(&'static Type),
    Many(&'static Type),
    /// `MlflowRun.experiment`, which is looked up by the run.
    ExperimentOfRun,
    /// `MlflowRun.modelVersions`, likewise.
    VersionsOfRun,
    /// Errors are told beside the data; the field stays empty.
    ApiError,
}

/// A field of the root: where it is answered, and with what.
pub(super) struct Root {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) answer: &'static Type,
}

use Kind::{ApiError, Bool, ExperimentOfRun, Float, Long, Many, One, Text, Texts, VersionsOfRun};

macro_rules! types {
    ($($id:ident = $name:literal { $($field:literal: $kind:expr),* $(,)? })*) => {
        $(pub(super) static $id: Type = Type { name: $name, fields: &[$(($field, $kind)),*] };)*
    };
}

types! {
    KEY_VALUE = "MlflowRunTag" { "key": Text, "value": Text }
    PARAM = "MlflowParam" { "key": Text, "value": Text }
    EXPERIMENT_TAG = "MlflowExperimentTag" { "key": Text, "value": Text }
    INPUT_TAG = "MlflowInputTag" { "key": Text, "value": Text }
    VERSION_TAG = "MlflowModelVersionTag" { "key": Text, "value": Text }
    MODEL_PARAM = "MlflowModelParam" { "name": Text, "value": Text }
    METRIC = "MlflowMetricExtension" {
        "key": Text, "value": Float, "timestamp": Long, "step": Long, "datasetName": Text, "datasetDigest": Text,
        "modelId": Text, "runId": Text,
    }
    MODEL_METRIC = "MlflowModelMetric" {
        "key": Text, "value": Float, "timestamp": Long, "step": Long, "datasetName": Text, "datasetDigest": Text,
        "modelId": Text, "runId": Text,
    }
    POINT = "MlflowMetricWithRunId" { "key": Text, "value": Float, "timestamp": Long, "step": Long, "runId": Text }
    JOB_STATE = "MlflowModelVersionDeploymentJobState" {
        "jobId": Text, "runId": Text, "jobState": Text, "runState": Text, "currentTaskName": Text,
    }
    VERSION = "MlflowModelVersion" {
        "name": Text, "version": Text, "creationTimestamp": Long, "lastUpdatedTimestamp": Long, "userId": Text,
        "currentStage": Text, "description": Text, "source": Text, "runId": Text, "status": Text,
        "statusMessage": Text, "tags": Many(&VERSION_TAG), "runLink": Text, "aliases": Texts, "modelId": Text,
        "modelParams": Many(&MODEL_PARAM), "modelMetrics": Many(&MODEL_METRIC), "deploymentJobState": One(&JOB_STATE),
    }
    EXPERIMENT = "MlflowExperiment" {
        "experimentId": Text, "name": Text, "artifactLocation": Text, "lifecycleStage": Text, "lastUpdateTime": Long,
        "creationTime": Long, "tags": Many(&EXPERIMENT_TAG), "effectiveTraceArchivalRetention": Text,
        "workspace": Text,
    }
    RUN_INFO = "MlflowRunInfo" {
        "runId": Text, "runUuid": Text, "runName": Text, "experimentId": Text, "userId": Text, "status": Text,
        "startTime": Long, "endTime": Long, "artifactUri": Text, "lifecycleStage": Text,
    }
    RUN_DATA = "MlflowRunData" { "metrics": Many(&METRIC), "params": Many(&PARAM), "tags": Many(&KEY_VALUE) }
    DATASET = "MlflowDataset" {
        "name": Text, "digest": Text, "sourceType": Text, "source": Text, "schema": Text, "profile": Text,
    }
    DATASET_INPUT = "MlflowDatasetInput" { "tags": Many(&INPUT_TAG), "dataset": One(&DATASET) }
    MODEL_INPUT = "MlflowModelInput" { "modelId": Text }
    MODEL_OUTPUT = "MlflowModelOutput" { "modelId": Text, "step": Long }
    RUN_INPUTS = "MlflowRunInputs" { "datasetInputs": Many(&DATASET_INPUT), "modelInputs": Many(&MODEL_INPUT) }
    RUN_OUTPUTS = "MlflowRunOutputs" { "modelOutputs": Many(&MODEL_OUTPUT) }
    RUN = "MlflowRunExtension" {
        "info": One(&RUN_INFO), "data": One(&RUN_DATA), "inputs": One(&RUN_INPUTS), "outputs": One(&RUN_OUTPUTS),
        "experiment": ExperimentOfRun, "modelVersions": VersionsOfRun,
    }
    FILE = "MlflowFileInfo" { "path": Text, "isDir": Bool, "fileSize": Long }
    SUMMARY = "MlflowDatasetSummary" { "experimentId": Text, "name": Text, "digest": Text, "context": Text }

    GET_EXPERIMENT = "MlflowGetExperimentResponse" { "experiment": One(&EXPERIMENT), "apiError": ApiError }
    GET_RUN = "MlflowGetRunResponse" { "run": One(&RUN), "apiError": ApiError }
    SEARCH_RUNS = "MlflowSearchRunsResponse" { "runs": Many(&RUN), "nextPageToken": Text, "apiError": ApiError }
    LIST_ARTIFACTS = "MlflowListArtifactsResponse" {
        "rootUri": Text, "files": Many(&FILE), "nextPageToken": Text, "apiError": ApiError,
    }
    SEARCH_VERSIONS = "MlflowSearchModelVersionsResponse" {
        "modelVersions": Many(&VERSION), "nextPageToken": Text, "apiError": ApiError,
    }
    HISTORY = "MlflowGetMetricHistoryBulkIntervalResponse" { "metrics": Many(&POINT), "apiError": ApiError }
    SEARCH_DATASETS = "MlflowSearchDatasetsResponse" { "datasetSummaries": Many(&SUMMARY), "apiError": ApiError }
}

const fn call(method: &'static str, name: &'static str, path: &'static str, answer: &'static Type) -> Root {
    Root {
        name,
        method,
        path,
        answer,
    }
}

pub(super) static GET_EXPERIMENT_CALL: Root =
    call("GET", "mlflowGetExperiment", "experiments/get", &GET_EXPERIMENT);
pub(super) static SEARCH_VERSIONS_CALL: Root = call(
    "GET",
    "mlflowSearchModelVersions",
    "model-versions/search",
    &SEARCH_VERSIONS,
);
static SEARCH_RUNS_CALL: Root = call("POST", "mlflowSearchRuns", "runs/search", &SEARCH_RUNS);

pub(super) static QUERIES: &[&Root] = &[
    &GET_EXPERIMENT_CALL,
    &call(
        "GET",
        "mlflowGetMetricHistoryBulkInterval",
        "metrics/get-history-bulk-interval",
        &HISTORY,
    ),
    &call("GET", "mlflowGetRun", "runs/get", &GET_RUN),
    &call("GET", "mlflowListArtifacts", "artifacts/list", &LIST_ARTIFACTS),
    &SEARCH_VERSIONS_CALL,
    &SEARCH_RUNS_CALL,
];

/// Searches by POST are called mutations there.
pub(super) static MUTATIONS: &[&Root] = &[
    &call(
        "POST",
        "mlflowSearchDatasets",
        "experiments/search-datasets",
        &SEARCH_DATASETS,
    ),
    &SEARCH_RUNS_CALL,
];
