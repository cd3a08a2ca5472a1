//! Checks the repository.
fn main() {}
