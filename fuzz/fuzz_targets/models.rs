#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/models.rs"]
mod models;

fuzz_target!(|bytes: &[u8]| models::check(bytes));
