//! Where the database lies, as users name it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::config::{Host, SslMode as DriverMode};

use crate::{Error, Result};

/// Where the database lies.
#[derive(Debug, Clone)]
pub enum Location {
    /// An SQLite file, created if absent.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which must be there.
    Postgres(Box<Postgres>),
}

/// A PostgreSQL database. What is printed of it never holds a password.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) config: postgres::Config,
    /// The schema that holds the tables, created if absent; none: the first of the search path.
    pub(crate) schema: Option<String>,
    pub(crate) tls: Tls,
}

/// Whether the connection is encrypted, and with whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    pub(crate) mode: SslMode,
    /// What a server's certificate must lead to.
    pub(crate) roots: Option<Roots>,
    /// The files of the client's own certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// `sslmode` as libpq means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can.
    #[default]
    Prefer,
    /// Encrypted, with whoever answers.
    Require,
    /// Encrypted, with a server that a root vouches for.
    VerifyCa,
    /// Encrypted, with the server that the URL names.
    VerifyFull,
}

/// `sslrootcert` as libpq means it.
#[derive(Debug, Clone)]
pub(crate) enum Roots {
    /// What the machine trusts.
    System,
    /// Certificates in PEM form.
    File(PathBuf),
}

/// The parameters of a URL that say how to encrypt.
#[derive(Default)]
struct TlsParameters {
    mode: Option<SslMode>,
    roots: Option<Roots>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsParameters {
    /// Whether it was one of them; the error says what is wrong with its value.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, &'static str> {
        let value = percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| "holds a parameter that is not UTF-8")?;
        let path = || Some(PathBuf::from(&*value));
        match name {
            "sslmode" => {
                self.mode = Some(match &*value {
                    "disable" => SslMode::Disable,
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    "verify-ca" => SslMode::VerifyCa,
                    "verify-full" => SslMode::VerifyFull,
                    _ => {
                        return Err(
                            "has another `sslmode` than disable, allow, prefer, require, verify-ca \
                                    or verify-full",
                        );
                    }
                })
            }
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" => self.roots = path().map(Roots::File),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read(self) -> Result<Tls, &'static str> {
        let system = matches!(self.roots, Some(Roots::System));
        let mode = match (self.mode, system) {
            (None, true) => SslMode::VerifyFull,
            (Some(mode), true) if mode != SslMode::VerifyFull => {
                return Err("has `sslrootcert=system`, which wants `sslmode=verify-full`: \
                            anybody can have a certificate of a public authority");
            }
            (mode, _) => mode.unwrap_or_default(),
        };
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err("has one of `sslcert` and `sslkey`, which need each other"),
        };
        Ok(Tls {
            mode,
            roots: self.roots,
            identity,
        })
    }
}

impl Location {
    /// Reads `postgresql://user:password@host:port/database`, as SQLAlchemy and libpq write it. `?schema=NAME` keeps the
    /// tables in a schema of their own; `sslmode`, `sslrootcert`, `sslcert` and `sslkey` mean what they mean to libpq;
    /// `password` stands in where the URL has none.
    pub fn postgres(url: &str, password: Option<&str>) -> Result<Self> {
        let invalid = |why: &str| Error::Invalid {
            message: format!("the URL of the PostgreSQL database {why}"),
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("has no `://`"))?;
        if !matches!(scheme.split('+').next(), Some("postgresql" | "postgres")) {
            return Err(invalid("must begin with `postgresql://`"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut schema = None;
        let mut tls = TlsParameters::default();
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("schema", name)) => {
                    schema = Some(schema_name(name).ok_or_else(|| {
                        invalid("names a schema that is not made of small letters, digits and `_`")
                    })?)
                }
                Some((name, value)) if tls.take(name, value).map_err(invalid)? => {}
                _ => options.push(option),
            }
        }
        let tls = tls.read().map_err(invalid)?;
        let url = format!("postgresql://{place}?{}", options.join("&"));
        // What the driver says about a wrong URL is about its options, but may one day quote more of it.
        let mut config = postgres::Config::from_str(url.trim_end_matches('?')).map_err(|_| {
            invalid("cannot be read; it looks like `postgresql://user:password@host:5432/database?sslmode=prefer`")
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name("lathe");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        config.keepalives_idle(Duration::from_secs(30));
        config.ssl_mode(match tls.mode {
            SslMode::Disable => DriverMode::Disable,
            SslMode::Prefer => DriverMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => DriverMode::Require,
        });
        Ok(Self::Postgres(Box::new(Postgres { config, schema, tls })))
    }

    /// A place of its own for a test: a file in `folder`, or with the URL of a PostgreSQL database a schema of it.
    pub fn scratch(folder: &Path, postgres: Option<&str>) -> Result<Self> {
        let Some(url) = postgres else {
            return Ok(Self::Sqlite(folder.join("lathe.db")));
        };
        // The same folder is the same place again.
        let name: String = folder
            .to_string_lossy()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| match letter.is_ascii_uppercase() {
                // Temporary folders differ in case only.
                true => format!("{}_", letter.to_ascii_lowercase()),
                false => letter.to_string(),
            })
            .collect();
        let tail = &name[name.len().saturating_sub(60)..];
        let mark = if url.contains('?') { '&' } else { '?' };
        Self::postgres(&format!("{url}{mark}schema=t{tail}"), None)
    }
}

/// Fits for a name without quotes; quoting is not needed where nothing can be quoted.
fn schema_name(name: &str) -> Option<String> {
    let fits = !name.is_empty()
        && name.len() <= 63
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.starts_with("pg_")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    fits.then(|| name.to_owned())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgresql://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index != 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(path) => path.display().fmt(f)?,
            }
            if let Some(port) = self.config.get_ports().get(index) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_reads_as_sqlalchemy_and_libpq_read_it_and_is_printed_without_its_password() {
        for (url, printed) in [
            ("postgresql://u:secret@h:5433/d", "postgresql://u@h:5433/d"),
            ("postgres://u:se%40cret@h/d", "postgresql://u@h:5432/d"),
            (
                "postgresql+psycopg2://u:secret@h/d?sslmode=disable",
                "postgresql://u@h:5432/d",
            ),
            ("postgresql://u@[::1]:1/d?schema=lathe", "postgresql://u@::1:1/d"),
            (
                "postgresql://u@/d?host=/run/postgresql",
                "postgresql://u@/run/postgresql/d",
            ),
            ("postgresql:///d", "postgresql://localhost/d"),
        ] {
            let location = Location::postgres(url, Some("secret")).unwrap();
            assert_eq!(location.to_string(), printed);
            assert!(!format!("{location:?}").contains("secret"));
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for url in [
            "mysql://u:secret@h/d",
            "postgresql:u:secret@h",
            "postgresql://u:secret@h:port/d",
            "postgresql://u:secret@h/d?secret=1",
            "postgresql://u:secret@h/d?schema=Secret",
            "postgresql://u:secret@h/d?schema=a;drop",
            "postgresql://u:secret@h/d?sslmode=secret",
            "postgresql://u:secret@h/d?sslcert=/secret",
            "postgresql://u:secret@h/d?sslmode=require&sslrootcert=system",
        ] {
            let error = Location::postgres(url, None).unwrap_err();
            assert!(!error.to_string().contains("ecret"), "{error}");
        }
    }
}
