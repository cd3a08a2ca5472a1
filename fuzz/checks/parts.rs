//! Files that consist of several: a fuzzer writes them one after the other, each under a line with its name.

/// A line that names what follows it.
const MARK: &str = "\n=====";

/// The parts of `bytes` and their names; the first has the name `first`.
pub fn parts<'a>(bytes: &'a [u8], first: &'a str) -> Vec<(String, &'a [u8])> {
    let mut found = Vec::new();
    let mut name = first.to_owned();
    let mut rest = bytes;
    loop {
        let Some(at) = find(rest, MARK.as_bytes()) else {
            found.push((name, rest));
            return found;
        };
        found.push((name, &rest[..at]));
        rest = &rest[at + MARK.len()..];
        let line = find(rest, b"\n").unwrap_or(rest.len());
        name = String::from_utf8_lossy(&rest[..line]).into_owned();
        rest = rest.get(line + 1..).unwrap_or_default();
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
