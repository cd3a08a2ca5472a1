CREATE TABLE graphs (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (name),
    spec TEXT,
    shape TEXT,
    missing TEXT,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
