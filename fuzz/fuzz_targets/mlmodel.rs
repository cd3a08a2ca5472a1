#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../checks/mlmodel.rs"]
mod mlmodel;
#[expect(dead_code, reason = "only what was loaded is asked")]
#[path = "../checks/models.rs"]
mod models;
#[path = "../checks/parts.rs"]
mod parts;

/// A folder of this process with models of two kinds.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("lathe-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let booster = include_bytes!("../../crates/lathe-serving/tests/fixtures/plain/lightgbm.txt");
    std::fs::write(folder.join("model.lgb"), booster).expect("the folder takes it");
    let forest = include_bytes!("../../crates/lathe-serving/tests/fixtures/plain/forest.pkl");
    std::fs::write(folder.join("model.pkl"), forest).expect("the folder takes it");
    folder
});

fuzz_target!(|bytes: &[u8]| mlmodel::check(&FOLDER, bytes));
