use std::path::Path;

use crate::{Error, Result};

/// One file of settings, with its sections and keys in lower case and in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ini {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Ini {
    /// Reads the file; one that is not there holds no settings.
    pub fn load(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::read(path)(error)),
        }
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut ini = Self::default();
        let mut section = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = unquoted(name.trim()).to_lowercase();
                ini.section(&section);
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                return Err(Error::Config {
                    path: path.to_owned(),
                    line: index + 1,
                    text: line.to_owned(),
                });
            };
            ini.set(
                &section,
                &key.trim().to_lowercase(),
                unquoted(without_comment(value.trim())),
            );
        }
        Ok(ini)
    }

    /// The value of a key.
    pub fn find(&self, section: &str, key: &str) -> Option<&str> {
        let (_, settings) = self.sections.iter().find(|(name, _)| name == section)?;
        let (_, value) = settings.iter().find(|(name, _)| name == key)?;
        Some(value)
    }

    /// Sections with their settings, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &[(String, String)])> {
        self.sections
            .iter()
            .map(|(name, settings)| (name.as_str(), settings.as_slice()))
    }

    /// Whether there is such a section.
    pub fn has(&self, section: &str) -> bool {
        self.sections.iter().any(|(name, _)| name == section)
    }

    /// Sets a value, in its place if the key is there.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        let settings = self.section(section);
        match settings.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => value.clone_into(old),
            None => settings.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Removes a key; says whether it was there.
    pub fn unset(&mut self, section: &str, key: &str) -> bool {
        let settings = self.section(section);
        let before = settings.len();
        settings.retain(|(name, _)| name != key);
        settings.len() < before
    }

    /// Removes a section; says whether it was there.
    pub fn remove(&mut self, section: &str) -> bool {
        let before = self.sections.len();
        self.sections.retain(|(name, _)| name != section);
        self.sections.len() < before
    }

    fn section(&mut self, section: &str) -> &mut Vec<(String, String)> {
        let at = match self.sections.iter().position(|(name, _)| name == section) {
            Some(at) => at,
            None => {
                self.sections.push((section.to_owned(), Vec::new()));
                self.sections.len() - 1
            }
        };
        &mut self.sections[at].1
    }

    /// As DVC writes it: sections without settings left out, those that bear a name of their own last.
    pub fn to_text(&self) -> String {
        let named = |name: &str| {
            ["remote \"", "machine \"", "db \""]
                .iter()
                .position(|kind| name.starts_with(kind))
        };
        let mut sections: Vec<_> = self
            .sections()
            .filter(|(_, settings)| !settings.is_empty())
            .collect();
        sections.sort_by_key(|(name, _)| named(name).map_or(0, |kind| kind + 1));
        let mut text = String::new();
        for (name, settings) in sections {
            text.push_str(&format!("[{}]\n", quoted(name)));
            for (key, value) in settings {
                text.push_str(&format!("    {} = {}\n", quoted(key), quoted(value)));
            }
        }
        text
    }
}

fn without_comment(value: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.find(quote).map_or(value, |end| &value[..end + 2]);
        }
    }
    value.find(" #").map_or(value, |at| value[..at].trim_end())
}

fn unquoted(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Quoted where DVC's reader would take the text for something else.
fn quoted(text: &str) -> String {
    let outer = |c: char| " \r\n\t\u{b}'\"".contains(c);
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    if !text.starts_with(outer) && !text.ends_with(outer) && !text.contains([',', '#']) {
        return text.to_owned();
    }
    if text.contains('"') {
        format!("'{text}'")
    } else {
        format!("\"{text}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_written_as_dvc_does() {
        let text = "# note\n['remote \"R\"']\nurl = '../x' # near\n[Cache]\nDir = /a b\ntype = \"hardlink,symlink\"\n[core]\n";
        let mut config = Ini::parse(text, Path::new("config")).unwrap();
        assert_eq!(config.find("remote \"r\"", "url"), Some("../x"));
        assert_eq!(config.find("cache", "dir"), Some("/a b"));
        assert_eq!(config.find("core", "dir"), None);
        config.set("core", "remote", "r");
        assert_eq!(
            config.to_text(),
            "[cache]\n    dir = /a b\n    type = \"hardlink,symlink\"\n[core]\n    remote = r\n\
             ['remote \"r\"']\n    url = ../x\n"
        );
    }

    #[test]
    fn a_line_that_is_no_setting_is_named_with_its_number() {
        let error = Ini::parse("[cache]\nwhat\n", Path::new("config")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`config` line 2: `what` is neither a section nor a setting"
        );
    }
}
