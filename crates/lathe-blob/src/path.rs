use std::fmt;

/// The name of an artifact: `/` separated, relative, in normal form. Whoever holds one cannot leave the store's root.
/// The empty path is the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ArtifactPath(String);

/// A text that could name something outside the store, or nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid path: `{text}` is not the path of an artifact: {reason}")]
pub struct PathError {
    text: String,
    reason: &'static str,
}

impl ArtifactPath {
    const BYTES_MAX: usize = 4_096;
    /// Folders are opened one in another.
    const PARTS_MAX: usize = 128;

    /// Reads a path that a client wrote, already percent-decoded.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let refuse = |reason| {
            Err(PathError {
                text: text.chars().take(200).collect(),
                reason,
            })
        };
        if Self::BYTES_MAX < text.len() {
            return refuse("it is longer than 4096 bytes");
        }
        if text.starts_with('/') {
            return refuse("it must be relative");
        }
        // A client that encodes twice means the same path, and must not get further with it.
        let lower = text.to_ascii_lowercase();
        if ["%2e", "%2f", "%5c", "%00", "%25"]
            .iter()
            .any(|code| lower.contains(code))
        {
            return refuse("it must not be percent-encoded twice");
        }
        if text.chars().any(char::is_control) || text.contains('\\') {
            return refuse("it must hold neither backslashes nor control characters");
        }
        let text_in_form = text.trim_end_matches('/');
        let mut parts = text_in_form.split('/').peekable();
        if !text_in_form.is_empty() && parts.any(|part| matches!(part, "" | "." | "..") || 255 < part.len()) {
            return refuse("a part of it is empty, `.`, `..` or longer than 255 bytes");
        }
        if Self::PARTS_MAX < text_in_form.split('/').count() {
            return refuse("it is more than 128 folders deep");
        }
        // `C:` would be another drive elsewhere.
        let drive = text_in_form.as_bytes();
        if drive.len() >= 2 && drive[1] == b':' && drive[0].is_ascii_alphabetic() {
            return refuse("it must not start with a drive");
        }
        Ok(Self(text_in_form.to_owned()))
    }

    /// The path of `child` under this one.
    pub fn join(&self, child: &Self) -> Self {
        match (self.0.is_empty(), child.0.is_empty()) {
            (true, _) => child.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, child.0)),
        }
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// `/` separated, without a slash at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_root() {
        for text in [
            "..",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "./a",
            "a/.",
            "a\\b",
            "%2e%2e/x",
            "a%252e",
            "a\0b",
            "C:/x",
            "a/..",
        ] {
            assert!(ArtifactPath::parse(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            "a",
            "a/b c/ü.txt",
            "a..b/..c",
            "0/1a/artifacts/model/MLmodel",
            "100%",
        ] {
            assert_eq!(ArtifactPath::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(ArtifactPath::parse("a/b/").unwrap().as_str(), "a/b");
    }
}
