//! What pipelines did for runs.

use lathe_types::RunId;
use lathe_types::executions::Execution;

use crate::{Result, Store, json};

impl Store {
    /// Keeps what a pipeline did for a run.
    pub async fn record_execution(&self, execution: Execution) -> Result<()> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO executions (run_id, body) VALUES (?1, ?2)
                 ON CONFLICT (run_id) DO UPDATE SET body = excluded.body",
                &[execution.run_id.as_str().into(), json::text(&execution)],
            )?;
            Ok(())
        })
        .await
    }

    /// What a pipeline did for this run, if one did.
    pub async fn find_execution(&self, run_id: &RunId) -> Result<Option<Execution>> {
        let run_id = run_id.clone();
        self.read(move |tx| {
            tx.query_opt(
                "SELECT body FROM executions WHERE run_id = ?1",
                &[run_id.as_str().into()],
                |row| json::column(row, 0, "execution"),
            )
        })
        .await
    }
}
