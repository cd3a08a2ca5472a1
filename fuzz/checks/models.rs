//! Model files: each is read or refused, and what is read answers rows or refuses them.

use lathe_serving::{Model, Table};
use serde_json::{Map, Value};

/// Files larger than this are for disks, not for fuzzing.
const COLUMNS_MAX: usize = 1_000;

/// Reads it; what is read must be able to answer.
pub fn check(bytes: &[u8]) {
    if let Ok(model) = Model::read(bytes) {
        ask(&model);
    }
}

/// Rows of zeros, of ones, of large numbers and of words.
pub fn ask(model: &Model) {
    let names = model.input_names();
    if COLUMNS_MAX < names.len() {
        return;
    }
    let rows: Vec<Map<String, Value>> = [0.into(), 1.into(), (-1e30).into(), "a".into(), Value::Null]
        .into_iter()
        .flat_map(|value: Value| {
            let row: Map<String, Value> = names.iter().map(|name| (name.clone(), value.clone())).collect();
            [row.clone(), row]
        })
        .collect();
    for pair in rows.chunks(2) {
        if let Ok(table) = Table::from_records(pair, model.signature())
            && let Ok(answers) = model.predict(&table)
        {
            assert_eq!(answers.rows(), 2, "as many answers as rows");
            // Whoever asks gets them as JSON.
            assert!(serde_json::to_vec(&answers).is_ok());
        }
    }
}
