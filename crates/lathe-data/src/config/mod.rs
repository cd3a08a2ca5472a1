//! Settings in four levels, as DVC has them: of the system, of the user, of the project, and of this checkout.

mod edit;
mod ini;
mod known;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use edit::ConfigEdit;
pub use ini::Ini;

use crate::{Error, LinkKind, Result};

/// Where a setting is kept; the later ones decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of the machine.
    System,
    /// Of the user.
    Global,
    /// `.dvc/config`, which git keeps.
    Project,
    /// `.dvc/config.local`, which it does not.
    Local,
}

/// Folders of the levels that belong to no project.
static OUTER: OnceLock<(Option<PathBuf>, Option<PathBuf>)> = OnceLock::new();

/// Says where the machine's and the user's settings are. Only the process knows its environment, so it is told once,
/// at the start; without it there are none.
pub fn set_config_folders(system: Option<PathBuf>, global: Option<PathBuf>) {
    // A second start only happens in tests.
    let _ = OUTER.set((system, global));
}

/// All settings that hold in a project, or outside of any.
#[derive(Debug, Clone, Default)]
pub struct Config {
    levels: Vec<(Level, PathBuf, Ini)>,
}

impl Config {
    /// Reads all levels; `dvc` is the project's `.dvc` folder.
    pub fn load(dvc: Option<&Path>) -> Result<Self> {
        let mut levels = Vec::new();
        for (level, path) in files(dvc) {
            let ini = Ini::load(&path)?;
            levels.push((level, path, ini));
        }
        Ok(Self { levels })
    }

    /// Every level with its file, the deciding ones last.
    pub fn levels(&self) -> impl Iterator<Item = (Level, &Path, &Ini)> {
        self.levels
            .iter()
            .map(|(level, path, ini)| (*level, path.as_path(), ini))
    }

    /// The value that decides.
    pub fn find(&self, section: &str, key: &str) -> Option<&str> {
        self.levels
            .iter()
            .rev()
            .find_map(|(_, _, ini)| ini.find(section, key))
    }

    /// A value that is a path: relative to the folder of the file that it is in.
    pub fn find_path(&self, section: &str, key: &str) -> Option<PathBuf> {
        let (path, value) = self
            .levels
            .iter()
            .rev()
            .find_map(|(_, path, ini)| Some((path, ini.find(section, key)?)))?;
        Some(resolved(path, value))
    }

    /// A value that is yes or no.
    pub fn find_bool(&self, section: &str, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.find(section, key) else {
            return Ok(None);
        };
        match value.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Some(true)),
            "false" | "no" | "off" | "0" => Ok(Some(false)),
            _ => Err(wrong(section, key, value, "neither `true` nor `false`")),
        }
    }

    /// All settings of a section, the deciding values only; paths and urls resolved.
    pub fn section(&self, section: &str) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (_, path, ini) in &self.levels {
            let Some((_, settings)) = ini.sections().find(|(name, _)| *name == section) else {
                continue;
            };
            for (key, value) in settings {
                let value = Self::shown(path, section, key, value);
                all.retain(|(name, _)| name != key);
                all.push((key.clone(), value));
            }
        }
        all
    }

    /// A value as it counts: a path without what it is relative to.
    pub fn shown(file: &Path, section: &str, key: &str, value: &str) -> String {
        match known::is_path(section, key) {
            true => resolved(file, value).to_string_lossy().into_owned(),
            false => value.to_owned(),
        }
    }

    /// Names of remotes, in the order of their appearance.
    pub fn remotes(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (_, _, ini) in &self.levels {
            for (section, _) in ini.sections() {
                let name = section
                    .strip_prefix("remote \"")
                    .and_then(|rest| rest.strip_suffix('"'));
                if let Some(name) = name.filter(|name| !names.iter().any(|known| known == name)) {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }

    /// The kinds of links to try, in their order.
    pub(crate) fn link_kinds(&self) -> Result<Vec<LinkKind>> {
        let Some(text) = self.find("cache", "type") else {
            return Ok(vec![LinkKind::Reflink, LinkKind::Copy]);
        };
        text.split(',')
            .map(|kind| {
                let kind = kind.trim();
                let known = "none of reflink, hardlink, symlink and copy";
                LinkKind::parse(kind).ok_or_else(|| wrong("cache", "type", kind, known))
            })
            .collect()
    }
}

/// A setting as another checkout of the same project needs to be told it: what only this checkout knows, and paths that
/// mean another place there. Nothing if it finds it by itself.
pub(crate) fn value_elsewhere(
    level: Level,
    file: &Path,
    section: &str,
    key: &str,
    value: &str,
) -> Option<String> {
    let is_told = match level {
        Level::System | Level::Global => false,
        Level::Project => known::is_path(section, key),
        Level::Local => true,
    };
    is_told.then(|| Config::shown(file, section, key, value))
}

/// Files of the levels.
fn files(dvc: Option<&Path>) -> Vec<(Level, PathBuf)> {
    let mut files = Vec::new();
    if let Some((system, global)) = OUTER.get() {
        files.extend(
            system
                .as_ref()
                .map(|folder| (Level::System, folder.join("config"))),
        );
        files.extend(
            global
                .as_ref()
                .map(|folder| (Level::Global, folder.join("config"))),
        );
    }
    if let Some(dvc) = dvc {
        files.push((Level::Project, dvc.join("config")));
        files.push((Level::Local, dvc.join("config.local")));
    }
    files
}

fn wrong(section: &str, key: &str, value: &str, what: &'static str) -> Error {
    Error::Setting {
        name: format!("{section}.{key}"),
        value: value.to_owned(),
        what,
    }
}

/// A path of a setting; urls and what begins at the home folder stay.
fn resolved(file: &Path, value: &str) -> PathBuf {
    let is_url = value.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    if is_url || value.starts_with('~') {
        return PathBuf::from(value);
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    crate::paths::normal(&folder.join(value))
}
