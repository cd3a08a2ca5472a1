use csv::{ReaderBuilder, StringRecord};

use crate::cells::Cells;
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
    let mut columns: Vec<Cells> = header.iter().map(|_| Cells::default()).collect();
    let (mut a, mut b) = (StringRecord::new(), StringRecord::new());
    let (mut rows, mut other_rows) = (0_u64, 0_u64);
    loop {
        let (here, there) = (left.read_record(&mut a).ok()?, right.read_record(&mut b).ok()?);
        rows += u64::from(here);
        other_rows += u64::from(there);
        if !here && !there {
            break;
        }
        if here && there {
            for ((column, name), index) in columns.iter_mut().zip(&header).zip(0..) {
                let (here, there) = (a.get(index).unwrap_or(""), b.get(index).unwrap_or(""));
                if here != there {
                    column.differ(name, rows, (here, there), numbers(here, there), rules);
                }
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

/// The numbers that both cells are, if they are.
fn numbers(a: &str, b: &str) -> Option<(f64, f64)> {
    Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
}
