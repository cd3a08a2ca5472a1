//! PostgreSQL. Every round trip counts here, so what can travel together does: a savepoint is set with the end of the
//! one before it, a statement is parsed once for each connection.
//!
//! The writers of several processes take turns: a group of changes begins with a lock that its transaction holds until
//! it is durable. So what is true of SQLite's one writer is true here: a change that looks and then writes sees
//! everything that was acknowledged before it, and events are numbered in the order in which they become visible.

use std::cell::{Cell as Shared, RefCell};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use postgres::error::SqlState;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Statement};

use super::numeric;
use super::placeholders::numbered;
use super::tls;
use super::value::{Cell, Row, Source, Value};
use crate::location::Postgres as Place;
use crate::{Error, Result};

/// A statement that takes longer is broken off.
const STATEMENT: &str = "60s";
/// How long a group waits for its turn.
const TURN: &str = "30s";
/// A transaction whose process went silent (a machine that vanished) gives its turn back.
const SILENT: &str = "30s";
/// Statements that a connection keeps parsed; a search has as many as users have filters.
const STATEMENTS_MAX: usize = 256;

/// Takes this process's turn among those that use the same schema.
const TAKE_TURN: &str = "SELECT pg_advisory_xact_lock(1279358056, hashtext(current_schema()))";
/// The channel by which processes hear of each other's commits.
pub(super) const CHANNEL: &str = "lathe_commits";
/// Tells every process of a commit, unless nothing was changed.
const TELL: &str = "SELECT pg_notify('lathe_commits', current_schema())
                    WHERE pg_current_xact_id_if_assigned() IS NOT NULL";

/// A connection.
pub(super) struct Postgres {
    client: RefCell<Client>,
    statements: RefCell<HashMap<String, Statement>>,
    /// What ends the change before; sent with what comes next.
    ending: &'static str,
    /// The first savepoint came with the transaction.
    is_inside: bool,
    /// A statement of the present change failed: PostgreSQL takes no further one.
    failed: Shared<bool>,
}

/// Connects, and makes the schema if it is to be made.
pub(super) fn client(place: &Place, make_schema: bool) -> Result<Client> {
    let tls = tls::connector(&place.tls)?;
    let open = || -> Result<Client, postgres::Error> {
        let mut client = place.config.connect(tls)?;
        if let Some(schema) = &place.schema {
            if make_schema {
                client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))?;
            }
            client.batch_execute(&format!("SET search_path TO {schema}"))?;
        }
        // A server that acknowledges before the disk does is told to wait; one that waits for more is left alone.
        client.batch_execute(&format!(
            "SET statement_timeout = '{STATEMENT}'; SET lock_timeout = '{TURN}';
             SET idle_in_transaction_session_timeout = '{SILENT}'; SET client_min_messages = warning;
             SET jit = off; SET standard_conforming_strings = on; SET extra_float_digits = 3;
             SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off'"
        ))?;
        Ok(client)
    };
    open().map_err(|source| match refusal(&source) {
        Some(Error::Unavailable { .. }) | None => Error::Unreachable {
            place: place.to_string(),
            source: Arc::new(source),
        },
        Some(error) => error,
    })
}

impl Postgres {
    pub(super) fn open(place: &Place, make_schema: bool) -> Result<Self> {
        Ok(Self {
            client: RefCell::new(client(place, make_schema)?),
            statements: RefCell::default(),
            ending: "",
            is_inside: false,
            failed: Shared::new(false),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.borrow().is_closed()
    }

    pub(super) fn begin_write(&mut self) -> Result<()> {
        self.failed.set(false);
        self.ending = "";
        self.batch(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {TAKE_TURN}; SAVEPOINT change"
        ))?;
        self.is_inside = true;
        Ok(())
    }

    /// Begins what nobody waits for: it may be lost with the power, and is on disk when the next change is.
    pub(super) fn begin_upkeep(&mut self) -> Result<()> {
        self.begin_write()?;
        self.batch("SET LOCAL synchronous_commit = off")
    }

    pub(super) fn begin_read(&mut self) -> Result<()> {
        self.failed.set(false);
        self.ending = "";
        self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    pub(super) fn savepoint(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_inside) {
            return Ok(());
        }
        let ending = std::mem::take(&mut self.ending);
        self.batch(&format!("{ending} SAVEPOINT change"))?;
        self.failed.set(false);
        Ok(())
    }

    /// Keeps the present change; an error if it went on after a statement that failed.
    pub(super) fn keep(&mut self) -> Result<()> {
        if self.failed.get() {
            self.undo()?;
            return Err(Error::Database(Arc::new(WentOn)));
        }
        self.ending = "RELEASE change;";
        Ok(())
    }

    pub(super) fn undo(&mut self) -> Result<()> {
        if self.is_closed() {
            return Err(unavailable(WentAway));
        }
        self.ending = "ROLLBACK TO change; RELEASE change;";
        Ok(())
    }

    /// Makes the transaction durable. A transaction that failed would be rolled back by COMMIT without a word, but
    /// the statement before it fails then.
    pub(super) fn commit(&mut self) -> Result<bool> {
        let ending = std::mem::take(&mut self.ending);
        self.batch(&format!("{ending} {TELL}; COMMIT"))?;
        // Whoever listens hears of it from the server, this process too.
        Ok(false)
    }

    pub(super) fn rollback(&mut self) -> Result<()> {
        self.ending = "";
        match self.is_closed() {
            true => Ok(()),
            false => self.batch("ROLLBACK"),
        }
    }

    pub(super) fn execute(&self, sql: &str, params: &[Value]) -> Result<usize> {
        let mut client = self.client()?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        let changed = self
            .statement(&mut client, sql)
            .and_then(|statement| client.execute(&statement, &params));
        Ok(self.noting(changed)? as usize)
    }

    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        let done = self.client()?.batch_execute(sql);
        self.noting(done)
    }

    /// Every row at once, so that its reader may ask again in between.
    pub(super) fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<postgres::Row>> {
        let mut client = self.client()?;
        let rows = self
            .statement(&mut client, sql)
            .and_then(|statement| client.query_raw(&statement, params)?.collect());
        self.noting(rows)
    }

    /// One row after the other, as they come; `visit` cannot use the connection.
    pub(super) fn for_each(
        &self,
        sql: &str,
        params: &[Value],
        mut visit: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut client = self.client()?;
        let statement = self.noting(self.statement(&mut client, sql))?;
        let mut rows = self.noting(client.query_raw(&statement, params))?;
        while let Some(row) = self.noting(rows.next())? {
            if !visit(&Row(Source::Postgres(&row)))? {
                break;
            }
        }
        Ok(())
    }

    fn client(&self) -> Result<std::cell::RefMut<'_, Client>> {
        self.client
            .try_borrow_mut()
            .map_err(|_| Error::Database(Arc::new(Nested)))
    }

    fn statement(&self, client: &mut Client, sql: &str) -> Result<Statement, postgres::Error> {
        let mut statements = self.statements.borrow_mut();
        if let Some(known) = statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = client.prepare(&numbered(sql))?;
        if STATEMENTS_MAX <= statements.len() {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn noting<T>(&self, result: Result<T, postgres::Error>) -> Result<T> {
        result.map_err(|error| {
            self.failed.set(true);
            error.into()
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a change went on after a statement of it had failed")]
struct WentOn;

#[derive(Debug, thiserror::Error)]
#[error("a query was made while the rows of another one were still being read")]
struct Nested;

#[derive(Debug, thiserror::Error)]
#[error("the connection to the database was closed")]
pub(super) struct WentAway;

pub(super) fn unavailable(source: impl StdError + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        source: Arc::new(source),
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        refusal(&error).unwrap_or_else(|| match error.code() {
            Some(code) if code.code().starts_with("23") => Self::Contradiction {
                source: Arc::new(error),
            },
            // Without a code it was the connection that failed, or the driver before anything was sent.
            None if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) => {
                unavailable(error)
            }
            _ => Self::Database(Arc::new(error)),
        })
    }
}

/// What the database says about itself, not about the statement.
fn refusal(error: &postgres::Error) -> Option<Error> {
    let code = error.code()?;
    let told = || {
        Refused(
            error
                .as_db_error()
                .map(|told| told.message().to_owned())
                .unwrap_or_default(),
        )
    };
    Some(match *code {
        SqlState::DISK_FULL => Error::Full,
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::LOCK_NOT_AVAILABLE => Error::Busy,
        SqlState::QUERY_CANCELED => Error::Slow,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        | SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::TOO_MANY_CONNECTIONS => unavailable(told()),
        _ if code.code().starts_with("08") => unavailable(told()),
        SqlState::PROGRAM_LIMIT_EXCEEDED => Error::Invalid {
            message: "a name or value is too long to be found again by the database; shorten it".into(),
        },
        _ => return None,
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// A column as it came.
pub(super) struct Raw<'a> {
    of: Type,
    bytes: &'a [u8],
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(of: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self {
            of: of.clone(),
            bytes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<'a> Raw<'a> {
    pub(super) fn cell(&self) -> Option<Cell<'a>> {
        let bytes = self.bytes;
        Some(match self.of {
            Type::INT8 => Cell::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
            Type::INT4 => Cell::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
            Type::INT2 => Cell::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
            Type::BOOL => Cell::Int((*bytes.first()?).into()),
            Type::FLOAT8 => Cell::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            Type::FLOAT4 => Cell::Real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
            Type::NUMERIC => numeric::read(bytes)?,
            Type::BYTEA => Cell::Blob(bytes),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
                Cell::Text(std::str::from_utf8(bytes).ok()?)
            }
            _ => return None,
        })
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        wanted: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self, wanted) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(number), &Type::BOOL) => (*number != 0).to_sql(wanted, out),
            (Self::Int(number), &Type::INT8) => number.to_sql(wanted, out),
            (Self::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(wanted, out),
            (Self::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(wanted, out),
            (Self::Int(number), &Type::FLOAT8) => (*number as f64).to_sql(wanted, out),
            (Self::Real(number), &Type::FLOAT8) => number.to_sql(wanted, out),
            (
                Self::Text(text),
                &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::UNKNOWN,
            ) => text.to_sql(&Type::TEXT, out),
            (Self::Blob(bytes), &Type::BYTEA) => bytes.to_sql(wanted, out),
            _ => Err(format!("a parameter of the type {wanted} got another one: say which with CAST").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// How long the listener waits before it looks whether it is still wanted.
pub(super) const LISTENING: Duration = Duration::from_secs(2);
