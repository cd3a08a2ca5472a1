#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/filters.rs"]
mod filters;

fuzz_target!(|text: &str| filters::check(text));
