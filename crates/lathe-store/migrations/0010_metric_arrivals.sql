-- Metrics as calls brought them, in the order they came: a row at the end of a small table for each call. They are moved
-- to `metrics` and `latest_metrics` many at once, before anybody reads those.
CREATE TABLE metric_arrivals (
    arrival_no {{serial}},
    run_no BIGINT NOT NULL,
    points {{blob}} NOT NULL
);
CREATE INDEX metric_arrivals_by_run ON metric_arrivals (run_no, arrival_no);
