use std::collections::BTreeSet;

use lathe_parquet::{Error, Kind, Table};

use crate::cells::Cells;
use crate::{Places, Rules};

/// Rows that are held of a column at once.
const ROWS: usize = 8_192;

/// Compares two tables column by column; what cannot be read is a difference too, and told.
pub(crate) fn compare(
    expected: Result<Table, Error>,
    found: Result<Table, Error>,
    rules: &Rules,
) -> Option<Places> {
    let mut places = Places::default();
    let (left, right) = match (expected, found) {
        (Ok(left), Ok(right)) => (left, right),
        // Neither is what its name says.
        (Err(_), Err(_)) => return None,
        (left, right) => {
            places.matters("file", opened(left), opened(right));
            return Some(places);
        }
    };
    if left.rows() != right.rows() {
        places.matters("rows", left.rows().to_string(), right.rows().to_string());
    }
    schemas(&left, &right, &mut places);
    for (index, column) in left.columns().iter().enumerate() {
        let Some(other) = at(&right, &column.name) else {
            continue;
        };
        let numbers = is_number(&column.kind) && is_number(&right.columns()[other].kind);
        let mut seen = Column {
            name: &column.name,
            numbers,
            cells: Cells::default(),
        };
        if let Err((expected, found)) = seen.look_at(&left, index, &right, other, rules) {
            places.matters(format!("column `{}`", column.name), expected, found);
        }
        seen.cells.tell(&column.name, &mut places);
    }
    if places.is_empty() {
        places.add("layout", "the same cells", "written differently", true);
    }
    Some(places)
}

fn opened(table: Result<Table, Error>) -> String {
    match table {
        Ok(table) => format!("a table of {} rows", table.rows()),
        Err(error) => error.to_string(),
    }
}

/// Columns that came, went, moved or are of another type.
fn schemas(left: &Table, right: &Table, places: &mut Places) {
    let mut here = Vec::new();
    for column in left.columns() {
        let place = format!("column `{}`", column.name);
        match at(right, &column.name).map(|index| &right.columns()[index]) {
            None => places.matters(place, column.kind.to_string(), "absent"),
            Some(other) => {
                here.push(column.name.as_str());
                if other.kind != column.kind {
                    places.matters(
                        format!("{place}: type"),
                        column.kind.to_string(),
                        other.kind.to_string(),
                    );
                }
            }
        }
    }
    let names: BTreeSet<&str> = left.columns().iter().map(|column| column.name.as_str()).collect();
    let mut there = Vec::new();
    for column in right.columns() {
        match names.contains(column.name.as_str()) {
            false => places.matters(
                format!("column `{}`", column.name),
                "absent",
                column.kind.to_string(),
            ),
            true => there.push(column.name.as_str()),
        }
    }
    if here != there {
        places.matters("order of columns", here.join(", "), there.join(", "));
    }
}

fn at(table: &Table, name: &str) -> Option<usize> {
    table.columns().iter().position(|column| column.name == name)
}

fn is_number(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Integer { .. } | Kind::Half | Kind::Float | Kind::Double | Kind::Decimal { .. }
    )
}

/// One column on both sides.
struct Column<'a> {
    name: &'a str,
    /// Whether both sides are numbers.
    numbers: bool,
    cells: Cells,
}

impl Column<'_> {
    /// Reads both sides to the end of the shorter one; else which of them cannot be read, and why.
    fn look_at(
        &mut self,
        left: &Table,
        index: usize,
        right: &Table,
        other: usize,
        rules: &Rules,
    ) -> Result<(), (String, String)> {
        let (mut a, mut b) = (left.cells(index), right.cells(other));
        let mut row = 0;
        loop {
            let (here, there) = match (a.next(ROWS), b.next(ROWS)) {
                (Ok(Some(here)), Ok(Some(there))) => (here, there),
                (Ok(_), Ok(_)) => return Ok(()),
                (here, there) => {
                    let told = |read: Result<_, Error>| match read {
                        Ok(_) => "readable".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    return Err((told(here), told(there)));
                }
            };
            for at in 0..here.len().min(there.len()) {
                row += 1;
                if here.same(&there, at) {
                    continue;
                }
                let numbers = match self.numbers {
                    true => here.number(at).zip(there.number(at)),
                    false => None,
                };
                let shown = (here.shown(at), there.shown(at));
                // The same number or text of another type: the type is told by itself.
                let alike = shown.0 == shown.1 && numbers.is_none_or(|(x, y)| x.to_bits() == y.to_bits());
                if alike || numbers.is_some_and(|(x, y)| x.is_nan() && y.is_nan()) {
                    continue;
                }
                let shown = (
                    shown.0.as_deref().unwrap_or("missing"),
                    shown.1.as_deref().unwrap_or("missing"),
                );
                self.cells.differ(self.name, row, shown, numbers, rules);
            }
            if here.len() != there.len() {
                return Ok(());
            }
        }
    }
}
