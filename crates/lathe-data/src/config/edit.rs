use std::path::{Path, PathBuf};

use super::{Config, Ini, Level, files, known};
use crate::{Error, Result, paths, write};

/// A change of one level's file.
#[derive(Debug)]
pub struct ConfigEdit {
    path: PathBuf,
    ini: Ini,
}

impl ConfigEdit {
    /// Of this level; `dvc` is the project's `.dvc` folder.
    pub fn open(dvc: Option<&Path>, level: Level) -> Result<Self> {
        let found = files(dvc).into_iter().find(|(known, _)| *known == level);
        let Some((_, path)) = found else {
            return Err(Error::NoLevel);
        };
        let ini = Ini::load(&path)?;
        Ok(Self { path, ini })
    }

    /// What the file holds.
    pub fn ini(&self) -> &Ini {
        &self.ini
    }

    /// Sets a value. A path that is relative is so to `folder`, where the user is, and is kept relative to the file.
    pub fn set(&mut self, section: &str, key: &str, value: &str, folder: &Path) -> Result<()> {
        if !known::is_known(section, key) {
            return Err(Error::UnknownSetting {
                name: format!("{section}.{key}"),
            });
        }
        let value = match known::is_path(section, key) {
            true => self.kept_path(value, folder),
            false => value.to_owned(),
        };
        self.ini.set(section, key, &value);
        Ok(())
    }

    fn kept_path(&self, value: &str, folder: &Path) -> String {
        if value.contains("://") || value.starts_with(['~', '/']) {
            return value.to_owned();
        }
        let own = self.path.parent().unwrap_or(Path::new("/"));
        paths::relative(&paths::normal(&folder.join(value)), own)
    }

    /// Removes a key; says whether it was there.
    pub fn unset(&mut self, section: &str, key: &str) -> bool {
        self.ini.unset(section, key)
    }

    /// Removes a section; says whether it was there.
    pub fn remove(&mut self, section: &str) -> bool {
        self.ini.remove(section)
    }

    /// Gives a section another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        let settings: Vec<_> = self
            .ini
            .sections()
            .filter(|(name, _)| *name == from)
            .flat_map(|(_, settings)| settings.to_vec())
            .collect();
        self.ini.remove(from);
        for (key, value) in settings {
            self.ini.set(to, &key, &value);
        }
    }

    /// Writes the file, if what it says is understood.
    pub fn save(self) -> Result<()> {
        let mut text = self.ini.to_text();
        if text.is_empty() {
            // As DVC's writer leaves a file out of which everything was taken.
            text.push('\n');
        }
        let level = Config {
            levels: vec![(Level::Project, self.path.clone(), self.ini)],
        };
        level.link_kinds()?;
        for key in ["no_scm", "autostage", "hardlink_lock"] {
            level.find_bool("core", key)?;
        }
        write::write_atomically(&self.path, text.as_bytes())
    }
}
