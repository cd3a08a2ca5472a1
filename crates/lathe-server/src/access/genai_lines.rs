//! The lines of traces, assessments, evaluation datasets and scorers.

use lathe_types::access::Permission::{Edit, Manage, Read};
use lathe_types::users::{Role, Scope};

use super::lines::{EXPERIMENT, EXPERIMENT_EDIT, RUN, act, also, on, own, read, search, view, write};
use super::table::{Check, Kind, Rule};

const TRACE: &[&str] = &["trace_id", "trace_ids", "request_id", "request_ids"];
const TRACE_READ: &[Check] = &[on(Read, Kind::Trace, TRACE)];
const TRACE_EDIT: &[Check] = &[on(Edit, Kind::Trace, TRACE)];
const TRACES_OF_RUN: &[Check] = &[on(Edit, Kind::Trace, TRACE), also(Edit, Kind::Run, RUN)];
const TRACES_DELETE: &[Check] = &[
    on(Manage, Kind::Experiment, EXPERIMENT),
    also(Manage, Kind::Trace, TRACE),
];
/// Where a trace that is begun belongs.
const TRACE_PLACE: &[Check] = &[
    on(
        Edit,
        Kind::Experiment,
        &["trace.trace_info.trace_location.mlflow_experiment.experiment_id"],
    ),
    // One that is told of again may lie elsewhere.
    also(Edit, Kind::Trace, &["trace.trace_info.trace_id"]),
];
const ASSESSMENT: &str = "/api/3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}";

pub(super) const TRACES: &[Rule] = &[
    write("POST", "/api/3.0/mlflow/traces", TRACE_PLACE),
    read("GET", "/api/3.0/mlflow/traces/{trace_id}", TRACE_READ),
    read("GET", "/api/3.0/mlflow/traces/get", TRACE_READ),
    read("GET", "/api/3.0/mlflow/traces/batchGet", TRACE_READ),
    read("POST", "/api/3.0/mlflow/traces/batchGetInfos", TRACE_READ),
    search("POST", "/api/3.0/mlflow/traces/search"),
    write("POST", "/api/3.0/mlflow/traces/delete-traces", TRACES_DELETE),
    write("POST", "/api/2.0/mlflow/traces/delete-traces", TRACES_DELETE),
    write("PATCH", "/api/3.0/mlflow/traces/{trace_id}/tags", TRACE_EDIT),
    write("DELETE", "/api/3.0/mlflow/traces/{trace_id}/tags", TRACE_EDIT),
    write("PATCH", "/api/2.0/mlflow/traces/{trace_id}/tags", TRACE_EDIT),
    write("DELETE", "/api/2.0/mlflow/traces/{trace_id}/tags", TRACE_EDIT),
    write("POST", "/api/3.0/mlflow/traces/link-to-run", TRACES_OF_RUN),
    write("POST", "/api/2.0/mlflow/traces/link-to-run", TRACES_OF_RUN),
    write("POST", "/api/3.0/mlflow/traces/link-prompts", TRACE_EDIT),
    write("POST", "/api/2.0/mlflow/traces/link-prompts", TRACE_EDIT),
    search("POST", "/api/3.0/mlflow/traces/calculate-filter-correlation"),
    search("POST", "/api/3.0/mlflow/traces/metrics"),
    read("GET", "/api/3.0/mlflow/get-trace-artifact", TRACE_READ),
    read("GET", "/api/2.0/mlflow/get-trace-artifact", TRACE_READ),
    write("POST", "/api/2.0/mlflow/traces", EXPERIMENT_EDIT),
    search("GET", "/api/2.0/mlflow/traces"),
    write("PATCH", "/api/2.0/mlflow/traces/{trace_id}", TRACE_EDIT),
    read("GET", "/api/2.0/mlflow/traces/{trace_id}/info", TRACE_READ),
    write(
        "POST",
        "/api/3.0/mlflow/traces/{trace_id}/assessments",
        TRACE_EDIT,
    ),
    read("GET", ASSESSMENT, TRACE_READ),
    write("PATCH", ASSESSMENT, TRACE_EDIT),
    write("DELETE", ASSESSMENT, TRACE_EDIT),
    write(
        "POST",
        "/v1/traces",
        &[on(Edit, Kind::Experiment, &["x-mlflow-experiment-id"])],
    ),
    read("GET", "/api/v1/traces/{trace_id}/spans", TRACE_READ),
    read("GET", "/api/v1/traces/{trace_id}/spans/{span_id}", TRACE_READ),
];

const SCORER_READ: &[Check] = &[on(Read, Kind::Experiment, EXPERIMENT)];
/// Evaluation datasets belong to several experiments or to none: a role decides.
const DATASET: &str = "/api/3.0/mlflow/datasets/{dataset_id}";
const DATASET_RECORDS: &str = "/api/3.0/mlflow/datasets/{dataset_id}/records";

pub(super) const EVALUATION: &[Rule] = &[
    act("POST", "/api/3.0/mlflow/datasets/create", Role::Editor),
    view("/api/3.0/mlflow/datasets/search"),
    own(
        "POST",
        "/api/3.0/mlflow/datasets/search",
        Role::Viewer,
        &[],
        Scope::Read,
    ),
    view(DATASET),
    act("DELETE", DATASET, Role::Editor),
    act(
        "PATCH",
        "/api/3.0/mlflow/datasets/{dataset_id}/tags",
        Role::Editor,
    ),
    act(
        "DELETE",
        "/api/3.0/mlflow/datasets/{dataset_id}/tags/{*key}",
        Role::Editor,
    ),
    view(DATASET_RECORDS),
    act("POST", DATASET_RECORDS, Role::Editor),
    act("DELETE", DATASET_RECORDS, Role::Editor),
    view("/api/3.0/mlflow/datasets/{dataset_id}/experiment-ids"),
    act(
        "POST",
        "/api/3.0/mlflow/datasets/{dataset_id}/add-experiments",
        Role::Editor,
    ),
    act(
        "POST",
        "/api/3.0/mlflow/datasets/{dataset_id}/remove-experiments",
        Role::Editor,
    ),
    write("POST", "/api/3.0/mlflow/scorers/register", EXPERIMENT_EDIT),
    read("GET", "/api/3.0/mlflow/scorers/list", SCORER_READ),
    read("GET", "/api/3.0/mlflow/scorers/versions", SCORER_READ),
    read("GET", "/api/3.0/mlflow/scorers/get", SCORER_READ),
    write("DELETE", "/api/3.0/mlflow/scorers/delete", EXPERIMENT_EDIT),
    write("PUT", "/api/3.0/mlflow/scorers/online-config", EXPERIMENT_EDIT),
    view("/api/3.0/mlflow/scorers/online-configs"),
];
