use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use lathe_parquet::Table;

use crate::{
    Error, FileDifference, Places, Result, Rules, archive, csv_columns, json, mlmodel, npy, onnx,
    parquet_columns, skops, text,
};

/// Larger files are not looked into: only where their bytes first differ is told.
const LOOK_INTO_BYTES_MAX: u64 = 256 << 20;
const CHUNK_BYTES: usize = 1 << 16;

/// Compares two files or two folders; one entry for each file that is not equal bit by bit.
pub fn compare(expected: &Path, found: &Path, rules: &Rules) -> Result<Vec<FileDifference>> {
    let mut differences = Vec::new();
    let mut open = vec![String::new()];
    while let Some(relative) = open.pop() {
        let (left, right) = (at(expected, &relative), at(found, &relative));
        match (kind(&left)?, kind(&right)?) {
            (Kind::Folder, Kind::Folder) => {
                let names: BTreeSet<String> = names(&left)?.into_iter().chain(names(&right)?).collect();
                open.extend(names.into_iter().rev().map(|name| match relative.as_str() {
                    "" => name,
                    folder => format!("{folder}/{name}"),
                }));
            }
            (Kind::File, Kind::File) => differences.extend(file(&left, &right, &relative, rules)?),
            (left, right) => {
                let mut places = Places::default();
                places.matters("", left.name(), right.name());
                differences.push(places.into_file(&relative, "presence"));
            }
        }
    }
    Ok(differences)
}

/// Compares the contents of two files named `name`; nothing if they are equal bit by bit.
pub fn compare_bytes(expected: &[u8], found: &[u8], name: &str, rules: &Rules) -> Option<FileDifference> {
    if expected == found {
        return None;
    }
    let (format, places) = look_into(expected, found, name, rules).unwrap_or_else(|| {
        let mut places = Places::default();
        let same = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
        first_byte(
            &mut places,
            same as u64,
            expected.len() as u64,
            found.len() as u64,
        );
        ("bytes", places)
    });
    Some(places.into_file(name, format))
}

/// What the file's format tells; nothing if neither side can be read as what its name says.
fn look_into(expected: &[u8], found: &[u8], name: &str, rules: &Rules) -> Option<(&'static str, Places)> {
    let base = name.rsplit('/').next().unwrap_or(name);
    match extension(base).as_str() {
        _ if base == "MLmodel" => mlmodel::compare(expected, found).map(|places| ("MLmodel", places)),
        "json" => json::compare(expected, found, rules).map(|places| ("json", places)),
        "csv" => csv_columns::compare(expected, found, b',', rules).map(|places| ("csv", places)),
        "tsv" => csv_columns::compare(expected, found, b'\t', rules).map(|places| ("csv", places)),
        "npy" => npy::compare(expected, found, rules).map(|places| ("npy", places)),
        "skops" => skops::compare(expected, found, rules).map(|places| ("skops", places)),
        "npz" | "zip" | "pt" | "pth" | "keras" | "whl" | "jar" => {
            archive::compare(expected, found, rules).map(|places| ("zip", places))
        }
        "parquet" | "pq" => parquet_columns::compare(Table::parse(expected), Table::parse(found), rules)
            .map(|places| ("parquet", places)),
        "onnx" => onnx::compare(expected, found, rules).map(|places| ("onnx", places)),
        _ => None,
    }
    .or_else(|| text::compare(expected, found).map(|places| ("text", places)))
}

fn extension(base: &str) -> String {
    let extension = base.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.to_ascii_lowercase()
}

fn file(expected: &Path, found: &Path, relative: &str, rules: &Rules) -> Result<Option<FileDifference>> {
    let Some(same) = same_bytes(expected, found)? else {
        return Ok(None);
    };
    let size = |path: &Path| {
        fs::metadata(path)
            .map(|meta| meta.len())
            .map_err(Error::read(path))
    };
    let (left, right) = (size(expected)?, size(found)?);
    let name = match relative {
        "" => expected
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
        _ => Some(relative.to_owned()),
    }
    .unwrap_or_default();
    // Tables are read a column at a time, however large they are.
    let is_table = matches!(extension(&name).as_str(), "parquet" | "pq");
    let tables = is_table
        .then(|| parquet_columns::compare(Table::open(expected), Table::open(found), rules))
        .flatten();
    let difference = if let Some(places) = tables {
        Some(places.into_file(relative, "parquet"))
    } else if LOOK_INTO_BYTES_MAX < left.max(right) {
        let mut places = Places::default();
        first_byte(&mut places, same, left, right);
        Some(places.into_file(relative, "bytes"))
    } else {
        let read = |path: &Path| fs::read(path).map_err(Error::read(path));
        compare_bytes(&read(expected)?, &read(found)?, &name, rules)
    };
    Ok(difference.map(|difference| FileDifference {
        path: relative.to_owned(),
        ..difference
    }))
}

/// How many bytes are equal before the first that is not; nothing if all are.
fn same_bytes(expected: &Path, found: &Path) -> Result<Option<u64>> {
    let open = |path: &Path| fs::File::open(path).map_err(Error::read(path));
    let (mut left, mut right) = (open(expected)?, open(found)?);
    let (mut a, mut b) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut same = 0u64;
    loop {
        let here = fill(&mut left, &mut a).map_err(Error::read(expected))?;
        let there = fill(&mut right, &mut b).map_err(Error::read(found))?;
        let equal = a[..here]
            .iter()
            .zip(&b[..there])
            .take_while(|(a, b)| a == b)
            .count();
        same += equal as u64;
        if equal < here.max(there) {
            return Ok(Some(same));
        }
        if here == 0 {
            return Ok(None);
        }
    }
}

fn fill(file: &mut fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn first_byte(places: &mut Places, same: u64, expected: u64, found: u64) {
    places.matters(
        format!("byte {same}"),
        format!("{expected} bytes"),
        format!("{found} bytes"),
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Absent,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Absent => "absent",
        }
    }
}

fn kind(path: &Path) -> Result<Kind> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(Kind::Folder),
        Ok(_) => Ok(Kind::File),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kind::Absent),
        Err(error) => Err(Error::read(path)(error)),
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let listed = fs::read_dir(folder).map_err(Error::read(folder))?;
    listed
        .map(|entry| {
            entry
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .map_err(Error::read(folder))
        })
        .collect()
}

fn at(root: &Path, relative: &str) -> std::path::PathBuf {
    match relative {
        "" => root.to_owned(),
        _ => root.join(relative),
    }
}
