//! What people read: errors, tables, colours only where a terminal shows them.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::LogFormat;
use crate::exit::Hinted;

static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on only errors are printed, and what programs asked for with `--json`.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only errors are to be printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A line for people on standard output, unless they want to see errors only.
macro_rules! tell {
    ($($line:tt)*) => {
        if !$crate::terminal::is_quiet() {
            println!($($line)*);
        }
    };
}

/// Logs go to standard error; `-v` shows more, `LATHE_LOG` sets the filter, `--log-format` the form.
pub fn start_logging(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 if is_quiet() => "error",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("LATHE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let as_json = format == LogFormat::Json;
    // A second start only happens in tests, where the first one's settings stay.
    let _ = if as_json {
        builder.json().try_init()
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init()
    };
}

/// `error: …`, its causes, and what to try.
pub fn print_error(error: &anyhow::Error) {
    eprintln!("{} {error}", paint("error:", Style::Bad));
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !shown.contains(&text) {
            eprintln!("  caused by: {text}");
        }
        shown = text;
    }
    if let Some(hint) = hint_of(error) {
        eprintln!("{} {hint}", paint("hint:", Style::Strong));
    }
}

/// The remedy that goes with the error: its own, or that of a cause.
fn hint_of(error: &anyhow::Error) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    error.chain().find_map(|cause| {
        let of_pipeline = cause.downcast_ref::<lathe_pipeline::Error>();
        let of_data = cause.downcast_ref::<lathe_data::Error>();
        of_pipeline
            .and_then(lathe_pipeline::Error::hint)
            .or_else(|| of_data.and_then(lathe_data::Error::hint).map(str::to_owned))
    })
}

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy)]
pub enum Style {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Yellow.
    Warn,
    /// Bold.
    Strong,
    /// Grey.
    Faint,
}

/// The text in its style, if standard output is a terminal that wants colours.
pub fn paint(text: &str, style: Style) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stdout().is_terminal();
    if plain {
        return text.to_owned();
    }
    let code = match style {
        Style::Good => "32",
        Style::Bad => "31;1",
        Style::Warn => "33",
        Style::Strong => "1",
        Style::Faint => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A table with left-aligned columns, two blanks between them.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![paint(&line(&mut header.iter().copied()), Style::Faint)];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// A number with about four significant digits.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        x if x == 0.0 || 1_000.0 <= x => 0,
        x if 10.0 <= x => 2,
        x if 0.001 <= x => 4,
        _ => return format!("{value:.2e}"),
    };
    format!("{value:.digits$}")
}

/// Prints a value for programs.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "22".into()]];
        assert_eq!(table(&["k", "value"], &rows), "k     value\na     1\nlong  22");
    }

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(number(72.4567), "72.46");
        assert_eq!(number(0.012345), "0.0123");
        assert_eq!(number(1234.5), "1234");
        assert_eq!(number(0.0), "0");
    }
}
