-- Steps: jobs that a `lathe worker` executes, for as long as the `lathe run` that queued them asks after them.
CREATE TABLE steps (
    job_id BIGINT PRIMARY KEY,
    project TEXT NOT NULL,
    wanted_until BIGINT NOT NULL
);

-- What they told, whole lines each: the same piece sent twice is one row.
CREATE TABLE step_output (
    job_id BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job_id, attempt, at)
) {{clustered}};
