CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    spec TEXT NOT NULL,
    declared_at BIGINT NOT NULL
);

CREATE TABLE deployments (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (name),
    spec TEXT NOT NULL,
    stable BIGINT,
    previous BIGINT,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE rollouts (
    id {{serial}},
    deployment TEXT NOT NULL REFERENCES deployments (name),
    from_version BIGINT NOT NULL,
    to_version BIGINT NOT NULL,
    step BIGINT NOT NULL,
    step_started_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    state TEXT NOT NULL,
    reason TEXT,
    fault TEXT
);
CREATE UNIQUE INDEX rollouts_running ON rollouts (deployment) WHERE state = 'running';
CREATE INDEX rollouts_by_deployment ON rollouts (deployment, id);

CREATE TABLE target_stats (
    deployment TEXT NOT NULL,
    rollout BIGINT NOT NULL,
    step BIGINT NOT NULL,
    version BIGINT NOT NULL,
    role TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    latency TEXT NOT NULL,
    PRIMARY KEY (deployment, rollout, step, version, role)
);

CREATE TABLE samples (
    prediction_id TEXT PRIMARY KEY,
    deployment TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX samples_by_time ON samples (deployment, at);

CREATE TABLE labels (
    prediction_id TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE windows (
    deployment TEXT NOT NULL,
    start BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (deployment, start)
);

CREATE TABLE alerts (
    id {{serial}},
    deployment TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX alerts_unresolved ON alerts (deployment, kind) WHERE state <> 'resolved';

CREATE TABLE verdicts (
    id {{serial}},
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX verdicts_by_version ON verdicts (model, version, id);

CREATE TABLE jobs (
    id {{serial}},
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    attempts_max BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    lease_until BIGINT,
    worker TEXT,
    result TEXT,
    error TEXT,
    cause TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_unfinished ON jobs (key) WHERE state IN ('queued', 'running');

CREATE TABLE executions (
    run_id TEXT PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE version_facts (
    model TEXT NOT NULL,
    version BIGINT NOT NULL,
    facts TEXT,
    reference TEXT,
    PRIMARY KEY (model, version)
);

CREATE TABLE trigger_firings (
    id {{serial}},
    project TEXT NOT NULL,
    trigger_name TEXT NOT NULL,
    alert_id BIGINT NOT NULL,
    fired BIGINT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE UNIQUE INDEX trigger_firings_once ON trigger_firings (project, trigger_name, alert_id);
