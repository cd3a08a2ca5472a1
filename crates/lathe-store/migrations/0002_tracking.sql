CREATE TABLE experiments (
    experiment_id {{serial}},
    name TEXT NOT NULL UNIQUE,
    artifact_location TEXT,
    lifecycle TEXT NOT NULL,
    created_at BIGINT,
    updated_at BIGINT
);
INSERT INTO experiments (experiment_id, name, lifecycle) VALUES (0, 'Default', 'active');

CREATE TABLE experiment_tags (
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
) {{clustered}};

-- Inside the database a run is its number: shorter than its id in every row that belongs to it.
CREATE TABLE runs (
    run_no {{serial}},
    run_id TEXT NOT NULL UNIQUE,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_time BIGINT NOT NULL,
    end_time BIGINT,
    lifecycle TEXT NOT NULL,
    deleted_at BIGINT,
    artifact_uri TEXT NOT NULL
);
CREATE INDEX runs_by_start ON runs (experiment_id, lifecycle, start_time DESC, run_id);

-- The rows of a run lie beside each other, in the order a history is read in. NaN is value 0 with is_nan 1. No
-- foreign keys here: every write has just looked up its run, and these are the rows that come by the thousand.
CREATE TABLE metrics (
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    PRIMARY KEY (run_no, key, at, step, value, is_nan)
) {{clustered}};

CREATE TABLE latest_metrics (
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run_no, key)
) {{clustered}};
CREATE INDEX latest_metrics_by_value ON latest_metrics (key, is_nan, value);

CREATE TABLE params (
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_no, key)
) {{clustered}};

CREATE TABLE tags (
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_no, key)
) {{clustered}};

CREATE TABLE datasets (
    dataset_no {{serial}},
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    dataset_schema TEXT,
    profile TEXT,
    UNIQUE (experiment_id, name, digest)
);

CREATE TABLE run_datasets (
    run_no BIGINT NOT NULL REFERENCES runs (run_no),
    dataset_no BIGINT NOT NULL REFERENCES datasets (dataset_no),
    PRIMARY KEY (run_no, dataset_no)
) {{clustered}};

CREATE TABLE run_dataset_tags (
    run_no BIGINT NOT NULL,
    dataset_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_no, dataset_no, key)
) {{clustered}};
CREATE INDEX run_dataset_tags_by_dataset ON run_dataset_tags (dataset_no, key, value);

CREATE TABLE logged_models (
    model_no {{serial}},
    model_id TEXT NOT NULL UNIQUE,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    model_type TEXT,
    source_run_id TEXT,
    status TEXT NOT NULL,
    status_message TEXT,
    artifact_location TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX logged_models_by_creation ON logged_models (experiment_id, created_at DESC, model_id);
CREATE INDEX logged_models_by_run ON logged_models (source_run_id);

CREATE TABLE logged_model_params (
    model_no BIGINT NOT NULL REFERENCES logged_models (model_no),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_no, key)
) {{clustered}};

CREATE TABLE logged_model_tags (
    model_no BIGINT NOT NULL REFERENCES logged_models (model_no),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_no, key)
) {{clustered}};

CREATE TABLE logged_model_metrics (
    model_no BIGINT NOT NULL REFERENCES logged_models (model_no),
    key TEXT NOT NULL,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    run_no BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    dataset_name TEXT,
    dataset_digest TEXT,
    PRIMARY KEY (model_no, key, at, step, run_no)
) {{clustered}};

-- direction is `input` or `output`; step is 0 for inputs.
CREATE TABLE run_models (
    run_no BIGINT NOT NULL REFERENCES runs (run_no),
    direction TEXT NOT NULL,
    model_id TEXT NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run_no, direction, model_id, step)
) {{clustered}};
CREATE INDEX run_models_by_model ON run_models (model_id);
