use crate::{Places, Rules};

/// What is known of the cells of one column that differ.
#[derive(Default)]
pub(crate) struct Cells {
    differ: usize,
    matter: usize,
    first: Option<(u64, String, String)>,
    apart_max: f64,
}

impl Cells {
    /// Takes in two cells of a row that differ, and the numbers they are if both are.
    pub(crate) fn differ(
        &mut self,
        column: &str,
        row: u64,
        shown: (&str, &str),
        numbers: Option<(f64, f64)>,
        rules: &Rules,
    ) {
        self.differ += 1;
        let near = numbers.is_some_and(|(expected, found)| {
            self.apart_max = self.apart_max.max((expected - found).abs());
            rules.allows(column, expected, found)
        });
        self.matter += usize::from(!near);
        // The first cell that matters says more than one that does not.
        if self.first.is_none() || (!near && self.matter == 1) {
            self.first = Some((row, shown.0.to_owned(), shown.1.to_owned()));
        }
    }

    /// Adds the column to what differs, if it does.
    pub(crate) fn tell(&self, column: &str, places: &mut Places) {
        let Some((row, expected, found)) = &self.first else {
            return;
        };
        let mut place = format!("column `{column}`: {} cells differ", self.differ);
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
