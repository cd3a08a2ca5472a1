//! What the exit code of every command means.

use std::process::ExitCode;

use crate::terminal;

/// How a command ended when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0
    Done,
    /// 1: what was asked whether it is so is not, as with `status --quiet`.
    Changed,
    /// 3: a gate said no, or a rollout was rolled back.
    GateFailed,
    /// 4: the evidence did not suffice.
    Inconclusive,
    /// 5: people must approve first.
    Waiting,
    /// 130: Ctrl-C.
    Interrupted,
}

/// An error with the remedy that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    message: String,
    /// What to try.
    pub hint: String,
}

/// What is said around another error, with its remedy: `error.context(hint(…))`.
pub fn hint(message: impl Into<String>, hint: impl Into<String>) -> Hinted {
    Hinted {
        message: message.into(),
        hint: hint.into(),
    }
}

/// An error that names its remedy.
pub fn hinted(message: impl Into<String>, remedy: impl Into<String>) -> anyhow::Error {
    hint(message, remedy).into()
}

/// Prints an error with its causes and its hint, and turns the result into the exit code.
pub fn report(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Changed) => ExitCode::from(1),
        Ok(Outcome::GateFailed) => ExitCode::from(3),
        Ok(Outcome::Inconclusive) => ExitCode::from(4),
        Ok(Outcome::Waiting) => ExitCode::from(5),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            terminal::print_error(&error);
            ExitCode::from(1)
        }
    }
}
