#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/artifact_paths.rs"]
mod artifact_paths;

// The crate that it belongs to brings every kind of store along.
#[expect(dead_code, reason = "not everything of it is checked")]
#[path = "../../crates/lathe-blob/src/path.rs"]
mod path;

use path::ArtifactPath;

fuzz_target!(|text: &str| artifact_paths::check(text));
