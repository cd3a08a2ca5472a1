//! A block of points as bytes: for each one how much later it is than the one before, in milliseconds, and by how many
//! steps further (both as zigzag LEB128 of the wrapping difference; the first one counts from 0), then its value (f64,
//! little-endian).

use serde::de::Error as _;

use super::Point;
use crate::{Error, Result};

/// Points in a block at most: as bytes they lie within a row, without a page of their own, in either database.
pub(super) const POINTS_MAX: usize = 128;

pub(super) fn written(points: &[Point]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * 12);
    let (mut at, mut step) = (0_i64, 0_i64);
    for point in points {
        write_number(&mut bytes, point.at.wrapping_sub(at));
        write_number(&mut bytes, point.step.wrapping_sub(step));
        bytes.extend(point.value.to_le_bytes());
        (at, step) = (point.at, point.step);
    }
    bytes
}

/// Adds the points of a block.
pub(super) fn read(mut bytes: &[u8], points: &mut Vec<Point>) -> Result<()> {
    let (mut at, mut step) = (0_i64, 0_i64);
    while !bytes.is_empty() {
        let point = next(&mut bytes, at, step).ok_or_else(|| Error::Corrupt {
            noun: "block of a metric's history",
            source: serde_json::Error::custom("it ends in the middle of a point"),
        })?;
        (at, step) = (point.at, point.step);
        points.push(point);
    }
    Ok(())
}

fn next(bytes: &mut &[u8], at: i64, step: i64) -> Option<Point> {
    let at = at.wrapping_add(read_number(bytes)?);
    let step = step.wrapping_add(read_number(bytes)?);
    let (value, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let value = f64::from_le_bytes(*value);
    Some(Point { at, step, value })
}

fn write_number(bytes: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while 0x80 <= rest {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<Point> {
        [
            (i64::MIN, i64::MAX, 0.1),
            (i64::MAX, i64::MIN, -0.0),
            (0, -1, f64::INFINITY),
            (1_700_000_000_000, 7, f64::MIN_POSITIVE),
            (1_700_000_000_050, 8, 1e300),
        ]
        .map(|(at, step, value)| Point { at, step, value })
        .to_vec()
    }

    #[test]
    fn points_come_back_as_they_were() {
        let (points, mut back) = (points(), Vec::new());
        read(&written(&points), &mut back).unwrap();
        assert_eq!(back, points);
        assert!(back[1].value.is_sign_negative());
        let nan = [Point {
            value: f64::NAN,
            ..points[0]
        }];
        back.clear();
        read(&written(&nan), &mut back).unwrap();
        assert!(back[0].value.is_nan());
    }

    #[test]
    fn a_point_takes_few_bytes_where_its_neighbours_are_near() {
        let near: Vec<Point> = (0..POINTS_MAX as i64)
            .map(|step| Point {
                at: 1_700_000_000_000 + step * 50,
                step,
                value: 0.5,
            })
            .collect();
        assert!(written(&near).len() < 11 * POINTS_MAX);
    }

    #[test]
    fn bytes_that_end_early_or_never_are_refused() {
        let whole = written(&points());
        let ends: Vec<usize> = (0..=points().len())
            .map(|count| written(&points()[..count]).len())
            .collect();
        for end in 0..=whole.len() {
            assert_eq!(
                read(&whole[..end], &mut Vec::new()).is_ok(),
                ends.contains(&end),
                "{end}"
            );
        }
        assert!(read(&[0xff; 64], &mut Vec::new()).is_err());
    }
}
