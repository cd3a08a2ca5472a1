use std::path::PathBuf;

use crate::{Error, Repo, Result};

/// A remote as the settings describe it.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// Its name.
    pub name: String,
    /// Where it is; a path is absolute.
    pub url: String,
    /// Everything else that is said about it.
    pub settings: Vec<(String, String)>,
}

impl RemoteSettings {
    /// The value of a setting.
    pub fn find(&self, key: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// `s3`, `ssh`, …; nothing for a folder.
    pub fn scheme(&self) -> Option<&str> {
        self.url.split_once("://").map(|(scheme, _)| scheme)
    }

    /// The folder, if it is one.
    pub fn folder(&self) -> Option<PathBuf> {
        match self.url.split_once("://") {
            None => Some(PathBuf::from(&self.url)),
            Some(("file", path)) => Some(PathBuf::from(path)),
            Some(_) => None,
        }
    }
}

/// The remote of this name, or the default one.
pub fn find_remote(repo: &Repo, name: Option<&str>) -> Result<RemoteSettings> {
    let config = repo.config();
    let name = match name.or(config.find("core", "remote")) {
        Some(name) => name.to_lowercase(),
        None => return Err(Error::NoRemote),
    };
    let mut found = described(repo, &name)?;
    // `remote://other/sub` is a place in another remote, with all its settings.
    for _ in 0..8 {
        let Some(rest) = found.url.strip_prefix("remote://") else {
            break;
        };
        let (other, sub) = rest.split_once('/').unwrap_or((rest, ""));
        let base = described(repo, other)?;
        let mut settings = base.settings;
        for (key, value) in found.settings {
            settings.retain(|(name, _)| *name != key);
            settings.push((key, value));
        }
        found = RemoteSettings {
            name: name.clone(),
            url: format!("{}/{sub}", base.url.trim_end_matches('/')),
            settings,
        };
    }
    for unsupported in ["version_aware", "worktree"] {
        if config.find_bool(&format!("remote \"{name}\""), unsupported)? == Some(true) {
            return Err(Error::VersionedRemote { name });
        }
    }
    Ok(found)
}

fn described(repo: &Repo, name: &str) -> Result<RemoteSettings> {
    let mut settings = repo.config().section(&format!("remote \"{name}\""));
    let at = settings.iter().position(|(key, _)| key == "url");
    let Some(at) = at else {
        return Err(Error::UnknownRemote {
            name: name.to_owned(),
        });
    };
    let (_, url) = settings.remove(at);
    Ok(RemoteSettings {
        name: name.to_owned(),
        url,
        settings,
    })
}
