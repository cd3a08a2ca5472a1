//! The settings that DVC knows.

const COMMON: &[&str] = &[
    "url",
    "checksum_jobs",
    "jobs",
    "worktree",
    "no_traverse",
    "version_aware",
    "verify",
];

const REMOTE: &[&str] = &[
    "access_key_id",
    "account_key",
    "account_name",
    "acl",
    "allow_agent",
    "allow_anonymous_login",
    "ask_passphrase",
    "ask_password",
    "auth",
    "bearer_token_command",
    "cache_regions",
    "cert_path",
    "client_id",
    "client_secret",
    "configpath",
    "connect_timeout",
    "connection_string",
    "connection_timeout",
    "credentialpath",
    "custom_auth_header",
    "data_proxy_target",
    "endpointurl",
    "exclude_environment_credential",
    "exclude_managed_identity_credential",
    "exclude_shared_token_cache_credential",
    "exclude_visual_studio_code_credential",
    "gdrive_acknowledge_abuse",
    "gdrive_client_id",
    "gdrive_client_secret",
    "gdrive_service_account_json_file_path",
    "gdrive_service_account_user_email",
    "gdrive_trash_only",
    "gdrive_use_service_account",
    "gdrive_user_credentials_file",
    "grant_full_control",
    "grant_read",
    "grant_read_acp",
    "grant_write_acp",
    "gss_auth",
    "kerb_ticket",
    "kerberos",
    "kerberos_principal",
    "key_path",
    "keyfile",
    "listobjects",
    "max_sessions",
    "method",
    "oss_endpoint",
    "oss_key_id",
    "oss_key_secret",
    "passphrase",
    "password",
    "port",
    "profile",
    "projectname",
    "proxy_to",
    "read_timeout",
    "region",
    "replication",
    "sas_token",
    "secret_access_key",
    "session_token",
    "shared",
    "slow_link_warning",
    "sse",
    "sse_customer_algorithm",
    "sse_customer_key",
    "sse_kms_key_id",
    "ssl_verify",
    "tenant_id",
    "timeout",
    "token",
    "type",
    "use_https",
    "use_ssl",
    "user",
    "protected",
];

const PLAIN: &[(&str, &[&str])] = &[
    (
        "core",
        &[
            "remote",
            "checksum_jobs",
            "interactive",
            "analytics",
            "hardlink_lock",
            "no_scm",
            "autostage",
            "experiments",
            "check_update",
            "site_cache_dir",
            "machine",
        ],
    ),
    (
        "cache",
        &[
            "dir",
            "type",
            "protected",
            "shared",
            "slow_link_warning",
            "verify",
            "local",
        ],
    ),
    ("state", &["dir", "row_limit", "row_cleanup_quota"]),
    ("index", &["dir"]),
    ("plots", &["html_template", "auto_open", "out_dir"]),
    (
        "exp",
        &[
            "auto_push",
            "git_remote",
            "code",
            "data",
            "models",
            "metrics",
            "params",
            "plots",
            "live",
        ],
    ),
    ("parsing", &["bool", "list"]),
    (
        "hydra",
        &[
            "enabled",
            "config_dir",
            "config_module",
            "config_name",
            "plugins_path",
        ],
    ),
    ("studio", &["token", "url", "repo_url", "offline"]),
    ("feature", &["machine"]),
];

/// Whether DVC has such a setting.
pub(super) fn is_known(section: &str, key: &str) -> bool {
    if section.starts_with("remote \"") {
        return COMMON.contains(&key) || REMOTE.contains(&key);
    }
    if section.starts_with("db \"") {
        return matches!(key, "url" | "username" | "password");
    }
    PLAIN
        .iter()
        .any(|(name, keys)| *name == section && keys.contains(&key))
}

/// Whether the value is a path, relative to its file.
pub(super) fn is_path(section: &str, key: &str) -> bool {
    const PATHS: &[&str] = &[
        "url",
        "gdrive_user_credentials_file",
        "gdrive_service_account_json_file_path",
        "credentialpath",
        "configpath",
        "keyfile",
        "cert_path",
        "key_path",
    ];
    (section == "cache" && key == "dir") || (section.starts_with("remote \"") && PATHS.contains(&key))
}
