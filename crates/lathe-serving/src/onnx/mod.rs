//! ONNX models: the operators of `ai.onnx.ml`, and the plain ones around them, in the precision of the graph and in the
//! order in which onnxruntime computes; anything else by ONNX Runtime (`runtime/`), where there is one. Graphs within
//! graphs (`Scan`, `Loop`, `If`) are not here.

mod elementwise;
mod external_data;
mod feed;
mod kernel;
mod matrix;
mod message;
mod ml;
mod plan;
mod reduce;
mod runtime;
mod shapes;
mod tensor;
mod width;
mod wire;

use std::borrow::Cow;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::answers::{Answers, Output, OutputSpec, Values};
use crate::error::Fault;
use crate::predictor::{Input, Inputs, Predictor};
use crate::signature::{InputSpec, Signature};
use crate::{PredictError, Table};
use feed::{Feed, Kind};
use message::Slot;
use plan::Plan;
use tensor::{Data, Tensor};

pub(crate) use message::is;
pub use runtime::{OnnxRuntime, answer_over, library_of_wheel, onnxruntime_build};

/// A graph that answers.
#[derive(Debug)]
pub(crate) struct Network {
    inputs: Inputs,
    feeds: Vec<Feed>,
    engine: Box<dyn Engine>,
    outputs: Vec<OutputSpec>,
    names: Vec<Arc<str>>,
    /// How many rows the graph takes at once, if it takes only so many.
    rows: Option<usize>,
}

/// What runs a graph.
trait Engine: Debug + Send + Sync {
    /// Answers the inputs, in the graph's order, by the outputs in the graph's order.
    fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, PredictError>;
    /// What it is called.
    fn runtime(&self) -> &'static str;
    /// How many processes answer; none where this one does.
    fn processes(&self) -> Option<usize> {
        None
    }
    /// How much memory it takes, where that is known.
    fn memory_bytes(&self) -> Option<u64> {
        None
    }
}

impl Engine for Plan {
    fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, PredictError> {
        self.run(inputs).map_err(PredictError::Shape)
    }

    fn runtime(&self) -> &'static str {
        "native"
    }
}

/// Inputs that a row may have.
const WIDTH_MAX: usize = 1 << 22;

/// Reads a model for the native engine. Values that lie in files of their own are read from `folder`.
pub(crate) fn read(bytes: &[u8], folder: Option<&Path>) -> Result<Network, Fault> {
    let graph = message::model(bytes, folder)?;
    if let Some(other) = graph.inputs.iter().find(|slot| !Kind::is_native(slot.kind)) {
        return Err(Fault::Unsupported(match other.kind {
            0 => format!(
                "the model's input `{}` is no tensor; the native engine takes tensors",
                other.name
            ),
            kind => format!(
                "the model's input `{}` is of the type {}; the native engine takes float, double, int32, int64, bool and string",
                other.name,
                message::kind_name(kind)
            ),
        }));
    }
    let open = |slot: &Slot| Some(width::of(&graph, &slot.name).unwrap_or(1));
    let (feeds, columns, rows) = feeds(&graph.inputs, open)?;
    let outputs = graph.outputs.clone();
    Network::of(feeds, columns, rows, &outputs, Box::new(Plan::of(graph)?))
}

/// Makes ONNX Runtime answer for the model in a file, which holds these bytes.
pub(crate) fn open(model: &Path, bytes: &[u8], runtime: &OnnxRuntime) -> Result<Network, Fault> {
    let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty());
    external_data::check(bytes, folder.unwrap_or(Path::new(".")))?;
    let (engine, interface) = runtime::start(model, runtime)
        .map_err(|what| Fault::Unsupported(format!("ONNX Runtime cannot load the model: {what}")))?;
    let is_open = |slot: &Slot| slot.shape.iter().skip(1).any(Option::is_none);
    // Where the graph leaves a width open, what reads the input may tell it.
    let graph = match interface.inputs.iter().any(is_open) {
        true => message::model(bytes, folder).ok(),
        false => None,
    };
    let open = |slot: &Slot| width::of(graph.as_ref()?, &slot.name);
    let (feeds, columns, rows) = feeds(&interface.inputs, open)?;
    Network::of(feeds, columns, rows, &interface.outputs, engine)
}

type Feeds = (Vec<Feed>, Vec<Input>, Option<usize>);

/// How the inputs of a graph are filled, from which columns, and how many rows it takes if it takes only so many. `open`
/// is asked for the sizes that the graph leaves open; where it does not know either, requests say it.
fn feeds(inputs: &[Slot], open: impl Fn(&Slot) -> Option<usize>) -> Result<Feeds, Fault> {
    if inputs.is_empty() {
        return Err(Fault::Damaged("its graph has no inputs".into()));
    }
    let mut feeds = Vec::new();
    let mut columns: Vec<Input> = Vec::new();
    let mut rows = None;
    for slot in inputs {
        let feed = Feed::new(slot, columns.len(), || open(slot))?;
        let width = feed.columns.len();
        if WIDTH_MAX < columns.len() + width {
            return Err(Fault::Damaged(format!("its input `{}` is too large", slot.name)));
        }
        if let Some(Some(fixed)) = slot.shape.first() {
            rows = Some(*fixed);
        }
        columns.extend((0..width).map(|index| Input {
            name: match width {
                1 => slot.name.clone(),
                _ => format!("{}_{index}", slot.name),
            },
            kind: feed.kind.column(),
            words: feed.kind == Kind::Text,
        }));
        feeds.push(feed);
    }
    Ok((feeds, columns, rows))
}

/// What the graph says of an output; a probe tells it better.
fn declared(slot: &Slot) -> OutputSpec {
    let rest = slot.shape.get(1..).filter(|rest| !rest.is_empty());
    OutputSpec {
        name: slot.name.as_str().into(),
        datatype: match slot.kind {
            11 => "FP64",
            2..=6 => "INT32",
            7 | 12 | 13 => "INT64",
            9 => "BOOL",
            8 => "BYTES",
            _ => "FP32",
        },
        width: rest.and_then(|rest| {
            rest.iter()
                .try_fold(1usize, |all, size| all.checked_mul((*size)?))
        }),
    }
}

impl Network {
    fn of(
        feeds: Vec<Feed>,
        columns: Vec<Input>,
        rows: Option<usize>,
        outputs: &[Slot],
        engine: Box<dyn Engine>,
    ) -> Result<Self, Fault> {
        if outputs.is_empty() {
            return Err(Fault::Damaged("its graph has no outputs".into()));
        }
        let mut network = Self {
            inputs: Inputs {
                class: "ONNX".into(),
                columns,
                by_name: false,
            },
            feeds,
            engine,
            outputs: outputs.iter().map(declared).collect(),
            names: outputs.iter().map(|slot| slot.name.as_str().into()).collect(),
            rows,
        };
        network.probe();
        Ok(network)
    }

    /// Answers a row of zeros, to see what answers look like. Not every model answers it: a word may be unknown.
    fn probe(&mut self) {
        if self.is_open() {
            return;
        }
        let table = crate::table::zeros(&self.inputs.signature());
        if let Ok(answers) = self.predict(&table) {
            let spec = |output: &Output| OutputSpec {
                name: output.name.clone(),
                datatype: output.values.datatype(),
                width: output.width,
            };
            self.outputs = answers.outputs.iter().map(spec).collect();
        }
    }

    fn answer(&self, table: &Table, start: usize, end: usize) -> Result<Vec<Tensor>, PredictError> {
        let inputs = self
            .feeds_of(table)?
            .iter()
            .map(|feed| feed.tensor(table, start, end))
            .collect::<Result<_, _>>()?;
        self.engine.run(inputs)
    }

    /// How the inputs are filled from this table, which may be what says how wide they are.
    fn feeds_of(&self, table: &Table) -> Result<Cow<'_, [Feed]>, PredictError> {
        if !self.is_open() {
            return Ok(Cow::Borrowed(&self.feeds));
        }
        let alone = self.feeds.len() == 1;
        if !alone && !table.is_named() {
            let names: Vec<&str> = self.feeds.iter().map(|feed| feed.name.as_str()).collect();
            return Err(PredictError::Shape(format!(
                "the model takes several inputs, each as a tensor of its name: `{}`",
                names.join("`, `")
            )));
        }
        let fitted = self.feeds.iter().map(|feed| feed.fitted(table, alone));
        Ok(Cow::Owned(fitted.collect::<Result<_, _>>()?))
    }
}

impl Predictor for Network {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        self.outputs.clone()
    }

    fn processes(&self) -> Option<usize> {
        self.engine.processes()
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.engine.memory_bytes()
    }

    fn runtime(&self) -> &'static str {
        self.engine.runtime()
    }

    fn tensors(&self) -> Option<Vec<InputSpec>> {
        let is_wide = |feed: &Feed| feed.is_open() || 1 < feed.columns.len();
        let told = || self.feeds.iter().map(Feed::told).collect();
        self.feeds.iter().any(is_wide).then(told)
    }

    fn is_open(&self) -> bool {
        self.feeds.iter().any(Feed::is_open)
    }

    /// Requests of different widths cannot be put together.
    fn batches(&self) -> bool {
        !self.is_open()
    }

    /// Tells the inputs to take the columns of a signature: by their names where all of them have inputs' names.
    fn bind(&mut self, signature: &Signature) {
        if self.feeds.len() < 2 || self.is_open() {
            return;
        }
        let names = signature.names();
        let place = |name: &String| names.iter().position(|known| known == name);
        let found: Option<Vec<usize>> = self
            .inputs
            .columns
            .iter()
            .map(|input| place(&input.name))
            .collect();
        let Some(found) = found else { return };
        let mut taken = found.iter();
        for feed in &mut self.feeds {
            feed.columns
                .iter_mut()
                .zip(&mut taken)
                .for_each(|(column, place)| *column = *place);
        }
        let mut columns = self.inputs.columns.clone();
        for (input, place) in self.inputs.columns.iter().zip(&found) {
            columns[*place] = input.clone();
        }
        self.inputs.columns = columns;
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let rows = table.rows();
        let made = match self.rows {
            Some(1) if 1 < rows => {
                let mut all = self.answer(table, 0, 1)?;
                for row in 1..rows {
                    for (all, one) in all.iter_mut().zip(self.answer(table, row, row + 1)?) {
                        append(all, &one).map_err(PredictError::Shape)?;
                    }
                }
                all
            }
            _ => self.answer(table, 0, rows)?,
        };
        let outputs = self
            .names
            .iter()
            .zip(made)
            .map(|(name, tensor)| output(name, tensor, rows));
        Ok(Answers {
            outputs: outputs.collect::<Result<_, _>>()?,
        })
    }
}

/// Adds the answer of one row to those before.
fn append(all: &mut Tensor, one: &Tensor) -> Result<(), String> {
    all.data.extend(&one.data, 0, one.len())?;
    match all.shape.first_mut() {
        Some(rows) => *rows += 1,
        None => all.shape.push(2),
    }
    Ok(())
}

fn output(name: &Arc<str>, tensor: Tensor, rows: usize) -> Result<Output, PredictError> {
    let width = match tensor.shape.as_slice() {
        [] if rows == 1 => None,
        [first] if *first == rows => None,
        [first, rest @ ..] if *first == rows && !rest.is_empty() => Some(rest.iter().product()),
        shape => {
            return Err(PredictError::Shape(format!(
                "the output `{name}` has the shape {shape:?} for {rows} rows"
            )));
        }
    };
    Ok(Output {
        name: name.clone(),
        width,
        keys: tensor.keys,
        values: match tensor.data {
            Data::Float(values) => Values::Float(values),
            Data::Double(values) => Values::Double(values),
            Data::Int(values) => Values::Integer(values),
            Data::Long(values) => Values::Long(values),
            Data::Bool(values) => Values::Boolean(values),
            Data::Text(values) => Values::Text(values.iter().map(|word| word.to_string()).collect()),
        },
    })
}
