use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use lathe_serving::{Answers, Model, Output, Table, Values, without_bare_nan};
use serde_json::{Map, Value, json};

use super::Call;
use crate::exit::{Outcome, hinted};
use crate::python_models::PythonArgs;
use crate::terminal;

/// Rows that are read, answered and written together.
const ROWS: usize = 8192;
/// What pandas reads as a missing value.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Answer the rows of a file, without a server.
///
/// CSV with a header, or JSON lines with an object each; told by the ends of the files' names. One row of answers for
/// each row, in their order.
///
/// Examples:
///   lathe predict ./model rows.csv -o answers.csv
///   lathe predict model.ubj rows.jsonl -o answers.jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// An MLflow model folder, or a model file.
    model: PathBuf,
    /// The rows: `.csv`, `.jsonl` or `.ndjson`.
    input: PathBuf,
    /// Where the answers go: `.csv`, `.jsonl` or `.ndjson`.
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    python: PythonArgs,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Csv,
    JsonLines,
}

impl Format {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            _ => Err(hinted(
                format!("the format of `{}` is not known", path.display()),
                "name a `.csv`, `.jsonl` or `.ndjson` file",
            )),
        }
    }
}

/// Predicts and writes.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let at = |path: &Path| call.folder.join(path);
    let (read, write) = (Format::of(&args.input)?, Format::of(&args.output)?);
    let model = at(&args.model);
    let model = Model::load_with(&model, args.python.permission()?.as_ref())
        .with_context(|| format!("the model in `{}` cannot be used", model.display()))?;
    let (input, output) = (at(&args.input), at(&args.output));
    // Written beside its name, so that there are all answers or none.
    let mut partial = output.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = File::create(&partial).with_context(|| format!("failed to write `{}`", partial.display()))?;
    let mut writer = Writer {
        out: BufWriter::new(file),
        format: write,
        rows: 0,
    };
    let done = each_table(&input, read, &model, |table| {
        let answers = model.predict(table)?;
        writer.write(&answers).context("failed to write the answers")
    });
    let done = done.with_context(|| format!("the rows of `{}` cannot be answered", input.display()));
    let rows = writer.rows;
    let finished = done.and_then(|()| {
        let file = writer.out.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        std::fs::rename(&partial, &output).with_context(|| format!("failed to write `{}`", output.display()))
    });
    if finished.is_err() {
        // What is half written is of no use; the error tells more than a failure to remove it.
        let _ = std::fs::remove_file(&partial);
    }
    finished?;
    let seconds = started.elapsed().as_secs_f64();
    if call.json {
        terminal::print_json(&json!({ "rows": rows, "seconds": seconds, "output": args.output }))?;
    } else {
        println!(
            "{rows} rows answered in {seconds:.2} s: {}",
            args.output.display()
        );
    }
    Ok(Outcome::Done)
}

/// Calls `take` with the rows, some at a time.
fn each_table(
    path: &Path,
    format: Format,
    model: &Model,
    mut take: impl FnMut(&Table) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let file = File::open(path).context("the file cannot be read")?;
    let mut done = 0;
    match format {
        Format::Csv => {
            let mut reader = csv::ReaderBuilder::new().from_reader(file);
            let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
            let mut columns: Vec<(String, Vec<Value>)> =
                names.into_iter().map(|name| (name, Vec::new())).collect();
            let mut record = csv::StringRecord::new();
            loop {
                let more = reader.read_record(&mut record)?;
                if more {
                    for ((_, column), field) in columns.iter_mut().zip(record.iter()) {
                        column.push(if MISSING.contains(&field) {
                            Value::Null
                        } else {
                            Value::from(field)
                        });
                    }
                }
                let held = columns.first().map_or(0, |(_, column)| column.len());
                // An empty file is answered too: a missing column is told, and a header is written.
                if held == ROWS || !more && (0 < held || done == 0) {
                    let table = Table::from_columns(&columns, model.signature())
                        .with_context(|| format!("in the {held} rows after row {done}"))?;
                    take(&table).with_context(|| format!("in the {held} rows after row {done}"))?;
                    done += held;
                    columns.iter_mut().for_each(|(_, column)| column.clear());
                }
                if !more {
                    return Ok(());
                }
            }
        }
        Format::JsonLines => {
            let mut records: Vec<Map<String, Value>> = Vec::new();
            let mut lines = BufReader::new(file).lines();
            loop {
                let line = lines.next().transpose()?;
                if let Some(line) = line.as_deref().filter(|line| !line.trim().is_empty()) {
                    let record = serde_json::from_str(&without_bare_nan(line));
                    records.push(
                        record.with_context(|| format!("row {} is no JSON object", done + records.len()))?,
                    );
                }
                let ended = line.is_none();
                if records.len() == ROWS || ended && (!records.is_empty() || done == 0) {
                    let held = records.len();
                    let table = Table::from_records(&records, model.signature())
                        .with_context(|| format!("in the {held} rows after row {done}"))?;
                    take(&table).with_context(|| format!("in the {held} rows after row {done}"))?;
                    done += held;
                    records.clear();
                }
                if ended {
                    return Ok(());
                }
            }
        }
    }
}

struct Writer {
    out: BufWriter<File>,
    format: Format,
    rows: usize,
}

impl Writer {
    fn write(&mut self, answers: &Answers) -> anyhow::Result<()> {
        let first = self.rows == 0;
        self.rows += answers.rows();
        if self.format == Format::JsonLines {
            for answer in answers.values() {
                serde_json::to_writer(&mut self.out, &answer)?;
                self.out.write_all(b"\n")?;
            }
            return Ok(());
        }
        let mut csv = csv::Writer::from_writer(&mut self.out);
        if first {
            csv.write_record(answers.outputs.iter().flat_map(header))?;
        }
        for row in 0..answers.rows() {
            let fields = answers.outputs.iter().flat_map(|output| {
                let width = output.per_row();
                (row * width..(row + 1) * width).map(|index| field(&output.values, index))
            });
            csv.write_record(fields)?;
        }
        csv.flush()?;
        Ok(())
    }
}

/// The names of an output's columns.
fn header(output: &Output) -> Vec<String> {
    match (output.width, &output.keys) {
        (None, _) => vec![output.name.to_string()],
        (Some(width), None) => (0..width)
            .map(|index| format!("{}_{index}", output.name))
            .collect(),
        (Some(_), Some(keys)) => keys
            .iter()
            .map(|key| match key {
                Value::String(key) => format!("{}_{key}", output.name),
                key => format!("{}_{key}", output.name),
            })
            .collect(),
    }
}

/// A value as text that reads back as the same value.
fn field(values: &Values, index: usize) -> String {
    match values {
        Values::Float(values) => values[index].to_string(),
        Values::Double(values) => values[index].to_string(),
        Values::Integer(values) => values[index].to_string(),
        Values::Long(values) => values[index].to_string(),
        Values::Boolean(values) => values[index].to_string(),
        Values::Text(values) => values[index].clone(),
        Values::Json(values) => values[index].to_string(),
        Values::Whole(value) => value.to_string(),
    }
}
