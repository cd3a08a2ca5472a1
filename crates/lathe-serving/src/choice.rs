//! Which of two engines answers for a model that both know: the one that takes less time over its input example.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{LoadError, Model, OnnxRuntime, PredictError, Table, max_abs_diff};

/// Asking a process takes about so long, whatever it answers: a model that takes less is not worth the way.
const WAY_TO_PROCESS: Duration = Duration::from_micros(50);
/// What ONNX Runtime takes for the smallest graphs.
const LEAST: Duration = Duration::from_micros(5);
/// Calls that are timed at most, after two that are not.
const CALLS_MAX: usize = 20;
/// Calls are timed for so long at most.
const TIMED_MAX: Duration = Duration::from_millis(60);
/// How much of the native engine's time ONNX Runtime may take to be worth its memory.
const WORTH: f64 = 0.9;

/// Why an engine answers for a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// `native` or `onnxruntime`.
    pub runtime: &'static str,
    /// For people.
    pub reason: String,
    /// What both engines did with the input example, if both were timed.
    pub measured: Option<Measured>,
}

/// The input example, answered by both engines.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Its rows.
    pub rows: usize,
    /// Microseconds that the native engine takes, the median of a few calls.
    pub native_us: f64,
    /// Microseconds that ONNX Runtime takes, the way to its process and back included.
    pub onnxruntime_us: f64,
    /// The greatest difference of the answers; none if one is a word and differs.
    pub max_abs_diff: Option<f64>,
}

impl Choice {
    pub(crate) fn of(runtime: &'static str, reason: &str) -> Self {
        Self {
            runtime,
            reason: reason.to_owned(),
            measured: None,
        }
    }

    /// Decides between two engines that were timed.
    fn between(measured: Measured) -> Self {
        Self {
            runtime: match measured.onnxruntime_us < measured.native_us * WORTH {
                true => "onnxruntime",
                false => "native",
            },
            reason: measured.to_string(),
            measured: Some(measured),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            native_us,
            onnxruntime_us,
            max_abs_diff,
        } = self;
        let rows = match rows {
            1 => "1 row".to_owned(),
            rows => format!("{rows} rows"),
        };
        write!(
            f,
            "the input example ({rows}) takes the native engine {native_us:.1} µs and ONNX Runtime {onnxruntime_us:.1} µs; "
        )?;
        match max_abs_diff {
            Some(difference) => write!(f, "their answers differ by {difference:.1e} at most"),
            None => f.write_str("their answers differ"),
        }
    }
}

/// The model itself, or what ONNX Runtime makes of it, if that is worth it. ONNX Runtime is not even started for a
/// model that is answered sooner than it can be asked.
pub(crate) fn faster(
    native: Model,
    runtime: &OnnxRuntime,
    other: impl FnOnce() -> Result<Model, LoadError>,
) -> Model {
    let stays = |native: Model, reason: &str| native.because(Choice::of("native", reason));
    let Some(example) = native.input_example().filter(|example| 0 < example.rows()) else {
        return stays(
            native,
            "it knows the model, which has no input example to time ONNX Runtime on",
        );
    };
    let took = match time(&native, &example) {
        Ok(took) => took,
        Err(error) => return stays(native, &format!("the input example cannot be timed: {error}")),
    };
    let way = if runtime.in_process { LEAST } else { WAY_TO_PROCESS };
    if took <= way {
        let told = format!(
            "it answers the input example in {:.1} µs, sooner than ONNX Runtime can be asked",
            micros(took)
        );
        return stays(native, &told);
    }
    let (other, theirs) = match other().map(|other| (time(&other, &example), other)) {
        Ok((Ok(theirs), other)) => (other, theirs),
        Ok((Err(error), _)) => return stays(native, &format!("ONNX Runtime does not answer: {error}")),
        Err(error) => return stays(native, &format!("nothing else does: {error}")),
    };
    let measured = Measured {
        rows: example.rows(),
        native_us: micros(took),
        onnxruntime_us: micros(theirs),
        max_abs_diff: difference(&native, &other, &example),
    };
    let choice = Choice::between(measured);
    let chosen = if choice.runtime == "native" { native } else { other };
    chosen.because(choice)
}

fn difference(native: &Model, other: &Model, example: &Table) -> Option<f64> {
    let values = |model: &Model| Some(model.predict(example).ok()?.values());
    let greatest = max_abs_diff(&values(native)?, &values(other)?).ok()?;
    greatest.is_finite().then_some(greatest)
}

/// The median of a few calls.
fn time(model: &Model, example: &Table) -> Result<Duration, PredictError> {
    let mut took = Vec::with_capacity(CALLS_MAX);
    let started = Instant::now();
    for call in 0..CALLS_MAX + 2 {
        let begun = Instant::now();
        std::hint::black_box(model.predict(example)?);
        // The first calls find nothing where it is needed.
        if 2 <= call || TIMED_MAX < started.elapsed() {
            took.push(begun.elapsed());
        }
        if TIMED_MAX < started.elapsed() {
            break;
        }
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_engine_is_chosen_if_it_is_worth_it_and_the_reason_tells_both() {
        let choice = |native_us, onnxruntime_us| {
            Choice::between(Measured {
                rows: 5,
                native_us,
                onnxruntime_us,
                max_abs_diff: Some(2.5e-7),
            })
        };
        assert_eq!(choice(100.0, 200.0).runtime, "native");
        assert_eq!(choice(100.0, 95.0).runtime, "native");
        assert_eq!(choice(100.0, 80.0).runtime, "onnxruntime");
        assert_eq!(
            choice(100.0, 80.0).reason,
            "the input example (5 rows) takes the native engine 100.0 µs and ONNX Runtime 80.0 µs; their answers differ by 2.5e-7 at most"
        );
    }
}
