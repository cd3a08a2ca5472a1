//! Files that were written here, gone on with, and damaged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use lathe_parquet::{Assembly, Cells, Error, Field, Kind, Table, Unit};

fn fields() -> Vec<Field> {
    let field = |name: &str, kind| Field {
        name: name.into(),
        kind,
    };
    let whole = |bits| Kind::Integer { bits, signed: true };
    let moment = Kind::Timestamp {
        unit: Unit::Millis,
        utc: true,
    };
    vec![
        field("flag", Kind::Boolean),
        field("small", whole(32)),
        field("large", whole(64)),
        field("single", Kind::Float),
        field("number", Kind::Double),
        field("word", Kind::Text),
        field("at", moment),
    ]
}

/// Every third cell is missing.
fn cells(rows: std::ops::Range<i64>) -> Vec<Cells> {
    fn each<T>(rows: std::ops::Range<i64>, make: impl Fn(i64) -> T) -> Vec<Option<T>> {
        rows.map(|row| (row % 3 != 2).then(|| make(row))).collect()
    }
    let rows = || rows.clone();
    vec![
        Cells::Booleans(each(rows(), |row| row % 2 == 0)),
        Cells::Longs(each(rows(), |row| row - 5)),
        Cells::Longs(each(rows(), |row| i64::MAX - row)),
        Cells::Floats(each(rows(), |row| row as f32 / 3.0)),
        Cells::Doubles(each(rows(), |row| row as f64 / 3.0)),
        Cells::Texts(each(rows(), |row| Arc::from(format!("wörd {}", row % 7)))),
        Cells::Longs(each(rows(), |row| row)),
    ]
}

fn file(groups: &[std::ops::Range<i64>]) -> Vec<u8> {
    let mut assembly = Assembly::new(fields()).unwrap();
    let mut bytes = Vec::new();
    for rows in groups {
        bytes.extend(assembly.push(&cells(rows.clone())).unwrap());
    }
    bytes.extend(assembly.footer().unwrap());
    bytes
}

fn read(table: &Table, at: usize, rows: usize, skip: u64) -> Cells {
    let mut column = table.cells(at);
    column.skip(skip).unwrap();
    let mut all = column.next(rows).unwrap().unwrap();
    while let Some(more) = column.next(rows).unwrap() {
        assert!(all.append(more));
    }
    all
}

#[test]
fn what_is_written_is_read_back_whatever_the_steps() {
    let table = Table::parse(&file(&[0..10, 10..10, 10..17])).unwrap();
    assert_eq!(table.rows(), 17);
    let names: Vec<(&str, &Kind)> = table
        .columns()
        .iter()
        .map(|column| (&*column.name, &column.kind))
        .collect();
    let wanted = fields();
    assert_eq!(
        names,
        wanted
            .iter()
            .map(|field| (&*field.name, &field.kind))
            .collect::<Vec<_>>()
    );
    for (skip, rows) in [(0, 100), (0, 4), (3, 9), (10, 3), (16, 1)] {
        let expected = cells(skip..17);
        for (at, expected) in expected.iter().enumerate().take(6) {
            assert_eq!(
                read(&table, at, rows, skip as u64),
                *expected,
                "column {at} from {skip} by {rows}"
            );
        }
    }
    assert_eq!(
        read(&table, 6, 9, 0).shown(1).unwrap(),
        "1970-01-01T00:00:00.001Z"
    );
    assert_eq!(table.cells(0).next(0).unwrap(), None);
    let mut behind = table.cells(0);
    behind.skip(40).unwrap();
    assert_eq!(behind.next(3).unwrap(), None);
}

#[test]
fn a_file_without_rows_has_its_columns() {
    let table = Table::parse(&file(&[])).unwrap();
    assert_eq!((table.rows(), table.columns().len()), (0, 7));
    assert_eq!(table.cells(4).next(5).unwrap(), None);
}

#[test]
fn a_file_that_broke_off_is_gone_on_with_to_the_same_bytes() {
    let whole = file(&[0..10, 10..17, 17..30]);
    let mut first = Assembly::new(fields()).unwrap();
    let mut bytes = first.push(&cells(0..10)).unwrap();
    bytes.extend(first.push(&cells(10..17)).unwrap());
    let footer = first.footer().unwrap();
    let mut next = Assembly::resume(fields(), &footer, bytes.len() as u64)
        .unwrap()
        .unwrap();
    bytes.extend(next.push(&cells(17..30)).unwrap());
    bytes.extend(next.footer().unwrap());
    assert!(bytes == whole, "the bytes differ");
    let other = fields()[1..].to_vec();
    assert!(Assembly::resume(other, &footer, 10).unwrap().is_none());
    assert!(Assembly::resume(fields(), b"PAR1", 4).unwrap().is_none());
}

#[test]
fn cells_of_another_sort_are_refused_by_name() {
    let mut columns = cells(0..3);
    columns[4] = Cells::Texts(vec![None; 3]);
    let error = Assembly::new(fields()).unwrap().push(&columns).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `number` takes double; these cells are text"
    );
}

/// A byte that is wrong, or an end that is missing, is an error or another cell, never a panic, a hang or gigabytes.
#[test]
fn damage_is_told() {
    let whole = file(&[0..20, 20..40]);
    let look = |bytes: &[u8]| -> Result<(), Error> {
        let table = Table::parse(bytes)?;
        for at in 0..table.columns().len() {
            let mut column = table.cells(at);
            // A file that promises rows without end has them nowhere.
            for _ in 0..10 {
                if column.next(64)?.is_none() {
                    break;
                }
            }
        }
        Ok(())
    };
    look(&whole).unwrap();
    let mut told = 0;
    for at in 0..whole.len() {
        assert!(look(&whole[..at]).is_err(), "cut at {at}");
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            told += usize::from(look(&damaged).is_err());
        }
    }
    assert!(whole.len() / 2 < told, "{told} of {}", whole.len() * 3);
    for bytes in [
        &b""[..],
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1\x00\x00\x00\x00PAR1",
        b"PAR1\xff\xff\xff\x7fPAR1",
        b"a,b\n1,2\n",
    ] {
        let error = look(bytes).unwrap_err().to_string();
        assert!(
            error.starts_with("it is no Parquet file, or a damaged one: "),
            "{error}"
        );
    }
}
