//! Differences of real files on a real disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::{Cursor, Write};

use lathe_diff::{FileDifference, Likeness, Rules, Tolerance, compare, compare_bytes};
use lathe_parquet::{Assembly, Cells, Field, Kind};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn differ(name: &str, expected: &[u8], found: &[u8], rules: &Rules) -> FileDifference {
    compare_bytes(expected, found, name, rules).unwrap()
}

/// Every place as `place: expected -> found`, tolerated ones in brackets.
fn told(difference: &FileDifference) -> Vec<String> {
    let line = |d: &lathe_diff::Difference| {
        let text = format!("{}: {} -> {}", d.place, d.expected, d.found);
        if d.tolerated { format!("({text})") } else { text }
    };
    difference.differences.iter().map(line).collect()
}

fn within(key: &str, tolerance: Tolerance) -> Rules {
    Rules {
        tolerances: [(key.to_owned(), tolerance)].into(),
    }
}

#[test]
fn metrics_within_their_tolerance_are_equivalent_and_beyond_it_different() {
    let (old, new) = (
        br#"{"rmse": 70.0, "by": {"mae": 5}}"#,
        br#"{"rmse": 70.5, "by": {"mae": 5}}"#,
    );
    let strict = differ("metrics.json", old, new, &Rules::default());
    assert_eq!(
        (strict.likeness, strict.format.as_str()),
        (Likeness::Different, "json")
    );
    assert_eq!(told(&strict), ["rmse: 70.0 -> 70.5"]);
    let loose = differ(
        "metrics.json",
        old,
        new,
        &within("rmse", Tolerance::Relative(0.01)),
    );
    assert_eq!(loose.likeness, Likeness::Equivalent);
    assert_eq!(told(&loose), ["(rmse: 70.0 -> 70.5)"]);
}

#[test]
fn json_names_keys_that_come_and_go_and_lists_of_other_length() {
    let found = differ(
        "a.json",
        br#"{"gone": 1, "list": [1, 2], "same": null}"#,
        br#"{"list": [1], "new": true, "same": null}"#,
        &Rules::default(),
    );
    assert_eq!(
        told(&found),
        [
            "gone: 1 -> absent",
            "list: 2 items -> 1 items",
            "new: absent -> true"
        ]
    );
    let layout = differ("a.json", b"[1]", b"[ 1 ]", &Rules::default());
    assert_eq!(layout.likeness, Likeness::Equivalent);
}

#[test]
fn csv_tells_columns_how_many_cells_how_far_apart_and_where_first() {
    let found = differ(
        "t.csv",
        b"x,y\n1,a\n2,b\n3,c\n",
        b"x,y\n1,a\n2.5,b\n3.25,d\n",
        &Rules::default(),
    );
    assert_eq!(
        told(&found),
        [
            "column `x`: 2 cells differ by at most 5.000000e-1; first in row 2: 2 -> 2.5",
            "column `y`: 1 cells differ; first in row 3: c -> d",
        ]
    );
    let rows = differ("t.csv", b"x\n1\n", b"x\n1\n2\n", &Rules::default());
    assert_eq!(told(&rows), ["rows: 1 -> 2"]);
    let header = differ("t.csv", b"x,y\n1,2\n", b"x,z\n1,2\n", &Rules::default());
    assert_eq!(told(&header), ["columns: x, y -> x, z"]);
}

fn zip_of(members: &[(&str, &[u8])], minute: u8) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let at = zip::DateTime::from_date_and_time(2024, 1, 1, 0, minute, 0).unwrap();
    for (name, content) in members {
        writer
            .start_file(*name, SimpleFileOptions::default().last_modified_time(at))
            .unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn npy_of(numbers: &[f64]) -> Vec<u8> {
    let header = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({},), }}\n",
        numbers.len()
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

#[test]
fn archives_are_compared_by_members_whenever_they_were_written() {
    let (a, b) = (npy_of(&[1.0, 2.0, 3.0]), npy_of(&[1.0, 2.5, 3.0]));
    let later = differ(
        "m.npz",
        &zip_of(&[("w.npy", &a)], 1),
        &zip_of(&[("w.npy", &a)], 9),
        &Rules::default(),
    );
    assert_eq!(later.likeness, Likeness::Equivalent);
    let found = differ(
        "m.npz",
        &zip_of(&[("w.npy", &a)], 1),
        &zip_of(&[("w.npy", &b)], 1),
        &Rules::default(),
    );
    assert_eq!(found.likeness, Likeness::Different);
    assert_eq!(
        told(&found),
        ["member `w.npy`: array: 1 of 3 elements differ by at most 5.000000e-1; first at 1: 2 -> 2.5"]
    );
}

#[test]
fn a_skops_file_written_by_another_process_is_equivalent_until_an_array_differs() {
    let schema = |object: u64, array: u64| {
        format!(
            r#"{{"__class__": "M", "__id__": {object}, "_mlflow_run_id": {{"content": "{object}"}}, "content": {{"w": {{"file": "{array}.npy", "__id__": {array}}}}}}}"#
        )
    };
    let file = |object: u64, array: u64, numbers: &[f64]| {
        let (name, schema) = (format!("{array}.npy"), schema(object, array));
        let members: [(&str, &[u8]); 2] = [(&name, &npy_of(numbers)), ("schema.json", schema.as_bytes())];
        zip_of(&members, (object % 60) as u8)
    };
    let same = differ(
        "m.skops",
        &file(901, 77, &[1.0]),
        &file(35, 12, &[1.0]),
        &Rules::default(),
    );
    assert_eq!(same.likeness, Likeness::Equivalent, "{same:?}");
    let other = differ(
        "m.skops",
        &file(901, 77, &[1.0]),
        &file(35, 12, &[1.5]),
        &Rules::default(),
    );
    assert_eq!(other.likeness, Likeness::Different);
    assert!(told(&other)[0].contains("1 -> 1.5"), "{other:?}");
}

#[test]
fn an_mlmodel_differs_by_its_content_not_by_who_wrote_it() {
    let text = |id: &str, loader: &str| {
        format!("flavors:\n  python_function:\n    loader: {loader}\nmodel_uuid: {id}\n")
    };
    let same = differ(
        "model/MLmodel",
        text("a", "x").as_bytes(),
        text("b", "x").as_bytes(),
        &Rules::default(),
    );
    assert_eq!(same.likeness, Likeness::Equivalent);
    assert_eq!(told(&same), ["(model_uuid: a -> b)"]);
    let other = differ(
        "model/MLmodel",
        text("a", "x").as_bytes(),
        text("a", "y").as_bytes(),
        &Rules::default(),
    );
    assert_eq!(other.likeness, Likeness::Different);
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut written = vec![number << 3 | 2, bytes.len() as u8];
    written.extend(bytes);
    written
}

fn onnx_of(weights: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let tensor = [
        vec![1 << 3, weights.len() as u8, 2 << 3, 1],
        field(8, b"w"),
        field(9, &raw),
    ];
    field(7, &field(5, &tensor.concat()))
}

#[test]
fn onnx_models_name_the_initialiser_that_differs() {
    let found = differ(
        "m.onnx",
        &onnx_of(&[1.0, 2.0]),
        &onnx_of(&[1.0, 2.5]),
        &Rules::default(),
    );
    assert_eq!(
        told(&found),
        ["initialiser `w`: 1 of 2 elements differ by at most 5.000000e-1; first at 1: 2 -> 2.5"]
    );
    let shape = differ(
        "m.onnx",
        &onnx_of(&[1.0]),
        &onnx_of(&[1.0, 2.0]),
        &Rules::default(),
    );
    assert_eq!(
        told(&shape),
        ["initialiser `w`: type 1 of shape [1] -> type 1 of shape [2]"]
    );
}

#[test]
fn what_no_format_explains_is_told_by_its_first_byte_or_line() {
    let found = differ("x.bin", &[0, 159, 1], &[0, 159, 2, 3], &Rules::default());
    assert_eq!(told(&found), ["byte 2: 3 bytes -> 4 bytes"]);
    let found = differ("x.txt", b"a\nb\n", b"a\nc\n", &Rules::default());
    assert_eq!(told(&found), ["line 2: b -> c"]);
    // Names promise formats that bytes do not keep.
    for name in ["a.json", "a.npy", "a.skops", "a.zip", "a.onnx", "a.csv"] {
        let found = differ(name, &[0xff, 0, 1], &[0xff, 0, 2], &Rules::default());
        assert_eq!(found.likeness, Likeness::Different, "{name}");
    }
}

#[test]
fn folders_are_walked_and_only_files_that_differ_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    for (side, content) in [("a", "1"), ("b", "2")] {
        let root = folder.path().join(side);
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("same"), "x").unwrap();
        fs::write(root.join("sub/v.json"), content).unwrap();
        fs::write(root.join(format!("only-{side}")), "").unwrap();
    }
    let found = compare(
        &folder.path().join("a"),
        &folder.path().join("b"),
        &Rules::default(),
    )
    .unwrap();
    let listed: Vec<_> = found
        .iter()
        .map(|file| (file.path.as_str(), file.format.as_str()))
        .collect();
    assert_eq!(
        listed,
        [
            ("only-a", "presence"),
            ("only-b", "presence"),
            ("sub/v.json", "json")
        ]
    );
    assert!(
        compare(
            &folder.path().join("a"),
            &folder.path().join("a"),
            &Rules::default()
        )
        .unwrap()
        .is_empty()
    );
}

#[test]
fn long_lists_of_differences_are_counted_not_kept() {
    let lines = |offset: usize| {
        (0..1_000)
            .map(|n| format!("{}\n", n + offset))
            .collect::<String>()
    };
    let found = differ(
        "x.txt",
        lines(0).as_bytes(),
        lines(1).as_bytes(),
        &Rules::default(),
    );
    assert_eq!(found.differences.len() + found.more, 1_000);
    assert_eq!(found.differences.len(), 20);
}

fn table_of(fields: &[(&str, Kind, Cells)], groups: usize) -> Vec<u8> {
    let named = fields.iter().map(|(name, kind, _)| Field {
        name: (*name).into(),
        kind: kind.clone(),
    });
    let mut assembly = Assembly::new(named.collect()).unwrap();
    let cells: Vec<Cells> = fields.iter().map(|(_, _, cells)| cells.clone()).collect();
    let mut bytes = Vec::new();
    for _ in 0..groups {
        bytes.extend(assembly.push(&cells).unwrap());
    }
    bytes.extend(assembly.footer().unwrap());
    bytes
}

fn numbers(cells: &[f64]) -> Cells {
    Cells::Doubles(cells.iter().copied().map(Some).collect())
}

fn words(cells: &[&str]) -> Cells {
    Cells::Texts(cells.iter().map(|word| Some((*word).into())).collect())
}

#[test]
fn parquet_tells_columns_how_many_cells_how_far_apart_and_where_first() {
    let old = table_of(
        &[
            ("x", Kind::Double, numbers(&[1.0, 2.0, f64::NAN])),
            ("y", Kind::Text, words(&["a", "b", "c"])),
            (
                "gone",
                Kind::Boolean,
                Cells::Booleans(vec![Some(true), None, None]),
            ),
        ],
        2,
    );
    let whole = Kind::Integer {
        bits: 64,
        signed: true,
    };
    let new = table_of(
        &[
            (
                "y",
                Kind::Text,
                Cells::Texts(vec![Some("a".into()), None, Some("d".into())]),
            ),
            ("x", Kind::Double, numbers(&[1.0, 2.5, f64::NAN])),
            ("new", whole, Cells::Longs(vec![Some(1), Some(2), Some(3)])),
        ],
        3,
    );
    let found = differ("t.parquet", &old, &new, &Rules::default());
    assert_eq!(
        (found.likeness, found.format.as_str()),
        (Likeness::Different, "parquet")
    );
    assert_eq!(
        told(&found),
        [
            "rows: 6 -> 9",
            "column `gone`: boolean -> absent",
            "column `new`: absent -> int64",
            "order of columns: x, y -> y, x",
            "column `x`: 2 cells differ by at most 5.000000e-1; first in row 2: 2 -> 2.5",
            "column `y`: 4 cells differ; first in row 2: b -> missing",
        ]
    );
}

#[test]
fn parquet_of_other_types_or_layout_is_compared_by_what_it_says() {
    let whole = Kind::Integer {
        bits: 64,
        signed: true,
    };
    let longs = Cells::Longs((0..20_000).map(Some).collect());
    let doubles = numbers(&(0..20_000).map(f64::from).collect::<Vec<_>>());
    let (old, new) = (
        table_of(&[("x", whole.clone(), longs.clone())], 1),
        table_of(&[("x", Kind::Double, doubles)], 1),
    );
    let typed = differ("t.parquet", &old, &new, &Rules::default());
    assert_eq!(told(&typed), ["column `x`: type: int64 -> double"]);
    let more = table_of(
        &[("x", whole.clone(), Cells::Longs((0..10_000).map(Some).collect()))],
        1,
    );
    assert_eq!(
        told(&differ("t.pq", &old, &more, &Rules::default())),
        ["rows: 20000 -> 10000"]
    );
    let near = table_of(&[("x", Kind::Double, numbers(&[1.0, 2.0]))], 1);
    let nearer = table_of(&[("x", Kind::Double, numbers(&[1.0, 2.001]))], 1);
    let loose = differ(
        "t.parquet",
        &near,
        &nearer,
        &within("x", Tolerance::Absolute(0.01)),
    );
    assert_eq!(loose.likeness, Likeness::Equivalent);
    // The same rows in other row groups, whose edges meet nowhere.
    let split = {
        let mut assembly = Assembly::new(vec![Field {
            name: "x".into(),
            kind: whole,
        }])
        .unwrap();
        let mut bytes = Vec::new();
        for rows in [0..7, 7..9_000, 9_000..20_000] {
            bytes.extend(assembly.push(&[Cells::Longs(rows.map(Some).collect())]).unwrap());
        }
        bytes.extend(assembly.footer().unwrap());
        bytes
    };
    let layout = differ("t.parquet", &old, &split, &Rules::default());
    assert_eq!(told(&layout), ["(layout: the same cells -> written differently)"]);
}

#[test]
fn a_damaged_parquet_file_is_a_difference_that_says_so() {
    let whole = table_of(&[("x", Kind::Double, numbers(&[1.0, 2.0]))], 1);
    let cut = differ("t.parquet", &whole, &whole[..whole.len() - 9], &Rules::default());
    assert_eq!(cut.differences[0].expected, "a table of 2 rows");
    assert!(
        cut.differences[0]
            .found
            .starts_with("it is no Parquet file, or a damaged one: "),
        "{cut:?}"
    );
    // The first page's header follows the first four bytes.
    let mut page = whole.clone();
    page[4..20].fill(0xff);
    let page = differ("t.parquet", &whole, &page, &Rules::default());
    assert_eq!(
        (
            page.differences[0].place.as_str(),
            page.differences[0].expected.as_str()
        ),
        ("column `x`", "readable")
    );
    assert!(
        page.differences[0]
            .found
            .starts_with("column `x` cannot be read: "),
        "{page:?}"
    );
    let none = differ("t.parquet", b"a\n", b"b\n", &Rules::default());
    assert_eq!(none.format, "text");
}

#[test]
fn parquet_on_the_disk_is_compared_however_it_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
    fs::write(&a, table_of(&[("x", Kind::Double, numbers(&[1.0, 2.0]))], 1)).unwrap();
    fs::write(&b, table_of(&[("x", Kind::Double, numbers(&[1.0, 3.0]))], 1)).unwrap();
    let found = compare(&a, &b, &Rules::default()).unwrap();
    assert_eq!(
        told(&found[0]),
        ["column `x`: 1 cells differ by at most 1.000000e0; first in row 2: 2 -> 3"]
    );
}
