use csv::{ReaderBuilder, StringRecord};

use crate::{Places, Rules};

/// Compares column by column; nothing if a side cannot be read as CSV.
pub(crate) fn compare(expected: &[u8], found: &[u8], delimiter: u8, rules: &Rules) -> Option<Places> {
    let reader = |bytes| {
        ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(bytes)
    };
    let (mut left, mut right) = (reader(expected), reader(found));
    let header = left.headers().ok()?.clone();
    let other = right.headers().ok()?.clone();
    let mut places = Places::default();
    if header != other {
        let told = |header: &StringRecord| header.iter().collect::<Vec<_>>().join(", ");
        places.matters("columns", told(&header), told(&other));
        return Some(places);
    }
    let mut columns: Vec<Column> = header.iter().map(|_| Column::default()).collect();
    let (mut a, mut b) = (StringRecord::new(), StringRecord::new());
    let (mut rows, mut other_rows) = (0usize, 0usize);
    loop {
        let (here, there) = (left.read_record(&mut a).ok()?, right.read_record(&mut b).ok()?);
        rows += usize::from(here);
        other_rows += usize::from(there);
        if !here && !there {
            break;
        }
        if here && there {
            for ((column, name), index) in columns.iter_mut().zip(&header).zip(0..) {
                let cells = (a.get(index).unwrap_or(""), b.get(index).unwrap_or(""));
                column.look_at(name, cells, rows, rules);
            }
        }
    }
    if rows != other_rows {
        places.matters("rows", rows.to_string(), other_rows.to_string());
    }
    for (column, name) in columns.iter().zip(&header) {
        column.tell(name, &mut places);
    }
    if places.is_empty() {
        places.add("layout", "the same cells", "written differently", true);
    }
    Some(places)
}

/// What is known of one column.
#[derive(Default)]
struct Column {
    differ: usize,
    matter: usize,
    first: Option<(usize, String, String)>,
    apart_max: f64,
}

impl Column {
    fn look_at(&mut self, name: &str, (a, b): (&str, &str), row: usize, rules: &Rules) {
        if a == b {
            return;
        }
        self.differ += 1;
        let near = match (a.trim().parse::<f64>(), b.trim().parse::<f64>()) {
            (Ok(x), Ok(y)) => {
                self.apart_max = self.apart_max.max((x - y).abs());
                rules.allows(name, x, y)
            }
            _ => false,
        };
        if !near {
            self.matter += 1;
        }
        // The first cell that matters says more than one that does not.
        if self.first.is_none() || (!near && self.matter == 1) {
            self.first = Some((row, a.to_owned(), b.to_owned()));
        }
    }

    fn tell(&self, name: &str, places: &mut Places) {
        let Some((row, expected, found)) = &self.first else {
            return;
        };
        let mut place = format!("column `{name}`: {} cells differ", self.differ);
        if 0.0 < self.apart_max {
            place.push_str(&format!(" by at most {:.6e}", self.apart_max));
        }
        places.add(
            format!("{place}; first in row {row}"),
            expected,
            found,
            self.matter == 0,
        );
    }
}
