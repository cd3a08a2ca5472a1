//! What pipelines did for runs.

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
}
