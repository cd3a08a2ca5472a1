#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/bodies.rs"]
mod bodies;

fuzz_target!(|body: &[u8]| bodies::check(body));
