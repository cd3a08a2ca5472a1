//! Times and lengths of time as protocol buffers have them in JSON: `2024-01-01T00:00:00.500Z`, `1.5s`.

use std::fmt;

use lathe_types::Millis;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timestamp(pub Millis);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The calendar of protocol buffers goes from the year 1 to the year 9999.
        let millis = self.0.0.clamp(-62_135_596_800_000, 253_402_207_200_000);
        serializer.collect_str(&Millis(millis))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time like 2024-01-01T00:00:00Z")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Timestamp, E> {
        let millis = Millis::parse(text).filter(|_| text.contains('T'));
        millis
            .map(Timestamp)
            .ok_or_else(|| E::custom("it must be a time like 2024-01-01T00:00:00Z"))
    }
}

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Duration(pub i64);

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sign, ms) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        match ms % 1_000 {
            0 => serializer.collect_str(&format_args!("{sign}{}s", ms / 1_000)),
            rest => serializer.collect_str(&format_args!("{sign}{}.{rest:03}s", ms / 1_000)),
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time like 1.5s")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        duration(text)
            .map(Duration)
            .ok_or_else(|| E::custom("it must be a length of time like 1.5s"))
    }
}

fn duration(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_suffix('s')?.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_suffix('s')?),
    };
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole = |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    if !whole(seconds) || !whole(fraction) || 9 < fraction.len() {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let total = seconds
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(millis)?;
    Some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_seconds_with_a_fraction() {
        for (text, ms) in [
            ("0s", 0),
            ("1s", 1_000),
            ("0.250s", 250),
            ("1.5s", 1_500),
            ("-0.001s", -1),
            ("2.123456789s", 2_123),
        ] {
            assert_eq!(duration(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "1m",
            ".5s",
            "1.s",
            "--1s",
            "1e3s",
            "99999999999999999s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(serde_json::to_string(&Duration(1_500)).unwrap(), "\"1.500s\"");
        assert_eq!(serde_json::to_string(&Duration(2_000)).unwrap(), "\"2s\"");
    }

    #[test]
    fn times_are_iso_8601() {
        let time = |text: &str| serde_json::from_str::<Timestamp>(text).ok();
        assert_eq!(
            time("\"2012-01-01T00:00:00.5Z\""),
            Some(Timestamp(Millis(1_325_376_000_500)))
        );
        assert_eq!(time("\"1325376000500\""), None);
        assert_eq!(time("5"), None);
        let written = serde_json::to_string(&Timestamp(Millis(i64::MAX))).unwrap();
        assert!(time(&written).is_some(), "{written}");
    }
}
