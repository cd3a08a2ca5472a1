//! From a URL to a remote, and the protocols that need a program or a client of their own.

mod bucket;
mod http;
mod inert;
mod sftp;

use lathe_data::remote::{Remote, RemoteSettings, Store};

use crate::exit::hinted;

/// Opens what the settings describe.
pub fn open(settings: &RemoteSettings, jobs: Option<usize>) -> anyhow::Result<Remote> {
    let jobs = match (jobs, settings.find("jobs")) {
        (Some(jobs), _) => Some(jobs),
        (None, Some(text)) => Some(text.parse().map_err(|_| {
            hinted(
                format!(
                    "the setting `jobs` of remote `{}` is `{text}`, which is no number",
                    settings.name
                ),
                format!("set it: lathe remote modify {} jobs 8", settings.name),
            )
        })?),
        (None, None) => None,
    };
    if let Some(folder) = settings.folder() {
        let folder = match folder.strip_prefix("~") {
            Ok(inside) => crate::settings::home()?.join(inside),
            Err(_) => folder,
        };
        let is_shared = settings.find("shared") == Some("group");
        return Ok(Remote::folder(&settings.name, &folder, is_shared));
    }
    Ok(Remote::store(&settings.name, open_store(settings)?, jobs))
}

/// Opens what the settings describe, if it is no folder.
pub fn open_store(settings: &RemoteSettings) -> anyhow::Result<Box<dyn Store>> {
    inert::warn(settings);
    Ok(match settings.scheme() {
        Some("http" | "https") => Box::new(http::Http::open(settings, false)?),
        Some("webdav" | "webdavs") => Box::new(http::Http::open(settings, true)?),
        Some("ssh" | "sftp") => Box::new(sftp::Sftp::open(settings)?),
        Some(scheme) if bucket::Objects::knows(scheme) => Box::new(bucket::Objects::open(settings)?),
        scheme => {
            return Err(hinted(
                format!(
                    "remote `{}` is at `{}`, and `{}` is a kind of remote that is not supported",
                    settings.name,
                    settings.url,
                    scheme.unwrap_or_default()
                ),
                "use a folder, `s3://`, `gs://`, `azure://`, `http(s)://`, `webdav(s)://` or `ssh://`",
            ));
        }
    })
}

/// A failure of a remote.
fn failed(name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> lathe_data::Error {
    lathe_data::Error::Remote {
        name: name.to_owned(),
        source: source.into(),
    }
}

/// Asks about many keys, some at once.
fn at_once<R: Send>(
    threads: usize,
    keys: &[String],
    ask: impl Fn(&String) -> lathe_data::Result<R> + Sync,
) -> lathe_data::Result<Vec<R>> {
    lathe_data::each_on(threads, 1, keys, ask)
}
