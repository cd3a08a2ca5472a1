//! Who sends a request, and whether they may: beside the routes, so that no handler has to ask. One table says for
//! every route what it needs; what it does not list is refused where people log in. Load, decide, act, record:
//! `layer` finds the rule and the facts, `decide` judges them, the handler acts, the store records.

mod credentials;
mod decide;
mod door;
mod genai_lines;
mod identity;
mod layer;
mod lines;
mod news;
mod password;
mod peek;
mod sender;
mod table;
mod throttle;

pub use door::{Door, Login};
pub use news::ToldLately;
pub use password::{Hasher, new_secret};

pub(crate) use credentials::{COOKIE, TOKEN_PREFIX, cookie, log_in, token_digest};
pub(crate) use identity::{Identity, Source, Via};
pub(crate) use layer::{check, may_add_spans, record_login};
pub(crate) use sender::{Sender, permission_of};
pub(crate) use table::normal_path;

use crate::{ApiError, AppState};

/// Whether a route has a line in the table of access.
pub fn is_listed(method: &str, path: &str) -> bool {
    table::rule_of(method, &normal_path(path, "")).is_some()
}

/// Hashes passwords, where there are users.
pub(crate) fn hasher(state: &AppState) -> Result<Hasher, ApiError> {
    match &state.options.login {
        Login::On(door) => Ok(door.hasher().clone()),
        Login::Off | Login::Local => Hasher::new(),
    }
}
