-- The history of each metric, in blocks of neighbouring points: first the columns of a block's first point, by which it is
-- found. Blocks of one metric do not overlap.
CREATE TABLE metric_blocks (
    block_no {{serial}},
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    point_count BIGINT NOT NULL,
    points {{blob}} NOT NULL
);
CREATE UNIQUE INDEX metric_blocks_by_first ON metric_blocks (run_no, key, at, step, value, is_nan);
