//! A package index in the form of PyPI's, asked for one file.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use base64::Engine;
use percent_encoding::percent_decode_str;

use crate::exit::hinted;
use crate::tls::trust;

/// A page with every file of a package.
const PAGE_BYTES_MAX: u64 = 64 << 20;
/// A wheel of ONNX Runtime has 30 MB.
const WHEEL_BYTES_MAX: u64 = 512 << 20;

/// An index, as pip's `--index-url` names it.
pub struct Index {
    /// Without what may stand before the host.
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl Index {
    /// Opens what a URL names; asks nobody yet.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            .map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest))
            .filter(|(scheme, _)| ["http", "https"].contains(&scheme.as_str()))
            .ok_or_else(|| {
                // It is not shown: it may hold a password.
                hinted(
                    "what is named as the index is no URL of `http` or `https`",
                    "say `https://pypi.org/simple`, for example",
                )
            })?;
        let (user, rest) = user_and_rest(rest);
        // A token alone is a user without a password.
        let user = user.map(|user| match user.contains(':') {
            true => percent_decode_str(user).decode_utf8_lossy().into_owned(),
            false => format!("{}:", percent_decode_str(user).decode_utf8_lossy()),
        });
        Ok(Self {
            url: format!("{scheme}://{}", rest.trim_end_matches('/')),
            authorization: user
                .map(|user| base64::engine::general_purpose::STANDARD.encode(user.as_bytes()))
                .map(|user| format!("Basic {user}")),
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(Duration::from_secs(30)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                .timeout_global(Some(Duration::from_secs(900)))
                .tls_config(trust())
                .build()
                .into(),
        })
    }

    /// The bytes of one file of a package.
    pub fn file(&self, package: &str, name: &str) -> anyhow::Result<Vec<u8>> {
        let page_url = format!("{}/{package}/", self.url);
        let page = self.get(&page_url, PAGE_BYTES_MAX)?;
        let page = String::from_utf8_lossy(&page);
        let link = links(&page)
            .find(|link| {
                link.split(['#', '?'])
                    .next()
                    .and_then(|path| path.rsplit('/').next())
                    == Some(name)
            })
            .ok_or_else(|| {
                hinted(
                    format!("`{}` has no file `{name}`", shown(&page_url)),
                    "name another index with `--index`, or a wheel that is here with `--from`",
                )
            })?;
        let url = joined(&page_url, link.split('#').next().unwrap_or_default());
        self.get(&url, WHEEL_BYTES_MAX)
    }

    fn get(&self, url: &str, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
        let mut request = self.agent.get(url);
        // Who says the password of an index means that host only, and says it no more openly than there.
        if let Some(authorization) = self
            .authorization
            .as_ref()
            .filter(|_| origin_of(url) == origin_of(&self.url))
        {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(|error| {
            anyhow!(error).context(crate::exit::hint(
                format!("`{}` cannot be reached", shown(url)),
                "name an index that can be with `--index`, or a wheel that is here with `--from`",
            ))
        })?;
        if !response.status().is_success() {
            bail!("`{}` answers {}", shown(url), response.status());
        }
        response
            .body_mut()
            .with_config()
            .limit(bytes_max)
            .read_to_vec()
            .with_context(|| format!("`{}` breaks off", shown(url)))
    }
}

/// Where the links of a page lead.
fn links(page: &str) -> impl Iterator<Item = String> {
    page.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|first| ['"', '\''].contains(first))?;
        let link = rest[1..].split(quote).next()?;
        Some(link.replace("&amp;", "&"))
    })
}

/// A link of a page as a URL of its own.
fn joined(page: &str, link: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let scheme_ends = page.find("://").map_or(0, |at| at + 3);
    if let Some(rest) = link.strip_prefix("//") {
        return format!("{}{rest}", &page[..scheme_ends]);
    }
    let host_ends = page[scheme_ends..]
        .find('/')
        .map_or(page.len(), |at| at + scheme_ends);
    let (host, path) = page.split_at(host_ends);
    let mut parts: Vec<&str> = match link.starts_with('/') {
        true => Vec::new(),
        false => path.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in link.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{host}/{}", parts.join("/"))
}

/// What stands before the `@` of a URL without its scheme, and what is left without it.
fn user_and_rest(rest: &str) -> (Option<&str>, &str) {
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host_ends].rfind('@') {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

/// The scheme, the host and the port of a URL.
fn origin_of(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path_starts = url.len() - path.len() + path.find(['/', '?', '#']).unwrap_or(path.len());
    url[..path_starts].to_ascii_lowercase()
}

/// A URL without what may be secret in it: who asks, and the query.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", user_and_rest(rest).1),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_a_browser_would_go() {
        let page = "https://index.example/root/simple/onnxruntime/";
        for (link, url) in [
            ("https://files.example/a.whl", "https://files.example/a.whl"),
            ("//files.example/a.whl", "https://files.example/a.whl"),
            ("/files/a.whl", "https://index.example/files/a.whl"),
            ("a.whl", "https://index.example/root/simple/onnxruntime/a.whl"),
            ("../../f/./a.whl", "https://index.example/root/f/a.whl"),
        ] {
            assert_eq!(joined(page, link), url);
        }
        let page =
            r#"<a data-x="1" href="a.whl?x=1&amp;y=2#sha256=0">a</a> <a href='b.whl'>b</a> <a href=c>c</a>"#;
        let found: Vec<String> = links(page).collect();
        assert_eq!(found, ["a.whl?x=1&y=2#sha256=0", "b.whl"]);
    }

    #[test]
    fn an_index_may_carry_a_user_who_is_told_to_its_host_alone() {
        let index = Index::open("https://me:a%40b@index.example:8443/simple/").unwrap();
        assert_eq!(index.url, "https://index.example:8443/simple");
        assert_eq!(index.authorization.unwrap(), "Basic bWU6YUBi");
        for (url, is_own) in [
            ("https://index.example:8443/files/a.whl", true),
            ("HTTPS://Index.example:8443?a", true),
            ("https://files.example/a", false),
            ("https://index.example/a", false),
            ("http://index.example:8443/a", false),
            ("https://index.example:8443@files.example/a", false),
        ] {
            assert_eq!(origin_of(url) == origin_of(&index.url), is_own, "{url}");
        }
        let index = Index::open("HTTPS://t%2Fk@index.example").unwrap();
        assert_eq!(index.url, "https://index.example");
        // `t/k:`
        assert_eq!(index.authorization.unwrap(), "Basic dC9rOg==");
    }

    #[test]
    fn what_may_be_secret_in_a_url_is_not_told() {
        let error = Index::open("ftp://me:hush@x").map(drop).unwrap_err();
        assert!(!format!("{error:?}").contains("hush"));
        for (url, told) in [
            ("https://me:hush@x:1/a@b?sign=hush#c", "https://x:1/a@b"),
            ("https://x?sign=hush", "https://x"),
            ("x", "x"),
        ] {
            assert_eq!(shown(url), told);
        }
    }
}
