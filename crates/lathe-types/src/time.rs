use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Reads ISO 8601 (UTC where it names no offset; `T` or a blank between date and time) or the milliseconds
    /// themselves.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self(at.as_millisecond()));
        }
        if let Ok(millis) = text.parse() {
            return Some(Self(millis));
        }
        let at = text
            .parse::<jiff::civil::DateTime>()
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?;
        Some(Self(at.timestamp().as_millisecond()))
    }

    /// The point `span` later.
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0))
    }

    /// The month of the year in UTC, 1 to 12; 1 for times outside every calendar.
    pub fn month(self) -> u8 {
        let month = jiff::Timestamp::from_millisecond(self.0)
            .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).month().unsigned_abs());
        month.unwrap_or(1)
    }

    /// The start of the period of length `span` that holds this point, counted from the epoch.
    pub fn floor(self, span: Span) -> Self {
        Self(self.0 - self.0.rem_euclid(span.0.max(1)))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A length of time in milliseconds, written `250ms`, `30s`, `10m`, `6h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

/// A length of time that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a length of time; write a whole number and a unit, as `250ms`, `30s`, `10m`, `6h` or `7d`"
)]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError {
            text: text.to_owned(),
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(error()),
        };
        let number: i64 = number.parse().map_err(|_| error())?;
        number.checked_mul(unit_ms).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        match units.iter().find(|(ms, _)| self.0 != 0 && self.0 % ms == 0) {
            Some((ms, unit)) => write!(f, "{}{unit}", self.0 / ms),
            None => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_and_prints_the_same_text() {
        for text in ["250ms", "30s", "10m", "6h", "7d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["", "7", "d", "-1s", "1 s", "99999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_reads_with_and_without_an_offset() {
        for text in [
            "2012-01-01T00:00:00Z",
            "2012-01-01 00:00:00",
            "2012-01-01T01:00:00+01:00",
            "1325376000000",
        ] {
            assert_eq!(Millis::parse(text), Some(Millis(1_325_376_000_000)), "{text}");
        }
        assert_eq!(Millis::parse("yesterday"), None);
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        for (millis, month) in [
            (0, 1),
            (1_330_473_600_000, 2),
            (1_330_560_000_000, 3),
            (-1, 12),
            (i64::MIN, 1),
        ] {
            assert_eq!(Millis(millis).month(), month, "{millis}");
        }
    }

    #[test]
    fn a_window_starts_at_a_multiple_of_its_length() {
        let day = Span(86_400_000);
        assert_eq!(Millis(86_400_001).floor(day), Millis(86_400_000));
        assert_eq!(Millis(-1).floor(day), Millis(-86_400_000));
    }
}
