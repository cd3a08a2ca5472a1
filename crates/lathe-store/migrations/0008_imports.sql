-- What runs that were taken over looked like where they came from: one that looks the same is not read again.
CREATE TABLE imported_runs (
    run_id TEXT PRIMARY KEY,
    mark TEXT NOT NULL
);

-- Places outside the server's own where it may read artifacts.
CREATE TABLE artifact_links (
    root TEXT PRIMARY KEY
);

-- Artifacts whose records were removed for good and that are still to be deleted.
CREATE TABLE artifact_tombstones (
    location TEXT PRIMARY KEY
);
