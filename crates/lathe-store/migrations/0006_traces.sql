CREATE TABLE traces (
    trace_no {{serial}},
    trace_id TEXT NOT NULL UNIQUE,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    started_at BIGINT NOT NULL,
    duration_ms BIGINT,
    state TEXT NOT NULL,
    name TEXT,
    session TEXT,
    client_request_id TEXT,
    request_preview TEXT,
    response_preview TEXT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    total_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_creation_tokens BIGINT,
    input_cost DOUBLE PRECISION,
    output_cost DOUBLE PRECISION,
    total_cost DOUBLE PRECISION,
    -- 1 once its client has told of the whole trace: spans that come later change none of the above.
    told BIGINT NOT NULL
);
CREATE INDEX traces_by_start ON traces (experiment_id, started_at DESC, trace_id);
CREATE INDEX traces_by_session ON traces (session);

CREATE TABLE trace_tags (
    trace_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_no, key)
) {{clustered}};

CREATE TABLE trace_metadata (
    trace_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_no, key)
) {{clustered}};

-- The run a trace was made in, and those it was linked to.
CREATE TABLE trace_runs (
    trace_no BIGINT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (trace_no, run_id)
) {{clustered}};
CREATE INDEX trace_runs_by_run ON trace_runs (run_id);

-- prompt is `name/version`.
CREATE TABLE trace_prompts (
    trace_no BIGINT NOT NULL,
    prompt TEXT NOT NULL,
    PRIMARY KEY (trace_no, prompt)
) {{clustered}};
CREATE INDEX trace_prompts_by_prompt ON trace_prompts (prompt);

-- What lists, trees and most filters need; the bodies lie elsewhere, so that nothing but a look inside reads them.
CREATE TABLE spans (
    trace_no BIGINT NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at_ns BIGINT NOT NULL,
    ended_at_ns BIGINT,
    tokens TEXT,
    cost TEXT,
    model TEXT,
    provider TEXT,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (trace_no, span_id)
) {{clustered}};

CREATE TABLE span_contents (
    trace_no BIGINT NOT NULL,
    span_id TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (trace_no, span_id)
);

CREATE TABLE span_attributes (
    trace_no BIGINT NOT NULL,
    span_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace_no, span_id, key)
) {{clustered}};

-- value is JSON; text is what it says: a text without its quotes, anything else as JSON.
CREATE TABLE assessments (
    assessment_id TEXT NOT NULL PRIMARY KEY,
    trace_no BIGINT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    text TEXT NOT NULL,
    number DOUBLE PRECISION,
    is_number BIGINT NOT NULL,
    error TEXT,
    span_id TEXT,
    source_kind TEXT NOT NULL,
    source_id TEXT,
    rationale TEXT,
    metadata TEXT NOT NULL,
    session TEXT,
    overrides TEXT,
    valid BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX assessments_by_trace ON assessments (trace_no, created_at, assessment_id);
