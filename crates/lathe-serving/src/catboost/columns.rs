//! What the trees ask about: numbers of the rows, places of categories, numbers that stand for categories. They are
//! computed block by block, column after column.

use std::collections::HashMap;
use std::fmt::Write;

use super::city;
use super::ctr::{Prior, Projection, Statistics, join};
use super::document::Document;
use crate::error::Fault;
use crate::signature::ColumnType;
use crate::trees::BLOCK;
use crate::{PredictError, Table};

/// A question of a tree: whether a column exceeds a value, or is it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) column: u32,
    pub(super) equal: bool,
    pub(super) value: f32,
}

/// How the columns are made of a table's rows.
#[derive(Debug, Default)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// The places in the table of the columns of categories that are needed.
    categories: Vec<usize>,
    projections: Vec<Places>,
    statistics: Vec<Statistics>,
}

#[derive(Debug)]
enum Column {
    Number {
        place: usize,
        missing: Option<f32>,
    },
    /// By the categories' hashes, sorted: their numbers from 1 on.
    OneHot {
        category: usize,
        values: Vec<(i32, f32)>,
    },
    Ctr {
        projection: usize,
        statistics: usize,
        prior: Prior,
    },
}

/// A projection, by the places where a block has its parts.
#[derive(Debug)]
struct Places {
    categories: Vec<usize>,
    floats: Vec<(usize, f32)>,
    equals: Vec<(usize, i32)>,
}

impl Columns {
    /// The columns of a document, and what its splits' numbers mean.
    pub(super) fn of(document: &mut Document) -> Result<(Self, Vec<Split>), Fault> {
        let mut made = Self::default();
        let mut splits = Vec::new();
        let mut numbers = HashMap::new();
        let mut split = |column: usize, equal: bool, value: f32| {
            splits.push(Split {
                column: column as u32,
                equal,
                value,
            });
        };
        for feature in &document.floats {
            if feature.borders.is_empty() {
                continue;
            }
            numbers.insert(feature.index, made.columns.len());
            for border in &feature.borders {
                split(made.columns.len(), false, *border);
            }
            made.columns.push(Column::Number {
                place: place(feature.flat)?,
                missing: feature.missing,
            });
        }
        let flat: HashMap<i32, i32> = document
            .categories
            .iter()
            .map(|feature| (feature.index, feature.flat))
            .collect();
        let mut known = HashMap::new();
        for feature in &document.one_hots {
            let category = made.category(feature.category, &flat, &mut known)?;
            let mut values: Vec<(i32, f32)> = feature
                .values
                .iter()
                .zip(1u32..)
                .map(|(hash, number)| (*hash, number as f32))
                .collect();
            for (_, number) in &values {
                split(made.columns.len(), true, *number);
            }
            values.sort_by_key(|(hash, _)| *hash);
            made.columns.push(Column::OneHot { category, values });
        }
        let mut projections: HashMap<Projection, usize> = HashMap::new();
        for ctr in std::mem::take(&mut document.ctrs) {
            let projection = match projections.get(&ctr.projection) {
                Some(projection) => *projection,
                None => {
                    let places = made.places(&ctr.projection, &numbers, &flat, &mut known)?;
                    made.projections.push(places);
                    projections.insert(ctr.projection, made.projections.len() - 1);
                    made.projections.len() - 1
                }
            };
            if !document.statistics[ctr.statistics].takes(&ctr.prior) {
                return Err("a number of categories counts a target class that is not there".into());
            }
            for border in &ctr.borders {
                split(made.columns.len(), false, *border);
            }
            made.columns.push(Column::Ctr {
                projection,
                statistics: ctr.statistics,
                prior: ctr.prior,
            });
        }
        made.statistics = std::mem::take(&mut document.statistics);
        if splits.iter().any(|split| split.value.is_nan()) {
            return Err("a border is not a number".into());
        }
        Ok((made, splits))
    }

    fn category(
        &mut self,
        index: i32,
        flat: &HashMap<i32, i32>,
        known: &mut HashMap<i32, usize>,
    ) -> Result<usize, Fault> {
        if let Some(category) = known.get(&index) {
            return Ok(*category);
        }
        let flat = flat
            .get(&index)
            .ok_or("it asks about a category that is no column")?;
        self.categories.push(place(*flat)?);
        known.insert(index, self.categories.len() - 1);
        Ok(self.categories.len() - 1)
    }

    fn places(
        &mut self,
        projection: &Projection,
        numbers: &HashMap<i32, usize>,
        flat: &HashMap<i32, i32>,
        known: &mut HashMap<i32, usize>,
    ) -> Result<Places, Fault> {
        let mut places = Places {
            categories: Vec::new(),
            floats: Vec::new(),
            equals: Vec::new(),
        };
        for index in &projection.categories {
            places.categories.push(self.category(*index, flat, known)?);
        }
        for (index, border) in &projection.floats {
            let column = numbers
                .get(index)
                .ok_or("a number of categories asks about a column without borders")?;
            places.floats.push((*column, f32::from_bits(*border)));
        }
        for (index, hash) in &projection.equals {
            places.equals.push((self.category(*index, flat, known)?, *hash));
        }
        Ok(places)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// How much memory they take; the statistics of categories are most of it.
    pub(super) fn memory_bytes(&self) -> u64 {
        let one_hot = |column: &Column| match column {
            Column::OneHot { values, .. } => 8 * values.len(),
            _ => 0,
        };
        let columns =
            self.columns.len() * size_of::<Column>() + self.columns.iter().map(one_hot).sum::<usize>();
        columns as u64 + self.statistics.iter().map(Statistics::memory_bytes).sum::<u64>()
    }

    /// The places of the columns of categories that are needed.
    pub(super) fn categories(&self) -> &[usize] {
        &self.categories
    }

    /// Computes the columns of rows `start..start + count`, [`BLOCK`] at most: each column's rows lie together.
    pub(super) fn fill(
        &self,
        table: &Table,
        start: usize,
        count: usize,
        block: &mut Vec<f32>,
    ) -> Result<(), PredictError> {
        let hashes = self.hashes(table, start, count)?;
        let of = |category: usize, row: usize| hashes[category * count + row];
        let width = table.names().len();
        let rows = &table.numbers()[start * width..(start + count) * width];
        block.clear();
        // The hash of each row for the projection that was asked for last: those of one projection follow each other.
        let mut joined = [0u64; BLOCK];
        let mut last = None;
        for column in &self.columns {
            match column {
                Column::Number { place, missing } => {
                    block.extend((0..count).map(|row| {
                        let number = rows[row * width + place] as f32;
                        match missing {
                            Some(missing) if number.is_nan() => *missing,
                            _ => number,
                        }
                    }));
                }
                Column::OneHot { category, values } => block.extend((0..count).map(|row| {
                    let found = values.binary_search_by_key(&of(*category, row), |(hash, _)| *hash);
                    found.map_or(0.0, |at| values[at].1)
                })),
                Column::Ctr {
                    projection,
                    statistics,
                    prior,
                } => {
                    if last != Some(*projection) {
                        last = Some(*projection);
                        let places = &self.projections[*projection];
                        for (row, joined) in joined.iter_mut().enumerate().take(count) {
                            *joined = 0;
                            for category in &places.categories {
                                // The hash as a signed number, as CatBoost widens it.
                                *joined = join(*joined, i64::from(of(*category, row)) as u64);
                            }
                            for (column, border) in &places.floats {
                                let is = *border < block[column * count + row];
                                *joined = join(*joined, u64::from(is));
                            }
                            for (category, hash) in &places.equals {
                                *joined = join(*joined, u64::from(of(*category, row) == *hash));
                            }
                        }
                    }
                    let statistics = &self.statistics[*statistics];
                    block.extend(joined[..count].iter().map(|hash| statistics.number(*hash, prior)));
                }
            }
        }
        Ok(())
    }

    /// The hashes of the categories, column by column.
    fn hashes(&self, table: &Table, start: usize, count: usize) -> Result<Vec<i32>, PredictError> {
        let mut hashes = Vec::with_capacity(self.categories.len() * count);
        let mut number = String::new();
        for place in &self.categories {
            let words = table.words(*place);
            let kind = table.kinds().get(*place);
            for row in start..start + count {
                let value = table.row(row)[*place];
                let text = match words.map(|words| words[row].as_deref()) {
                    Some(Some(word)) => word,
                    None if value.is_finite()
                        && !matches!(kind, Some(ColumnType::Double | ColumnType::Float)) =>
                    {
                        number.clear();
                        // It is whole, by its type.
                        let _ = write!(number, "{}", value as i64);
                        &number
                    }
                    missing => {
                        return Err(PredictError::WrongValue {
                            column: table.names()[*place].clone(),
                            row,
                            value: match missing {
                                None if !value.is_nan() => value.to_string(),
                                _ => "null".into(),
                            },
                            expected: "category: a word, a whole number or a flag",
                        });
                    }
                };
                hashes.push(city::hash(text.as_bytes()) as u32 as i32);
            }
        }
        Ok(hashes)
    }
}

/// The place of a column in a table; negative ones are damage.
pub(super) fn place(flat: i32) -> Result<usize, Fault> {
    usize::try_from(flat).map_err(|_| "a column's number is negative".into())
}
