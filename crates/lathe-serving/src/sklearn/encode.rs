//! Steps that make categories numbers.

use std::collections::HashMap;
use std::sync::Arc;

use super::Transform;
use super::frame::Frame;
use super::matrix::floats;
use crate::PredictError;
use crate::error::Fault;
use crate::objects::{Item, Ref};

/// The categories of a column, by what they are called.
#[derive(Debug)]
struct Known {
    words: HashMap<Arc<str>, usize>,
    /// By their bits.
    numbers: HashMap<u64, usize>,
    missing: Option<usize>,
    count: usize,
    /// Where rare categories are one: the number of each.
    grouped: Option<Vec<usize>>,
    /// The number of the rare ones.
    rare: Option<usize>,
}

fn bits(x: f64) -> u64 {
    // 0 and -0 are one category.
    if x == 0.0 { 0.0f64.to_bits() } else { x.to_bits() }
}

impl Known {
    fn read(categories: Ref<'_>) -> Result<Self, Fault> {
        let mut known = Self {
            words: HashMap::new(),
            numbers: HashMap::new(),
            missing: None,
            count: 0,
            grouped: None,
            rare: None,
        };
        match categories.array() {
            Ok(array) if array.is_text() => {
                for word in array.texts()? {
                    known.words.insert(word.into(), known.count);
                    known.count += 1;
                }
            }
            Ok(_) => {
                for number in categories.floats()? {
                    known.add_number(number);
                }
            }
            Err(_) => {
                for item in categories.list()? {
                    match item.item() {
                        Item::Text(word) => {
                            known.words.insert((**word).into(), known.count);
                            known.count += 1;
                        }
                        Item::None => {
                            known.missing = Some(known.count);
                            known.count += 1;
                        }
                        Item::Bool(flag) => {
                            let word = if *flag { "True" } else { "False" };
                            known.words.insert(word.into(), known.count);
                            known.add_number(f64::from(u8::from(*flag)));
                        }
                        _ => known.add_number(item.float()?),
                    }
                }
            }
        }
        Ok(known)
    }

    fn add_number(&mut self, number: f64) {
        match number.is_nan() {
            true => self.missing = Some(self.count),
            false => drop(self.numbers.insert(bits(number), self.count)),
        }
        self.count += 1;
    }

    /// The number of each category once rare ones are one.
    fn group(&mut self, mapping: Ref<'_>, rare: Option<Ref<'_>>) -> Result<(), Fault> {
        let grouped = mapping.indices()?;
        if grouped.len() != self.count {
            return Err("the rare categories do not fit the categories".into());
        }
        let first = match rare.filter(|rare| !rare.is_none()) {
            Some(rare) => rare.indices()?.first().copied(),
            None => None,
        };
        self.rare = first.and_then(|first| grouped.get(first).copied());
        self.grouped = Some(grouped);
        Ok(())
    }

    fn find(&self, frame: &Frame, row: usize, column: usize) -> Option<usize> {
        let found = match frame.words(column) {
            Some(words) => match &words[row] {
                None => self.missing,
                Some(word) => self.words.get(word).copied(),
            },
            None => match frame.values[row * frame.width + column] {
                x if x.is_nan() => self.missing,
                x => self.numbers.get(&bits(x)).copied(),
            },
        }?;
        match &self.grouped {
            None => Some(found),
            Some(grouped) => grouped.get(found).copied(),
        }
    }

    /// How many numbers there are.
    fn width(&self) -> usize {
        match &self.grouped {
            None => self.count,
            Some(grouped) => grouped.iter().max().map_or(0, |max| max + 1),
        }
    }
}

fn known(node: Ref<'_>) -> Result<Vec<Known>, Fault> {
    let mut all = Vec::new();
    let list = node.attr("categories_")?.list()?;
    for categories in list {
        all.push(Known::read(categories)?);
    }
    let mappings = node.some("_default_to_infrequent_mappings");
    if let Some(mappings) = mappings {
        let rare = node
            .some("_infrequent_indices")
            .map(Ref::list)
            .transpose()?
            .unwrap_or_default();
        for (column, mapping) in mappings.list()?.into_iter().enumerate() {
            if let Some(known) = all.get_mut(column).filter(|_| !mapping.is_none()) {
                known.group(mapping, rare.get(column).copied())?;
            }
        }
    }
    Ok(all)
}

/// What is done with a category that training did not see.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unknown {
    Refuse,
    Ignore,
    AsRare,
    As(f64),
}

/// `OneHotEncoder`.
#[derive(Debug)]
pub(super) struct OneHot {
    known: Vec<Known>,
    /// By column: the number that gets no column of its own.
    dropped: Vec<Option<usize>>,
    unknown: Unknown,
}

impl OneHot {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let known = known(node)?;
        let dropped = match node
            .some("_drop_idx_after_grouping")
            .or_else(|| node.some("drop_idx_"))
        {
            None => vec![None; known.len()],
            Some(list) => match list.list() {
                Ok(items) => items
                    .into_iter()
                    .map(|item| match item.is_none() {
                        true => Ok(None),
                        false => item.usize().map(Some),
                    })
                    .collect::<Result<_, _>>()?,
                Err(_) => list.indices()?.into_iter().map(Some).collect(),
            },
        };
        if dropped.len() != known.len() {
            return Err("the dropped categories do not fit the columns".into());
        }
        let unknown = match node.attr("handle_unknown")?.text()? {
            "ignore" => Unknown::Ignore,
            "infrequent_if_exist" | "warn" => Unknown::AsRare,
            _ => Unknown::Refuse,
        };
        Ok(Self {
            known,
            dropped,
            unknown,
        })
    }
}

impl Transform for OneHot {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.known.len())?;
        let kept = |column: usize| self.known[column].width() - usize::from(self.dropped[column].is_some());
        let width: usize = (0..self.known.len()).map(kept).sum();
        let mut values = vec![0.0; frame.rows * width];
        for row in 0..frame.rows {
            let mut start = row * width;
            for (column, known) in self.known.iter().enumerate() {
                let found = match (known.find(&frame, row, column), self.unknown) {
                    (Some(found), _) => Some(found),
                    (None, Unknown::Refuse) => return Err(frame.unknown(column, row)),
                    (None, Unknown::AsRare) => known.rare,
                    (None, _) => None,
                };
                let place = match (found, self.dropped[column]) {
                    (Some(found), Some(dropped)) if found == dropped => None,
                    (Some(found), Some(dropped)) if dropped < found => Some(found - 1),
                    (found, _) => found,
                };
                if let Some(place) = place {
                    values[start + place] = 1.0;
                }
                start += kept(column);
            }
        }
        Ok(Frame::of_numbers(frame.rows, width, values))
    }

    fn takes_words(&self, column: usize) -> bool {
        self.known
            .get(column)
            .is_some_and(|known| !known.words.is_empty())
    }
}

/// `OrdinalEncoder`.
#[derive(Debug)]
pub(super) struct Ordinal {
    known: Vec<Known>,
    unknown: Unknown,
    missing: f64,
}

impl Ordinal {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let unknown = match node.attr("handle_unknown")?.text()? {
            "use_encoded_value" => Unknown::As(node.attr("unknown_value")?.float()?),
            _ => Unknown::Refuse,
        };
        Ok(Self {
            known: known(node)?,
            unknown,
            missing: node
                .some("encoded_missing_value")
                .map_or(Ok(f64::NAN), Ref::float)?,
        })
    }
}

impl Transform for Ordinal {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.known.len())?;
        let mut values = Vec::with_capacity(frame.rows * frame.width);
        for row in 0..frame.rows {
            for (column, known) in self.known.iter().enumerate() {
                let found = known.find(&frame, row, column);
                values.push(match (found, self.unknown) {
                    (Some(found), _) if known.missing == Some(found) && known.grouped.is_none() => {
                        self.missing
                    }
                    (Some(found), _) => found as f64,
                    (None, Unknown::As(value)) => value,
                    (None, _) => return Err(frame.unknown(column, row)),
                });
            }
        }
        Ok(Frame::of_numbers(frame.rows, frame.width, values))
    }

    fn takes_words(&self, column: usize) -> bool {
        self.known
            .get(column)
            .is_some_and(|known| !known.words.is_empty())
    }
}

/// `TargetEncoder`: a category by what the target was with it.
#[derive(Debug)]
pub(super) struct Target {
    known: Vec<Known>,
    /// One list a column, or one a column and class.
    encodings: Vec<Vec<f64>>,
    means: Vec<f64>,
}

impl Target {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let known = known(node)?;
        let means = node.attr("target_mean_")?.floats()?;
        let classes = match node.attr("target_type_")?.text()? {
            "multiclass" => means.len(),
            _ => 1,
        };
        let lists = node.attr("encodings_")?.list()?;
        if lists.len() != known.len().saturating_mul(classes) || means.len() != classes {
            return Err("`encodings_` does not fit the columns".into());
        }
        let mut encodings = Vec::new();
        for (index, list) in lists.into_iter().enumerate() {
            encodings.push(floats(list, known[index / classes].count, "encodings_")?);
        }
        Ok(Self {
            known,
            encodings,
            means,
        })
    }
}

impl Transform for Target {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.known.len())?;
        let classes = self.means.len();
        let width = self.encodings.len();
        let mut values = Vec::with_capacity(frame.rows * width);
        for row in 0..frame.rows {
            for (index, encoding) in self.encodings.iter().enumerate() {
                let found = self.known[index / classes].find(&frame, row, index / classes);
                values.push(found.map_or(self.means[index % classes], |found| encoding[found]));
            }
        }
        Ok(Frame::of_numbers(frame.rows, width, values))
    }

    fn takes_words(&self, column: usize) -> bool {
        self.known
            .get(column)
            .is_some_and(|known| !known.words.is_empty())
    }
}
