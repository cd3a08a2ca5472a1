//! Folders of MLflow: an `MLmodel` and an input example over a model that is sound.

use std::path::Path;

use lathe_serving::Model;

use super::{models, parts};

/// Writes `MLmodel` and the parts that follow it into the folder, and loads that.
pub fn check(folder: &Path, bytes: &[u8]) {
    for name in ["MLmodel", "input_example.json"] {
        std::fs::write(folder.join(name), b"").expect("the folder takes it");
    }
    for (name, content) in parts::parts(bytes, "MLmodel") {
        if name == "MLmodel" || name == "input_example.json" {
            std::fs::write(folder.join(name), content).expect("the folder takes it");
        }
    }
    if let Ok(model) = Model::load(folder) {
        models::ask(&model);
    }
}
