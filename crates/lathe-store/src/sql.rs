//! SQL for searches, put together from constants; whatever a client sent can only become a parameter.

use lathe_types::search::{Comparison, Test};
use lathe_types::tags::{Page, PageRequest};

use crate::{Error, Result, Row, Tx, Value};

pub(crate) struct Sql {
    text: String,
    params: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(text: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            params: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.params.push(value.into());
        self
    }

    /// `(?, ?, …)`
    pub(crate) fn bind_list(&mut self, values: impl IntoIterator<Item = impl Into<Value>>) -> &mut Self {
        self.text.push('(');
        for (index, value) in values.into_iter().enumerate() {
            if index != 0 {
                self.text.push(',');
            }
            self.bind(value);
        }
        self.text.push(')');
        self
    }

    /// The condition that `column` passes the test.
    pub(crate) fn test(&mut self, column: &'static str, test: &Test) -> &mut Self {
        match test {
            // Without the cast PostgreSQL takes a fraction that is compared with a whole number for one.
            Test::Number(comparison, number) => self
                .push(column)
                .push(sign(*comparison))
                .push("CAST(")
                .bind(*number)
                .push(" AS DOUBLE PRECISION)"),
            Test::Text { text, negated: false } => self.push(column).push(" = ").bind(text),
            Test::Text { text, negated: true } => self.push(column).push(" <> ").bind(text),
            Test::Like {
                pattern,
                ignore_case: false,
            } => self
                .push(column)
                .push(" LIKE ")
                .bind(literal(pattern))
                .push(ESCAPE),
            Test::Like {
                pattern,
                ignore_case: true,
            } => self
                .push("LOWER(")
                .push(column)
                .push(") LIKE ")
                // Only ASCII letters have two cases, for both databases.
                .bind(literal(&pattern.to_ascii_lowercase()))
                .push(ESCAPE),
            Test::Matches { pattern } => self.push(column).push(" REGEXP ").bind(pattern),
            Test::OneOf { texts, negated } => self
                .push(column)
                .push(if *negated { " NOT IN " } else { " IN " })
                .bind_list(texts),
            Test::Missing { negated: false } => self.push(column).push(" IS NULL"),
            Test::Missing { negated: true } => self.push(column).push(" IS NOT NULL"),
        }
    }

    /// The condition that the row of `key` in a table of keys and values passes the test. `rows_of` selects the rows
    /// of the record up to `… key = `.
    pub(crate) fn test_keyed(
        &mut self,
        rows_of: &'static str,
        column: &'static str,
        key: &str,
        test: &Test,
    ) -> &mut Self {
        if matches!(test, Test::Missing { negated: false }) {
            self.push("NOT ");
        }
        self.push("EXISTS (SELECT 1 FROM ").push(rows_of).bind(key);
        if !matches!(test, Test::Missing { .. }) {
            self.push(" AND (").test(column, test).push(")");
        }
        self.push(")")
    }

    /// Sorts by a column; NULL comes last both ways.
    pub(crate) fn order(&mut self, column: &'static str, descending: bool) -> &mut Self {
        self.push(column)
            .push(if descending { " DESC" } else { " ASC" })
            .push(" NULLS LAST, ")
    }

    /// Sorts by the value of a key; records without it come last both ways.
    pub(crate) fn order_keyed(
        &mut self,
        value_of: &'static str,
        rows_of: &'static str,
        key: &str,
        descending: bool,
    ) -> &mut Self {
        self.push("(SELECT ")
            .push(value_of)
            .push(" FROM ")
            .push(rows_of)
            .bind(key)
            .push(" LIMIT 1)")
            .push(if descending { " DESC" } else { " ASC" })
            .push(" NULLS LAST, ")
    }

    /// Refuses a pattern that no database could read.
    pub(crate) fn check(&self, test: &Test) -> Result<()> {
        let Test::Matches { pattern } = test else {
            return Ok(());
        };
        crate::pattern::compile(pattern).map(drop).map_err(|error| Error::Invalid {
            message: format!("Invalid value for parameter 'filter' supplied: `{pattern}` is no regular expression: {error}"),
        })
    }

    /// Every row.
    pub(crate) fn all<T>(self, tx: &Tx<'_>, read: impl FnMut(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        tx.query(&self.text, &self.params, read)
    }

    /// Hands every row to `visit`, without keeping any.
    pub(crate) fn each(self, tx: &Tx<'_>, visit: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        tx.for_each(&self.text, &self.params, visit)
    }

    /// Changes rows; how many.
    pub(crate) fn execute(self, tx: &Tx<'_>) -> Result<usize> {
        tx.execute(&self.text, &self.params)
    }

    /// One page of the rows; reads one row more to know whether another page follows.
    pub(crate) fn page<T>(
        mut self,
        tx: &Tx<'_>,
        page: PageRequest,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Page<T>> {
        let limit = page.limit as i64;
        self.push(" LIMIT ").bind(limit + 1);
        self.push(" OFFSET ").bind(page.offset as i64);
        let mut items = tx.query(&self.text, &self.params, read)?;
        let next = (page.limit < items.len()).then_some(page.offset + page.limit as u64);
        items.truncate(page.limit);
        Ok(Page { items, next })
    }
}

pub(crate) fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::Unequal => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}

/// PostgreSQL takes a backslash for a mark of its own; said aloud, and doubled, it is a backslash for both databases.
const ESCAPE: &str = " ESCAPE '\\'";

fn literal(pattern: &str) -> String {
    pattern.replace('\\', "\\\\")
}
