#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/pipelines.rs"]
mod pipelines;

fuzz_target!(|text: &str| pipelines::check(text));
