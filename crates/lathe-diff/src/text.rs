use crate::Places;

/// Compares line by line; nothing if a side is no text.
pub(crate) fn compare(expected: &[u8], found: &[u8]) -> Option<Places> {
    let (left, right) = (
        std::str::from_utf8(expected).ok()?,
        std::str::from_utf8(found).ok()?,
    );
    if left.contains('\0') || right.contains('\0') {
        return None;
    }
    let mut places = Places::default();
    let (mut left, mut right) = (left.lines(), right.lines());
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => places.matters(
                format!("line {number}"),
                a.unwrap_or("(no such line)"),
                b.unwrap_or("(no such line)"),
            ),
        }
    }
    if places.is_empty() {
        places.matters("line ends", ends(expected), ends(found));
    }
    Some(places)
}

fn ends(bytes: &[u8]) -> String {
    let count = |wanted: u8| bytes.iter().filter(|byte| **byte == wanted).count();
    format!("{} line feeds, {} carriage returns", count(b'\n'), count(b'\r'))
}
