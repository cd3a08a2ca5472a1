#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/models.rs"]
mod models;
#[path = "../checks/parts.rs"]
mod parts;
#[path = "../checks/skops.rs"]
mod skops;

fuzz_target!(|bytes: &[u8]| skops::check(bytes));
