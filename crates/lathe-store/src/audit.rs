//! The audit log. Rows are only ever added: the database itself refuses to change or remove one.

use lathe_types::Millis;
use lathe_types::audit::AuditEntry;
use lathe_types::tags::{Page, PageRequest};

use crate::caller::Act;
use crate::sql::Sql;
use crate::{Result, Row, Store, Tx};

/// Which lines of the log are wanted; the newest come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditSearch {
    /// Of this user.
    pub who: Option<String>,
    /// Whose action holds this text.
    pub action: Option<String>,
    /// About this thing.
    pub subject: Option<String>,
    /// That ended like this.
    pub outcome: Option<String>,
    /// From this time on.
    pub since: Option<Millis>,
    /// Before this time.
    pub until: Option<Millis>,
}

/// Appends a line.
pub(crate) fn append(tx: &Tx<'_>, act: &Act, outcome: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO audit (at, who, action, subject, source, outcome, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            act.at.0.into(),
            (&act.who).into(),
            (&act.action).into(),
            act.subject().into(),
            (&act.source).into(),
            outcome.into(),
            (&act.request_id).into(),
        ],
    )?;
    Ok(())
}

impl Store {
    /// Writes down what had no transaction of its own: an attempt that was refused or failed, a login, a file.
    pub async fn record_act(&self, act: std::sync::Arc<Act>, outcome: String) -> Result<()> {
        self.write(move |tx| append(tx, &act, &outcome)).await
    }

    /// The lines that fit.
    pub async fn search_audit(&self, search: AuditSearch, page: PageRequest) -> Result<Page<AuditEntry>> {
        self.read(move |tx| sql(&search).page(tx, page, entry)).await
    }
}

fn sql(search: &AuditSearch) -> Sql {
    let mut sql = Sql::new(
        "SELECT seq, at, who, action, subject, source, outcome, request_id FROM audit WHERE seq > 0",
    );
    if let Some(who) = &search.who {
        sql.push(" AND who = ").bind(who);
    }
    if let Some(action) = &search.action {
        let literal = action
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_");
        sql.push(" AND action LIKE ")
            .bind(format!("%{literal}%"))
            .push(" ESCAPE '\\'");
    }
    if let Some(subject) = &search.subject {
        sql.push(" AND subject = ").bind(subject);
    }
    if let Some(outcome) = &search.outcome {
        sql.push(" AND outcome = ").bind(outcome);
    }
    if let Some(since) = search.since {
        sql.push(" AND at >= ").bind(since.0);
    }
    if let Some(until) = search.until {
        sql.push(" AND at < ").bind(until.0);
    }
    sql.push(" ORDER BY seq DESC");
    sql
}

fn entry(row: &Row<'_>) -> Result<AuditEntry> {
    Ok(AuditEntry {
        seq: row.get(0)?,
        at: Millis(row.get(1)?),
        who: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        source: row.get(5)?,
        outcome: row.get(6)?,
        request_id: row.get(7)?,
    })
}
