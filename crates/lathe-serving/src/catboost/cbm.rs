//! The binary form, `save_model` without a format: a FlatBuffer, then the statistics of categories.

use std::collections::HashMap;

use serde_json::Value;

use super::ctr::{Counts, Kind, Prior, Projection, Statistics};
use super::document::{Branch, Category, Ctr, Document, FloatFeature, Info, OneHot, RawTrees};
use super::flat::{Buffer, Table, elements};
use crate::error::Fault;

pub(super) const MAGIC: &[u8] = b"CBM1";
const FORMAT: &str = "FlabuffersModel_v1";
/// The part of a file with the statistics of categories.
const STATISTICS: &str = "static_provider_v1";
/// Where a node that is no leaf has no values.
const NO_LEAF: u32 = u32::MAX;

/// What statistics are found by.
type Base = (Projection, Kind, i32);

pub(super) fn read(bytes: &[u8]) -> Result<Document, Fault> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin with `CBM1`")?;
    let core = Buffer::new(part(&mut rest)?);
    let core = core.root()?;
    let format = core.text(0)?;
    if format != FORMAT {
        return Err(Fault::Unsupported(format!(
            "the model's format is `{format}`; the native engine reads `{FORMAT}`"
        )));
    }
    let trees = core.table(1)?.ok_or("it has no trees")?;
    for (field, what) in [(12, "texts"), (13, "estimated features"), (18, "embeddings")] {
        if 0 < trees.count(field)? {
            return Err(super::unsupported_inputs(what));
        }
    }
    let statistics = match core.texts(3)?.as_slice() {
        [] => HashMap::new(),
        [only] if *only == STATISTICS => read_statistics(&mut rest)?,
        parts => {
            let other = parts.iter().find(|part| **part != STATISTICS);
            return Err(super::unsupported_inputs(&format!(
                "what the part `{}` is for",
                other.unwrap_or(&STATISTICS)
            )));
        }
    };
    let mut info = Info::default();
    for note in core.tables(2)? {
        let value = Value::from(note.text(1)?);
        info.note(note.text(0)?, value)?;
    }
    document(&trees, statistics, info)
}

/// The next part of a file, which begins with its length.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let length = size(rest)?;
    let (part, after) = rest
        .split_at_checked(length)
        .ok_or("a part is longer than the file")?;
    *rest = after;
    Ok(part)
}

fn size(rest: &mut &[u8]) -> Result<usize, Fault> {
    let (short, after) = rest.split_first_chunk().ok_or("it is cut off")?;
    let short = u32::from_le_bytes(*short);
    *rest = after;
    if short != u32::MAX {
        return Ok(short as usize);
    }
    let (long, after) = rest.split_first_chunk().ok_or("it is cut off")?;
    *rest = after;
    usize::try_from(u64::from_le_bytes(*long)).map_err(|_| "a part is longer than the file".into())
}

fn read_statistics(rest: &mut &[u8]) -> Result<HashMap<Base, Statistics>, Fault> {
    let mut all = HashMap::new();
    for _ in 0..size(rest)? {
        let buffer = Buffer::new(part(rest)?);
        let table = buffer.root()?;
        let base = base(&table.table(0)?.ok_or("statistics say not of what they are")?)?;
        let entries = table.bytes(1, 1)?.chunks_exact(12).map(|bucket| {
            let (hash, entry) = bucket.split_at(8);
            let hash = u64::from_le_bytes(hash.try_into().expect("it has 8 bytes"));
            (
                hash,
                u32::from_le_bytes(entry.try_into().expect("it has 4 bytes")),
            )
        });
        let counted = table.bytes(2, 1)?;
        let counts = || elements(counted, i32::from_le_bytes);
        let counts = match base.1 {
            kind if kind.is_mean() => Counts::Means(elements(counted, |bytes: [u8; 8]| {
                let [a, b, c, d, e, f, g, h] = bytes;
                (f32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
            })),
            kind if kind.is_count() => Counts::All {
                counts: counts(),
                of: table.int(3, 0)?,
            },
            _ => Counts::Classes {
                counts: counts(),
                classes: usize::try_from(table.int(4, 0)?).map_err(|_| "a number of classes is negative")?,
            },
        };
        let statistics = Statistics::new(base.1, entries, counts)?;
        all.insert(base, statistics);
    }
    Ok(all)
}

fn base(table: &Table<'_>) -> Result<Base, Fault> {
    let mut projection = Projection::default();
    if let Some(combination) = table.table(0)? {
        projection.categories = combination.ints(0)?;
        let pairs = |number| -> Result<Vec<[i32; 2]>, Fault> {
            let all = elements(combination.bytes(number, 8)?, |bytes: [u8; 8]| {
                let [a, b, c, d, e, f, g, h] = bytes;
                [i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h])]
            });
            Ok(all)
        };
        projection.floats = pairs(1)?
            .iter()
            .map(|[column, border]| (*column, *border as u32))
            .collect();
        projection.equals = pairs(2)?.iter().map(|[column, hash]| (*column, *hash)).collect();
    }
    Ok((projection, Kind::of_number(table.byte(1)?)?, table.int(2, 0)?))
}

fn document(trees: &Table<'_>, statistics: HashMap<Base, Statistics>, info: Info) -> Result<Document, Fault> {
    let dimension = usize::try_from(trees.int(0, 0)?).map_err(|_| "it has a negative dimension")?;
    let mut floats = Vec::new();
    for feature in trees.tables(5)? {
        let has_missing = feature.byte(0)? != 0;
        floats.push(FloatFeature {
            index: feature.int(1, -1)?,
            flat: feature.int(2, -1)?,
            borders: feature.floats(3)?,
            name: feature.text(4)?.to_owned(),
            missing: match feature.byte(5)? {
                _ if !has_missing => None,
                0 => None,
                1 => Some(f32::NEG_INFINITY),
                2 => Some(f32::INFINITY),
                other => return Err(Fault::Damaged(format!("missing numbers are treated as {other}"))),
            },
        });
    }
    let mut categories = Vec::new();
    for feature in trees.tables(4)? {
        categories.push(Category {
            index: feature.int(0, -1)?,
            flat: feature.int(1, -1)?,
            name: feature.text(2)?.to_owned(),
        });
    }
    let mut one_hots = Vec::new();
    for feature in trees.tables(6)? {
        one_hots.push(OneHot {
            category: feature.int(0, -1)?,
            values: feature.ints(1)?,
        });
    }
    let (bases, statistics): (Vec<Base>, Vec<Statistics>) = statistics.into_iter().unzip();
    let places: HashMap<Base, usize> = bases.into_iter().zip(0..).collect();
    let mut ctrs = Vec::new();
    for feature in trees.tables(7)? {
        let ctr = feature
            .table(0)?
            .ok_or("a number of categories says not what it is")?;
        let base = base(
            &ctr.table(0)?
                .ok_or("a number of categories says not what it is")?,
        )?;
        ctrs.push(Ctr {
            statistics: *places
                .get(&base)
                .ok_or("the statistics of a category are missing")?,
            projection: base.0,
            prior: Prior {
                border: ctr.int(1, 0)?,
                numerator: ctr.float(2, 0.0)?,
                denominator: ctr.float(3, 1.0)?,
                shift: ctr.float(4, 0.0)?,
                scale: ctr.float(5, 1.0)?,
            },
            borders: feature.floats(1)?,
        });
    }
    let bias = match trees.doubles(16)? {
        several if !several.is_empty() => several,
        _ => vec![trees.double(15, 0.0)?; 1],
    };
    Ok(Document {
        dimension,
        scale: trees.double(14, 1.0)?,
        bias,
        floats,
        categories,
        one_hots,
        ctrs,
        statistics,
        trees: raw_trees(trees, dimension)?,
        info,
    })
}

fn raw_trees(trees: &Table<'_>, dimension: usize) -> Result<RawTrees, Fault> {
    let place = |number: i32| u32::try_from(number).map_err(|_| Fault::from("a split's number is negative"));
    let splits: Vec<u32> = trees.ints(1)?.into_iter().map(place).collect::<Result<_, _>>()?;
    let sizes: Vec<usize> = trees
        .ints(2)?
        .into_iter()
        .map(|size| Ok(place(size)? as usize))
        .collect::<Result<_, Fault>>()?;
    let leaves = trees.doubles(8)?;
    let steps = elements(trees.bytes(10, 4)?, |[a, b, c, d]: [u8; 4]| {
        (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))
    });
    if steps.is_empty() {
        return Ok(RawTrees::Oblivious {
            splits,
            depths: sizes,
            leaves,
        });
    }
    let leaf_of = elements(trees.bytes(11, 4)?, u32::from_le_bytes);
    if steps.len() != splits.len() || steps.len() != leaf_of.len() {
        return Err("its lists of nodes have different lengths".into());
    }
    let ends = leaf_of.iter().filter(|leaf| **leaf != NO_LEAF).count();
    // Each leaf has values of its own.
    if leaves.len() < ends.saturating_mul(dimension) {
        return Err("it has fewer values than leaves".into());
    }
    let mut all = Vec::with_capacity(sizes.len());
    let mut start = 0usize;
    for size in sizes {
        let end = start
            .checked_add(size)
            .filter(|end| *end <= steps.len())
            .ok_or("a tree has more nodes than there are")?;
        let mut nodes = Vec::with_capacity(size);
        let mut ends = Vec::new();
        for node in 0..size {
            let (no, yes) = steps[start + node];
            // A step of none ends at the node itself, with its own values.
            let mut next = |step: u16| match step {
                0 => {
                    ends.push(leaf_of[start + node] as usize);
                    size + ends.len() - 1
                }
                step => node + usize::from(step),
            };
            nodes.push(match (no, yes) {
                (0, 0) => Branch::Leaf(leaf_of[start + node] as usize),
                (no, yes) => Branch::Split {
                    split: splits[start + node],
                    no: next(no),
                    yes: next(yes),
                },
            });
        }
        nodes.extend(ends.into_iter().map(Branch::Leaf));
        all.push(nodes);
        start = end;
    }
    Ok(RawTrees::Branching { trees: all, leaves })
}
