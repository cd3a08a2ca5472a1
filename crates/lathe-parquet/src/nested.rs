//! Lists, maps and groups, told as text: enough to say whether two are the same, and how they look.

use std::sync::Arc;

use crate::Cells;

/// One text for each row: its leaf's cells in order, with the levels that place them where there is more than one list.
pub(crate) fn rows(
    values: &Cells,
    defs: &[i16],
    reps: &[i16],
    max_def: i16,
    max_rep: i16,
    list_def: i16,
) -> Cells {
    let mut rows: Vec<Option<Arc<str>>> = Vec::new();
    let mut row: Option<String> = None;
    let mut next = 0;
    for (def, rep) in defs.iter().zip(reps) {
        if *rep == 0 {
            rows.extend(row.take().map(closed));
        }
        let mut cell = if *def == max_def {
            next += 1;
            values.shown(next - 1).unwrap_or_default()
        } else if *def < list_def - 1 {
            "null".to_owned()
        } else if *def == list_def - 1 {
            String::new()
        } else {
            "missing".to_owned()
        };
        if 1 < max_rep {
            cell = format!("{rep}/{def}:{cell}");
        }
        match &mut row {
            None => row = Some(format!("[{cell}")),
            Some(row) => {
                row.push_str(", ");
                row.push_str(&cell);
            }
        }
    }
    rows.extend(row.map(closed));
    Cells::Texts(rows)
}

fn closed(mut row: String) -> Option<Arc<str>> {
    if row == "[null" {
        return None;
    }
    row.push(']');
    Some(row.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_told_apart_from_an_empty_and_from_a_missing_one() {
        let values = Cells::Longs(vec![Some(1), Some(2), Some(3)]);
        let told = rows(&values, &[3, 3, 1, 0, 2, 3], &[0, 1, 0, 0, 0, 1], 3, 1, 2);
        let expected = [Some("[1, 2]"), Some("[]"), None, Some("[missing, 3]")];
        let expected = expected.map(|text| text.map(Arc::from)).to_vec();
        assert_eq!(told, Cells::Texts(expected));
    }
}
