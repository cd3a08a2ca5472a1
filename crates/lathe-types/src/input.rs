use crate::{ErrorKind, IdError, does_not_exist};

/// What a client sent and cannot be accepted. The texts are the ones that users of the `mlflow` client know, and
/// that its own tests look for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    /// A field that must be there is not, or is empty.
    #[error(
        "Missing value for required parameter '{parameter}'. See the API docs for more information about request parameters."
    )]
    Missing {
        /// The field, as `run_id`.
        parameter: String,
    },
    /// A field holds what it must not.
    #[error("Invalid value {value} for parameter '{parameter}' supplied: {reason}")]
    Invalid {
        /// The field, as `metrics[3].timestamp`.
        parameter: String,
        /// What it holds, as JSON.
        value: String,
        /// What it may hold.
        reason: String,
    },
    /// A text is too long.
    #[error("'{parameter}' exceeds the maximum length of {max} characters")]
    TooLong {
        /// The field.
        parameter: String,
        /// How long it may be.
        max: usize,
    },
    /// A list is too long.
    #[error(
        "A batch logging request can contain at most {max} {what}. Got {got} {what}. Please split up {what} across multiple requests and try again."
    )]
    TooMany {
        /// `metrics`, `params`, `tags`…
        what: &'static str,
        /// How many there may be.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// An id that other servers could have given, but not this one.
    #[error("{}", does_not_exist(noun, id))]
    Unknown {
        /// "run"…
        noun: &'static str,
        /// The id.
        id: String,
    },
    /// A text that is no id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The request as a whole is wrong.
    #[error("{0}")]
    Request(String),
    /// One request gives a param two values.
    #[error(
        "Duplicate parameter keys have been submitted: {keys:?}. Please ensure the request contains only one param value per param key."
    )]
    DuplicateParams {
        /// The keys that occur twice.
        keys: Vec<String>,
    },
}

impl InputError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. } => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// The field `parameter` holds `value`, and must not.
    pub fn invalid(parameter: impl Into<String>, value: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            parameter: parameter.into(),
            value: serde_json::Value::from(value).to_string(),
            reason: reason.into(),
        }
    }

    /// The same, where the field lies inside `record`, as `metrics[3]`.
    #[must_use]
    pub fn within(mut self, record: &str) -> Self {
        match &mut self {
            Self::Missing { parameter }
            | Self::Invalid { parameter, .. }
            | Self::TooLong { parameter, .. } => *parameter = format!("{record}.{parameter}"),
            Self::TooMany { .. }
            | Self::Unknown { .. }
            | Self::Id(_)
            | Self::Request(_)
            | Self::DuplicateParams { .. } => {}
        }
        self
    }
}

/// The value of a field that must be there. An empty text is as good as none, as in protocol buffers.
pub fn required(parameter: &str, value: Option<String>) -> Result<String, InputError> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| InputError::Missing {
            parameter: parameter.to_owned(),
        })
}

/// At most `max` characters.
pub(crate) fn check_length(parameter: &str, text: &str, max: usize) -> Result<(), InputError> {
    // No text has more characters than bytes, so the count is rarely needed.
    if max < text.len() && max < text.chars().count() {
        return Err(InputError::TooLong {
            parameter: parameter.to_owned(),
            max,
        });
    }
    Ok(())
}

/// The first `max` characters: clients are promised that long values are cut, not refused.
pub(crate) fn truncate(text: &mut String, max: usize) {
    if max < text.len()
        && let Some((end, _)) = text.char_indices().nth(max)
    {
        text.truncate(end);
    }
}

/// Keys become file names in some clients, so they are words, spaces and `/ . - :`, and a path in normal form.
pub(crate) fn check_key(parameter: &str, key: &str, max: usize) -> Result<(), InputError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | ' ' | ':');
    if !key.chars().all(allowed) {
        return Err(InputError::invalid(
            parameter,
            key,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).",
        ));
    }
    if key.starts_with("..") || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(InputError::invalid(
            parameter,
            key,
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such.",
        ));
    }
    check_length(parameter, key, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_words_and_a_path_in_normal_form() {
        for key in ["a", "a/b c", "größe:1.5-x_y", ".hidden", "a..."] {
            assert_eq!(check_key("key", key, 250), Ok(()), "{key}");
        }
        for key in [
            "", "/a", "a/", "a//b", "./a", "a/..", "..", "...", ".", "a\nb", "a;b", "a\\b", "a%",
        ] {
            assert!(check_key("key", key, 250).is_err(), "{key}");
        }
        assert!(check_key("key", &"ä".repeat(250), 250).is_ok());
        assert!(check_key("key", &"ä".repeat(251), 250).is_err());
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let mut text = "äöü".to_owned();
        truncate(&mut text, 2);
        assert_eq!(text, "äö");
        truncate(&mut text, 2);
        assert_eq!(text, "äö");
    }
}
