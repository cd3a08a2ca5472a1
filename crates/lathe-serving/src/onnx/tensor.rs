use std::sync::Arc;

use serde_json::Value;

/// Values in any number of dimensions, row-major, in the precision of the graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
    /// What the columns are called, once a map was made of each row.
    pub(super) keys: Option<Arc<[Value]>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Double(Vec<f64>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<Arc<str>>),
}

/// Values that one step may make: a hostile graph must not fill the memory.
pub(super) const VALUES_MAX: usize = 1 << 26;

/// The same expression for the values of each type, which stay of their type.
macro_rules! each {
    ($data:expr, $values:ident => $made:expr) => {
        match $data {
            Data::Float($values) => Data::Float($made),
            Data::Double($values) => Data::Double($made),
            Data::Int($values) => Data::Int($made),
            Data::Long($values) => Data::Long($made),
            Data::Bool($values) => Data::Bool($made),
            Data::Text($values) => Data::Text($made),
        }
    };
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Long(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// As ONNX calls the type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Double(_) => "double",
            Self::Int(_) => "int32",
            Self::Long(_) => "int64",
            Self::Bool(_) => "bool",
            Self::Text(_) => "string",
        }
    }

    /// The values at these places, which must be there.
    pub(super) fn pick(&self, places: &[usize]) -> Self {
        each!(self, values => places.iter().map(|place| &values[*place]).cloned().collect())
    }

    /// Adds a part of other values of the same type.
    pub(super) fn extend(&mut self, other: &Self, start: usize, end: usize) -> Result<(), String> {
        match (self, other) {
            (Self::Float(all), Self::Float(part)) => all.extend_from_slice(&part[start..end]),
            (Self::Double(all), Self::Double(part)) => all.extend_from_slice(&part[start..end]),
            (Self::Int(all), Self::Int(part)) => all.extend_from_slice(&part[start..end]),
            (Self::Long(all), Self::Long(part)) => all.extend_from_slice(&part[start..end]),
            (Self::Bool(all), Self::Bool(part)) => all.extend_from_slice(&part[start..end]),
            (Self::Text(all), Self::Text(part)) => all.extend_from_slice(&part[start..end]),
            (all, part) => return Err(format!("{} and {} do not mix", all.kind(), part.kind())),
        }
        Ok(())
    }

    /// No values of the same type.
    pub(super) fn empty(&self, capacity: usize) -> Self {
        match self {
            Self::Float(_) => Self::Float(Vec::with_capacity(capacity)),
            Self::Double(_) => Self::Double(Vec::with_capacity(capacity)),
            Self::Int(_) => Self::Int(Vec::with_capacity(capacity)),
            Self::Long(_) => Self::Long(Vec::with_capacity(capacity)),
            Self::Bool(_) => Self::Bool(Vec::with_capacity(capacity)),
            Self::Text(_) => Self::Text(Vec::with_capacity(capacity)),
        }
    }
}

impl Tensor {
    pub(super) fn new(shape: Vec<usize>, data: Data) -> Result<Self, String> {
        match count(&shape)? == data.len() {
            true => Ok(Self {
                shape,
                data,
                keys: None,
            }),
            false => Err(format!(
                "{} values are no tensor of the shape {shape:?}",
                data.len()
            )),
        }
    }

    pub(super) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Result<Self, String> {
        Self::new(shape, Data::Float(values))
    }

    pub(super) fn longs(shape: Vec<usize>, values: Vec<i64>) -> Result<Self, String> {
        Self::new(shape, Data::Long(values))
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// The same values in another shape.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Result<Self, String> {
        Self::new(shape, self.data.clone())
    }

    /// Numbers as f32; each is borrowed where it is one already.
    pub(super) fn as_floats(&self) -> Result<std::borrow::Cow<'_, [f32]>, String> {
        Ok(match &self.data {
            Data::Float(values) => values.as_slice().into(),
            Data::Double(values) => values.iter().map(|value| *value as f32).collect(),
            Data::Int(values) => values.iter().map(|value| *value as f32).collect(),
            Data::Long(values) => values.iter().map(|value| *value as f32).collect(),
            Data::Bool(values) => values.iter().map(|value| f32::from(u8::from(*value))).collect(),
            Data::Text(_) => return Err("it holds words, and numbers are needed".into()),
        })
    }

    /// Numbers as f64.
    pub(super) fn as_doubles(&self) -> Result<Vec<f64>, String> {
        Ok(match &self.data {
            Data::Float(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Data::Double(values) => values.clone(),
            Data::Int(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Data::Long(values) => values.iter().map(|value| *value as f64).collect(),
            Data::Bool(values) => values.iter().map(|value| f64::from(u8::from(*value))).collect(),
            Data::Text(_) => return Err("it holds words, and numbers are needed".into()),
        })
    }

    /// Whole numbers.
    pub(super) fn as_longs(&self) -> Result<Vec<i64>, String> {
        match &self.data {
            Data::Long(values) => Ok(values.clone()),
            Data::Int(values) => Ok(values.iter().map(|value| i64::from(*value)).collect()),
            other => Err(format!("it holds {}, and whole numbers are needed", other.kind())),
        }
    }

    pub(super) fn bools(&self) -> Result<&[bool], String> {
        match &self.data {
            Data::Bool(values) => Ok(values),
            other => Err(format!("it holds {}, and bool is needed", other.kind())),
        }
    }

    /// Rows and columns: a flat tensor is one row, as onnxruntime sees it in `ai.onnx.ml`.
    pub(super) fn rows(&self) -> Result<(usize, usize), String> {
        match self.shape.as_slice() {
            [width] => Ok((1, *width)),
            [rows, width] => Ok((*rows, *width)),
            other => Err(format!(
                "it has the shape {other:?}, and rows and columns are needed"
            )),
        }
    }
}

/// How many values a shape has, within what may be made.
pub(super) fn count(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .try_fold(1usize, |all, size| all.checked_mul(*size))
        .filter(|count| *count <= VALUES_MAX)
        .ok_or_else(|| format!("a tensor of the shape {shape:?} is too large"))
}

/// An axis of a tensor, counted from the end where it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(from_start)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("there is no axis {axis} among {rank}"))
}

/// How far one step along each axis goes.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// The places, in row-major order of `shape`, of a tensor that takes `strides` along each axis.
pub(super) fn places(shape: &[usize], strides: &[usize], start: usize) -> Result<Vec<usize>, String> {
    let count = count(shape)?;
    let mut places = Vec::with_capacity(count);
    let mut index = vec![0usize; shape.len()];
    let mut place = start;
    for _ in 0..count {
        places.push(place);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            place -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    Ok(places)
}

/// The shape that two shapes make together.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(own) => shape[own],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            _ => Err(format!("the shapes {a:?} and {b:?} do not fit each other")),
        })
        .collect()
}

/// The strides of a tensor that is repeated until it has a greater shape.
pub(super) fn broadcast_strides(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let offset = shape.len() - own.len();
    let steps = strides(own);
    (0..shape.len())
        .map(|axis| match axis.checked_sub(offset) {
            Some(at) if own[at] != 1 => steps[at],
            _ => 0,
        })
        .collect()
}

/// Two tensors' values, pair by pair.
pub(super) fn zip<A: Clone, B: Clone, R>(
    (a, a_shape): (&[A], &[usize]),
    (b, b_shape): (&[B], &[usize]),
    mut join: impl FnMut(A, B) -> R,
) -> Result<(Vec<usize>, Vec<R>), String> {
    let shape = broadcast_shape(a_shape, b_shape)?;
    let total = count(&shape)?;
    let made = if a_shape == b_shape {
        a.iter().zip(b).map(|(a, b)| join(a.clone(), b.clone())).collect()
    } else if let ([b], true) = (b, a.len() == total) {
        a.iter().map(|a| join(a.clone(), b.clone())).collect()
    } else if let ([a], true) = (a, b.len() == total) {
        b.iter().map(|b| join(a.clone(), b.clone())).collect()
    } else if a_shape == shape && !b.is_empty() && shape.ends_with(b_shape) {
        let rows = a.chunks_exact(b.len());
        let mut made = Vec::with_capacity(total);
        for row in rows {
            made.extend(row.iter().zip(b).map(|(a, b)| join(a.clone(), b.clone())));
        }
        made
    } else {
        let left = places(&shape, &broadcast_strides(a_shape, &shape), 0)?;
        let right = places(&shape, &broadcast_strides(b_shape, &shape), 0)?;
        left.iter()
            .zip(&right)
            .map(|(i, j)| join(a[*i].clone(), b[*j].clone()))
            .collect()
    };
    Ok((shape, made))
}
