use std::collections::HashSet;

const HOW: [&str; 64] = [
    "able", "airy", "amber", "apt", "blue", "bold", "brave", "brisk", "calm", "clean", "clear", "close",
    "coral", "crisp", "deep", "deft", "eager", "early", "even", "fair", "fast", "fine", "firm", "fresh",
    "full", "glad", "gold", "good", "grand", "green", "hale", "happy", "ivory", "jolly", "keen", "kind",
    "large", "light", "lilac", "lucid", "lucky", "mild", "neat", "new", "noble", "olive", "plain", "prime",
    "proud", "quick", "quiet", "rapid", "rosy", "sage", "sharp", "sleek", "smart", "solid", "still", "sunny",
    "swift", "tidy", "warm", "wise",
];

const WHAT: [&str; 64] = [
    "adze", "anvil", "arbor", "auger", "awl", "axle", "beam", "bench", "bevel", "birch", "bit", "bolt",
    "brace", "brush", "burr", "cam", "cedar", "chip", "chuck", "clamp", "cog", "crank", "dial", "disc",
    "dowel", "drill", "file", "flute", "gauge", "gear", "gouge", "grain", "hinge", "hub", "jig", "joint",
    "kerf", "key", "knob", "latch", "lever", "mallet", "maple", "mill", "nail", "oak", "peg", "pin", "plane",
    "pulley", "rasp", "rivet", "rod", "rule", "saw", "screw", "shaft", "spindle", "spoke", "spring", "tenon",
    "vise", "wedge", "wheel",
];

/// A name that is not among those taken: an adjective and a noun, with a number once those become rare.
pub fn fresh(taken: &HashSet<String>) -> String {
    for attempt in 0_u32.. {
        let (how, what) = (fastrand::usize(..HOW.len()), fastrand::usize(..WHAT.len()));
        let name = match attempt {
            0..32 => format!("{}-{}", HOW[how], WHAT[what]),
            _ => format!("{}-{}-{}", HOW[how], WHAT[what], fastrand::u32(..)),
        };
        if !taken.contains(&name) {
            return name;
        }
    }
    unreachable!("there are more numbers than experiments")
}
