use crate::answers::Values;
use crate::error::Fault;
use crate::objects::Ref;

/// What a classifier's classes are called.
#[derive(Debug, Clone)]
pub(super) enum Classes {
    Whole(Vec<i64>),
    Numbers(Vec<f64>),
    Flags(Vec<bool>),
    Words(Vec<String>),
}

impl Classes {
    /// The `classes_` of an estimator.
    pub(super) fn of(estimator: Ref<'_>) -> Result<Self, Fault> {
        Self::read(estimator.attr("classes_")?)
    }

    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        let classes = match node.array() {
            Ok(array) if array.shape().len() != 1 => {
                return Err(Fault::Unsupported(
                    "the native engine answers with one output".into(),
                ));
            }
            Ok(array) if array.is_text() => Self::Words(array.texts()?),
            Ok(array) if array.is_boolean() => {
                Self::Flags(array.integers("")?.into_iter().map(|flag| flag != 0).collect())
            }
            Ok(array) if array.is_whole() => Self::Whole(array.integers("")?),
            Ok(array) => Self::Numbers(array.floats("")?),
            Err(_) => {
                let items = node.list()?;
                let whole: Result<Vec<i64>, Fault> = items.iter().map(|item| item.integer()).collect();
                match whole {
                    Ok(whole) => Self::Whole(whole),
                    Err(_) => Self::Words(node.texts().map_err(|_| {
                        Fault::Unsupported("the classes are neither numbers nor words".into())
                    })?),
                }
            }
        };
        match classes.len() {
            0 => Err("the classifier has no classes".into()),
            _ => Ok(classes),
        }
    }

    /// 0, 1, 2, …
    pub(super) fn numbered(count: usize) -> Self {
        Self::Whole((0..count as i64).collect())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(classes) => classes.len(),
            Self::Numbers(classes) => classes.len(),
            Self::Flags(classes) => classes.len(),
            Self::Words(classes) => classes.len(),
        }
    }

    pub(super) fn datatype(&self) -> &'static str {
        match self {
            Self::Whole(_) => "INT64",
            Self::Numbers(_) => "FP64",
            Self::Flags(_) => "BOOL",
            Self::Words(_) => "BYTES",
        }
    }

    /// The classes with these numbers.
    pub(super) fn values(&self, found: &[usize]) -> Values {
        match self {
            Self::Whole(classes) => Values::Long(found.iter().map(|class| classes[*class]).collect()),
            Self::Numbers(classes) => Values::Double(found.iter().map(|class| classes[*class]).collect()),
            Self::Flags(classes) => Values::Boolean(found.iter().map(|class| classes[*class]).collect()),
            Self::Words(classes) => Values::Text(found.iter().map(|class| classes[*class].clone()).collect()),
        }
    }

    /// A class as a number: itself, or its place.
    pub(super) fn number(&self, class: usize) -> f64 {
        match self {
            Self::Whole(classes) => classes[class] as f64,
            Self::Numbers(classes) => classes[class],
            Self::Flags(classes) => f64::from(u8::from(classes[class])),
            Self::Words(_) => class as f64,
        }
    }

    /// The place of the class that another list has at `class`.
    pub(super) fn position(&self, other: &Self, class: usize) -> Option<usize> {
        match (self, other) {
            (Self::Words(mine), Self::Words(theirs)) => mine.iter().position(|word| *word == theirs[class]),
            (Self::Words(_), _) | (_, Self::Words(_)) => None,
            _ => (0..self.len()).find(|mine| self.number(*mine) == other.number(class)),
        }
    }
}
