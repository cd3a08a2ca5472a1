//! Models that change columns and are asked for that: scalers, encoders, whole preprocessing pipelines, saved with
//! `pyfunc_predict_fn="transform"`.

use serde_json::Value;

use super::frame::Frame;
use super::{Transform, build, inputs};
use crate::answers::{Answers, OutputSpec, PREDICTIONS, Values};
use crate::error::Fault;
use crate::objects::Ref;
use crate::predictor::{Inputs, Predictor};
use crate::table::zeros;
use crate::{PredictError, Table};

/// A transformer that answers with the columns that it makes.
#[derive(Debug)]
pub(super) struct Transformer {
    inputs: Inputs,
    transform: Box<dyn Transform>,
    output: OutputSpec,
}

impl Transformer {
    pub(super) fn read(root: Ref<'_>) -> Result<Self, Fault> {
        if root.class() == "FunctionTransformer" {
            // Whatever its function makes of a frame.
            return Err(Fault::Unsupported(
                "the model is a `FunctionTransformer` alone; the native engine knows it as a step of others"
                    .into(),
            ));
        }
        let is_frame = root
            .some("_sklearn_output_config")
            .and_then(|config| config.some("transform"))
            .is_some_and(|output| output.text().is_ok_and(|output| output != "default"));
        if is_frame {
            return Err(Fault::Unsupported(
                "the model answers with a frame (`set_output`); the native engine answers with what `transform` \
                 makes by default"
                    .into(),
            ));
        }
        let transform = build::transform(root, 0)?;
        let inputs = inputs(root, |column| transform.takes_words(column))?;
        let zeros = zeros(&inputs.signature());
        // An encoder may not know a row of zeros: then it is not known how many columns it makes.
        let made = transform.apply(Frame::of_table(&zeros)).ok();
        let output = OutputSpec {
            name: PREDICTIONS.into(),
            datatype: match &made {
                Some(frame) if has_words(frame) => "BYTES",
                _ => "FP64",
            },
            width: made.map(|frame| frame.width),
        };
        Ok(Self {
            inputs,
            transform,
            output,
        })
    }
}

impl Predictor for Transformer {
    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn outputs(&self) -> Vec<OutputSpec> {
        vec![self.output.clone()]
    }

    fn predict(&self, table: &Table) -> Result<Answers, PredictError> {
        let frame = self.transform.apply(Frame::of_table(table))?;
        let width = frame.width;
        let values = match has_words(&frame) {
            false => Values::Double(frame.values),
            true => {
                let cell = |at: usize| match frame.words(at % width) {
                    Some(words) => words[at / width].as_deref().map_or(Value::Null, Value::from),
                    None => Value::from(frame.values[at]),
                };
                Values::Json((0..frame.rows * width).map(cell).collect())
            }
        };
        Ok(Answers::only(Some(width), values))
    }
}

fn has_words(frame: &Frame) -> bool {
    (0..frame.width).any(|column| frame.words(column).is_some())
}
