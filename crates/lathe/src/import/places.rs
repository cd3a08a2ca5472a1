//! Where artifacts that come from elsewhere lie, and what their records say of it here. Decides only; copying is done by
//! whoever asks.

use std::path::{Component, Path, PathBuf};

/// Where artifacts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// In an object store, or wherever else a URL leads.
    Url(String),
    /// Behind the server that they come from, below its own store.
    Proxied(String),
    /// Nowhere.
    Nowhere,
}

/// How locations are read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What relative folders are relative to.
    pub base: PathBuf,
    /// Where the other server keeps what it proxies, if that was told.
    pub behind: Option<String>,
}

impl Reading {
    /// Where a location of the other server leads.
    pub fn place(&self, uri: &str) -> Place {
        let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return match uri.is_empty() {
                true => Place::Nowhere,
                false => Place::Folder(normal(&self.base.join(uri))),
            };
        };
        match scheme {
            "file" => {
                let path = rest
                    .strip_prefix("//localhost")
                    .or(rest.strip_prefix("//"))
                    .unwrap_or(rest);
                Place::Folder(normal(&self.base.join(decoded(path))))
            }
            "mlflow-artifacts" => {
                let below = match rest.strip_prefix("//") {
                    Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
                    None => rest,
                };
                let below = below.trim_matches('/');
                match &self.behind {
                    None => Place::Proxied(below.to_owned()),
                    Some(behind) => match self.place(behind) {
                        Place::Folder(folder) => Place::Folder(normal(&folder.join(below))),
                        Place::Url(url) => Place::Url(format!("{}/{below}", url.trim_end_matches('/'))),
                        other => other,
                    },
                }
            }
            _ => Place::Url(uri.to_owned()),
        }
    }
}

impl Place {
    /// What a record says where its artifacts stay.
    pub fn uri(&self) -> String {
        match self {
            Self::Folder(folder) => format!("file://{}", folder.display()),
            Self::Url(url) => url.clone(),
            Self::Proxied(below) => format!("mlflow-artifacts:/{below}"),
            Self::Nowhere => String::new(),
        }
    }

    /// Whether this is `root` or lies in it, and then where.
    pub fn below(&self, root: &Self) -> Option<String> {
        let rest = match (self, root) {
            (Self::Folder(folder), Self::Folder(root)) => {
                return folder
                    .strip_prefix(root)
                    .ok()
                    .map(|rest| rest.to_string_lossy().into_owned());
            }
            (Self::Url(url), Self::Url(root)) | (Self::Proxied(url), Self::Proxied(root)) => {
                url.strip_prefix(root.trim_end_matches('/'))?
            }
            _ => return None,
        };
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/').to_owned())
    }
}

fn is_scheme(text: &str) -> bool {
    1 < text.len()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Without `.` and `..`, without asking the disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// What `%20` and its like stand for in a `file:` URL.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| path.get(at + 1..at + 3))
            .flatten()
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(behind: Option<&str>) -> Reading {
        Reading {
            base: "/work".into(),
            behind: behind.map(str::to_owned),
        }
    }

    #[test]
    fn every_form_of_a_location_leads_to_one_place() {
        for (uri, place) in [
            (
                "./mlruns/0/r/artifacts",
                Place::Folder("/work/mlruns/0/r/artifacts".into()),
            ),
            ("/data/../mlruns/0", Place::Folder("/mlruns/0".into())),
            ("file:///data/my%20runs", Place::Folder("/data/my runs".into())),
            ("file:mlruns", Place::Folder("/work/mlruns".into())),
            ("s3://bucket/0/r", Place::Url("s3://bucket/0/r".into())),
            (
                "mlflow-artifacts:/0/r/artifacts",
                Place::Proxied("0/r/artifacts".into()),
            ),
            ("mlflow-artifacts://host:5000/0/r", Place::Proxied("0/r".into())),
            ("", Place::Nowhere),
        ] {
            assert_eq!(reading(None).place(uri), place, "{uri}");
        }
        for (behind, place) in [
            ("./mlartifacts", Place::Folder("/work/mlartifacts/0/r".into())),
            ("s3://bucket/x/", Place::Url("s3://bucket/x/0/r".into())),
        ] {
            assert_eq!(reading(Some(behind)).place("mlflow-artifacts:/0/r"), place);
        }
    }

    #[test]
    fn a_source_is_found_in_its_run_whatever_form_it_has() {
        let reading = reading(None);
        let run = reading.place("./mlruns/0/r/artifacts");
        assert_eq!(
            reading
                .place("file:///work/mlruns/0/r/artifacts/model")
                .below(&run)
                .as_deref(),
            Some("model")
        );
        assert_eq!(reading.place("/work/mlruns/0/r/artifacts2").below(&run), None);
        let bucket = reading.place("s3://b/0/r");
        assert_eq!(reading.place("s3://b/0/r/m").below(&bucket).as_deref(), Some("m"));
        assert_eq!(reading.place("s3://b/0/r2").below(&bucket), None);
    }
}
