use super::cursor::Cursor;
use super::{Attribute, Field, Kind};
use crate::InputError;

/// Bounds how deep the condition becomes that the database evaluates.
pub(super) const CONDITIONS_MAX: usize = 100;
const TEXTS_MAX: usize = 10_000;
/// The database refuses longer patterns.
const PATTERN_BYTES_MAX: usize = 5_000;

/// One condition; a filter is all of them at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition<A> {
    /// What is tested.
    pub field: Field<A>,
    /// What it must be.
    pub test: Test,
}

/// What a field must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Compared with a number.
    Number(Comparison, f64),
    /// This text, or not this text.
    Text {
        /// The text.
        text: String,
        /// Not this text.
        negated: bool,
    },
    /// A text that fits a pattern, where `%` stands for any text and `_` for any character.
    Like {
        /// The pattern.
        pattern: String,
        /// Capital or small letters are the same.
        ignore_case: bool,
    },
    /// A text that a regular expression finds something in.
    Matches {
        /// The regular expression.
        pattern: String,
    },
    /// One of these texts, or none of them.
    OneOf {
        /// At least one.
        texts: Vec<String>,
        /// None of them.
        negated: bool,
    },
    /// Not there, or there.
    Missing {
        /// It must be there.
        negated: bool,
    },
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What stands between a field and its value.
pub(super) enum Operator {
    Compare(Comparison),
    Like { ignore_case: bool },
    Matches,
    In { negated: bool },
    Null { negated: bool },
}

/// Reads a filter: conditions joined by `AND`. An empty text has none.
pub fn parse_filter<A: Attribute>(filter: &str) -> Result<Vec<Condition<A>>, InputError> {
    let mut cursor = Cursor::new(filter);
    parse(&mut cursor).map_err(|reason| InputError::invalid("filter", filter, reason))
}

fn parse<A: Attribute>(cursor: &mut Cursor<'_>) -> Result<Vec<Condition<A>>, String> {
    let mut conditions = Vec::new();
    if cursor.at_end() {
        return Ok(conditions);
    }
    loop {
        if conditions.len() == CONDITIONS_MAX {
            return Err(format!("a filter can have at most {CONDITIONS_MAX} conditions"));
        }
        conditions.push(condition(cursor)?);
        if cursor.at_end() {
            return Ok(conditions);
        }
        if !cursor.keyword("AND") {
            return Err(format!(
                "`AND` or the end is expected at {}; conditions are joined by `AND` only",
                cursor.here()
            ));
        }
    }
}

fn condition<A: Attribute>(cursor: &mut Cursor<'_>) -> Result<Condition<A>, String> {
    let name = cursor.name()?;
    let field = Field::named(name.entity.as_deref(), name.key)?;
    let operator = read_operator(cursor)?;
    let test = match (operator, field.kind()) {
        (Operator::Compare(comparison), Kind::Number) => {
            let quoted = field.is_often_quoted();
            let number = cursor
                .number()
                .or_else(|| quoted.then(|| cursor.quoted_number())?);
            let number =
                number.ok_or_else(|| format!("a number without quotes is expected at {}", cursor.here()))?;
            Test::Number(comparison, number)
        }
        (Operator::Compare(comparison), _) => {
            let negated = match comparison {
                Comparison::Equal => false,
                Comparison::Unequal => true,
                _ => return Err("a text can only be compared by `=`, `!=`, `LIKE`, `ILIKE`, `IN`".into()),
            };
            Test::Text {
                text: read_text(cursor)?,
                negated,
            }
        }
        (_, Kind::Number) => {
            return Err("a number can only be compared by `=`, `!=`, `<`, `<=`, `>`, `>=`".into());
        }
        (Operator::Like { ignore_case }, _) => Test::Like {
            pattern: pattern(cursor)?,
            ignore_case,
        },
        (Operator::Matches, _) => return Err("`RLIKE` is only for traces; use `LIKE` or `ILIKE`".into()),
        (Operator::In { negated }, _) => Test::OneOf {
            texts: read_texts(cursor)?,
            negated,
        },
        (Operator::Null { negated }, Kind::OptionalText) => Test::Missing { negated },
        (Operator::Null { .. }, Kind::Text) => {
            return Err("only params and tags can be compared with NULL".into());
        }
    };
    Ok(Condition { field, test })
}

pub(super) fn read_operator(cursor: &mut Cursor<'_>) -> Result<Operator, String> {
    // Longer signs first: `<=` starts like `<`.
    let signs = [
        ("!=", Comparison::Unequal),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("=", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    for (sign, comparison) in signs {
        if cursor.sign(sign) {
            return Ok(Operator::Compare(comparison));
        }
    }
    if cursor.keyword("LIKE") {
        return Ok(Operator::Like { ignore_case: false });
    }
    if cursor.keyword("ILIKE") {
        return Ok(Operator::Like { ignore_case: true });
    }
    if cursor.keyword("RLIKE") {
        return Ok(Operator::Matches);
    }
    if cursor.keyword("IN") {
        return Ok(Operator::In { negated: false });
    }
    if cursor.keyword("NOT") && cursor.keyword("IN") {
        return Ok(Operator::In { negated: true });
    }
    if cursor.keyword("IS") {
        let negated = cursor.keyword("NOT");
        if cursor.keyword("NULL") {
            return Ok(Operator::Null { negated });
        }
    }
    Err(format!(
        "one of `=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `ILIKE`, `IN`, `NOT IN`, `IS NULL` is expected at {}",
        cursor.here()
    ))
}

/// A pattern of a length that every database takes.
pub(super) fn pattern(cursor: &mut Cursor<'_>) -> Result<String, String> {
    let pattern = read_text(cursor)?;
    if PATTERN_BYTES_MAX < pattern.len() {
        return Err(format!("a pattern can have at most {PATTERN_BYTES_MAX} bytes"));
    }
    Ok(pattern)
}

pub(super) fn read_text(cursor: &mut Cursor<'_>) -> Result<String, String> {
    cursor
        .quoted(&['\'', '"'])?
        .ok_or_else(|| format!("a text in quotes is expected at {}", cursor.here()))
}

pub(super) fn read_texts(cursor: &mut Cursor<'_>) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    if !cursor.sign("(") {
        return Err(format!("a list as `('a', 'b')` is expected at {}", cursor.here()));
    }
    loop {
        texts.push(read_text(cursor)?);
        if TEXTS_MAX < texts.len() {
            return Err(format!("a list can have at most {TEXTS_MAX} texts"));
        }
        let more = cursor.sign(",");
        if cursor.sign(")") {
            return Ok(texts);
        }
        if !more {
            return Err(format!("`,` or `)` is expected at {}", cursor.here()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{ExperimentAttribute, RunAttribute};

    /// Each condition as `field test`, or the reason why there is none.
    fn read(filter: &str) -> String {
        match parse_filter::<RunAttribute>(filter) {
            Ok(conditions) => conditions
                .iter()
                .map(|condition| format!("{:?} {:?}", condition.field, condition.test))
                .collect::<Vec<_>>()
                .join(" & "),
            Err(InputError::Invalid { reason, .. }) => reason,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_filter_says_what_each_field_must_be() {
        for (filter, means) in [
            ("", ""),
            ("  ", ""),
            ("metrics.rmse < 1.5", "Metric(\"rmse\") Number(Less, 1.5)"),
            (
                "metric.`a b`>=-1e3",
                "Metric(\"a b\") Number(GreaterOrEqual, -1000.0)",
            ),
            (
                "metrics.\"val/loss\" != .5 and status = 'FINISHED'",
                "Metric(\"val/loss\") Number(Unequal, 0.5) & Attribute(Status) Text { text: \"FINISHED\", negated: false }",
            ),
            (
                "params.`learning rate` = 'it''s'",
                "Param(\"learning rate\") Text { text: \"it's\", negated: false }",
            ),
            (
                "parameters.a != \"x'y\"",
                "Param(\"a\") Text { text: \"x'y\", negated: true }",
            ),
            (
                "tags.mlflow.source.name LIKE '%.py' AND tag.x ilike 'A_'",
                "Tag(\"mlflow.source.name\") Like { pattern: \"%.py\", ignore_case: false } & Tag(\"x\") Like { pattern: \"A_\", ignore_case: true }",
            ),
            (
                "attributes.run_id IN ('a', \"b\",)",
                "Attribute(Id) OneOf { texts: [\"a\", \"b\"], negated: false }",
            ),
            (
                "attr.run_id not in('a') AND Created > 5",
                "Attribute(Id) OneOf { texts: [\"a\"], negated: true } & Attribute(StartTime) Number(Greater, 5.0)",
            ),
            (
                "`run name` = 'x'",
                "Attribute(Name) Text { text: \"x\", negated: false }",
            ),
            (
                "tags.x IS NULL AND params.y is not null",
                "Tag(\"x\") Missing { negated: false } & Param(\"y\") Missing { negated: true }",
            ),
            (
                "`metrics`.`a` > 1 AND metrics.'b c' > 1",
                "Metric(\"a\") Number(Greater, 1.0) & Metric(\"b c\") Number(Greater, 1.0)",
            ),
            (
                "dataset.context = 'train'",
                "Dataset(Context) Text { text: \"train\", negated: false }",
            ),
            (
                "tags.a = 'x AND tags.b = 1'",
                "Tag(\"a\") Text { text: \"x AND tags.b = 1\", negated: false }",
            ),
        ] {
            assert_eq!(read(filter), means, "{filter}");
        }
    }

    #[test]
    fn a_filter_that_says_nothing_clear_is_refused_with_the_place() {
        for (filter, reason) in [
            ("metrics.a", "is expected at the end"),
            ("metrics.a > '1'", "a number without quotes is expected at `'1'`"),
            ("metrics.a > nan", "a number without quotes"),
            ("metrics.a > 1e999", "a number without quotes"),
            ("metrics.a LIKE '1'", "a number can only"),
            ("params.a = 5", "a text in quotes is expected at `5`"),
            ("params.a > '5'", "a text can only"),
            ("params.a = 'x", "a ' that closes"),
            ("params. = 'x'", "a key is expected after `params.`"),
            ("nothing = 'x'", "there is no attribute `nothing`"),
            ("spans.a = 'x'", "there is nothing called `spans`"),
            ("dataset.size = 'x'", "a dataset has no `size`"),
            ("status IS NULL", "only params and tags"),
            (
                "status = 'a' OR status = 'b'",
                "`AND` or the end is expected at `OR",
            ),
            ("status = 'a'; DROP TABLE runs", "`AND` or the end"),
            ("status = 'a' AND", "a name is expected at the end"),
            ("(status = 'a')", "a name is expected at `("),
            ("status IN ()", "a text in quotes"),
            ("status IN ('a' 'b')", "`,` or `)`"),
            ("status IN 'a'", "a list as"),
        ] {
            let found = read(filter);
            assert!(found.contains(reason), "{filter}: {found}");
        }
        assert!(parse_filter::<ExperimentAttribute>("metrics.a > 1").is_err());
        let long = vec!["status = 'a'"; CONDITIONS_MAX + 1].join(" AND ");
        assert!(read(&long).contains("at most 100 conditions"));
    }
}
