//! PostgreSQL's NUMERIC, which sums of whole numbers have: digits to the base of 10,000, most significant first.

use super::value::Cell;

/// The number; whole if it is.
pub(super) fn read(bytes: &[u8]) -> Option<Cell<'static>> {
    let mut words = bytes
        .chunks_exact(2)
        .map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let (count, weight, sign, _scale) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let digits: Vec<i16> = words.collect();
    if digits.len() != usize::try_from(count).ok()? {
        return None;
    }
    let negative = match sign as u16 {
        0x0000 => false,
        0x4000 => true,
        _ => return Some(Cell::Real(f64::NAN)),
    };
    let is_whole = digits.len() as i64 <= i64::from(weight) + 1;
    let whole = (0..=weight).try_fold(0_i64, |sum, place| {
        let digit = digits.get(place as usize).copied().unwrap_or(0);
        sum.checked_mul(10_000)?.checked_add(digit.into())
    });
    if let (true, Some(whole)) = (is_whole, whole) {
        return Some(Cell::Int(if negative { -whole } else { whole }));
    }
    let value: f64 = digits
        .iter()
        .enumerate()
        .map(|(place, digit)| f64::from(*digit) * 10_000_f64.powi(i32::from(weight) - place as i32))
        .sum();
    Some(Cell::Real(if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, digits: &[i16]) -> Option<Cell<'static>> {
        let mut words = vec![digits.len() as i16, weight, sign as i16, 0];
        words.extend_from_slice(digits);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        read(&bytes)
    }

    #[test]
    fn sums_and_means_read_as_numbers() {
        assert_eq!(numeric(0, 0, &[]), Some(Cell::Int(0)));
        assert_eq!(numeric(1, 0, &[3]), Some(Cell::Int(30_000)));
        assert_eq!(numeric(1, 0x4000, &[12, 3_456]), Some(Cell::Int(-123_456)));
        assert_eq!(numeric(0, 0, &[1, 5_000]), Some(Cell::Real(1.5)));
        assert_eq!(numeric(-1, 0, &[2_500]), Some(Cell::Real(0.25)));
        assert_eq!(numeric(9, 0, &[1]), Some(Cell::Real(1e36)));
        assert_eq!(read(&[0, 1]), None);
    }
}
