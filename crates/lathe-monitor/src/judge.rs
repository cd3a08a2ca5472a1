use lathe_types::drift::{Outcome, Performance};
use lathe_types::project::{MonitorSpec, PerformanceSpec};
use lathe_types::windows::Window;

/// What the newest windows say of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The newest judged window keeps it.
    Kept,
    /// The newest does not, and not yet for long enough.
    Wavering,
    /// As many windows in a row as `lathe.toml` asks for do not.
    Breached,
    /// No window could be judged.
    Unknown,
}

/// What the newest windows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Of the inputs.
    pub drift: Standing,
    /// Of the error on labels.
    pub performance: Standing,
}

/// Judges closed windows, oldest first. Only those that the newest one's version answered count: a new version
/// starts afresh. Windows with too little to say neither keep a limit nor breach it.
pub fn judge(windows: &[Window], spec: &MonitorSpec) -> Judgement {
    let newest = windows.last().map(|window| window.version);
    let of_version: Vec<&Window> = windows
        .iter()
        .rev()
        .take_while(|window| Some(window.version) == newest)
        .collect();
    let drift = of_version
        .iter()
        .filter_map(|window| match window.drift.as_ref()?.outcome {
            Outcome::Drift => Some(true),
            Outcome::Ok => Some(false),
            Outcome::Insufficient | Outcome::Untestable => None,
        });
    let performance = of_version.iter().filter_map(|window| {
        let limits = spec.performance.as_ref()?;
        let found = window
            .performance
            .as_ref()
            .filter(|found| limits.coverage <= found.coverage)?;
        Some(breaches(limits, found))
    });
    Judgement {
        drift: standing(drift, spec.consecutive),
        performance: standing(performance, spec.consecutive),
    }
}

/// Whether an error is beyond its limits.
pub(crate) fn breaches(limits: &PerformanceSpec, found: &Performance) -> bool {
    limits.max.is_some_and(|max| max < found.value)
        || limits.min.is_some_and(|min| found.value < min)
        || found.value.is_nan()
}

/// Newest first.
fn standing(mut breached: impl Iterator<Item = bool>, consecutive: u32) -> Standing {
    match breached.next() {
        None => Standing::Unknown,
        Some(false) => Standing::Kept,
        Some(true) => {
            let row = 1 + breached.take_while(|breached| *breached).count();
            if consecutive as usize <= row {
                Standing::Breached
            } else {
                Standing::Wavering
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_window_is_not_yet_a_breach() {
        let standing_of = |windows: &[bool]| standing(windows.iter().rev().copied(), 2);
        assert_eq!(standing_of(&[]), Standing::Unknown);
        assert_eq!(standing_of(&[true, true, false]), Standing::Kept);
        assert_eq!(standing_of(&[false, true]), Standing::Wavering);
        assert_eq!(standing_of(&[false, true, true]), Standing::Breached);
    }
}
