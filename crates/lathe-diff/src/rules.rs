use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How far two numbers may lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// At most this much.
    Absolute(f64),
    /// At most this share of the expected number.
    Relative(f64),
}

impl Tolerance {
    /// Reads `0.001` or `1%`.
    pub fn parse(text: &str) -> Result<Self> {
        let (number, relative) = match text.trim().strip_suffix('%') {
            Some(number) => (number, true),
            None => (text.trim(), false),
        };
        let value = number.trim().parse::<f64>().ok();
        let value = value.filter(|value| value.is_finite() && 0.0 <= *value);
        match value {
            Some(value) if relative => Ok(Self::Relative(value / 100.0)),
            Some(value) => Ok(Self::Absolute(value)),
            None => Err(Error::Tolerance {
                text: text.to_owned(),
            }),
        }
    }

    fn allows(self, expected: f64, found: f64) -> bool {
        let apart = (expected - found).abs();
        match self {
            Self::Absolute(most) => apart <= most,
            Self::Relative(share) => apart <= share * expected.abs(),
        }
    }
}

/// What is let pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Metric, dotted key or column to the distance that is let pass there; `*` stands for all.
    pub tolerances: BTreeMap<String, Tolerance>,
}

impl Rules {
    /// Whether two numbers at this key are near enough.
    pub(crate) fn allows(&self, key: &str, expected: f64, found: f64) -> bool {
        let tolerance = self.tolerances.get(key).or_else(|| self.tolerances.get("*"));
        tolerance.is_some_and(|tolerance| tolerance.allows(expected, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_a_number_or_a_percentage() {
        assert_eq!(Tolerance::parse("0.5").unwrap(), Tolerance::Absolute(0.5));
        assert_eq!(Tolerance::parse("2 %").unwrap(), Tolerance::Relative(0.02));
        for wrong in ["", "-1", "much", "nan", "%"] {
            assert!(Tolerance::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_has_its_own_tolerance_or_that_of_all() {
        let rules = Rules {
            tolerances: [
                ("rmse".to_owned(), Tolerance::Relative(0.01)),
                ("*".to_owned(), Tolerance::Absolute(0.1)),
            ]
            .into(),
        };
        assert!(rules.allows("rmse", 100.0, 101.0));
        assert!(!rules.allows("rmse", 100.0, 101.1));
        assert!(rules.allows("mae", 1.0, 1.05));
        assert!(!Rules::default().allows("mae", 1.0, 1.000_001));
    }
}
