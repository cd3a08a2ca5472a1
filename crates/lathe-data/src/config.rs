use std::path::Path;

use crate::{Error, Result};

/// The settings of one `.dvc/config`: section, key, value, in the order of the file.
#[derive(Debug, Default)]
pub struct Config {
    settings: Vec<(String, String, String)>,
}

impl Config {
    /// Reads the file; one that is not there holds no settings.
    pub fn load(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::read(path)(error)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut settings = Vec::new();
        let mut section = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = unquoted(name).to_owned();
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(Error::Config {
                    path: path.to_owned(),
                    line: index + 1,
                    text: line.to_owned(),
                });
            };
            settings.push((
                section.clone(),
                key.trim().to_lowercase(),
                unquoted(value.trim()).to_owned(),
            ));
        }
        Ok(Self { settings })
    }

    /// The last value set.
    pub fn find(&self, section: &str, key: &str) -> Option<&str> {
        self.settings
            .iter()
            .rev()
            .find(|(s, k, _)| s == section && k == key)
            .map(|(_, _, value)| value.as_str())
    }
}

fn unquoted(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_settings_comments_and_quotes_are_read() {
        let text =
            "# note\n[core]\n    remote = r\n['remote \"r\"']\n    url = '../x'\n[cache]\n    dir = /a b\n";
        let config = Config::parse(text, Path::new("config")).unwrap();
        assert_eq!(config.find("remote \"r\"", "url"), Some("../x"));
        assert_eq!(config.find("cache", "dir"), Some("/a b"));
        assert_eq!(config.find("core", "dir"), None);
    }

    #[test]
    fn a_line_that_is_no_setting_is_named_with_its_number() {
        let error = Config::parse("[cache]\nwhat\n", Path::new("config")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`config` line 2: `what` is neither a section nor a setting"
        );
    }
}
