use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::scores::Labels;
use crate::onnx::kernel::{Kernel, one};
use crate::onnx::message::Node;
use crate::onnx::tensor::{Data, Tensor, count};

/// A key that can be looked up: floats by their bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Word(Arc<str>),
    Bits(u64),
}

/// All NaN are one, and -0 is 0.
fn bits(value: f64) -> Key {
    Key::Bits(if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        (value + 0.0).to_bits()
    })
}

fn keys(data: &Data) -> Vec<Key> {
    match data {
        Data::Float(values) => values.iter().map(|value| bits(f64::from(*value))).collect(),
        Data::Double(values) => values.iter().map(|value| bits(*value)).collect(),
        Data::Int(values) => values.iter().map(|value| Key::Bits(*value as u64)).collect(),
        Data::Long(values) => values.iter().map(|value| Key::Bits(*value as u64)).collect(),
        Data::Bool(values) => values.iter().map(|value| Key::Bits(u64::from(*value))).collect(),
        Data::Text(values) => values.iter().map(|value| Key::Word(value.clone())).collect(),
    }
}

pub(super) fn one_hot(node: &Node) -> Kernel {
    let labels = Labels::of(node, "cats_strings", "cats_int64s");
    let none_is_zeros = node.number("zeros", 1) != 0;
    let known: HashMap<Key, usize> = match &labels {
        Labels::Words(words) => words
            .iter()
            .enumerate()
            .map(|(at, word)| (Key::Word(word.clone()), at))
            .collect(),
        Labels::Numbers(numbers) => numbers
            .iter()
            .enumerate()
            .map(|(at, number)| (Key::Bits(*number as u64), at))
            .collect(),
    };
    Box::new(move |args| {
        let x = args.get(0)?;
        let asked = match &x.data {
            Data::Text(_) | Data::Int(_) | Data::Long(_) => keys(&x.data),
            _ => x
                .as_doubles()?
                .into_iter()
                .map(|value| Key::Bits(value as i64 as u64))
                .collect(),
        };
        let mut shape = x.shape.clone();
        shape.push(labels.len());
        let mut made = vec![0f32; count(&shape)?];
        for (at, key) in asked.iter().enumerate() {
            match known.get(key) {
                Some(place) => made[at * labels.len() + place] = 1.0,
                None if none_is_zeros => {}
                None => return Err(format!("it does not know the category {}", shown(x, at))),
            }
        }
        one(Tensor::floats(shape, made)?)
    })
}

fn shown(x: &Tensor, at: usize) -> String {
    match &x.data {
        Data::Text(words) => format!("{:?}", words[at]),
        Data::Long(values) => values[at].to_string(),
        _ => x
            .as_doubles()
            .map_or_else(|_| "given".into(), |values| values[at].to_string()),
    }
}

pub(super) fn labels(node: &Node) -> Result<Kernel, String> {
    if node.has("classes_strings") {
        let words = node.texts("classes_strings");
        let numbers = (0..words.len() as i64).collect();
        return Ok(words_and_numbers(words, numbers, node));
    }
    let list = |side: &str| -> Option<Data> {
        if let Some(tensor) = node.tensor(&format!("{side}_tensor")) {
            return Some(tensor.data.clone());
        }
        if node.has(&format!("{side}_strings")) {
            return Some(Data::Text(node.texts(&format!("{side}_strings"))));
        }
        if node.has(&format!("{side}_int64s")) {
            return Some(Data::Long(node.numbers(&format!("{side}_int64s")).to_vec()));
        }
        let floats = format!("{side}_floats");
        node.has(&floats)
            .then(|| Data::Float(node.floats(&floats).to_vec()))
    };
    let (from, to) = (
        list("keys").ok_or("it has no keys")?,
        list("values").ok_or("it has no values")?,
    );
    if from.len() != to.len() {
        return Err(format!("it has {} keys and {} values", from.len(), to.len()));
    }
    let mut known = HashMap::new();
    for (at, key) in keys(&from).into_iter().enumerate() {
        known.entry(key).or_insert(at);
    }
    let default = match node.tensor("default_tensor") {
        Some(tensor) => tensor.data.clone(),
        None => match &to {
            Data::Text(_) => Data::Text(vec![node.text("default_string", "_Unused").into()]),
            Data::Long(_) => Data::Long(vec![node.number("default_int64", -1)]),
            Data::Float(_) => Data::Float(vec![node.float("default_float", -0.0)]),
            Data::Double(_) => Data::Double(vec![-0.0]),
            other => return Err(format!("its values are {}", other.kind())),
        },
    };
    // The default stands behind the values.
    let mut to = to;
    let last = to.len();
    to.extend(&default, 0, 1.min(default.len()))?;
    if to.len() != last + 1 {
        return Err("its default is empty".into());
    }
    Ok(Box::new(move |args| {
        let x = args.get(0)?;
        if std::mem::discriminant(&x.data) != std::mem::discriminant(&from) {
            return Err(format!(
                "its keys are {}, its input is {}",
                from.kind(),
                x.data.kind()
            ));
        }
        let places: Vec<usize> = keys(&x.data)
            .iter()
            .map(|key| known.get(key).copied().unwrap_or(last))
            .collect();
        one(Tensor::new(x.shape.clone(), to.pick(&places))?)
    }))
}

pub(super) fn categories(node: &Node) -> Result<Kernel, String> {
    let (words, numbers) = (node.texts("cats_strings"), node.numbers("cats_int64s").to_vec());
    match words.len() == numbers.len() {
        true => Ok(words_and_numbers(words, numbers, node)),
        false => Err(format!(
            "it has {} words and {} numbers",
            words.len(),
            numbers.len()
        )),
    }
}

/// Words to numbers, or numbers to words.
fn words_and_numbers(words: Vec<Arc<str>>, numbers: Vec<i64>, node: &Node) -> Kernel {
    let (default_word, default_number) = (
        Arc::<str>::from(node.text("default_string", "_Unused")),
        node.number("default_int64", -1),
    );
    let to_number: HashMap<Arc<str>, i64> = words.iter().cloned().zip(numbers.iter().copied()).collect();
    let to_word: HashMap<i64, Arc<str>> = numbers.into_iter().zip(words).collect();
    Box::new(move |args| {
        let x = args.get(0)?;
        let data = match &x.data {
            Data::Text(words) => Data::Long(
                words
                    .iter()
                    .map(|word| to_number.get(word).copied().unwrap_or(default_number))
                    .collect(),
            ),
            Data::Long(numbers) => Data::Text(
                numbers
                    .iter()
                    .map(|number| to_word.get(number).unwrap_or(&default_word).clone())
                    .collect(),
            ),
            other => return Err(format!("it takes string or int64, not {}", other.kind())),
        };
        one(Tensor::new(x.shape.clone(), data)?)
    })
}

/// Names for the columns.
pub(super) fn zip_map(node: &Node) -> Result<Kernel, String> {
    let labels = Labels::of(node, "classlabels_strings", "classlabels_int64s");
    let names: Arc<[Value]> = match &labels {
        Labels::Words(words) => words.iter().map(|word| Value::from(&**word)).collect(),
        Labels::Numbers(numbers) => numbers.iter().copied().map(Value::from).collect(),
    };
    if names.is_empty() {
        return Err("it has no labels".into());
    }
    Ok(Box::new(move |args| {
        let x = args.get(0)?;
        let (rows, width) = x.rows()?;
        if width != names.len() {
            return Err(format!("it names {} columns, not {width}", names.len()));
        }
        let mut made = x.reshaped(vec![rows, width])?;
        made.keys = Some(names.clone());
        one(made)
    }))
}
