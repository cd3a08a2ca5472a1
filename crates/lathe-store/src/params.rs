//! Params of runs and of logged models.

use lathe_types::runs::Param;

use crate::{Error, Result, Tx};

pub(crate) const OF_RUN: &str = "INSERT INTO params (run_no, key, value) VALUES (?1, ?2, ?3)
     ON CONFLICT (run_no, key) DO UPDATE SET value = params.value RETURNING value";
pub(crate) const OF_LOGGED_MODEL: &str =
    "INSERT INTO logged_model_params (model_no, key, value) VALUES (?1, ?2, ?3)
     ON CONFLICT (model_no, key) DO UPDATE SET value = logged_model_params.value RETURNING value";

/// A param is written once: the same value again is fine, another value is refused.
pub(crate) fn insert(tx: &Tx<'_>, insert: &str, no: i64, params: &[Param]) -> Result<()> {
    for param in params.iter().map(Param::param) {
        let row = [no.into(), (&param.key).into(), (&param.value).into()];
        let stored = tx.query_opt(insert, &row, |row| row.get::<String>(0))?;
        if let Some(stored) = stored.filter(|stored| *stored != param.value) {
            return Err(Error::Invalid {
                message: format!(
                    "Changing param values is not allowed. Param with key='{}' was already logged with value='{stored}'. Attempted logging new value '{}'.",
                    param.key, param.value
                ),
            });
        }
    }
    Ok(())
}
