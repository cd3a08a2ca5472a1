//! How far an import is: a bar where a terminal shows it, else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const BAR_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_WIDTH: usize = 30;

pub struct Progress {
    runs: u64,
    points: u64,
    started: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub fn new(runs: u64, points: u64) -> Self {
        Self {
            runs,
            points,
            started: Instant::now(),
            shown: None,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Shows how far it is, if that was not shown just now.
    pub fn show(&mut self, runs: u64, points: u64) {
        let every = if self.terminal { BAR_EVERY } else { LINE_EVERY };
        let since = self.shown.map_or(self.started.elapsed(), |shown| shown.elapsed());
        if every <= since {
            self.shown = Some(Instant::now());
            self.print(runs, points);
        }
    }

    /// Ends the bar.
    pub fn finish(&mut self, runs: u64, points: u64) {
        if self.terminal && self.shown.is_some() {
            self.print(runs, points);
            eprintln!();
        }
    }

    fn print(&self, runs: u64, points: u64) {
        let text = told(runs, self.runs, points, self.points, self.started.elapsed());
        if self.terminal {
            eprint!(
                "\r\u{1b}[2K{} {text}",
                bar(done(runs, self.runs, points, self.points))
            );
            // A bar that cannot be shown is no fault.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{text}");
        }
    }
}

/// Runs without points count too.
fn done(runs: u64, of_runs: u64, points: u64, of_points: u64) -> f64 {
    let whole = (of_runs + of_points).max(1) as f64;
    ((runs + points) as f64 / whole).min(1.0)
}

fn bar(share: f64) -> String {
    let filled = (share * BAR_WIDTH as f64) as usize;
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR_WIDTH - filled))
}

fn told(runs: u64, of_runs: u64, points: u64, of_points: u64, took: Duration) -> String {
    let share = done(runs, of_runs, points, of_points) * 100.0;
    let rate = points as f64 / took.as_secs_f64().max(0.001);
    format!("{share:.0} %  {runs} of {of_runs} runs, {points} points ({rate:.0} a second)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_share_counts_and_speed() {
        let text = told(5, 10, 495, 990, Duration::from_secs(5));
        assert_eq!(text, "50 %  5 of 10 runs, 495 points (99 a second)");
        assert_eq!(bar(0.5).matches('#').count(), 15);
        assert_eq!(done(0, 0, 0, 0), 0.0);
    }
}
