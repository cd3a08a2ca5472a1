/// What keys may stand in.
const QUOTES: [char; 3] = ['`', '"', '\''];

/// Reads a text from its start to its end.
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

/// A name as written: `metrics.rmse`, `` params.`learning rate` ``, `start_time`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) entity: Option<String>,
    pub(super) key: String,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    pub(super) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, short enough for a message.
    pub(super) fn here(&self) -> String {
        match self.rest.char_indices().nth(40) {
            Some((end, _)) => format!("`{}…`", &self.rest[..end]),
            None if self.at_end() => "the end".into(),
            None => format!("`{}`", self.rest),
        }
    }

    pub(super) fn name(&mut self) -> Result<Name, String> {
        if let Some(key) = self.quoted(&['`', '"'])? {
            return match self.sign(".") {
                true => Ok(Name {
                    entity: Some(key),
                    key: self.key()?,
                }),
                false => Ok(Name { entity: None, key }),
            };
        }
        let word = self.word(|c| c.is_alphanumeric() || "_./:-".contains(c));
        if word.is_empty() {
            return Err(format!("a name is expected at {}", self.here()));
        }
        let (entity, key) = match word.split_once('.') {
            None => {
                self.skip_space();
                return Ok(Name {
                    entity: None,
                    key: word.to_owned(),
                });
            }
            // The last part of a key may be in quotes: ``span.attributes.`a b` ``.
            Some((entity, start)) if start.is_empty() || start.ends_with('.') => {
                let rest = self.quoted(&QUOTES)?.unwrap_or_default();
                (entity, format!("{start}{rest}"))
            }
            Some((entity, key)) => (entity, key.to_owned()),
        };
        if key.is_empty() {
            return Err(format!("a key is expected after `{entity}.`"));
        }
        self.skip_space();
        Ok(Name {
            entity: Some(entity.to_owned()),
            key,
        })
    }

    /// What stands after `entity.`
    fn key(&mut self) -> Result<String, String> {
        if let Some(key) = self.quoted(&QUOTES)?.filter(|key| !key.is_empty()) {
            return Ok(key);
        }
        let word = self.word(|c| c.is_alphanumeric() || "_./:-".contains(c));
        self.skip_space();
        match word {
            "" => Err(format!("a key is expected at {}", self.here())),
            word => Ok(word.to_owned()),
        }
    }

    /// A text in one of these quotes, if one follows. The quote twice stands for itself.
    pub(super) fn quoted(&mut self, quotes: &[char]) -> Result<Option<String>, String> {
        let Some(quote) = self.rest.chars().next().filter(|c| quotes.contains(c)) else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut inside = &self.rest[1..];
        loop {
            let end = inside
                .find(quote)
                .ok_or_else(|| format!("a {quote} that closes {} is missing", self.here()))?;
            text.push_str(&inside[..end]);
            inside = &inside[end + 1..];
            match inside.strip_prefix(quote) {
                Some(more) => {
                    text.push(quote);
                    inside = more;
                }
                None => break,
            }
        }
        self.rest = inside.trim_start();
        Ok(Some(text))
    }

    /// A number, if one follows.
    pub(super) fn number(&mut self) -> Option<f64> {
        let before = self.rest;
        let word = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let starts_as_number = word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        let number = word.parse().ok().filter(|number: &f64| number.is_finite());
        if !starts_as_number || number.is_none() {
            self.rest = before;
            return None;
        }
        self.skip_space();
        number
    }

    /// A number in quotes, if one follows.
    pub(super) fn quoted_number(&mut self) -> Option<f64> {
        let before = self.rest;
        let text = self.quoted(&['\'', '"']).ok().flatten();
        let number = text.and_then(|text| text.parse::<u32>().ok());
        if number.is_none() {
            self.rest = before;
        }
        number.map(f64::from)
    }

    /// Steps over a sign, if it follows.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// Steps over a word in any case, if it follows.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.rest;
        if self
            .word(|c| c.is_alphanumeric() || c == '_')
            .eq_ignore_ascii_case(keyword)
        {
            self.skip_space();
            return true;
        }
        self.rest = before;
        false
    }

    fn word(&mut self, part_of: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !part_of(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}
