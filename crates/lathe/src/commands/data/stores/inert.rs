//! Settings of remotes that DVC knows and nothing here acts on: whoever made them is told, so that nobody relies on them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use lathe_data::remote::RemoteSettings;

/// What is told already; a command opens a remote several times.
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Warns of each setting without effect, once.
pub fn warn(settings: &RemoteSettings) {
    for key in found(settings) {
        let name = format!("remote.{}.{key}", settings.name);
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(name.clone()) {
            tracing::warn!("the setting `{name}` has no effect in `lathe`");
        }
    }
}

fn found(settings: &RemoteSettings) -> Vec<&'static str> {
    let of_scheme: &[&str] = match settings.scheme() {
        Some("http" | "https" | "webdav" | "webdavs") => {
            &["ssl_verify", "cert_path", "key_path", "bearer_token_command"]
        }
        Some("s3") => &["use_ssl"],
        Some("gs") => &["projectname"],
        Some("azure") => &[
            "exclude_environment_credential",
            "exclude_managed_identity_credential",
            "exclude_shared_token_cache_credential",
            "exclude_visual_studio_code_credential",
        ],
        Some("ssh" | "sftp") => &["gss_auth", "allow_agent", "max_sessions"],
        _ => &[],
    };
    let is_set = |key: &&&str| match settings.find(key) {
        // What is done anyway.
        Some(value) if matches!(**key, "ssl_verify" | "use_ssl") => !value.eq_ignore_ascii_case("true"),
        value => value.is_some(),
    };
    of_scheme.iter().filter(is_set).copied().collect()
}
