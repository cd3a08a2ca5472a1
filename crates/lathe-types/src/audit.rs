//! The audit log: who changed what, when, from where.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts up.
    pub seq: i64,
    /// When.
    pub at: Millis,
    /// Who: a user's name, `anonymous`, or `lathe` itself.
    pub who: String,
    /// What: method and path of the request, or `login`.
    pub action: String,
    /// On which thing, as `experiment/3`; empty if none was named.
    pub subject: String,
    /// From which address.
    pub source: String,
    /// `done`, `denied`, or `failed STATUS`.
    pub outcome: String,
    /// The request's id, as answers and logs carry it.
    pub request_id: String,
}
