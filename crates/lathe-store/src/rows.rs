//! Many rows by few statements: a database beyond a socket answers each statement on its own.

use crate::{Result, Tx, Value};

/// Rows of one statement. A full statement is always the same text, so that it is prepared once.
const ROWS_A_STATEMENT: usize = 64;

/// Inserts rows. `head` is `INSERT INTO … (…)`, `tail` what follows the values; every row has `columns` values.
pub(crate) fn insert(
    tx: &Tx<'_>,
    head: &'static str,
    columns: usize,
    tail: &'static str,
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> Result<()> {
    let mut values = Vec::with_capacity(columns * ROWS_A_STATEMENT);
    let mut waiting = 0;
    for row in rows {
        debug_assert_eq!(row.len(), columns);
        values.extend(row);
        waiting += 1;
        if waiting == ROWS_A_STATEMENT {
            tx.execute(&statement(head, columns, waiting, tail), &values)?;
            values.clear();
            waiting = 0;
        }
    }
    if waiting != 0 {
        tx.execute(&statement(head, columns, waiting, tail), &values)?;
    }
    Ok(())
}

fn statement(head: &str, columns: usize, rows: usize, tail: &str) -> String {
    let mut text = String::from(head);
    text.push_str(" VALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            if column != 0 {
                text.push_str(", ");
            }
            text.push_str(&format!("?{}", row * columns + column + 1));
        }
        text.push(')');
    }
    text.push(' ');
    text.push_str(tail);
    text
}
