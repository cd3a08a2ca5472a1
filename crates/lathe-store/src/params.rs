//! Params of runs and of logged models.

use lathe_types::runs::Param;

use crate::{Error, Result, Tx, Value, rows};

/// Where the params of a kind of record are kept.
pub(crate) struct Params {
    into: &'static str,
    stored: &'static str,
}

pub(crate) const OF_RUN: Params = Params {
    into: "params (run_no, key, value)",
    stored: "SELECT value FROM params WHERE run_no = ?1 AND key = ?2",
};
pub(crate) const OF_LOGGED_MODEL: Params = Params {
    into: "logged_model_params (model_no, key, value)",
    stored: "SELECT value FROM logged_model_params WHERE model_no = ?1 AND key = ?2",
};

/// A param is written once: the same value again is fine, another value is refused.
pub(crate) fn insert(tx: &Tx<'_>, of: &Params, no: i64, params: &[Param]) -> Result<()> {
    let values: Vec<Value> = params
        .iter()
        .map(Param::param)
        .flat_map(|param| [no.into(), (&param.key).into(), (&param.value).into()])
        .collect();
    let fresh = rows::insert(tx, of.into, 3, &values, "ON CONFLICT DO NOTHING")?;
    if fresh == params.len() {
        return Ok(());
    }
    for param in params.iter().map(Param::param) {
        let key = [no.into(), (&param.key).into()];
        let stored = tx.query_opt(of.stored, &key, |row| row.get::<String>(0))?;
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
