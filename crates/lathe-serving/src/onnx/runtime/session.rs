//! One graph in ONNX Runtime. The only file that knows the `ort` crate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::value::{
    DynValue, DynValueTypeMarker, PrimitiveTensorElementType, Shape, Tensor as OrtTensor, TensorElementType,
    ValueType,
};
use serde_json::Value;

use super::super::message::Slot;
use super::super::tensor::{Data, Tensor};
use super::Interface;

/// A graph that is ready.
#[derive(Debug)]
pub(super) struct Session {
    session: ort::session::Session,
    kinds: Vec<TensorElementType>,
}

/// Why a graph did not answer.
#[derive(Debug, PartialEq)]
pub(super) enum Unanswered {
    /// The values do not fit it.
    Refused(String),
    /// It cannot answer them.
    Raised(String),
}

/// What the process has loaded: there is one library and one environment to a process.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the shared library, once.
fn environment(library: &Path) -> Result<Environment, String> {
    // Nothing panics while the lock is held that would leave it half done.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = &*loaded {
        return match path == library {
            true => Ok(environment.clone()),
            false => Err(format!(
                "this process has ONNX Runtime from `{}` already, and cannot load `{}` as well",
                path.display(),
                library.display()
            )),
        };
    }
    let environment = ort::init_from(library)
        .map_err(|error| format!("`{}` is no ONNX Runtime that fits: {error}", library.display()))?
        .with_name("lathe")
        .with_telemetry(false)
        .build()
        .map_err(told)?;
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}

/// How the library says it was built.
pub(super) fn build_of(library: &Path) -> Result<&'static str, String> {
    environment(library)?;
    Ok(ort::info())
}

fn told<R>(error: ort::Error<R>) -> String {
    error.message().to_owned()
}

impl Session {
    pub(super) fn open(library: &Path, model: &Path, threads: usize) -> Result<Self, String> {
        let environment = environment(library)?;
        let session = ort::session::Session::builder(&environment)
            .map_err(told)?
            .with_log_level(LogLevel::Error)
            .map_err(told)?
            .with_intra_threads(threads)
            .map_err(told)?
            .with_inter_threads(1)
            .map_err(told)?
            // Threads that wait by turning in circles take the time of other models.
            .with_intra_op_spinning(false)
            .map_err(told)?
            .commit_from_file(model)
            .map_err(told)?;
        let kind = |outlet: &ort::value::Outlet| outlet.dtype().tensor_type();
        let kinds = session
            .inputs()
            .iter()
            .map(|input| kind(input).unwrap_or(TensorElementType::Undefined))
            .collect();
        Ok(Self { session, kinds })
    }

    pub(super) fn interface(&self) -> Interface {
        let slot = |outlet: &ort::value::Outlet| match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => Slot {
                name: outlet.name().to_owned(),
                kind: number_of(*ty),
                shape: shape
                    .iter()
                    .map(|size| usize::try_from(*size).ok().filter(|size| 0 < *size))
                    .collect(),
            },
            _ => Slot {
                name: outlet.name().to_owned(),
                ..Slot::default()
            },
        };
        Interface {
            inputs: self.session.inputs().iter().map(slot).collect(),
            outputs: self.session.outputs().iter().map(slot).collect(),
        }
    }

    /// Answers the inputs, in the graph's order, by the outputs in the graph's order.
    pub(super) fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Unanswered> {
        let refused = Unanswered::Refused;
        if inputs.len() != self.kinds.len() {
            let (given, wanted) = (inputs.len(), self.kinds.len());
            return Err(refused(format!(
                "{given} inputs were given, the graph takes {wanted}"
            )));
        }
        let mut named = Vec::with_capacity(inputs.len());
        for ((tensor, kind), outlet) in inputs.into_iter().zip(&self.kinds).zip(self.session.inputs()) {
            let value = given(tensor, *kind)
                .map_err(|what| refused(format!("the input `{}`: {what}", outlet.name())))?;
            named.push((outlet.name().to_owned(), value));
        }
        let outputs = self.session.run(named).map_err(|error| match error.code() {
            ort::ErrorCode::InvalidArgument => Unanswered::Refused(told(error)),
            _ => Unanswered::Raised(told(error)),
        })?;
        outputs
            .iter()
            .map(|(name, value)| {
                made(&value).map_err(|what| Unanswered::Raised(format!("the output `{name}`: {what}")))
            })
            .collect()
    }
}

/// A tensor as the graph takes it. Whole numbers were checked to fit before.
fn given(tensor: Tensor, kind: TensorElementType) -> Result<DynValue, String> {
    use TensorElementType as Kind;
    fn value<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
        shape: Vec<usize>,
        values: impl Iterator<Item = T>,
    ) -> Result<DynValue, String> {
        let values: Vec<T> = values.collect();
        Ok(OrtTensor::from_array((shape, values)).map_err(told)?.into_dyn())
    }
    let Tensor { shape, data, .. } = tensor;
    match (kind, data) {
        (Kind::Float32, Data::Float(values)) => value(shape, values.into_iter()),
        (Kind::Float16, Data::Float(values)) => value(shape, values.into_iter().map(half::f16::from_f32)),
        (Kind::Bfloat16, Data::Float(values)) => value(shape, values.into_iter().map(half::bf16::from_f32)),
        (Kind::Float64, Data::Double(values)) => value(shape, values.into_iter()),
        (Kind::Int8, Data::Int(values)) => value(shape, values.into_iter().map(|value| value as i8)),
        (Kind::Uint8, Data::Int(values)) => value(shape, values.into_iter().map(|value| value as u8)),
        (Kind::Int16, Data::Int(values)) => value(shape, values.into_iter().map(|value| value as i16)),
        (Kind::Uint16, Data::Int(values)) => value(shape, values.into_iter().map(|value| value as u16)),
        (Kind::Int32, Data::Int(values)) => value(shape, values.into_iter()),
        (Kind::Int64, Data::Long(values)) => value(shape, values.into_iter()),
        (Kind::Uint32, Data::Long(values)) => value(shape, values.into_iter().map(|value| value as u32)),
        (Kind::Uint64, Data::Long(values)) => value(shape, values.into_iter().map(|value| value as u64)),
        (Kind::Bool, Data::Bool(values)) => value(shape, values.into_iter()),
        (Kind::String, Data::Text(words)) => {
            if let Some(word) = words.iter().find(|word| word.contains('\0')) {
                return Err(format!(
                    "{word:?} holds a zero byte, which ONNX Runtime cannot take"
                ));
            }
            Ok(OrtTensor::from_string_array((shape, words.as_slice()))
                .map_err(told)?
                .into_dyn())
        }
        (kind, data) => Err(format!("it takes {kind}, and was given {}", data.kind())),
    }
}

/// What the graph made: a tensor, or a list of maps as `ZipMap` makes them, which is a tensor whose columns have keys.
fn made(value: &DynValue) -> Result<Tensor, String> {
    use TensorElementType as Kind;
    fn tensor<T: PrimitiveTensorElementType + Copy>(
        value: &DynValue,
        data: impl Fn(&[T]) -> Result<Data, String>,
    ) -> Result<Tensor, String> {
        let (shape, values) = value.try_extract_tensor::<T>().map_err(told)?;
        Tensor::new(sizes(shape)?, data(values)?)
    }
    fn map<T: Copy, R>(values: &[T], convert: impl Fn(T) -> R) -> Vec<R> {
        values.iter().map(|value| convert(*value)).collect()
    }
    let kind = match value.dtype() {
        ValueType::Tensor { ty, .. } => *ty,
        ValueType::Sequence(inner) if inner.is_map() => {
            let maps = value.try_extract_sequence::<DynValueTypeMarker>().map_err(told)?;
            return keyed(&maps);
        }
        ValueType::Map { .. } => return keyed(std::slice::from_ref(value)),
        other => {
            return Err(format!(
                "it is a {other}; tensors and lists of maps can be answered"
            ));
        }
    };
    match kind {
        Kind::Float32 => tensor::<f32>(value, |values| Ok(Data::Float(values.to_vec()))),
        Kind::Float16 => tensor::<half::f16>(value, |values| Ok(Data::Float(map(values, half::f16::to_f32)))),
        Kind::Bfloat16 => {
            tensor::<half::bf16>(value, |values| Ok(Data::Float(map(values, half::bf16::to_f32))))
        }
        Kind::Float64 => tensor::<f64>(value, |values| Ok(Data::Double(values.to_vec()))),
        Kind::Int8 => tensor::<i8>(value, |values| Ok(Data::Int(map(values, i32::from)))),
        Kind::Uint8 => tensor::<u8>(value, |values| Ok(Data::Int(map(values, i32::from)))),
        Kind::Int16 => tensor::<i16>(value, |values| Ok(Data::Int(map(values, i32::from)))),
        Kind::Uint16 => tensor::<u16>(value, |values| Ok(Data::Int(map(values, i32::from)))),
        Kind::Int32 => tensor::<i32>(value, |values| Ok(Data::Int(values.to_vec()))),
        Kind::Int64 => tensor::<i64>(value, |values| Ok(Data::Long(values.to_vec()))),
        Kind::Uint32 => tensor::<u32>(value, |values| Ok(Data::Long(map(values, i64::from)))),
        Kind::Uint64 => tensor::<u64>(value, |values| {
            let whole: Result<Vec<i64>, _> = values.iter().map(|value| i64::try_from(*value)).collect();
            whole
                .map(Data::Long)
                .map_err(|_| "it holds whole numbers of more than 63 bits".into())
        }),
        Kind::Bool => tensor::<bool>(value, |values| Ok(Data::Bool(values.to_vec()))),
        Kind::String => {
            let (shape, words) = value.try_extract_strings().map_err(told)?;
            let words = words.into_iter().map(Arc::from).collect();
            Tensor::new(sizes(shape)?, Data::Text(words))
        }
        other => Err(format!("it holds {other}, which cannot be answered")),
    }
}

fn sizes(shape: &Shape) -> Result<Vec<usize>, String> {
    let sizes = shape.iter().map(|size| usize::try_from(*size));
    sizes
        .collect::<Result<_, _>>()
        .map_err(|_| format!("it has the shape {shape:?}"))
}

/// One row for each map. All have the same keys.
fn keyed(maps: &[DynValue]) -> Result<Tensor, String> {
    let mut keys: Option<Vec<Value>> = None;
    let mut values = Vec::new();
    for map in maps {
        let entries = entries(map)?;
        let (own, numbers): (Vec<Value>, Vec<f32>) = entries.into_iter().unzip();
        match &keys {
            None => keys = Some(own),
            Some(keys) if *keys == own => {}
            Some(_) => return Err("its maps have different keys".into()),
        }
        values.extend(numbers);
    }
    let keys = keys.unwrap_or_default();
    let mut tensor = Tensor::floats(vec![maps.len(), keys.len()], values)?;
    tensor.keys = Some(keys.into());
    Ok(tensor)
}

fn entries(map: &DynValue) -> Result<Vec<(Value, f32)>, String> {
    use TensorElementType as Kind;
    match map.dtype() {
        ValueType::Map {
            key: Kind::Int64,
            value: Kind::Float32,
        } => {
            let entries = map.try_extract_key_values::<i64, f32>().map_err(told)?;
            Ok(entries
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect())
        }
        ValueType::Map {
            key: Kind::String,
            value: Kind::Float32,
        } => {
            let entries = map.try_extract_key_values::<String, f32>().map_err(told)?;
            Ok(entries
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect())
        }
        other => Err(format!(
            "it is a {other}; maps of whole numbers or words to numbers of 32 bits can be answered"
        )),
    }
}

/// ONNX's number of a type; 0 for those that neither side can hold.
fn number_of(kind: TensorElementType) -> i64 {
    use TensorElementType as Kind;
    match kind {
        Kind::Float32 => 1,
        Kind::Uint8 => 2,
        Kind::Int8 => 3,
        Kind::Uint16 => 4,
        Kind::Int16 => 5,
        Kind::Int32 => 6,
        Kind::Int64 => 7,
        Kind::String => 8,
        Kind::Bool => 9,
        Kind::Float16 => 10,
        Kind::Float64 => 11,
        Kind::Uint32 => 12,
        Kind::Uint64 => 13,
        Kind::Bfloat16 => 16,
        _ => 0,
    }
}
