//! Many rows in few statements: every statement is a round trip to PostgreSQL, and work for SQLite as well.

use crate::{Result, Tx, Value};

/// Rows in one statement. Few sizes, so that few statements are kept parsed.
const SIZES: [usize; 5] = [512, 64, 16, 4, 1];
/// Records whose rows are read by one statement.
pub(crate) const NUMBERS_MAX: usize = 256;

/// `INSERT INTO <into> VALUES (…), (…) <after>` for rows of `columns` values each; how many rows were changed. With
/// `DO UPDATE`, no two of the rows may have the same key.
pub(crate) fn insert(
    tx: &Tx<'_>,
    into: &'static str,
    columns: usize,
    values: &[Value],
    after: &'static str,
) -> Result<usize> {
    let row = format!("({})", vec!["?"; columns].join(","));
    let (mut changed, mut rest) = (0, values);
    while !rest.is_empty() {
        let rows = rest.len() / columns;
        let size = SIZES.into_iter().find(|size| *size <= rows).unwrap_or(1);
        let (now, later) = rest.split_at(size * columns);
        let mut sql = format!("INSERT INTO {into} VALUES ");
        for index in 0..size {
            if index != 0 {
                sql.push(',');
            }
            sql.push_str(&row);
        }
        sql.push(' ');
        sql.push_str(after);
        changed += tx.execute(&sql, now)?;
        rest = later;
    }
    Ok(changed)
}

/// At most `NUMBERS_MAX` numbers of records for an `IN`, filled up with one that no record has to one of few lengths.
pub(crate) fn padded(numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let mut numbers: Vec<i64> = numbers.into_iter().collect();
    numbers.resize(numbers.len().next_power_of_two(), -1);
    numbers
}
