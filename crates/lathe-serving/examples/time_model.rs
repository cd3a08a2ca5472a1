//! Microseconds that a model takes for so many rows of random numbers, the best of many calls; for `bench/serving`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lathe_serving::{Model, Table};

fn main() {
    let mut args = std::env::args().skip(1);
    let path: PathBuf = args.next().expect("a model").into();
    let rows: usize = args
        .next()
        .and_then(|rows| rows.parse().ok())
        .expect("a number of rows");
    let model = Model::load(&path).expect("a model that can be loaded");
    let mut state = 1u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 23) as f64 * 3.0 - 3.0
    };
    let values = (0..rows * model.input_names().len()).map(|_| draw()).collect();
    let table = Table::from_numbers(rows, values, model.signature()).expect("numbers");
    let mut best = Duration::MAX;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let call = Instant::now();
        std::hint::black_box(model.predict(&table).expect("an answer"));
        best = best.min(call.elapsed());
    }
    println!("{:.2}", best.as_secs_f64() * 1e6);
}
