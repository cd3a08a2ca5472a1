use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lathe_monitor::{Against, Cell, Profile, RawColumn, Reference};
use lathe_types::drift::{ColumnKind, DriftReport, Outcome as Verdict};
use lathe_types::project::DriftSpec;
use lathe_types::windows::Window;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Call;
use crate::client::segment;
use crate::exit::{Outcome, hint, hinted};
use crate::registration;
use crate::terminal::{self, Style, number, paint};

/// Show how live data differs from the reference, or compare two CSV files.
///
/// A column has drifted when the effect is large *and* significant. Exit code 3: drift was found.
///
/// Examples:
///   lathe drift bike-demand                         the windows of a deployment, newest first
///   lathe drift bike-demand --limit 1               every column of the newest window
///   lathe drift train.csv today.csv                 two files, no server needed
///   lathe drift train.csv today.csv --ignore id
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A deployment, or the CSV file that is the reference.
    subject: String,
    /// The CSV file to compare with the reference.
    current: Option<PathBuf>,
    /// Windows to show.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// Columns that are not judged.
    #[arg(long)]
    ignore: Vec<String>,
}

/// Prints the comparison.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    match &args.current {
        Some(current) => compare_files(
            &call.folder.join(&args.subject),
            &call.folder.join(current),
            &args,
            call,
        ),
        None => show_windows(&args, call),
    }
}

#[derive(Deserialize)]
struct Windows {
    windows: Vec<Window>,
}

fn show_windows(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let path = format!(
        "/api/v1/deployments/{}/windows?limit={}",
        segment(&args.subject),
        args.limit
    );
    let Windows { windows } = call.client()?.get(&path)?;
    if call.json {
        terminal::print_json(&windows)?;
    } else if let [window] = windows.as_slice() {
        println!(
            "{} to {}, version {}, {} rows",
            window.start, window.end, window.version, window.rows
        );
        if let Some(report) = &window.drift {
            print_report(report);
        }
    } else {
        let rows: Vec<Vec<String>> = windows.iter().map(line).collect();
        println!(
            "{}",
            terminal::table(
                &["window from", "version", "rows", "drift", "columns", "error"],
                &rows
            )
        );
    }
    let newest = windows.iter().find_map(|window| window.drift.as_ref());
    Ok(outcome_of(newest))
}

fn line(window: &Window) -> Vec<String> {
    let (verdict, columns) = match &window.drift {
        None => ("open".to_owned(), String::new()),
        Some(report) => (word(report.outcome).to_owned(), drifted(report)),
    };
    let error = window.performance.as_ref();
    let error = error
        .map(|found| format!("{} {}", found.metric, number(found.value)))
        .unwrap_or_default();
    vec![
        window.start.to_string(),
        window.version.to_string(),
        window.rows.to_string(),
        verdict,
        columns,
        error,
    ]
}

fn drifted(report: &DriftReport) -> String {
    let names = report
        .columns
        .iter()
        .filter(|column| column.outcome == Verdict::Drift)
        .map(|column| column.column.as_str());
    names.collect::<Vec<_>>().join(" ")
}

fn compare_files(reference: &Path, current: &Path, args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let columns = read_columns(reference)?;
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let reference = Reference::build(columns, None)
        .with_context(|| format!("`{}` cannot be profiled", reference.display()))?;
    let profile = read_profile(current, &names, &reference)?;
    let spec = DriftSpec {
        ignore: args.ignore.clone(),
        ..DriftSpec::default()
    };
    let report = lathe_monitor::compare(&reference, Against::Training, &profile, &spec);
    if call.json {
        terminal::print_json(&report)?;
    } else {
        print_report(&report);
    }
    Ok(outcome_of(Some(&report)))
}

fn open_csv(path: &Path) -> anyhow::Result<csv::Reader<std::fs::File>> {
    csv::Reader::from_path(path).map_err(|error| {
        anyhow::Error::new(error).context(hint(
            format!("`{}` cannot be read", path.display()),
            "name a CSV file with a header; for a deployment give its name alone",
        ))
    })
}

fn read_columns(path: &Path) -> anyhow::Result<Vec<RawColumn>> {
    let mut reader = open_csv(path)?;
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut cells = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.with_context(|| format!("failed to read `{}`", path.display()))?;
        for (column, field) in cells.iter_mut().zip(&record) {
            column.push(registration::cell(field));
        }
    }
    let columns = names.into_iter().zip(cells).map(|(name, cells)| {
        let text = cells.iter().any(|cell| matches!(cell, Cell::Text(_)));
        let kind = if text {
            ColumnKind::Categorical
        } else {
            ColumnKind::Numeric
        };
        RawColumn { name, kind, cells }
    });
    Ok(columns.collect())
}

fn read_profile(path: &Path, names: &[String], reference: &Reference) -> anyhow::Result<Profile> {
    let mut reader = open_csv(path)?;
    let header = reader.headers()?.clone();
    if let Some(missing) = names
        .iter()
        .find(|name| !header.iter().any(|column| column == *name))
    {
        return Err(hinted(
            format!("`{}` has no column `{missing}`", path.display()),
            "both files need the reference's columns",
        ));
    }
    let mut profile = Profile::empty(reference);
    for record in reader.records() {
        let record = record.with_context(|| format!("failed to read `{}`", path.display()))?;
        let row: Map<String, Value> = header
            .iter()
            .zip(&record)
            .map(|(name, field)| (name.to_owned(), json_of(registration::cell(field))))
            .collect();
        profile.add(reference, &row);
    }
    Ok(profile)
}

fn json_of(cell: Cell) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Number(number) => Value::from(number),
        Cell::Text(text) => Value::String(text),
    }
}

fn print_report(report: &DriftReport) {
    let rows: Vec<Vec<String>> = report
        .columns
        .iter()
        .map(|column| {
            let mean = |side: Option<f64>| side.map(number).unwrap_or_default();
            vec![
                column.column.clone(),
                word(column.outcome).to_owned(),
                number(column.score),
                number(column.threshold),
                column.p_value.map(number).unwrap_or_default(),
                mean(column.reference.mean),
                mean(column.window.mean),
                column.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let header = [
        "column",
        "verdict",
        "effect",
        "limit",
        "p",
        "mean then",
        "mean now",
        "",
    ];
    println!("{}", terminal::table(&header, &rows));
    let style = if report.outcome == Verdict::Drift {
        Style::Bad
    } else {
        Style::Good
    };
    println!(
        "{}: {:.0} % of the columns drifted against {} (limit {:.0} %)",
        paint(word(report.outcome), style),
        report.share * 100.0,
        report.reference,
        report.share_threshold * 100.0
    );
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Drift => "DRIFT",
        Verdict::Insufficient => "too few",
        Verdict::Untestable => "untestable",
    }
}

fn outcome_of(report: Option<&DriftReport>) -> Outcome {
    match report {
        Some(report) if report.outcome == Verdict::Drift => Outcome::GateFailed,
        _ => Outcome::Done,
    }
}
