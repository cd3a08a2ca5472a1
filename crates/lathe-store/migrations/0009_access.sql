-- A user without a password has tokens only.
CREATE TABLE users (
    user_no {{serial}},
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    is_admin BIGINT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- MLflow's roles. The role `__user_N__` holds what user N was granted directly.
CREATE TABLE roles (
    role_no {{serial}},
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    UNIQUE (workspace, name)
);

CREATE TABLE role_permissions (
    permission_no {{serial}},
    role_no BIGINT NOT NULL REFERENCES roles (role_no) ON DELETE CASCADE,
    resource_type TEXT NOT NULL,
    pattern TEXT NOT NULL,
    permission TEXT NOT NULL,
    UNIQUE (role_no, resource_type, pattern)
);
CREATE INDEX role_permissions_by_resource ON role_permissions (resource_type, pattern);

CREATE TABLE user_roles (
    assignment_no {{serial}},
    user_no BIGINT NOT NULL REFERENCES users (user_no) ON DELETE CASCADE,
    role_no BIGINT NOT NULL REFERENCES roles (role_no) ON DELETE CASCADE,
    UNIQUE (user_no, role_no)
);
CREATE INDEX user_roles_by_role ON user_roles (role_no);

-- Of a token only the digest is kept.
CREATE TABLE tokens (
    token_no {{serial}},
    user_no BIGINT NOT NULL REFERENCES users (user_no) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_no);

CREATE TABLE audit (
    seq {{serial}},
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL
);
CREATE INDEX audit_by_who ON audit (who, seq);
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE INDEX audit_by_time ON audit (at);
{{append_only audit}}
