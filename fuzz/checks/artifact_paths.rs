//! Paths of artifacts and locations of experiments: none that is accepted leads out of its root.

use std::path::{Component, Path};

use lathe_types::experiments::ArtifactLocation;

use super::ArtifactPath;

/// Reads it; panics if what comes out breaks a promise.
pub fn check(text: &str) {
    if let Ok(found) = ArtifactPath::parse(text) {
        let inside = Path::new(found.as_str()).components();
        assert!(
            inside
                .into_iter()
                .all(|part| matches!(part, Component::Normal(_))),
            "{found}"
        );
        // Reading what was read changes nothing, and a child stays below its folder.
        assert_eq!(ArtifactPath::parse(found.as_str()).as_ref(), Ok(&found));
        let folder = ArtifactPath::parse("0/run/artifacts").expect("it is a path");
        let joined = folder.join(&found);
        assert!(joined.as_str().starts_with("0/run/artifacts"), "{joined}");
    }
    if let Ok(location) = ArtifactLocation::parse(text) {
        let location = location.as_str();
        assert!(location.contains(':') || location.starts_with('/'), "{location}");
        assert!(!location.split('/').any(|part| part == ".."), "{location}");
    }
}
