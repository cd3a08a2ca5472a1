//! What people see while stages are executed: lines in order, and on a terminal a last line with what is going on.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use lathe_pipeline::{PlanLine, StageEvent};
use lathe_types::executions::{StageOutcome, StageUsage};

use crate::terminal::{Style, paint};

/// Shows the events of an execution.
pub struct StageView {
    quiet: bool,
    /// Lines of several stages may come in between one another.
    is_mixed: bool,
    is_terminal: bool,
    /// Whether the last line of the terminal is the progress.
    has_progress: bool,
}

impl StageView {
    /// For so many stages at once.
    pub fn new(quiet: bool, jobs: usize) -> Self {
        Self {
            quiet,
            is_mixed: 1 < jobs,
            is_terminal: std::io::stdout().is_terminal(),
            has_progress: false,
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: StageEvent) {
        if self.quiet || crate::terminal::is_quiet() {
            return;
        }
        if let StageEvent::Progress { done, total, running } = event {
            self.progress(done, total, &running);
            return;
        }
        if let Some(line) = self.line(event) {
            self.clear();
            tell!("{line}");
        }
    }

    /// Takes the progress away.
    pub fn end(&mut self) {
        self.clear();
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.has_progress) {
            print!("\r\u{1b}[K");
        }
    }

    fn progress(&mut self, done: usize, total: usize, running: &[(String, Duration)]) {
        // One stage after the other tells enough by itself.
        if !self.is_terminal || total < 2 {
            return;
        }
        let shown: Vec<String> = running
            .iter()
            .take(4)
            .map(|(stage, since)| format!("{stage} {}", clock(*since)))
            .collect();
        let more = match running.len() {
            0..=4 => String::new(),
            count => format!(" and {} more", count - 4),
        };
        let text = format!("{done}/{total} done, running {}{more}", shown.join(", "));
        let text: String = text.chars().take(100).collect();
        print!("\r\u{1b}[K{}", paint(&text, Style::Faint));
        // A terminal that is gone shows nothing, which is no reason to stop.
        let _ = std::io::stdout().flush();
        self.has_progress = true;
    }

    fn line(&self, event: StageEvent) -> Option<String> {
        Some(match event {
            StageEvent::Started { stage, reason } => {
                format!(
                    "{} {} ({reason})",
                    paint("run ", Style::Warn),
                    paint(&stage, Style::Strong)
                )
            }
            StageEvent::Command { stage, command } => {
                paint(&format!("{}> {command}", self.indent(&stage)), Style::Faint)
            }
            StageEvent::Output { stage, line } => {
                format!("{}{line}", paint(&self.indent(&stage), Style::Faint))
            }
            StageEvent::Retried {
                stage,
                problem,
                attempt,
                wait,
            } => {
                let after = match wait.as_millis() {
                    0 => String::new(),
                    ms => format!(" in {} s", ms as f64 / 1000.0),
                };
                format!(
                    "{} {problem}; attempt {attempt} of `{stage}`{after}",
                    paint("again", Style::Warn)
                )
            }
            StageEvent::Finished {
                stage,
                outcome,
                took,
                usage,
            } => {
                let (mark, word) = match outcome {
                    StageOutcome::Executed => (paint("done", Style::Good), "executed"),
                    StageOutcome::Unchanged => (paint("keep", Style::Good), "unchanged"),
                    StageOutcome::Restored => (paint("keep", Style::Good), "restored from the run cache"),
                    StageOutcome::Failed => (paint("FAIL", Style::Bad), "failed"),
                };
                let seconds = took.as_secs_f64();
                let used = usage
                    .map(|usage| paint(&used(usage), Style::Faint))
                    .unwrap_or_default();
                format!(
                    "{mark} {} {word} in {seconds:.1} s{used}",
                    paint(&stage, Style::Strong)
                )
            }
            StageEvent::Note { stage, text } => {
                paint(&format!("{}{text}", self.indent(&stage)), Style::Faint)
            }
            StageEvent::Undeclared { stage, files } => {
                let mut words = Vec::new();
                if !files.read.is_empty() {
                    words.push(format!("reads {}", files.read.join(", ")));
                }
                if !files.written.is_empty() {
                    words.push(format!("writes {}", files.written.join(", ")));
                }
                if files.is_incomplete {
                    words.push("more than could be watched".to_owned());
                }
                format!(
                    "{} {stage} does not declare that it {}",
                    paint("note", Style::Warn),
                    words.join(" and ")
                )
            }
            StageEvent::Skipped { stage, failed } => {
                format!(
                    "{} {stage} is not executed: `{failed}` failed",
                    paint("skip", Style::Bad)
                )
            }
            StageEvent::Progress { .. } => return None,
        })
    }

    fn indent(&self, stage: &str) -> String {
        if self.is_terminal && !self.is_mixed {
            "     │ ".to_owned()
        } else {
            format!("  {stage} | ")
        }
    }
}

/// Processor time, memory and bytes, as far as they are worth a word.
fn used(usage: StageUsage) -> String {
    let mut words = vec![format!("cpu {:.1} s", usage.cpu_ms as f64 / 1000.0)];
    if 0 < usage.memory_bytes_max {
        words.push(format!("memory {}", bytes(usage.memory_bytes_max)));
    }
    if 1_000_000 <= usage.read_bytes + usage.written_bytes {
        words.push(format!("read {}", bytes(usage.read_bytes)));
        words.push(format!("wrote {}", bytes(usage.written_bytes)));
    }
    format!(", {}", words.join(", "))
}

fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        c if 1e9 <= c => format!("{:.1} GB", c / 1e9),
        c if 1e6 <= c => format!("{:.0} MB", c / 1e6),
        c => format!("{:.0} kB", c / 1e3),
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A stage with its reason, one a line.
pub fn print_plan(lines: &[PlanLine]) {
    let mut text = String::new();
    for line in lines {
        let mark = if line.executes {
            paint("run ", Style::Warn)
        } else {
            paint("keep", Style::Good)
        };
        text.push_str(&format!("{mark} {:<12} {}\n", line.stage, line.reason));
    }
    if !crate::terminal::is_quiet() {
        print!("{text}");
    }
}
