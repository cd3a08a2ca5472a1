use super::session::{Session, Tx};
use crate::{Location, Result};

/// A database of somebody else, to read. Used on threads that may wait, never on those that run asynchronous code.
pub(crate) struct Foreign {
    session: Session,
}

impl Foreign {
    pub(crate) fn open(location: &Location) -> Result<Self> {
        Ok(Self {
            session: Session::open_foreign(location)?,
        })
    }

    /// Reads. Nothing is locked between two statements: whoever owns the database may go on writing.
    pub(crate) fn read<T>(&self, query: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        query(&Tx::of(&self.session))
    }

    /// Every table with each of its columns.
    pub(crate) fn columns(&self) -> Result<Vec<(String, String)>> {
        self.read(|tx| {
            let sql = match tx.is_postgres() {
                true => {
                    "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns
                     WHERE table_schema = current_schema()"
                }
                false => {
                    "SELECT tables.name, columns.name FROM sqlite_master AS tables
                     JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
                }
            };
            tx.query(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }
}
