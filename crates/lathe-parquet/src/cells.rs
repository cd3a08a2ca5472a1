use std::sync::Arc;

use crate::Unit;

/// Cells of one column; a missing one is none. Decimals, dates and points in time are read as text: `1.50`,
/// `2024-02-29`, `2024-02-29T12:00:00.000Z`.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// true or false.
    Booleans(Vec<Option<bool>>),
    /// Whole numbers.
    Longs(Vec<Option<i64>>),
    /// Whole numbers that are never negative.
    Unsigned(Vec<Option<u64>>),
    /// Numbers of 32 bits.
    Floats(Vec<Option<f32>>),
    /// Numbers of 64 bits.
    Doubles(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<Arc<str>>>),
    /// Bytes.
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Cells {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Booleans(cells) => cells.len(),
            Self::Longs(cells) => cells.len(),
            Self::Unsigned(cells) => cells.len(),
            Self::Floats(cells) => cells.len(),
            Self::Doubles(cells) => cells.len(),
            Self::Texts(cells) => cells.len(),
            Self::Bytes(cells) => cells.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they are, in a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Booleans(_) => "booleans",
            Self::Longs(_) => "whole numbers",
            Self::Unsigned(_) => "unsigned numbers",
            Self::Floats(_) => "numbers of 32 bits",
            Self::Doubles(_) => "numbers of 64 bits",
            Self::Texts(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }

    /// Adds cells of the same sort behind these; whether they were of it.
    pub fn append(&mut self, more: Self) -> bool {
        match (self, more) {
            (Self::Booleans(cells), Self::Booleans(more)) => cells.extend(more),
            (Self::Longs(cells), Self::Longs(more)) => cells.extend(more),
            (Self::Unsigned(cells), Self::Unsigned(more)) => cells.extend(more),
            (Self::Floats(cells), Self::Floats(more)) => cells.extend(more),
            (Self::Doubles(cells), Self::Doubles(more)) => cells.extend(more),
            (Self::Texts(cells), Self::Texts(more)) => cells.extend(more),
            (Self::Bytes(cells), Self::Bytes(more)) => cells.extend(more),
            _ => return false,
        }
        true
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Booleans(cells) => cells.len(),
            Self::Longs(cells) => cells.len() * 16,
            Self::Unsigned(cells) => cells.len() * 16,
            Self::Floats(cells) => cells.len() * 8,
            Self::Doubles(cells) => cells.len() * 16,
            Self::Texts(cells) => {
                cells.iter().flatten().map(|text| text.len()).sum::<usize>() + cells.len() * 16
            }
            Self::Bytes(cells) => cells.iter().flatten().map(Vec::len).sum::<usize>() + cells.len() * 24,
        }
    }

    /// Whether cell `at` of both is the same, bit by bit; never if they are of different sorts.
    pub fn same(&self, other: &Self, at: usize) -> bool {
        match (self, other) {
            (Self::Booleans(a), Self::Booleans(b)) => a[at] == b[at],
            (Self::Longs(a), Self::Longs(b)) => a[at] == b[at],
            (Self::Unsigned(a), Self::Unsigned(b)) => a[at] == b[at],
            (Self::Floats(a), Self::Floats(b)) => a[at].map(f32::to_bits) == b[at].map(f32::to_bits),
            (Self::Doubles(a), Self::Doubles(b)) => a[at].map(f64::to_bits) == b[at].map(f64::to_bits),
            (Self::Texts(a), Self::Texts(b)) => a[at] == b[at],
            (Self::Bytes(a), Self::Bytes(b)) => a[at] == b[at],
            _ => false,
        }
    }

    /// Cell `at` as people read it; none if it is missing.
    pub fn shown(&self, at: usize) -> Option<String> {
        match self {
            Self::Booleans(cells) => cells[at].map(|cell| cell.to_string()),
            Self::Longs(cells) => cells[at].map(|cell| cell.to_string()),
            Self::Unsigned(cells) => cells[at].map(|cell| cell.to_string()),
            Self::Floats(cells) => cells[at].map(|cell| cell.to_string()),
            Self::Doubles(cells) => cells[at].map(|cell| cell.to_string()),
            Self::Texts(cells) => cells[at].as_deref().map(str::to_owned),
            Self::Bytes(cells) => cells[at].as_deref().map(hex),
        }
    }

    /// Cell `at` as a number; none if it is missing, or no number. Decimals are text, and read as the nearest number.
    pub fn number(&self, at: usize) -> Option<f64> {
        match self {
            Self::Booleans(_) | Self::Bytes(_) => None,
            Self::Longs(cells) => cells[at].map(|cell| cell as f64),
            Self::Unsigned(cells) => cells[at].map(|cell| cell as f64),
            Self::Floats(cells) => cells[at].map(f64::from),
            Self::Doubles(cells) => cells[at],
            Self::Texts(cells) => cells[at].as_deref().and_then(|text| text.trim().parse().ok()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A whole number of `10^-scale`, big-endian in two's complement, as decimal text.
pub(crate) fn decimal(bytes: &[u8], scale: i32) -> Option<String> {
    // 16 bytes hold 38 digits; what is wider is a sign that is repeated.
    let (extra, low) = bytes.split_at(bytes.len().saturating_sub(16));
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let sign = if negative { 0xff } else { 0 };
    if extra.iter().any(|byte| *byte != sign)
        || low.first().is_some_and(|byte| (byte & 0x80 != 0) != negative)
    {
        return None;
    }
    let mut whole = [sign; 16];
    whole[16 - low.len()..].copy_from_slice(low);
    Some(decimal_of(i128::from_be_bytes(whole), scale))
}

pub(crate) fn decimal_of(unscaled: i128, scale: i32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    let Ok(scale @ 1..) = usize::try_from(scale) else {
        let zeros = "0".repeat(scale.unsigned_abs() as usize);
        return format!("{sign}{digits}{}", if unscaled == 0 { "" } else { &zeros });
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// A day since 1970 as `2024-02-29`.
pub(crate) fn date(days: i64) -> String {
    // Years that begin in March, in eras of 400: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A point in time as `2024-02-29T12:00:00.000`, with `Z` behind it in UTC.
pub(crate) fn timestamp(count: i64, unit: Unit, utc: bool) -> String {
    let (seconds, fraction) = (
        count.div_euclid(unit.per_second()),
        count.rem_euclid(unit.per_second()),
    );
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!(
        "{}T{:02}:{:02}:{:02}.{fraction:0digits$}{}",
        date(days),
        second / 3_600,
        second / 60 % 60,
        second % 60,
        if utc { "Z" } else { "" },
        digits = unit.digits(),
    )
}

/// A number of 16 bits (IEEE 754 binary16), little-endian.
pub(crate) fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read_as_people_write_them() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(timestamp(-1, Unit::Millis, true), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            timestamp(86_400_000_001, Unit::Micros, false),
            "1970-01-02T00:00:00.000001"
        );
        assert_eq!(
            timestamp(i64::MAX, Unit::Nanos, false),
            "2262-04-11T23:47:16.854775807"
        );
        assert_eq!(
            timestamp(i64::MIN, Unit::Millis, false),
            "-292275055-05-16T16:47:04.192"
        );
    }

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(decimal_of(-5, 2), "-0.05");
        assert_eq!(decimal_of(150, 2), "1.50");
        assert_eq!(decimal_of(15, 0), "15");
        assert_eq!(decimal_of(15, -2), "1500");
        assert_eq!(decimal(&[0xff, 0x38], 2).unwrap(), "-2.00");
        assert_eq!(decimal(&[0xff; 20], 1).unwrap(), "-0.1");
        assert_eq!(decimal(&[1; 20], 0), None);
        assert_eq!(decimal(&[], 1).unwrap(), "0.0");
    }

    #[test]
    fn halves_are_widened() {
        for (bits, number) in [
            (0x3c00u16, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(bits.to_le_bytes()), number);
        }
        assert!(half(0x7e00u16.to_le_bytes()).is_nan());
    }
}
