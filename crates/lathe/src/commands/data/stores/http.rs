//! Remotes behind HTTP: mere servers, which cannot list, and WebDAV.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use lathe_data::remote::{RemoteSettings, Seen, Store};
use lathe_data::{Error, Result};
use ureq::http::{Request, Response};
use ureq::{Agent, AsSendBody, Body};

use super::failed;
use crate::exit::hinted;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that says nothing for so long is away.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const TRIES: u32 = 4;
/// More than any listing of one folder.
const LISTING_BYTES_MAX: u64 = 256 << 20;

/// Files below a URL.
pub struct Http {
    name: String,
    /// Without a slash at the end.
    url: String,
    agent: Agent,
    headers: Vec<(String, String)>,
    is_dav: bool,
    /// How files are sent.
    method: String,
    made: Mutex<std::collections::HashSet<String>>,
}

impl Http {
    /// Opens what the settings describe; asks nobody yet.
    pub fn open(settings: &RemoteSettings, is_dav: bool) -> anyhow::Result<Self> {
        let url = settings.url.replacen("webdav", "http", 1);
        let url = url.trim_end_matches('/').to_owned();
        let mut headers = Vec::new();
        let password = settings.find("password");
        let custom = settings.find("custom_auth_header");
        if let (Some(header), Some(password)) = (custom, password) {
            headers.push((header.to_owned(), password.to_owned()));
        } else if let Some(token) = settings.find("token") {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        } else if settings.find("auth") == Some("digest") {
            return Err(hinted(
                format!(
                    "remote `{}` wants digest authentication, which is not supported",
                    settings.name
                ),
                format!(
                    "use `basic` over https: lathe remote modify {} auth basic",
                    settings.name
                ),
            ));
        } else if let Some(user) = settings.find("user") {
            let pair = format!("{user}:{}", password.unwrap_or_default());
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            headers.push(("Authorization".to_owned(), format!("Basic {pair}")));
        }
        let seconds = |key: &str| {
            settings
                .find(key)
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs)
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_connect(seconds("connect_timeout").or(Some(CONNECT_TIMEOUT)))
            .timeout_recv_response(
                seconds("read_timeout")
                    .or(seconds("timeout"))
                    .or(Some(SILENCE_MAX)),
            )
            .build()
            .into();
        let default = if is_dav { "PUT" } else { "POST" };
        Ok(Self {
            name: settings.name.clone(),
            url,
            agent,
            headers,
            is_dav,
            method: settings.find("method").unwrap_or(default).to_uppercase(),
            made: Mutex::default(),
        })
    }

    fn url_of(&self, key: &str) -> String {
        format!("{}/{key}", self.url)
    }

    /// Sends a request, again if the server is away or overloaded.
    fn ask<B: AsSendBody>(
        &self,
        method: &str,
        url: &str,
        extra: &[(&str, &str)],
        body: impl Fn() -> std::io::Result<B>,
    ) -> Result<Response<Body>> {
        let mut tried = 1;
        loop {
            let mut request = Request::builder().method(method).uri(url);
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            for (name, value) in extra {
                request = request.header(*name, *value);
            }
            let body = body().map_err(|error| failed(&self.name, error))?;
            let request = request.body(body).map_err(|error| failed(&self.name, error))?;
            match self.agent.run(request) {
                Ok(response) if response.status().as_u16() < 500 || response.status().as_u16() == 501 => {
                    return Ok(response);
                }
                Ok(response) if TRIES <= tried => {
                    return Err(self.refused(method, url, response.status().as_u16()));
                }
                Err(error) if TRIES <= tried => return Err(failed(&self.name, error)),
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(200 << tried)),
            }
            tried += 1;
        }
    }

    fn refused(&self, method: &str, url: &str, status: u16) -> lathe_data::Error {
        failed(
            &self.name,
            format!("the server answered {method} `{url}` with status {status}"),
        )
    }

    fn make_folders(&self, key: &str) -> Result<()> {
        let mut at = String::new();
        let Some((folders, _)) = key.rsplit_once('/') else {
            return Ok(());
        };
        for part in std::iter::once("").chain(folders.split('/')) {
            at = if part.is_empty() {
                String::new()
            } else {
                format!("{at}{part}/")
            };
            if self.made.lock().expect("no thread panics with it").contains(&at) {
                continue;
            }
            let url = self.url_of(&at);
            let status = self.ask("MKCOL", &url, &[], || Ok(()))?.status().as_u16();
            // 405: it is there. The root may be somebody else's, and closed.
            if !matches!(status, 200..=299 | 301 | 405) && !at.is_empty() {
                return Err(self.refused("MKCOL", &url, status));
            }
            self.made
                .lock()
                .expect("no thread panics with it")
                .insert(at.clone());
        }
        Ok(())
    }

    fn list_folder(&self, folder: &str) -> Result<Vec<String>> {
        let url = self.url_of(folder);
        let mut answer = self.ask("PROPFIND", &url, &[("Depth", "1")], || Ok(()))?;
        match answer.status().as_u16() {
            404 => return Ok(Vec::new()),
            200..=299 => {}
            status => return Err(self.refused("PROPFIND", &url, status)),
        }
        let text = answer
            .body_mut()
            .with_config()
            .limit(LISTING_BYTES_MAX)
            .read_to_string()
            .map_err(|error| failed(&self.name, error))?;
        Ok(names_in(&text))
    }
}

/// The last parts of the paths that a listing names; those of folders end in `/`.
fn names_in(listing: &str) -> Vec<String> {
    let mut names = Vec::new();
    for response in listing.split_inclusive("response>") {
        let Some(start) = response.find("href>") else {
            continue;
        };
        let rest = &response[start + 5..];
        let Some(end) = rest.find('<') else { continue };
        let href = rest[..end].trim();
        let is_folder =
            href.ends_with('/') || response.contains("collection/>") || response.contains("collection />");
        let name = href.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if !name.is_empty() {
            names.push(format!("{name}{}", if is_folder { "/" } else { "" }));
        }
    }
    names
}

impl Store for Http {
    fn exist(&self, keys: &[String], at_once: usize) -> Result<Vec<bool>> {
        super::at_once(at_once, keys, |key| {
            let url = self.url_of(key);
            let status = self.ask("HEAD", &url, &[], || Ok(()))?.status().as_u16();
            match status {
                200..=299 => Ok(true),
                404 | 410 => Ok(false),
                _ => Err(self.refused("HEAD", &url, status)),
            }
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        if !self.is_dav {
            return Err(Error::NotListable {
                name: self.name.clone(),
            });
        }
        let mut found = Vec::new();
        let mut folders = vec![prefix.trim_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let own = folder.rsplit('/').next().unwrap_or_default().to_owned();
            let prefix = if folder.is_empty() {
                String::new()
            } else {
                format!("{folder}/")
            };
            for (index, name) in self.list_folder(&prefix)?.into_iter().enumerate() {
                match name.strip_suffix('/') {
                    // The folder itself comes first.
                    Some(name) if index == 0 && (name == own || own.is_empty()) => {}
                    Some(name) => folders.push(format!("{prefix}{name}")),
                    None => found.push(format!("{prefix}{name}")),
                }
            }
        }
        Ok(found)
    }

    fn put(&self, from: &Path, key: &str) -> Result<()> {
        let open = || File::open(from);
        let url = self.url_of(key);
        if !self.is_dav {
            let status = self.ask(&self.method, &url, &[], open)?.status().as_u16();
            return match status {
                200..=299 => Ok(()),
                _ => Err(self.refused(&self.method, &url, status)),
            };
        }
        self.make_folders(key)?;
        // Under another name first: a file that has its name is whole.
        let part = format!("{url}.{}.part", std::process::id());
        let status = self.ask("PUT", &part, &[], open)?.status().as_u16();
        if !matches!(status, 200..=299) {
            return Err(self.refused("PUT", &part, status));
        }
        let to = [("Destination", url.as_str()), ("Overwrite", "T")];
        match self.ask("MOVE", &part, &to, || Ok(()))?.status().as_u16() {
            200..=299 => Ok(()),
            status => Err(self.refused("MOVE", &part, status)),
        }
    }

    fn get(&self, key: &str, to: &Path) -> Result<bool> {
        let url = self.url_of(key);
        let mut tried = 1;
        loop {
            let answer = self.ask("GET", &url, &[], || Ok(()))?;
            match answer.status().as_u16() {
                200..=299 => {}
                404 | 410 => return Ok(false),
                status => return Err(self.refused("GET", &url, status)),
            }
            let write = || {
                let mut file = File::create(to)?;
                std::io::copy(&mut answer.into_body().into_reader(), &mut file)?;
                file.flush()
            };
            match write() {
                Ok(()) => return Ok(true),
                Err(error) if TRIES <= tried => return Err(failed(&self.name, error)),
                Err(_) => std::thread::sleep(Duration::from_millis(200 << tried)),
            }
            tried += 1;
        }
    }

    fn look(&self, key: &str) -> Result<Option<Seen>> {
        let url = self.url_of(key);
        let answer = self.ask("HEAD", &url, &[], || Ok(()))?;
        match answer.status().as_u16() {
            200..=299 => {}
            404 | 410 => return Ok(None),
            status => return Err(self.refused("HEAD", &url, status)),
        }
        let header = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let mark = header("etag").or_else(|| header("content-md5"));
        let name = if self.is_dav { "etag" } else { "checksum" };
        Ok(Some(Seen {
            size: header("content-length").and_then(|size| size.parse().ok()),
            mark: mark.map(|mark| (name, mark)),
        }))
    }

    fn delete(&self, key: &str) -> Result<()> {
        let url = self.url_of(key);
        match self.ask("DELETE", &url, &[], || Ok(()))?.status().as_u16() {
            200..=299 | 404 | 410 => Ok(()),
            status => Err(self.refused("DELETE", &url, status)),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_listing_names_files_and_folders() {
        let text = "<D:multistatus><D:response><D:href>/d/files/</D:href><D:collection/></D:response>\
                    <D:response><D:href>/d/files/md5/</D:href></D:response>\
                    <D:response><D:href>/d/files/a.dir</D:href></D:response></D:multistatus>";
        assert_eq!(super::names_in(text), ["files/", "md5/", "a.dir"]);
    }
}
