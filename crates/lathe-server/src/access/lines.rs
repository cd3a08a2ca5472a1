//! The lines of the table, face by face.

use lathe_types::access::Permission::{self, Edit, Manage, Read};
use lathe_types::users::{Role, Scope};

use super::genai_lines::{EVALUATION, TRACES};
use super::table::{Absent, Check, Kind, Need, Rule};

pub(super) const RUN: &[&str] = &["run_id", "run_uuid"];
const MODEL_ID: &[&str] = &["model_id", "id"];

pub(super) const fn on(level: Permission, kind: Kind, names: &'static [&'static str]) -> Check {
    Check {
        level,
        kind,
        names,
        absent: Absent::Wrong,
    }
}

pub(super) const fn also(level: Permission, kind: Kind, names: &'static [&'static str]) -> Check {
    Check {
        level,
        kind,
        names,
        absent: Absent::Fine,
    }
}

const fn rule(method: &'static str, path: &'static str, need: Need, scope: Scope) -> Rule {
    Rule {
        method,
        path,
        need,
        scope,
        is_data: false,
    }
}

const fn open(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Need::Open, Scope::Read)
}

pub(super) const fn search(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Need::User, Scope::Read)
}

const fn make(path: &'static str) -> Rule {
    rule("POST", path, Need::User, Scope::Write)
}

const fn make_part(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Need::User, Scope::Write)
}

const fn account(method: &'static str, path: &'static str) -> Rule {
    rule(method, path, Need::User, Scope::Admin)
}

pub(super) const fn read(method: &'static str, path: &'static str, checks: &'static [Check]) -> Rule {
    rule(method, path, Need::On(checks), Scope::Read)
}

pub(super) const fn write(method: &'static str, path: &'static str, checks: &'static [Check]) -> Rule {
    rule(method, path, Need::On(checks), Scope::Write)
}

const fn data(path: &'static str, checks: &'static [Check]) -> Rule {
    Rule {
        method: "POST",
        path,
        need: Need::On(checks),
        scope: Scope::Write,
        is_data: true,
    }
}

pub(super) const fn own(
    method: &'static str,
    path: &'static str,
    role: Role,
    checks: &'static [Check],
    scope: Scope,
) -> Rule {
    rule(method, path, Need::Role(role, checks), scope)
}

pub(super) const fn view(path: &'static str) -> Rule {
    own("GET", path, Role::Viewer, &[], Scope::Read)
}

pub(super) const fn act(method: &'static str, path: &'static str, role: Role) -> Rule {
    own(method, path, role, &[], Scope::Write)
}

/// Webhooks tell others of everything.
const fn webhook(method: &'static str, path: &'static str) -> Rule {
    own(method, path, Role::Admin, &[], Scope::Write)
}

const fn infer(method: &'static str, path: &'static str) -> Rule {
    own(method, path, Role::Viewer, &[], Scope::Inference)
}

pub(super) const EXPERIMENT: &[&str] = &["experiment_id"];
const RUN_READ: &[Check] = &[on(Read, Kind::Run, RUN)];
const RUN_EDIT: &[Check] = &[on(Edit, Kind::Run, RUN)];
const LOGS: &[Check] = &[
    on(Edit, Kind::Run, RUN),
    also(
        Edit,
        Kind::LoggedModel,
        &["model_id", "metrics.model_id", "models.model_id"],
    ),
];
pub(super) const EXPERIMENT_EDIT: &[Check] = &[on(Edit, Kind::Experiment, EXPERIMENT)];
const EXPERIMENT_MANAGE: &[Check] = &[on(Manage, Kind::Experiment, EXPERIMENT)];
const LOGGED_READ: &[Check] = &[on(Read, Kind::LoggedModel, MODEL_ID)];
const LOGGED_EDIT: &[Check] = &[on(Edit, Kind::LoggedModel, MODEL_ID)];
const LOGGED_MANAGE: &[Check] = &[on(Manage, Kind::LoggedModel, MODEL_ID)];
const MODEL_READ: &[Check] = &[on(Read, Kind::Model, &["name"])];
const MODEL_EDIT: &[Check] = &[on(Edit, Kind::Model, &["name"])];
const MODEL_MANAGE: &[Check] = &[on(Manage, Kind::Model, &["name"])];
const VERSION_READ: &[Check] = &[on(Read, Kind::Version, &["name"])];
const VERSION_EDIT: &[Check] = &[on(Edit, Kind::Version, &["name"])];
const VERSION_MANAGE: &[Check] = &[on(Manage, Kind::Version, &["name"])];
const OWN_MODEL_READ: &[Check] = &[on(Read, Kind::Version, &["model"])];
const OWN_MODEL_EDIT: &[Check] = &[on(Edit, Kind::Version, &["model"])];

pub(super) const TABLE: &[&[Rule]] = &[
    BASICS, TRACKING, TRACES, EVALUATION, REGISTRY, ARTIFACTS, ACCESS, OWN, INFERENCE,
];

const BASICS: &[Rule] = &[
    open("GET", "/health"),
    open("GET", "/version"),
    open("GET", "/ping"),
    // Each thing that it asks for is a request that is judged.
    open("POST", "/graphql"),
    open("GET", "/v2/health/live"),
    open("GET", "/v2/health/ready"),
    view("/metrics"),
];

const TRACKING: &[Rule] = &[
    rule(
        "POST",
        "/api/2.0/mlflow/experiments/create",
        Need::On(&[also(Edit, Kind::Location, &["artifact_location"])]),
        Scope::Write,
    ),
    read(
        "GET",
        "/api/2.0/mlflow/experiments/get",
        &[on(Read, Kind::Experiment, EXPERIMENT)],
    ),
    read(
        "GET",
        "/api/2.0/mlflow/experiments/get-by-name",
        &[on(Read, Kind::ExperimentName, &["experiment_name"])],
    ),
    search("GET", "/api/2.0/mlflow/experiments/search"),
    search("POST", "/api/2.0/mlflow/experiments/search"),
    search("POST", "/api/2.0/mlflow/experiments/search-datasets"),
    write("POST", "/api/2.0/mlflow/experiments/update", EXPERIMENT_EDIT),
    write("POST", "/api/2.0/mlflow/experiments/delete", EXPERIMENT_MANAGE),
    write("POST", "/api/2.0/mlflow/experiments/restore", EXPERIMENT_MANAGE),
    write(
        "POST",
        "/api/2.0/mlflow/experiments/set-experiment-tag",
        EXPERIMENT_EDIT,
    ),
    write(
        "POST",
        "/api/2.0/mlflow/experiments/delete-experiment-tag",
        EXPERIMENT_EDIT,
    ),
    write(
        "POST",
        "/api/2.0/mlflow/runs/create",
        &[Check {
            level: Edit,
            kind: Kind::Experiment,
            names: EXPERIMENT,
            absent: Absent::Means("0"),
        }],
    ),
    read("GET", "/api/2.0/mlflow/runs/get", RUN_READ),
    write("POST", "/api/2.0/mlflow/runs/update", RUN_EDIT),
    write(
        "POST",
        "/api/2.0/mlflow/runs/delete",
        &[on(Manage, Kind::Run, RUN)],
    ),
    write(
        "POST",
        "/api/2.0/mlflow/runs/restore",
        &[on(Manage, Kind::Run, RUN)],
    ),
    search("POST", "/api/2.0/mlflow/runs/search"),
    data("/api/2.0/mlflow/runs/log-metric", LOGS),
    data("/api/2.0/mlflow/runs/log-parameter", LOGS),
    data("/api/2.0/mlflow/runs/log-batch", LOGS),
    data("/api/2.0/mlflow/runs/log-inputs", LOGS),
    data("/api/2.0/mlflow/runs/log-model", RUN_EDIT),
    data("/api/2.0/mlflow/runs/outputs", LOGS),
    data("/api/2.0/mlflow/runs/set-tag", RUN_EDIT),
    data("/api/2.0/mlflow/runs/delete-tag", RUN_EDIT),
    read("GET", "/api/2.0/mlflow/metrics/get-history", RUN_READ),
    read(
        "GET",
        "/api/2.0/mlflow/metrics/get-history-bulk",
        &[on(Read, Kind::Run, &["run_id", "run_ids"])],
    ),
    read(
        "GET",
        "/api/2.0/mlflow/metrics/get-history-bulk-interval",
        &[on(Read, Kind::Run, &["run_id", "run_ids"])],
    ),
    write(
        "POST",
        "/api/2.0/mlflow/logged-models",
        &[
            on(Edit, Kind::Experiment, EXPERIMENT),
            also(Edit, Kind::Run, &["source_run_id"]),
        ],
    ),
    search("POST", "/api/2.0/mlflow/logged-models/search"),
    read("GET", "/api/2.0/mlflow/logged-models/{model_id}", LOGGED_READ),
    write("PATCH", "/api/2.0/mlflow/logged-models/{model_id}", LOGGED_EDIT),
    write(
        "DELETE",
        "/api/2.0/mlflow/logged-models/{model_id}",
        LOGGED_MANAGE,
    ),
    write(
        "POST",
        "/api/2.0/mlflow/logged-models/{model_id}/params",
        LOGGED_EDIT,
    ),
    write(
        "PATCH",
        "/api/2.0/mlflow/logged-models/{model_id}/tags",
        LOGGED_EDIT,
    ),
    write(
        "DELETE",
        "/api/2.0/mlflow/logged-models/{model_id}/tags/{*key}",
        LOGGED_EDIT,
    ),
    read(
        "GET",
        "/api/2.0/mlflow/logged-models/{id}/artifacts/directories",
        LOGGED_READ,
    ),
    read(
        "GET",
        "/api/2.0/mlflow/logged-models/{id}/artifacts/files",
        LOGGED_READ,
    ),
];

const REGISTRY: &[Rule] = &[
    webhook("GET", "/api/2.0/mlflow/webhooks"),
    webhook("POST", "/api/2.0/mlflow/webhooks"),
    webhook("GET", "/api/2.0/mlflow/webhooks/{id}"),
    webhook("PATCH", "/api/2.0/mlflow/webhooks/{id}"),
    webhook("DELETE", "/api/2.0/mlflow/webhooks/{id}"),
    webhook("POST", "/api/2.0/mlflow/webhooks/{id}/test"),
    webhook("GET", "/api/v1/webhooks/{id}/deliveries"),
    make("/api/2.0/mlflow/registered-models/create"),
    write("POST", "/api/2.0/mlflow/registered-models/rename", MODEL_MANAGE),
    write("PATCH", "/api/2.0/mlflow/registered-models/update", MODEL_EDIT),
    write("DELETE", "/api/2.0/mlflow/registered-models/delete", MODEL_MANAGE),
    read("GET", "/api/2.0/mlflow/registered-models/get", MODEL_READ),
    search("GET", "/api/2.0/mlflow/registered-models/search"),
    read(
        "GET",
        "/api/2.0/mlflow/registered-models/get-latest-versions",
        VERSION_READ,
    ),
    read(
        "POST",
        "/api/2.0/mlflow/registered-models/get-latest-versions",
        VERSION_READ,
    ),
    write("POST", "/api/2.0/mlflow/registered-models/set-tag", MODEL_EDIT),
    write(
        "DELETE",
        "/api/2.0/mlflow/registered-models/delete-tag",
        MODEL_EDIT,
    ),
    read("GET", "/api/2.0/mlflow/registered-models/alias", VERSION_READ),
    write("POST", "/api/2.0/mlflow/registered-models/alias", MODEL_EDIT),
    write("DELETE", "/api/2.0/mlflow/registered-models/alias", MODEL_EDIT),
    write(
        "POST",
        "/api/2.0/mlflow/model-versions/create",
        &[
            on(Edit, Kind::Model, &["name"]),
            also(Read, Kind::Run, RUN),
            also(Read, Kind::LoggedModel, &["model_id"]),
            also(Read, Kind::Location, &["source"]),
        ],
    ),
    write("PATCH", "/api/2.0/mlflow/model-versions/update", VERSION_EDIT),
    write(
        "POST",
        "/api/2.0/mlflow/model-versions/transition-stage",
        VERSION_EDIT,
    ),
    write("DELETE", "/api/2.0/mlflow/model-versions/delete", VERSION_MANAGE),
    read("GET", "/api/2.0/mlflow/model-versions/get", VERSION_READ),
    search("GET", "/api/2.0/mlflow/model-versions/search"),
    read(
        "GET",
        "/api/2.0/mlflow/model-versions/get-download-uri",
        VERSION_READ,
    ),
    write("POST", "/api/2.0/mlflow/model-versions/set-tag", VERSION_EDIT),
    write(
        "DELETE",
        "/api/2.0/mlflow/model-versions/delete-tag",
        VERSION_EDIT,
    ),
];

const PATH: &[&str] = &["path"];
const UPLOAD: &[Check] = &[
    on(Edit, Kind::Artifact, &["folder"]),
    also(Edit, Kind::Artifact, PATH),
];
const OF_RUN_OR_MODEL_EDIT: &[Check] = &[
    also(Edit, Kind::Run, RUN),
    also(Edit, Kind::LoggedModel, MODEL_ID),
];
const OF_RUN_OR_MODEL_READ: &[Check] = &[
    also(Read, Kind::Run, RUN),
    also(Read, Kind::LoggedModel, MODEL_ID),
];

const ARTIFACTS: &[Rule] = &[
    read(
        "GET",
        "/api/2.0/mlflow-artifacts/artifacts",
        &[on(Read, Kind::Artifact, PATH)],
    ),
    read(
        "GET",
        "/api/2.0/mlflow-artifacts/artifacts/{*path}",
        &[on(Read, Kind::Artifact, PATH)],
    ),
    write(
        "PUT",
        "/api/2.0/mlflow-artifacts/artifacts/{*path}",
        &[on(Edit, Kind::Artifact, PATH)],
    ),
    write(
        "DELETE",
        "/api/2.0/mlflow-artifacts/artifacts/{*path}",
        &[on(Manage, Kind::Artifact, PATH)],
    ),
    write("POST", "/api/2.0/mlflow-artifacts/mpu/create/{*folder}", UPLOAD),
    write("POST", "/api/2.0/mlflow-artifacts/mpu/complete/{*folder}", UPLOAD),
    write("POST", "/api/2.0/mlflow-artifacts/mpu/abort/{*folder}", UPLOAD),
    // The id of an upload is random, and was told to whoever may write there.
    make_part("GET", "/api/2.0/mlflow-artifacts/mpu/parts/{id}"),
    make_part("PUT", "/api/2.0/mlflow-artifacts/mpu/parts/{id}/{number}"),
    write(
        "POST",
        "/api/2.0/mlflow/artifacts/presigned-upload-url",
        OF_RUN_OR_MODEL_EDIT,
    ),
    read(
        "POST",
        "/api/2.0/mlflow/artifacts/presigned-download-url",
        OF_RUN_OR_MODEL_READ,
    ),
    open("GET", "/api/3.0/mlflow/server-info"),
    read(
        "GET",
        "/api/2.0/mlflow-artifacts/presigned/{*path}",
        &[on(Read, Kind::Artifact, PATH)],
    ),
    read("GET", "/api/2.0/mlflow/artifacts/list", RUN_READ),
    read("GET", "/get-artifact", RUN_READ),
    write("POST", "/api/2.0/mlflow/upload-artifact", RUN_EDIT),
    read("GET", "/model-versions/get-artifact", VERSION_READ),
];

/// Users and their permissions: the handlers know who may what to whom.
const ACCESS: &[Rule] = &[
    account("POST", "/api/2.0/mlflow/users/create"),
    account("GET", "/api/2.0/mlflow/users/get"),
    search("GET", "/api/2.0/mlflow/users/current"),
    account("GET", "/api/2.0/mlflow/users/list"),
    account("PATCH", "/api/2.0/mlflow/users/update-password"),
    account("PATCH", "/api/2.0/mlflow/users/update-admin"),
    account("DELETE", "/api/2.0/mlflow/users/delete"),
    search("GET", "/api/3.0/mlflow/users/current/permissions"),
    account("GET", "/api/3.0/mlflow/users/permissions/list"),
    account("POST", "/api/3.0/mlflow/users/permissions/grant"),
    account("POST", "/api/3.0/mlflow/users/permissions/revoke"),
    account("GET", "/api/3.0/mlflow/users/permissions/get"),
    account("GET", "/api/3.0/mlflow/users/roles/list"),
    account("POST", "/api/3.0/mlflow/roles/create"),
    account("GET", "/api/3.0/mlflow/roles/get"),
    account("GET", "/api/3.0/mlflow/roles/list"),
    account("PATCH", "/api/3.0/mlflow/roles/update"),
    account("DELETE", "/api/3.0/mlflow/roles/delete"),
    account("POST", "/api/3.0/mlflow/roles/assign"),
    account("DELETE", "/api/3.0/mlflow/roles/unassign"),
    account("POST", "/api/3.0/mlflow/roles/permissions/add"),
    account("DELETE", "/api/3.0/mlflow/roles/permissions/remove"),
    account("GET", "/api/3.0/mlflow/roles/permissions/list"),
    account("PATCH", "/api/3.0/mlflow/roles/permissions/update"),
    account("GET", "/api/3.0/mlflow/roles/users/list"),
    account("POST", "/api/2.0/mlflow/experiments/permissions/create"),
    account("GET", "/api/2.0/mlflow/experiments/permissions/get"),
    account("PATCH", "/api/2.0/mlflow/experiments/permissions/update"),
    account("DELETE", "/api/2.0/mlflow/experiments/permissions/delete"),
    account("POST", "/api/2.0/mlflow/registered-models/permissions/create"),
    account("GET", "/api/2.0/mlflow/registered-models/permissions/get"),
    account("PATCH", "/api/2.0/mlflow/registered-models/permissions/update"),
    account("DELETE", "/api/2.0/mlflow/registered-models/permissions/delete"),
    open("GET", "/api/v1/session"),
    open("POST", "/api/v1/session"),
    open("DELETE", "/api/v1/session"),
    account("GET", "/api/v1/users"),
    account("POST", "/api/v1/users"),
    account("PATCH", "/api/v1/users/{name}"),
    account("DELETE", "/api/v1/users/{name}"),
    account("GET", "/api/v1/tokens"),
    account("POST", "/api/v1/tokens"),
    account("DELETE", "/api/v1/tokens/{id}"),
    own("GET", "/api/v1/audit", Role::Admin, &[], Scope::Admin),
];

const OWN: &[Rule] = &[
    search("GET", "/api/v1/about"),
    search("GET", "/api/v1/openapi.json"),
    view("/api/v1/alerts"),
    act("POST", "/api/v1/alerts/{id}/acknowledge", Role::Editor),
    view("/api/v1/deployments"),
    view("/api/v1/deployments/{name}"),
    view("/api/v1/deployments/{name}/rollouts"),
    view("/api/v1/deployments/{name}/windows"),
    act("POST", "/api/v1/deployments/{name}/rollback", Role::Editor),
    Rule {
        is_data: true,
        ..act("POST", "/api/v1/serving/reports", Role::Editor)
    },
    view("/api/v1/events"),
    view("/events"),
    view("/api/v1/jobs"),
    own(
        "POST",
        "/api/v1/jobs",
        Role::Editor,
        &[
            also(Read, Kind::Raises(Role::Approver), &["payload.ungated"]),
            also(Read, Kind::Model, &["payload.model", "payload.gate"]),
        ],
        Scope::Write,
    ),
    view("/api/v1/jobs/{id}"),
    own("POST", "/api/v1/steps", Role::Editor, RUN_EDIT, Scope::Write),
    own("POST", "/api/v1/steps/claim", Role::Editor, &[], Scope::Write),
    step("/api/v1/steps/{id}/keep"),
    step("/api/v1/steps/{id}/end"),
    step("/api/v1/steps/{id}/follow"),
    step("/api/v1/steps/{id}/cancel"),
    view("/api/v1/lineage"),
    own(
        "GET",
        "/api/v1/models/{model}/versions/{version}/facts",
        Role::Viewer,
        OWN_MODEL_READ,
        Scope::Read,
    ),
    own(
        "PUT",
        "/api/v1/models/{model}/versions/{version}/facts",
        Role::Editor,
        OWN_MODEL_EDIT,
        Scope::Write,
    ),
    own(
        "PUT",
        "/api/v1/models/{model}/versions/{version}/reference",
        Role::Editor,
        OWN_MODEL_EDIT,
        Scope::Write,
    ),
    own(
        "GET",
        "/api/v1/models/{model}/versions/{version}/verdicts",
        Role::Viewer,
        OWN_MODEL_READ,
        Scope::Read,
    ),
    view("/api/v1/projects"),
    act("PUT", "/api/v1/projects/{name}", Role::Editor),
    own("POST", "/api/v1/executions", Role::Editor, RUN_EDIT, Scope::Write),
    own(
        "GET",
        "/api/v1/executions/{run_id}",
        Role::Viewer,
        RUN_READ,
        Scope::Read,
    ),
    own(
        "POST",
        "/api/v1/executions/{run_id}/reproduction",
        Role::Editor,
        RUN_EDIT,
        Scope::Write,
    ),
    Rule {
        is_data: true,
        ..own("POST", "/api/v1/labels", Role::Viewer, &[], Scope::Inference)
    },
];

/// What `lathe run` and workers say of a step while it is executed.
const fn step(path: &'static str) -> Rule {
    Rule {
        is_data: true,
        ..own("POST", path, Role::Editor, &[], Scope::Write)
    }
}

/// Unloading takes a model away from everybody.
const fn repository(path: &'static str) -> Rule {
    own("POST", path, Role::Editor, &[], Scope::Write)
}

const INFERENCE: &[Rule] = &[
    infer("GET", "/v2"),
    infer("GET", "/v2/"),
    infer("GET", "/v2/openapi.json"),
    infer("GET", "/v2/models"),
    infer("GET", "/v2/models/stats"),
    infer("GET", "/v2/models/{name}"),
    infer("GET", "/v2/models/{name}/ready"),
    infer("GET", "/v2/models/{name}/config"),
    infer("GET", "/v2/models/{name}/stats"),
    infer("POST", "/v2/models/{name}/infer"),
    infer("GET", "/v2/models/{name}/versions/{version}"),
    infer("GET", "/v2/models/{name}/versions/{version}/ready"),
    infer("GET", "/v2/models/{name}/versions/{version}/config"),
    infer("GET", "/v2/models/{name}/versions/{version}/stats"),
    infer("POST", "/v2/models/{name}/versions/{version}/infer"),
    infer("POST", "/v2/repository/index"),
    infer("POST", "/v2/repository/{repository}/index"),
    repository("/v2/repository/models/{name}/load"),
    repository("/v2/repository/models/{name}/unload"),
    repository("/v2/repository/{repository}/models/{name}/load"),
    repository("/v2/repository/{repository}/models/{name}/unload"),
    infer("POST", "/inference.GRPCInferenceService/{method}"),
    repository("/inference.GRPCInferenceService/RepositoryModelLoad"),
    repository("/inference.GRPCInferenceService/RepositoryModelUnload"),
    open("POST", "/grpc.health.v1.Health/{method}"),
    open("POST", "/grpc.reflection.v1.ServerReflection/{method}"),
    open("POST", "/grpc.reflection.v1alpha.ServerReflection/{method}"),
    infer("GET", "/v1/models"),
    infer("GET", "/v1/models/{name}"),
    infer("POST", "/v1/models/{name}"),
    infer("POST", "/v1/models/{name}/versions/{version}"),
    infer("POST", "/invocations"),
    infer("POST", "/deployments/{name}/invocations"),
];
