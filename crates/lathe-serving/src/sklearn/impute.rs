//! Steps that fill in what is missing, or mark it.

use std::sync::Arc;

use super::Transform;
use super::frame::Frame;
use crate::PredictError;
use crate::error::Fault;
use crate::objects::{Item, Ref};

/// What counts as missing.
#[derive(Debug, Clone)]
enum Missing {
    Nan,
    Number(f64),
    Word(Arc<str>),
}

impl Missing {
    fn read(node: Ref<'_>) -> Result<Self, Fault> {
        Ok(match node.item() {
            Item::None => Self::Nan,
            Item::Text(text) => Self::Word((**text).into()),
            _ => match node.float()? {
                number if number.is_nan() => Self::Nan,
                number => Self::Number(number),
            },
        })
    }

    fn is_number(&self, x: f64) -> bool {
        match self {
            Self::Nan => x.is_nan(),
            Self::Number(number) => x == *number,
            Self::Word(_) => false,
        }
    }

    fn is_word(&self, word: Option<&Arc<str>>) -> bool {
        match self {
            Self::Nan => word.is_none(),
            Self::Word(missing) => word == Some(missing),
            Self::Number(_) => false,
        }
    }

    /// Whether missing values other than these are borne.
    fn bears_nan(&self) -> bool {
        matches!(self, Self::Nan)
    }
}

/// What takes the place of a missing value.
#[derive(Debug, Clone)]
enum Fill {
    Number(f64),
    Word(Arc<str>),
    /// Nothing was known: the column is left out.
    Drop,
}

/// `SimpleImputer`.
#[derive(Debug)]
pub(super) struct Imputer {
    missing: Missing,
    fills: Vec<Fill>,
    indicator: Option<Indicator>,
}

impl Imputer {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let statistics = node.attr("statistics_")?;
        let keep = node
            .some("keep_empty_features")
            .is_some_and(|flag| flag.boolean().unwrap_or(false));
        let number = |number: f64| match number.is_nan() && !keep {
            true => Fill::Drop,
            false => Fill::Number(number),
        };
        let fills = match statistics.array() {
            Ok(array) if array.is_text() => array
                .texts()?
                .into_iter()
                .map(|word| Fill::Word(word.into()))
                .collect(),
            Ok(_) => statistics.floats()?.into_iter().map(number).collect(),
            Err(_) => {
                let mut fills = Vec::new();
                for item in statistics.list()? {
                    fills.push(match item.item() {
                        Item::Text(text) => Fill::Word((**text).into()),
                        Item::None => Fill::Drop,
                        _ => number(item.float()?),
                    });
                }
                fills
            }
        };
        let indicator = match node.some("indicator_") {
            None => None,
            Some(indicator) => Some(Indicator::read(indicator)?),
        };
        Ok(Self {
            missing: Missing::read(node.attr("missing_values")?)?,
            fills,
            indicator,
        })
    }
}

impl Transform for Imputer {
    fn apply(&self, mut frame: Frame) -> Result<Frame, PredictError> {
        frame.expect(self.fills.len())?;
        let marks = self
            .indicator
            .as_ref()
            .map(|indicator| indicator.marks(&frame))
            .transpose()?;
        let width = frame.width;
        if frame.words.is_empty() {
            frame.numbers(self.missing.bears_nan())?;
        }
        for (column, fill) in self.fills.iter().enumerate() {
            if let Some(Some(words)) = frame.words.get_mut(column) {
                let fill = match fill {
                    Fill::Word(word) => word.clone(),
                    Fill::Number(number) => number.to_string().into(),
                    Fill::Drop => continue,
                };
                for word in words
                    .iter_mut()
                    .filter(|word| self.missing.is_word(word.as_ref()))
                {
                    *word = Some(fill.clone());
                }
                continue;
            }
            let Fill::Number(fill) = fill else { continue };
            for row in 0..frame.rows {
                let x = &mut frame.values[row * width + column];
                if self.missing.is_number(*x) {
                    *x = *fill;
                }
            }
        }
        let kept: Vec<usize> = (0..width)
            .filter(|column| !matches!(self.fills[*column], Fill::Drop))
            .collect();
        if kept.len() < width {
            frame = frame.select(&kept);
        }
        match marks {
            None => Ok(frame),
            Some(marks) => Ok(Frame::beside(frame.rows, vec![frame, marks])),
        }
    }

    fn takes_words(&self, column: usize) -> bool {
        matches!(self.fills.get(column), Some(Fill::Word(_)))
    }
}

/// `MissingIndicator`: 1 where a value is missing.
#[derive(Debug)]
pub(super) struct Indicator {
    missing: Missing,
    columns: Vec<usize>,
}

impl Indicator {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        Ok(Self {
            missing: Missing::read(node.attr("missing_values")?)?,
            columns: node.attr("features_")?.indices()?,
        })
    }

    fn marks(&self, frame: &Frame) -> Result<Frame, PredictError> {
        if let Some(column) = self.columns.iter().find(|column| frame.width <= **column) {
            frame.expect(column + 1)?;
        }
        let mut values = Vec::with_capacity(frame.rows * self.columns.len());
        for row in 0..frame.rows {
            for column in &self.columns {
                let missing = match frame.words(*column) {
                    Some(words) => self.missing.is_word(words[row].as_ref()),
                    None => self.missing.is_number(frame.values[row * frame.width + column]),
                };
                values.push(f64::from(u8::from(missing)));
            }
        }
        Ok(Frame::of_numbers(frame.rows, self.columns.len(), values))
    }
}

impl Transform for Indicator {
    fn apply(&self, frame: Frame) -> Result<Frame, PredictError> {
        self.marks(&frame)
    }
}
