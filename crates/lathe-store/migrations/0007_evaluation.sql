CREATE TABLE eval_datasets (
    dataset_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    record_schema TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT
);
CREATE INDEX eval_datasets_by_creation ON eval_datasets (created_at DESC, dataset_id);

CREATE TABLE eval_dataset_tags (
    dataset_id TEXT NOT NULL REFERENCES eval_datasets (dataset_id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (dataset_id, key)
) {{clustered}};

CREATE TABLE eval_dataset_experiments (
    dataset_id TEXT NOT NULL REFERENCES eval_datasets (dataset_id),
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    PRIMARY KEY (dataset_id, experiment_id)
) {{clustered}};
CREATE INDEX eval_dataset_experiments_by_experiment ON eval_dataset_experiments (experiment_id);

-- Inputs are hashed with their keys in order: the same inputs are the same record.
CREATE TABLE eval_records (
    record_no {{serial}},
    record_id TEXT NOT NULL UNIQUE,
    dataset_id TEXT NOT NULL REFERENCES eval_datasets (dataset_id),
    input_hash TEXT NOT NULL,
    inputs TEXT NOT NULL,
    outputs TEXT,
    expectations TEXT,
    tags TEXT,
    source TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT,
    updated_by TEXT,
    UNIQUE (dataset_id, input_hash)
);
CREATE INDEX eval_records_in_order ON eval_records (dataset_id, record_no);

CREATE TABLE scorers (
    scorer_id TEXT NOT NULL PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    name TEXT NOT NULL,
    UNIQUE (experiment_id, name)
);

CREATE TABLE scorer_versions (
    scorer_id TEXT NOT NULL REFERENCES scorers (scorer_id),
    version BIGINT NOT NULL,
    serialized TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scorer_id, version)
) {{clustered}};

CREATE TABLE online_scorings (
    scorer_id TEXT NOT NULL PRIMARY KEY REFERENCES scorers (scorer_id),
    scoring_id TEXT NOT NULL,
    sample_rate DOUBLE PRECISION NOT NULL,
    filter TEXT
);
