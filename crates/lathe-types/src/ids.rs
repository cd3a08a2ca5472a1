use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct IdError {
    noun: &'static str,
    expected: &'static str,
    text: String,
}

impl IdError {
    fn told(&self) -> String {
        let Self { noun, expected, text } = self;
        match *noun {
            "experiment" => {
                format!("Invalid experiment ID '{text}'. Experiment ID must be a valid integer.")
            }
            _ => format!("`{text}` is not a valid {noun} id; expected {expected}"),
        }
    }
}

fn is_hex32(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Names one experiment: a decimal number, written as a string on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(i64);

impl ExperimentId {
    /// The experiment named "Default", which always exists.
    pub const DEFAULT: Self = Self(0);

    /// The id with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Reads the decimal text that clients send.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let well_formed = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| well_formed)
            .map(Self)
            .ok_or_else(|| IdError {
                noun: "experiment",
                expected: "decimal digits",
                text: text.to_owned(),
            })
    }

    /// The number behind the id.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $expected:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads an id that somebody wrote.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_hex32(rest) => Ok(Self(text.to_owned())),
                    _ => Err(IdError { noun: $noun, expected: $expected, text: text.to_owned() }),
                }
            }

            /// The id with these 128 bits.
            pub fn from_bits(bits: u128) -> Self {
                Self(format!(concat!($prefix, "{:032x}"), bits))
            }

            /// The id as clients see it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// Names one run: 32 lower-case hex digits.
    RunId, "run", "32 lower-case hex digits", ""
);
text_id!(
    /// Names one logged model: `m-` and 32 lower-case hex digits.
    LoggedModelId, "logged model", "`m-` and 32 lower-case hex digits", "m-"
);

/// Names one answered row: 32 lower-case hex digits (a UUIDv7, so ids sort by time), and for a row of a larger
/// request `-` and its index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PredictionId(String);

impl PredictionId {
    /// Reads an id that somebody wrote.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (request, row) = text.split_once('-').unwrap_or((text, "0"));
        let row_ok = !row.is_empty() && row.len() <= 9 && row.bytes().all(|b| b.is_ascii_digit());
        if is_hex32(request) && row_ok {
            return Ok(Self(text.to_owned()));
        }
        Err(IdError {
            noun: "prediction",
            expected: "32 lower-case hex digits",
            text: text.to_owned(),
        })
    }

    /// The id of a request with these 128 bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// The id of row `index` of this request, of `rows` in all: a single row has the request's own id.
    pub fn row(&self, index: usize, rows: usize) -> Self {
        if rows == 1 {
            self.clone()
        } else {
            Self(format!("{}-{index}", self.0))
        }
    }

    /// The id as clients see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PredictionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PredictionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_be_paths_or_sql_are_refused() {
        for text in [
            "",
            "..",
            "a/b",
            "' OR 1=1",
            "ABCDEF0123456789ABCDEF0123456789",
            "-1",
            "+1",
            " 1",
            "1e3",
        ] {
            assert!(RunId::parse(text).is_err(), "{text}");
            assert!(LoggedModelId::parse(text).is_err(), "{text}");
            assert!(PredictionId::parse(text).is_err(), "{text}");
            assert!(ExperimentId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_row_of_a_batch_has_an_id_of_its_own() {
        let request = PredictionId::from_bits(7);
        assert_eq!(request.row(0, 1), request);
        assert_ne!(request.row(0, 2), request.row(1, 2));
        assert_eq!(
            PredictionId::parse(request.row(1, 2).as_str()).unwrap(),
            request.row(1, 2)
        );
    }
}
