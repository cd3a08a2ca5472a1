//! An experiment: a named place for runs that are compared with each other.

use crate::input::{check_key, check_length};
use crate::tags::Tag;
use crate::{ExperimentId, InputError, Lifecycle, Millis};

/// One experiment as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its number.
    pub id: ExperimentId,
    /// Unique, also among the deleted ones.
    pub name: String,
    /// Where its runs keep artifacts; none: under the server's root.
    pub artifact_location: Option<String>,
    /// Deleted experiments can be restored.
    pub lifecycle: Lifecycle,
    /// When it was created; none for "Default", which was always there.
    pub created_at: Option<Millis>,
    /// When its name or lifecycle last changed.
    pub updated_at: Option<Millis>,
    /// By key.
    pub tags: Vec<Tag>,
}

impl Experiment {
    /// Where its runs keep artifacts, when the server's own root is `root`.
    pub fn artifact_uri(&self, root: &str) -> String {
        match &self.artifact_location {
            Some(location) => location.clone(),
            None => format!("{}/{}", root.trim_end_matches('/'), self.id),
        }
    }
}

/// The name of an experiment: 1 to 500 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentName(String);

impl ExperimentName {
    const CHARS_MAX: usize = 500;

    /// Reads a name that the field `parameter` holds.
    pub fn new(parameter: &str, name: String) -> Result<Self, InputError> {
        check_length(parameter, &name, Self::CHARS_MAX)?;
        if name.trim().is_empty() {
            return Err(InputError::Missing {
                parameter: parameter.to_owned(),
            });
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tag of an experiment, within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentTag(Tag);

impl ExperimentTag {
    const KEY_CHARS_MAX: usize = 250;
    const VALUE_CHARS_MAX: usize = 20_000;

    /// Checks key and value.
    pub fn new(key: String, value: String) -> Result<Self, InputError> {
        check_key("key", &key, Self::KEY_CHARS_MAX)?;
        check_length("value", &value, Self::VALUE_CHARS_MAX)?;
        Ok(Self(Tag { key, value }))
    }

    /// Key and value.
    pub fn tag(&self) -> &Tag {
        &self.0
    }
}

/// What a new experiment starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExperiment {
    /// Its name.
    pub name: ExperimentName,
    /// Where its runs shall keep artifacts; none: under the server's root.
    pub artifact_location: Option<ArtifactLocation>,
    /// Its first tags.
    pub tags: Vec<ExperimentTag>,
}

/// A place for artifacts that a client chose: a URI with a scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactLocation(String);

impl ArtifactLocation {
    const CHARS_MAX: usize = 2_048;

    /// Reads a URI, or the path of a folder that clients reach themselves. A relative path is one from the folder where
    /// the server runs, as in MLflow.
    pub fn parse(uri: &str) -> Result<Self, InputError> {
        let parameter = "artifact_location";
        check_length(parameter, uri, Self::CHARS_MAX)?;
        let refuse = |reason: &str| Err(InputError::invalid(parameter, uri, reason));
        let (scheme, path) = uri.split_once(':').unwrap_or(("file", uri));
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let is_path = !uri.contains(':');
        if !scheme_ok || !(is_path || path.starts_with('/')) {
            return refuse("it must be a URI, as `s3://bucket/path` or `file:///path`, or a path");
        }
        let decoded = path.to_ascii_lowercase().replace("%2e", ".");
        if decoded.split(['/', '\\']).any(|part| part == "..") {
            return refuse("it must not contain `..`");
        }
        if path.contains(['?', '#']) || uri.chars().any(char::is_control) {
            return refuse("it must not contain a query, a fragment or control characters");
        }
        if is_path {
            let Ok(folder) = std::path::absolute(uri.trim_end_matches('/')) else {
                return refuse("it must name a folder");
            };
            return Ok(Self(folder.display().to_string()));
        }
        Ok(Self(uri.trim_end_matches('/').to_owned()))
    }

    /// The URI, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_location_is_a_uri_that_stays_where_it_points() {
        for uri in [
            "s3://bucket/a",
            "mlflow-artifacts:/7",
            "file:///shared/x",
            "gs://b",
            "/srv/shared",
        ] {
            assert_eq!(ArtifactLocation::parse(uri).unwrap().as_str(), uri);
        }
        for uri in [
            "../up",
            "a/../../up",
            "/srv/%2e%2E/etc",
            "",
            "s3://b/../c",
            "s3://b/%2E%2e/c",
            "file:etc",
            "s3://b?x=1",
            "1s://b",
        ] {
            assert!(ArtifactLocation::parse(uri).is_err(), "{uri}");
        }
        let here = std::env::current_dir().unwrap();
        for (path, kept) in [("./a/b/", here.join("a/b")), ("a", here.join("a"))] {
            assert_eq!(
                ArtifactLocation::parse(path).unwrap().as_str(),
                kept.to_str().unwrap()
            );
        }
    }
}
