//! How often traces fit two filters, apart and together.

use lathe_types::ExperimentId;
use lathe_types::search::TraceCondition;

use super::search::restrict_all;
use crate::sql::Sql;
use crate::{Result, Store};

/// How many traces fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TraceCounts {
    /// The filter that all are held to.
    pub total: i64,
    /// Also the first.
    pub first: i64,
    /// Also the second.
    pub second: i64,
    /// Also both.
    pub both: i64,
}

impl Store {
    /// Counts the traces of experiments that fit `base`, and of those the ones that fit `first`, `second`, both.
    pub async fn count_traces(
        &self,
        experiments: Vec<ExperimentId>,
        base: Vec<TraceCondition>,
        first: Vec<TraceCondition>,
        second: Vec<TraceCondition>,
    ) -> Result<TraceCounts> {
        if experiments.is_empty() {
            return Ok(TraceCounts::default());
        }
        self.read(move |tx| {
            let count = |filters: &[&[TraceCondition]]| -> Result<i64> {
                let mut sql = Sql::new("SELECT COUNT(*) FROM traces WHERE traces.experiment_id IN ");
                sql.bind_list(experiments.iter().map(|id| id.number()));
                sql.push(" AND ").visible_in(tx, "traces.experiment_id", |_| None);
                for conditions in filters {
                    sql.push(" AND (");
                    restrict_all(&mut sql, conditions)?;
                    sql.push(")");
                }
                Ok(sql.all(tx, |row| row.get(0))?.pop().unwrap_or_default())
            };
            Ok(TraceCounts {
                total: count(&[&base])?,
                first: count(&[&base, &first])?,
                second: count(&[&base, &second])?,
                both: count(&[&base, &first, &second])?,
            })
        })
        .await
    }
}
