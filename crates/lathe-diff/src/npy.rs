use crate::{Places, Rules};

/// Compares two arrays in NumPy's `npy` format (NEP 1); nothing if a side is none, or of a type that is not read here.
pub(crate) fn compare(expected: &[u8], found: &[u8], rules: &Rules) -> Option<Places> {
    let (left, right) = (Array::parse(expected)?, Array::parse(found)?);
    let mut places = Places::default();
    if (&left.dtype, &left.shape) != (&right.dtype, &right.shape) {
        let told = |array: &Array<'_>| format!("{} of shape {}", array.dtype, array.shape);
        places.matters("array", told(&left), told(&right));
        return Some(places);
    }
    let numbers = left.numbers()?;
    elements(&mut places, "array", numbers, right.numbers()?, rules);
    if places.is_empty() {
        places.add("layout", "the same elements", "written differently", true);
    }
    Some(places)
}

/// Says how many elements of two arrays of one shape differ, by how much, and where first.
pub(crate) fn elements(
    places: &mut Places,
    name: &str,
    expected: impl Iterator<Item = f64>,
    found: impl Iterator<Item = f64>,
    rules: &Rules,
) {
    let (mut differ, mut all, mut apart_max, mut first, mut matter) = (0usize, 0usize, 0.0f64, None, false);
    for (a, b) in expected.zip(found) {
        if a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()) {
            differ += 1;
            apart_max = apart_max.max((a - b).abs());
            matter |= !rules.allows(name, a, b);
            first = first.or(Some((all, a, b)));
        }
        all += 1;
    }
    if let Some((index, a, b)) = first {
        places.add(
            format!("{name}: {differ} of {all} elements differ by at most {apart_max:.6e}; first at {index}"),
            a.to_string(),
            b.to_string(),
            !matter,
        );
    }
}

struct Array<'a> {
    dtype: String,
    shape: String,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"\x93NUMPY")?;
        let (length, header_at) = match rest.first()? {
            1 => (
                usize::from(u16::from_le_bytes(rest.get(2..4)?.try_into().ok()?)),
                4,
            ),
            _ => (u32::from_le_bytes(rest.get(2..6)?.try_into().ok()?) as usize, 6),
        };
        let data_at = header_at + length;
        let header = std::str::from_utf8(rest.get(header_at..data_at)?).ok()?;
        Some(Self {
            dtype: after(header, "'descr':")?.split(['\'']).nth(1)?.to_owned(),
            shape: format!(
                "({})",
                after(header, "'shape':")?.split(['(', ')']).nth(1)?.trim()
            ),
            data: rest.get(data_at..)?,
        })
    }

    /// The elements as numbers; nothing for a type that is not read here.
    fn numbers(&self) -> Option<Box<dyn Iterator<Item = f64> + 'a>> {
        fn each<'a, const N: usize>(
            data: &'a [u8],
            read: impl Fn([u8; N]) -> f64 + 'a,
        ) -> Option<Box<dyn Iterator<Item = f64> + 'a>> {
            Some(Box::new(
                data.as_chunks::<N>().0.iter().map(move |chunk| read(*chunk)),
            ))
        }
        match self.dtype.as_str() {
            "<f8" => each(self.data, f64::from_le_bytes),
            "<f4" => each(self.data, |b| f64::from(f32::from_le_bytes(b))),
            "<i8" => each(self.data, |b| i64::from_le_bytes(b) as f64),
            "<i4" => each(self.data, |b| f64::from(i32::from_le_bytes(b))),
            "<i2" => each(self.data, |b| f64::from(i16::from_le_bytes(b))),
            "|i1" => each(self.data, |b| f64::from(i8::from_le_bytes(b))),
            "<u8" => each(self.data, |b| u64::from_le_bytes(b) as f64),
            "<u4" => each(self.data, |b| f64::from(u32::from_le_bytes(b))),
            "<u2" => each(self.data, |b| f64::from(u16::from_le_bytes(b))),
            "|u1" | "|b1" => each(self.data, |[b]: [u8; 1]| f64::from(b)),
            _ => None,
        }
    }
}

fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_once(key).map(|(_, rest)| rest)
}
