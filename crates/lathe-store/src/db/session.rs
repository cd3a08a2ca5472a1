//! One connection, whichever database it leads to, and what happens on it within a transaction.

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::value::{self, Row, Source, Value};
use crate::caller::Caller;
use crate::location::Location;
use crate::{Error, Result};

pub(super) enum Session {
    Sqlite(Box<Sqlite>),
    Postgres(Box<Postgres>),
}

macro_rules! on_either {
    ($self:ident, $session:ident => $do:expr) => {
        match $self {
            Session::Sqlite($session) => $do,
            Session::Postgres($session) => $do,
        }
    };
}

impl Session {
    pub(super) fn open(location: &Location) -> Result<Self> {
        Ok(match location {
            Location::Sqlite(path) => Self::Sqlite(Box::new(Sqlite::open(path)?)),
            Location::Postgres(place) => Self::Postgres(Box::new(Postgres::open(place, false)?)),
        })
    }

    /// Opens what somebody else owns, to read.
    pub(super) fn open_foreign(location: &Location) -> Result<Self> {
        match location {
            Location::Sqlite(path) => Ok(Self::Sqlite(Box::new(Sqlite::open_foreign(path)?))),
            Location::Postgres(_) => Self::open(location),
        }
    }

    /// Opens the place for the first time: what has to be there is made.
    pub(super) fn establish(location: &Location) -> Result<Self> {
        match location {
            Location::Postgres(place) => Ok(Self::Postgres(Box::new(Postgres::open(place, true)?))),
            Location::Sqlite(_) => Self::open(location),
        }
    }

    /// Whether the connection is of no use any more.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(session) => session.is_closed(),
        }
    }

    pub(super) fn begin_write(&mut self) -> Result<()> {
        on_either!(self, session => session.begin_write())
    }

    /// Begins what nobody waits for; `end_upkeep` must follow, however it went.
    pub(super) fn begin_upkeep(&mut self) -> Result<()> {
        on_either!(self, session => session.begin_upkeep())
    }

    pub(super) fn end_upkeep(&self) -> Result<()> {
        match self {
            Self::Sqlite(session) => session.end_upkeep(),
            Self::Postgres(_) => Ok(()),
        }
    }

    pub(super) fn begin_read(&mut self) -> Result<()> {
        on_either!(self, session => session.begin_read())
    }

    pub(super) fn savepoint(&mut self) -> Result<()> {
        on_either!(self, session => session.savepoint())
    }

    pub(super) fn keep(&mut self) -> Result<()> {
        on_either!(self, session => session.keep())
    }

    pub(super) fn undo(&mut self) -> Result<()> {
        on_either!(self, session => session.undo())
    }

    /// Makes the transaction durable; true if it changed something and nobody else tells of it.
    pub(super) fn commit(&mut self) -> Result<bool> {
        on_either!(self, session => session.commit())
    }

    pub(super) fn rollback(&mut self) -> Result<()> {
        on_either!(self, session => session.rollback())
    }
}

/// One transaction: what a change or a query sees.
pub struct Tx<'a> {
    session: &'a Session,
    caller: &'a Caller,
}

/// Who is behind what the server does by itself.
static NOBODY: Caller = Caller::NOBODY;

impl<'a> Tx<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self {
            session,
            caller: &NOBODY,
        }
    }

    /// The same transaction, for a caller.
    pub(super) fn on_behalf_of<'b>(&'b self, caller: &'b Caller) -> Tx<'b> {
        Tx {
            session: self.session,
            caller,
        }
    }

    /// For whom this is read or written.
    pub(crate) fn caller(&self) -> &'a Caller {
        self.caller
    }
}

impl Tx<'_> {
    /// Runs one statement; returns the number of rows it changed.
    pub fn execute(&self, sql: &str, params: &[Value]) -> Result<usize> {
        value::check(params)?;
        let session = self.session;
        on_either!(session, session => session.execute(sql, params))
    }

    /// Runs statements that take no parameters.
    pub fn batch(&self, sql: &str) -> Result<()> {
        let session = self.session;
        on_either!(session, session => session.batch(sql))
    }

    /// Every row of a query.
    pub fn query<T>(
        &self,
        sql: &str,
        params: &[Value],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        value::check(params)?;
        match self.session {
            Session::Sqlite(session) => {
                let mut items = Vec::new();
                session.for_each(sql, params, |row| {
                    items.push(read(row)?);
                    Ok(true)
                })?;
                Ok(items)
            }
            Session::Postgres(session) => {
                let rows = session.rows(sql, params)?;
                rows.iter().map(|row| read(&Row(Source::Postgres(row)))).collect()
            }
        }
    }

    /// The first row of a query, if there is one.
    pub fn query_opt<T>(
        &self,
        sql: &str,
        params: &[Value],
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        value::check(params)?;
        match self.session {
            Session::Sqlite(session) => {
                let (mut read, mut found) = (Some(read), None);
                session.for_each(sql, params, |row| {
                    if let Some(read) = read.take() {
                        found = Some(read(row)?);
                    }
                    Ok(false)
                })?;
                Ok(found)
            }
            Session::Postgres(session) => {
                let rows = session.rows(sql, params)?;
                rows.first()
                    .map(|row| read(&Row(Source::Postgres(row))))
                    .transpose()
            }
        }
    }

    /// Hands every row of a query to `visit`, without keeping any. `visit` makes no query of its own.
    pub fn for_each(
        &self,
        sql: &str,
        params: &[Value],
        mut visit: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        value::check(params)?;
        let session = self.session;
        on_either!(session, session => session.for_each(sql, params, |row| visit(row).map(|()| true)))
    }

    /// Migrations are written for both databases; this is where they differ.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.session, Session::Postgres(_))
    }
}

impl Error {
    /// Whether it was the connection that failed, so that another one may do.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unreachable { .. })
    }
}
