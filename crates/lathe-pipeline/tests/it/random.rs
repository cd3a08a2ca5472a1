//! A few seconds of what `make fuzz` does for as long as one likes: random texts, grown from good ones.

#[path = "../../../../fuzz/checks/dice.rs"]
mod dice;
#[path = "../../../../fuzz/checks/pipelines.rs"]
mod pipelines;
#[path = "../../../../fuzz/checks/yaml.rs"]
mod yaml;

use dice::Dice;

const ROUNDS: usize = 6_000;

/// What the texts are made of.
const WORDS: [&str; 36] = [
    "${", "}", "${item}", "${item.", "[0]", "\\${", "- ", "  ", "\n", "\n  ", ": ", ":", "{", "}", "[", "]",
    "|\n", ">-\n", "&a ", "*a", "<<: ", "? ", "#", "'", "\"", "\\", "\t", "!!str ", "%%%", "\n%%%\n",
    "foreach:", "do:", "matrix:", "vars:", "ü", "\u{feff}",
];

impl Dice {
    /// One of the texts with a few things changed.
    fn grow(&mut self, seeds: &[&str]) -> String {
        let mut text: Vec<char> = seeds[self.below(seeds.len())].chars().collect();
        for _ in 0..=self.below(5) {
            let at = self.below(text.len() + 1);
            match self.below(4) {
                0 => drop(text.drain(at..(at + self.below(8)).min(text.len()))),
                1 => {
                    let word = WORDS[self.below(WORDS.len())];
                    text.splice(at..at, word.chars());
                }
                2 => {
                    let other: Vec<char> = seeds[self.below(seeds.len())].chars().collect();
                    let from = self.below(other.len());
                    text.truncate(at);
                    text.extend_from_slice(&other[from..]);
                }
                _ => {
                    let from = self.below(text.len() + 1);
                    let piece: Vec<char> = text[from..(from + 20).min(text.len())].to_vec();
                    text.splice(at..at, piece);
                }
            }
        }
        text.into_iter().collect()
    }
}

#[test]
fn random_texts_are_read_or_refused_and_break_nothing() {
    let mut dice = Dice(0x5eed);
    macro_rules! seeds {
        ($folder:literal) => {
            [
                include_str!(concat!("../../../../fuzz/seeds/", $folder, "/1")),
                include_str!(concat!("../../../../fuzz/seeds/", $folder, "/2")),
                include_str!(concat!("../../../../fuzz/seeds/", $folder, "/3")),
                include_str!(concat!("../../../../fuzz/seeds/", $folder, "/4")),
            ]
        };
    }
    for seed in seeds!("yaml").into_iter().chain(seeds!("pipelines")) {
        yaml::check(seed);
        pipelines::check(seed);
    }
    for _ in 0..ROUNDS {
        yaml::check(&dice.grow(&seeds!("yaml")));
        pipelines::check(&dice.grow(&seeds!("pipelines")));
    }
}
