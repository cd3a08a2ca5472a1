use crate::Places;

/// Top-level keys of MLflow's `MLmodel` that name an execution, not what it made.
const IDENTITIES: [&str; 4] = ["model_id", "model_uuid", "run_id", "utc_time_created"];

/// Compares the lines of two `MLmodel` files; nothing if a side is no text.
pub(crate) fn compare(expected: &[u8], found: &[u8]) -> Option<Places> {
    let (left, right) = (
        std::str::from_utf8(expected).ok()?,
        std::str::from_utf8(found).ok()?,
    );
    let mut places = Places::default();
    for key in IDENTITIES {
        let (a, b) = (value(left, key), value(right, key));
        if a != b {
            places.add(key, a.unwrap_or("absent"), b.unwrap_or("absent"), true);
        }
    }
    let (mut left, mut right) = (content(left), content(right));
    loop {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                let place = a
                    .or(b)
                    .and_then(|line| line.split(':').next())
                    .unwrap_or_default();
                places.matters(place.trim(), a.unwrap_or("absent"), b.unwrap_or("absent"));
            }
        }
    }
    Some(places)
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .map(str::trim)
}

fn content(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| {
        !IDENTITIES
            .iter()
            .any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
    })
}
