//! The model registry: a registered model, its versions, the aliases that name versions.

mod source;

pub use source::{Origin, check_source};

use crate::tags::Tag;
use crate::{InputError, Millis, input};

/// The tag that says that a model of the registry is a prompt.
pub const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// The alias of the newest version, which nobody sets.
pub const LATEST: &str = "latest";

/// A tag of a model or a version, within its limits.
pub fn registry_tag(key: String, value: String) -> Result<Tag, InputError> {
    input::check_key("key", &key, 250)?;
    input::check_length("value", &value, 100_000)?;
    Ok(Tag { key, value })
}

/// A description within its limits; an empty one is none.
pub fn description(text: Option<String>) -> Result<Option<String>, InputError> {
    let text = text.filter(|text| !text.is_empty());
    input::check_length("description", text.as_deref().unwrap_or_default(), 5_000)?;
    Ok(text)
}

/// The number of a version in the field `parameter`.
pub fn version_number(parameter: &str, text: &str) -> Result<u32, InputError> {
    text.parse().ok().filter(|number| 0 < *number).ok_or_else(|| {
        InputError::Request(format!(
            "Parameter '{parameter}' must be an integer, got '{text}'."
        ))
    })
}

/// The name of a registered model: not empty, without `/` and `:`, at most 256 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName(String);

impl ModelName {
    /// Reads the name in the field `parameter`.
    pub fn new(parameter: &str, name: String) -> Result<Self, InputError> {
        if name.trim().is_empty() {
            return Err(InputError::Missing {
                parameter: parameter.to_owned(),
            });
        }
        if name.contains(['/', ':'])
            || name.chars().any(char::is_control)
            || matches!(name.as_str(), "." | "..")
        {
            return Err(InputError::Request(format!(
                "Invalid model name '{name}'. Names cannot contain '/' or ':'."
            )));
        }
        input::check_length(parameter, &name, 256)?;
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name for a version: letters, digits, `_` and `-`, not `latest` and not like `v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasName(String);

impl AliasName {
    /// Reads the alias in the field `parameter`.
    pub fn new(parameter: &str, alias: String) -> Result<Self, InputError> {
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let like_a_version = alias
            .strip_prefix(['v', 'V'])
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
        if alias.is_empty() {
            return Err(InputError::Missing {
                parameter: parameter.to_owned(),
            });
        }
        if !alias.chars().all(plain) {
            return Err(InputError::Request(format!(
                "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
            )));
        }
        if alias.eq_ignore_ascii_case(LATEST) {
            return Err(InputError::Request(
                "'latest' alias name (case insensitive) is reserved.".into(),
            ));
        }
        if like_a_version {
            return Err(InputError::Request(format!(
                "Version alias name '{alias}' is reserved."
            )));
        }
        input::check_length(parameter, &alias, 255)?;
        Ok(Self(alias))
    }

    /// The alias.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// MLflow's older way to say what a version is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No stage.
    None,
    /// Being tried.
    Staging,
    /// In use.
    Production,
    /// No longer in use.
    Archived,
}

impl Stage {
    /// Every stage, in MLflow's order.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// Reads the stage in the field `parameter`, in any case.
    pub fn parse(parameter: &str, text: &str) -> Result<Self, InputError> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                InputError::Request(format!(
                    "Invalid Model Version {parameter}: {text}. Value must be one of None, Staging, Production, Archived."
                ))
            })
    }

    /// As clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }
}

/// A registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// What it is, in words for people.
    pub description: Option<String>,
    /// When it was registered.
    pub created_at: Millis,
    /// When it or a version of it last changed.
    pub updated_at: Millis,
    /// Its tags, by key.
    pub tags: Vec<Tag>,
    /// Its aliases and their versions, by alias.
    pub aliases: Vec<(String, u32)>,
    /// The newest version in every stage that has one.
    pub latest_versions: Vec<ModelVersion>,
}

/// A version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// The model.
    pub name: String,
    /// Counts up from 1; never used twice.
    pub version: u32,
    /// When it was registered.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Who registered it.
    pub user_id: Option<String>,
    /// Its stage.
    pub stage: Stage,
    /// What it is, in words for people.
    pub description: Option<String>,
    /// Where it was registered from, as the client said.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run, as the client said.
    pub run_link: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// Its tags, by key.
    pub tags: Vec<Tag>,
    /// The aliases that name it.
    pub aliases: Vec<String>,
}

/// A version to register; its number is given by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewModelVersion {
    /// The model.
    pub name: ModelName,
    /// Where it is.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run.
    pub run_link: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// What it is, in words for people.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_uri_are_refused() {
        for name in ["", "  ", "a/b", "a:b", "..", "a\nb"] {
            assert!(ModelName::new("name", name.into()).is_err(), "{name:?}");
        }
        assert!(ModelName::new("name", "größe 2 (final)".into()).is_ok());
    }

    #[test]
    fn an_alias_cannot_look_like_a_version() {
        for alias in ["", "latest", "Latest", "v1", "V12", "a b", "a/b"] {
            assert!(AliasName::new("alias", alias.into()).is_err(), "{alias:?}");
        }
        for alias in ["champion", "v", "v1b", "prod-eu_2"] {
            assert!(AliasName::new("alias", alias.into()).is_ok(), "{alias:?}");
        }
    }
}
