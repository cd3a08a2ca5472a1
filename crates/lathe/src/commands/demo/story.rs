//! What the demo tells: steps as they happen, and the summary at the end.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::terminal::{self, Style, paint};

/// One step, told.
struct Told {
    title: &'static str,
    outcome: String,
    took: Duration,
}

/// The demo's tale so far.
pub struct Story {
    quiet: bool,
    started: Instant,
    told: Vec<Told>,
}

impl Story {
    /// Quiet ones only tell the summary, as JSON.
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            started: Instant::now(),
            told: Vec::new(),
        }
    }

    /// Carries out one step; its outcome is a line for people.
    pub fn step<T>(
        &mut self,
        title: &'static str,
        work: impl FnOnce(&mut Self) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        self.line(&format!(
            "{} {}",
            paint("▸", Style::Strong),
            paint(title, Style::Strong)
        ));
        let result = work(self);
        let took = started.elapsed();
        let (value, outcome) = result.inspect_err(|error| {
            self.told.push(Told {
                title,
                outcome: format!("FAILED: {error}"),
                took,
            });
        })?;
        self.line(&format!(
            "  {} {outcome} ({:.1} s)",
            paint("✓", Style::Good),
            took.as_secs_f64()
        ));
        self.told.push(Told { title, outcome, took });
        Ok(value)
    }

    /// A detail of the step under way.
    pub fn detail(&self, text: &str) {
        let at = self.started.elapsed().as_secs_f64();
        self.line(&format!(
            "  {} {text}",
            paint(&format!("{at:6.1} s"), Style::Faint)
        ));
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            println!("{text}");
        }
    }

    /// The summary: one screen.
    pub fn summary(
        &self,
        took: Duration,
        folder: &Path,
        url: Option<&str>,
        good: bool,
    ) -> anyhow::Result<()> {
        if self.quiet {
            let steps: Vec<_> = self
                .told
                .iter()
                .map(|told| json!({ "step": told.title, "outcome": told.outcome, "seconds": told.took.as_secs_f64() }))
                .collect();
            return terminal::print_json(&json!({
                "good": good, "seconds": took.as_secs_f64(), "project": folder, "url": url, "steps": steps,
            }));
        }
        println!("\n{}", paint("── the loop, in one screen ──", Style::Strong));
        for told in &self.told {
            let mark = match told.outcome.starts_with("FAILED") {
                true => paint("✗", Style::Bad),
                false => paint("✓", Style::Good),
            };
            println!("{mark} {:<10} {}", paint(told.title, Style::Strong), told.outcome);
        }
        let verdict = match good {
            true => paint("every step did what it should", Style::Good),
            false => paint("a step did not do what it should", Style::Bad),
        };
        println!("{verdict}, in {:.0} s", took.as_secs_f64());
        println!("{} {}", paint("project:", Style::Faint), folder.display());
        if let Some(url) = url {
            println!("{} {url}/", paint("web page:", Style::Faint));
        }
        Ok(())
    }
}
