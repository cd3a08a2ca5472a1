//! Files that are damaged at random, always in the same way: each must be read or refused, and what is read must
//! answer or refuse a row; nothing may bring the process down.

#[path = "../../../../fuzz/checks/dice.rs"]
mod dice;
#[path = "../../../../fuzz/checks/mlmodel.rs"]
mod mlmodel;
#[path = "../../../../fuzz/checks/models.rs"]
mod models;
#[path = "../../../../fuzz/checks/parts.rs"]
mod parts;
#[path = "../../../../fuzz/checks/skops.rs"]
mod skops;

use std::path::{Path, PathBuf};

use dice::Dice;
use lathe_serving::{Model, Table};
use serde_json::{Map, Value};

const MUTATIONS: usize = 250;

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << dice.below(8),
            2 => bytes[at] = 0xff,
            3 => bytes[at] = b'-',
            4 => bytes[at] = b'9',
            5 => bytes.insert(at, dice.below(256) as u8),
            6 => drop(bytes.remove(at)),
            _ => {
                let length = dice.below(16).min(bytes.len() - at);
                let to = dice.below(bytes.len());
                let part = bytes[at..at + length].to_vec();
                bytes.splice(to..to, part);
            }
        }
        if bytes.is_empty() {
            return;
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plain");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn ask(path: &Path) -> bool {
    let Ok(model) = Model::load(path) else {
        return false;
    };
    let zero: Map<String, Value> = model
        .input_names()
        .iter()
        .take(1000)
        .map(|name| (name.clone(), Value::from(0)))
        .collect();
    let rows = vec![zero; 9];
    Table::from_records(&rows, model.signature()).is_ok_and(|table| model.predict(&table).is_ok())
}

#[test]
fn a_plain_file_of_each_format_is_known_by_how_it_begins() {
    let files = files();
    assert!(7 <= files.len());
    for file in files {
        assert!(ask(&file), "{}: {:?}", file.display(), Model::load(&file).err());
    }
}

#[test]
fn no_damaged_file_brings_the_process_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for file in files() {
        let sound = std::fs::read(&file).unwrap();
        let path = folder.path().join("damaged");
        for _ in 0..MUTATIONS {
            let mut bytes = sound.clone();
            damage(&mut bytes, &mut dice);
            std::fs::write(&path, &bytes).unwrap();
            ask(&path);
        }
    }
}

/// The seeds of a fuzz target; each must be something that is read, or fuzzing begins nowhere.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn the_seeds_of_fuzzing_are_models() {
    let seeds = seeds("models");
    assert!(30 <= seeds.len());
    for (number, seed) in seeds.iter().enumerate() {
        let model = Model::read(seed);
        assert!(model.is_ok(), "{number}: {:?}", model.err());
    }
}

/// A few moments of what `make fuzz` does for as long as one likes.
#[test]
fn no_damage_to_what_fuzzing_begins_with_brings_the_process_down() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plain");
    for (from, to) in [("lightgbm.txt", "model.lgb"), ("forest.pkl", "model.pkl")] {
        std::fs::copy(plain.join(from), folder.path().join(to)).unwrap();
    }
    let mut dice = Dice(0x51ed_270b_9f86_d081);
    type Check<'a> = &'a dyn Fn(&[u8]);
    let checks: [(&str, usize, Check<'_>); 3] = [
        ("models", 60, &models::check),
        ("skops", 20, &skops::check),
        ("mlmodel", 100, &|bytes| mlmodel::check(folder.path(), bytes)),
    ];
    for (target, rounds, check) in checks {
        for seed in seeds(target) {
            check(&seed);
            for _ in 0..rounds {
                let mut bytes = seed.clone();
                damage(&mut bytes, &mut dice);
                check(&bytes);
            }
        }
    }
}

#[test]
fn a_lightgbm_model_may_mix_linear_trees_with_others() {
    let seeds = seeds("models");
    let linear = seeds
        .iter()
        .filter_map(|seed| std::str::from_utf8(seed).ok())
        .find(|text| text.contains("is_linear=1"))
        .unwrap();
    let first = linear.find("is_linear=1").unwrap();
    let second = first + 1 + linear[first + 1..].find("is_linear=1").unwrap();
    let mixed = format!("{}is_linear=0{}", &linear[..second], &linear[second + 11..]);
    let before = Model::read(linear.as_bytes()).unwrap();
    let model = Model::read(mixed.as_bytes()).unwrap();
    let row: Map<String, Value> = model
        .input_names()
        .iter()
        .map(|name| (name.clone(), 1.into()))
        .collect();
    let table = Table::from_records(&[row], model.signature()).unwrap();
    let (was, is) = (before.predict(&table).unwrap(), model.predict(&table).unwrap());
    assert!(is.numbers().unwrap()[0].is_finite());
    assert_ne!(was, is);
}
