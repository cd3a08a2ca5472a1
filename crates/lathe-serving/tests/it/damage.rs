//! Files that are damaged at random, always in the same way: each must be read or refused, and what is read must
//! answer or refuse a row; nothing may bring the process down.

use std::path::{Path, PathBuf};

use lathe_serving::{Model, Table};
use serde_json::{Map, Value};

const MUTATIONS: usize = 250;

/// Numbers that look random (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len());
        match dice.roll(8) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << dice.roll(8),
            2 => bytes[at] = 0xff,
            3 => bytes[at] = b'-',
            4 => bytes[at] = b'9',
            5 => bytes.insert(at, dice.roll(256) as u8),
            6 => drop(bytes.remove(at)),
            _ => {
                let length = dice.roll(16).min(bytes.len() - at);
                let to = dice.roll(bytes.len());
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
