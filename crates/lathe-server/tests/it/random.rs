//! A few seconds of what `make fuzz` does for as long as one likes: random texts, grown from good ones.

#[path = "../../../../fuzz/checks/artifact_paths.rs"]
mod artifact_paths;
#[path = "../../../../fuzz/checks/bodies.rs"]
mod bodies;
#[path = "../../../../fuzz/checks/dice.rs"]
mod dice;
#[path = "../../../../fuzz/checks/filters.rs"]
mod filters;

use dice::Dice;
use lathe_blob::ArtifactPath;

const ROUNDS: usize = 20_000;

/// What the grammars are made of.
const WORDS: [&str; 40] = [
    "metrics.",
    "params.",
    "tags.",
    "dataset.",
    "attributes.",
    "`",
    "\"",
    "'",
    " AND ",
    " IS NOT NULL",
    " NOT IN (",
    ")",
    ",",
    "LIKE",
    "ILIKE",
    "!=",
    "<=",
    "DESC",
    "..",
    "/",
    "%2e",
    "\\",
    "\0",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "true",
    "NaN",
    "-1e999",
    "9223372036854775808",
    "\\u0000",
    "\"value\":",
    "\"key\":",
    "ü",
    "🙂",
    "\n",
    "=",
];

impl Dice {
    /// One of the texts with a few things changed.
    fn grow(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut text = seeds[self.below(seeds.len())].to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(text.len() + 1);
            match self.below(5) {
                0 => text.insert(at, self.below(256) as u8),
                1 => drop(text.drain(at..(at + self.below(8)).min(text.len()))),
                2 => {
                    let word = WORDS[self.below(WORDS.len())].as_bytes();
                    text.splice(at..at, word.iter().copied());
                }
                3 => {
                    let other = seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    text.truncate(at);
                    text.extend_from_slice(&other[from..]);
                }
                _ if at < text.len() => text[at] ^= 1 << self.below(8),
                _ => text.push(b'('),
            }
        }
        text
    }
}

#[test]
fn random_texts_are_read_or_refused_and_break_nothing() {
    let mut dice = Dice(0x5eed);
    macro_rules! seeds {
        ($folder:literal) => {
            [
                &include_bytes!(concat!("../../../../fuzz/seeds/", $folder, "/1"))[..],
                include_bytes!(concat!("../../../../fuzz/seeds/", $folder, "/2")),
                include_bytes!(concat!("../../../../fuzz/seeds/", $folder, "/3")),
                include_bytes!(concat!("../../../../fuzz/seeds/", $folder, "/4")),
            ]
        };
    }
    for _ in 0..ROUNDS {
        filters::check(&String::from_utf8_lossy(&dice.grow(&seeds!("filters"))));
        artifact_paths::check(&String::from_utf8_lossy(&dice.grow(&seeds!("artifact_paths"))));
        bodies::check(&dice.grow(&seeds!("bodies")));
    }
}
