#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/yaml.rs"]
mod yaml;

fuzz_target!(|text: &str| yaml::check(text));
