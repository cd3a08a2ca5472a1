use crate::db::Tx;
use crate::{Error, Result};

/// Numbered from 1, added and never edited. `{{serial}}` is the database's own counting primary key; `{{clustered}}`
/// keeps the rows of a table in the order of its primary key, where the database can.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_events.sql"),
    include_str!("../migrations/0002_tracking.sql"),
    include_str!("../migrations/0003_registry.sql"),
    include_str!("../migrations/0004_loop.sql"),
];

/// Brings the schema up to date, in the caller's transaction; refuses one from the future.
pub(crate) fn migrate(tx: &Tx<'_>) -> Result<()> {
    tx.batch("CREATE TABLE IF NOT EXISTS lathe_schema (version BIGINT NOT NULL)")?;
    let found: i64 = tx
        .query_opt("SELECT MAX(version) FROM lathe_schema", &[], |row| {
            row.get::<Option<i64>>(0)
        })?
        .flatten()
        .unwrap_or(0);
    let known = MIGRATIONS.len() as i64;
    if known < found {
        return Err(Error::NewerSchema { found, known });
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let sql = sql
            .replace("{{serial}}", "INTEGER PRIMARY KEY AUTOINCREMENT")
            .replace("{{clustered}}", "WITHOUT ROWID");
        tx.batch(&sql)?;
        tx.execute(
            "INSERT INTO lathe_schema (version) VALUES (?1)",
            &[(index as i64 + 1).into()],
        )?;
    }
    Ok(())
}
