use crate::yaml::{Node, Value};

/// Tokens up to the end of a statement, with their indentation.
pub struct Line {
    /// In blanks.
    pub indent: usize,
    /// At least one.
    pub tokens: Vec<Token>,
}

/// What statements are made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A word.
    Name(String),
    /// A whole number or a fraction.
    Number(Node),
    /// A text without its quotes.
    Text(String),
    /// Brackets, operators, commas.
    Mark(char),
    /// What literals are not made of.
    Other,
}

/// Joins lines inside brackets and after a backslash; comments and blank lines are left out.
pub fn logical_lines(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut scanner = Scanner { rest: text, line: 1 };
    let mut lines = Vec::new();
    loop {
        let indent = scanner.indentation();
        let Some(first) = scanner.rest.chars().next() else {
            return Ok(lines);
        };
        if matches!(first, '\n' | '#') {
            scanner.skip_line();
            continue;
        }
        let tokens = scanner.statement()?;
        if !tokens.is_empty() {
            lines.push(Line { indent, tokens });
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl Scanner<'_> {
    fn indentation(&mut self) -> usize {
        let mut indent = 0;
        while let Some(c) = self.rest.chars().next() {
            match c {
                ' ' => indent += 1,
                '\t' => indent = (indent / 8 + 1) * 8,
                '\r' | '\u{c}' | '\u{feff}' => {}
                _ => break,
            }
            self.skip(c.len_utf8());
        }
        indent
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn skip_line(&mut self) {
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        self.skip(end);
    }

    fn statement(&mut self) -> Result<Vec<Token>, (usize, String)> {
        let mut tokens = Vec::new();
        let mut open = 0_usize;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\n' => {
                    self.skip(1);
                    if open == 0 {
                        break;
                    }
                }
                '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
                '\\' if self.rest[1..].trim_start_matches('\r').starts_with('\n') => self.skip_line(),
                c if c.is_whitespace() => self.skip(c.len_utf8()),
                '0'..='9' => tokens.push(self.number()),
                '.' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => tokens.push(self.number()),
                c if c == '_' || c.is_alphabetic() => tokens.push(self.name_or_text()?),
                '"' | '\'' => tokens.push(self.text(0)?),
                _ => {
                    match c {
                        '(' | '[' | '{' => open += 1,
                        ')' | ']' | '}' => {
                            open = open
                                .checked_sub(1)
                                .ok_or_else(|| (self.line, format!("`{c}` closes nothing")))?;
                        }
                        _ => {}
                    }
                    self.skip(c.len_utf8());
                    // `==`, `+=` and the like assign no literal.
                    let doubled = c == '=' && self.rest.starts_with('=');
                    tokens.push(match c {
                        '=' if doubled => Token::Other,
                        '(' | ')' | '[' | ']' | '{' | '}' | ',' | ':' | '=' | '.' | ';' | '-' | '+' => {
                            Token::Mark(c)
                        }
                        _ => Token::Other,
                    });
                    if doubled {
                        self.skip(1);
                    }
                }
            }
        }
        if 0 < open {
            return Err((self.line, "a bracket is not closed".to_owned()));
        }
        Ok(tokens)
    }

    fn number(&mut self) -> Token {
        let mut end = 0;
        let mut before = ' ';
        let hex = self.rest.starts_with("0x") || self.rest.starts_with("0X");
        for c in self.rest.chars() {
            let exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hex;
            if !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || exponent_sign) {
                break;
            }
            end += c.len_utf8();
            before = c;
        }
        let digits: String = self.rest[..end].chars().filter(|c| *c != '_').collect();
        let digits = digits.to_ascii_lowercase();
        self.skip(end);
        let radix = [("0x", 16), ("0o", 8), ("0b", 2)]
            .iter()
            .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)));
        let int = match radix {
            Some((digits, radix)) => i128::from_str_radix(digits, radix).ok(),
            None => digits.parse().ok(),
        };
        match int {
            Some(int) => Token::Number(Node::new(Value::Int(int))),
            None => match digits.parse() {
                Ok(float) => Token::Number(Node::new(Value::Float(float))),
                Err(_) => Token::Other,
            },
        }
    }

    fn name_or_text(&mut self) -> Result<Token, (usize, String)> {
        let end = self
            .rest
            .find(|c: char| !(c == '_' || c.is_alphanumeric()))
            .unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let is_prefix = word.len() <= 2 && word.chars().all(|c| "rRbBuUfF".contains(c));
        if is_prefix && self.rest[end..].starts_with(['"', '\'']) {
            return self.text(end);
        }
        let name = word.to_owned();
        self.skip(end);
        Ok(Token::Name(name))
    }

    fn text(&mut self, prefix: usize) -> Result<Token, (usize, String)> {
        let started = self.line;
        let letters = self.rest[..prefix].to_ascii_lowercase();
        self.skip(prefix);
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let end = if self.rest.starts_with(&triple) {
            triple
        } else {
            quote.to_owned()
        };
        self.skip(end.len());
        let mut text = String::new();
        loop {
            if self.rest.starts_with(&end) {
                self.skip(end.len());
                break;
            }
            let Some(c) = self.rest.chars().next() else {
                return Err((started, "a text is not closed".to_owned()));
            };
            if c == '\n' && end.len() == 1 {
                return Err((started, "a text is not closed".to_owned()));
            }
            self.skip(c.len_utf8());
            if c != '\\' {
                text.push(c);
            } else if letters.contains('r') {
                text.push(c);
                if let Some(next) = self.rest.chars().next() {
                    text.push(next);
                    self.skip(next.len_utf8());
                }
            } else {
                self.escape(&mut text);
            }
        }
        // Bytes are no parameter, and a text with `{…}` in it is no literal.
        Ok(if letters.contains(['b', 'f']) {
            Token::Other
        } else {
            Token::Text(text)
        })
    }

    fn escape(&mut self, text: &mut String) {
        let Some(c) = self.rest.chars().next() else {
            return;
        };
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let code = self.rest.get(1..1 + digits).filter(|_| 0 < digits);
        let code = code
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32);
        if let Some(code) = code {
            text.push(code);
            self.skip(1 + digits);
            return;
        }
        self.skip(c.len_utf8());
        match c {
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '0' => text.push('\0'),
            '\\' | '\'' | '"' => text.push(c),
            _ => text.extend(['\\', c]),
        }
    }
}
