use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What decides how object stores are reached: the environment, handed in as a map, and what a configuration says
/// instead of it. Names are those of environment variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

// Values may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// What an AWS profile says: of `credentials` and `config`, the former first.
#[derive(Default)]
pub(crate) struct Profile {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// What of an environment matters here.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let matters = |name: &str| {
            ["AWS_", "MLFLOW_S3_", "MLFLOW_BOTO_", "AZURE_", "GOOGLE_"]
                .iter()
                .any(|start| name.starts_with(start))
                || name == "HOME"
        };
        Self {
            values: variables
                .into_iter()
                .filter(|(name, value)| matters(name) && !value.is_empty())
                .collect(),
        }
    }

    /// The same with one value set, for what a configuration says instead of the environment.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The same with one value taken out.
    pub fn without(mut self, name: &str) -> Self {
        self.values.remove(name);
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// `true`, `1`, `yes`, in any case.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| ["true", "1", "yes"].contains(&value.to_ascii_lowercase().as_str()))
    }

    /// Every value whose name starts so.
    pub(crate) fn starting_with<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.values
            .iter()
            .filter(move |(name, _)| name.starts_with(start))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The profile that `AWS_PROFILE` names, else `default`, from the files where AWS's tools keep them. What is not
    /// there says nothing.
    pub(crate) fn aws_profile(&self) -> Profile {
        let name = self
            .first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
            .unwrap_or("default");
        let file = |variable: &str, in_home: &str| {
            let path = match (self.get(variable), self.get("HOME")) {
                (Some(path), _) => PathBuf::from(path),
                (None, Some(home)) => PathBuf::from(home).join(".aws").join(in_home),
                (None, None) => return String::new(),
            };
            std::fs::read_to_string(path).unwrap_or_default()
        };
        let config = file("AWS_CONFIG_FILE", "config");
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let mut values = section(&config, &format!("profile {name}"));
        values.extend(section(&config, name));
        values.extend(section(&credentials, name));
        Profile { values }
    }
}

impl Profile {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }
}

/// The keys of one section of an INI file as AWS writes them; nested settings are indented and left out.
fn section(text: &str, name: &str) -> BTreeMap<String, String> {
    let mut inside = false;
    let mut values = BTreeMap::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(header) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = header.trim() == name;
        } else if inside
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = trimmed.split_once('=')
        {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_as_aws_tools_write_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(".aws").join(name), text).unwrap();
        write(
            "config",
            "[default]\nregion = eu-west-1\n[profile work]\nregion=eu-central-1\ns3 =\n  addressing_style = path\n\
             endpoint_url = http://localhost:9000\n",
        );
        write(
            "credentials",
            "# secrets\n[default]\naws_access_key_id = A\n\n[work]\naws_access_key_id = B\naws_secret_access_key = c=d\n",
        );
        let home = folder.path().to_string_lossy().into_owned();
        let settings =
            Settings::from_environment([("HOME".to_owned(), home), ("PATH".to_owned(), "/bin".to_owned())]);
        assert_eq!(settings.aws_profile().get("aws_access_key_id"), Some("A"));
        assert_eq!(settings.aws_profile().get("region"), Some("eu-west-1"));
        let work = settings.with("AWS_PROFILE", "work").aws_profile();
        assert_eq!(work.get("aws_secret_access_key"), Some("c=d"));
        assert_eq!(work.get("endpoint_url"), Some("http://localhost:9000"));
        assert_eq!(work.get("addressing_style"), None);
        let missing = Settings::default().with("AWS_PROFILE", "nobody").aws_profile();
        assert_eq!(missing.get("region"), None);
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = Settings::default().with("AWS_SECRET_ACCESS_KEY", "hush");
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
