//! Rust text without what only looks like code.

/// The text with comments, strings and characters blanked; lines stay where they are.
pub fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        match length_of_no_code(&chars[at..], at.checked_sub(1).map(|before| chars[before])) {
            0 => {
                code.push(chars[at]);
                at += 1;
            }
            length => {
                let blanked = &chars[at..(at + length).min(chars.len())];
                code.extend(blanked.iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
                at += length;
            }
        }
    }
    code
}

/// How long the comment, string or character is that begins here; 0 if none does.
fn length_of_no_code(rest: &[char], before: Option<char>) -> usize {
    match rest {
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => quoted(rest, '"'),
        // Not a lifetime: those have no closing quote after one character.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
        ['r', '"' | '#', ..] if !before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_') => {
            raw(rest)
        }
        _ => 0,
    }
}

/// Block comments nest.
fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"…"`, `r#"…"#`; 0 for `r#name`.
fn raw(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closes = rest[at] == '"' && rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        at += 1;
        if closes {
            return at + hashes;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        for (text, code) in [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"a \\\" b\") c", "f(        ) c"),
            ("r#\"a \" b\"# c", "           c"),
            ("br\"a\" c", "b     c"),
            ("'\\'' 'x' c", "         c"),
            ("r#type <'a, 'b> c", "r#type <'a, 'b> c"),
            ("\"a\nb\" c", "  \n   c"),
            ("\"open", "     "),
        ] {
            assert_eq!(code_only(text), code, "{text}");
        }
    }
}
