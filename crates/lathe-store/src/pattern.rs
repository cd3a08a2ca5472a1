//! Regular expressions that clients search by.

use regex::{Error, Regex, RegexBuilder};

/// A pattern that a client sent, bounded in what it may cost.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).size_limit(1 << 20).build()
}
