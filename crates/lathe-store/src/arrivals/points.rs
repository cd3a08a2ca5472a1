//! Points of metrics as bytes: for each one the key's length (u32), the key (UTF-8), time in milliseconds and step (i64)
//! and the value (f64), all little-endian, with nothing in between.

use lathe_types::metrics::Metric;
use serde::de::Error as _;

use crate::histories::Point;
use crate::{Error, Result};

/// The points as bytes.
pub(super) fn written<'a>(metrics: impl ExactSizeIterator<Item = &'a Metric>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(metrics.len() * 40);
    for metric in metrics {
        // A key has 250 characters at most.
        bytes.extend((metric.key.len() as u32).to_le_bytes());
        bytes.extend(metric.key.as_bytes());
        bytes.extend(metric.at.0.to_le_bytes());
        bytes.extend(metric.step.to_le_bytes());
        bytes.extend(metric.value.to_le_bytes());
    }
    bytes
}

/// Hands every point to `visit`, with its key.
pub(super) fn each<'a>(mut bytes: &'a [u8], mut visit: impl FnMut(&'a str, Point)) -> Result<()> {
    while !bytes.is_empty() {
        let (key, point) = one(&mut bytes).ok_or_else(|| Error::Corrupt {
            noun: "group of metrics",
            source: serde_json::Error::custom("it ends in the middle of a point, or a key is no text"),
        })?;
        visit(key, point);
    }
    Ok(())
}

/// How many points there are.
pub(super) fn count(bytes: &[u8]) -> Result<usize> {
    let mut count = 0;
    each(bytes, |_, _| count += 1)?;
    Ok(count)
}

fn one<'a>(bytes: &mut &'a [u8]) -> Option<(&'a str, Point)> {
    let length = u32::from_le_bytes(taken(bytes)?) as usize;
    let (key, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let point = Point {
        at: i64::from_le_bytes(taken(bytes)?),
        step: i64::from_le_bytes(taken(bytes)?),
        value: f64::from_le_bytes(taken(bytes)?),
    };
    Some((std::str::from_utf8(key).ok()?, point))
}

fn taken<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use lathe_types::Millis;

    use super::*;

    fn metric(key: &str, value: f64, at: i64, step: i64) -> Metric {
        Metric {
            key: key.into(),
            value,
            at: Millis(at),
            step,
        }
    }

    #[test]
    fn points_come_back_as_they_were() {
        let metrics = [
            metric("loss", 0.1, 1, -3),
            metric("größe/Ω", -0.0, i64::MAX, i64::MIN),
            metric("x", f64::MIN_POSITIVE, 0, 0),
        ];
        let read = |bytes: &[u8]| {
            let mut found = Vec::new();
            each(bytes, |key, point| found.push(point.named(key))).unwrap();
            found
        };
        let bytes = written(metrics.iter());
        let back = read(&bytes);
        assert_eq!(back, metrics);
        assert_eq!(count(&bytes).unwrap(), 3);
        assert!(back[1].value.is_sign_negative());
        let nan = read(&written([metric("n", f64::NAN, 1, 1)].iter()));
        assert!(nan[0].value.is_nan());
    }

    #[test]
    fn bytes_that_end_early_are_refused() {
        let whole = written([metric("loss", 0.5, 1, 2), metric("b", 1.5, 1, 2)].iter());
        let ends_of_points = [0, 4 + 4 + 24, whole.len()];
        for end in 0..=whole.len() {
            let read = count(&whole[..end]);
            assert_eq!(read.is_ok(), ends_of_points.contains(&end), "{end}");
        }
        let long = [0xff; 64];
        assert!(count(&long).is_err());
    }
}
