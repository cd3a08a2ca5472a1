mod answering;
mod columns;
mod journal;
mod read;
mod write;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value, json};

use super::Call;
use crate::exit::{Outcome, hinted};
use crate::runtimes::RuntimeArgs;
use crate::terminal;
use answering::Answering;
use journal::Journal;
use read::{Piece, Reader};
use write::Written;

/// Params by their names.
type Params = Map<String, Value>;

/// Pieces that are read ahead of the one that is written, for each thread.
const AHEAD: usize = 4;
/// How often the terminal is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Answer the rows of a file, without a server.
///
/// CSV with a header, JSON lines with an object each, or Parquet; told by the ends of the files' names. One row of
/// answers for each row, in their order. A run that was killed goes on where it was when it is started again.
///
/// Examples:
///   lathe predict ./model rows.csv -o answers.csv
///   lathe predict model.ubj rows.parquet -o answers.jsonl
///   lathe predict models:/bike-demand@champion rows.parquet -o answers.parquet
///   lathe predict graph:/score rows.csv -o answers.csv
///   lathe predict ./model rows.csv -o answers.csv --param horizon=3 --param 'levels=[0.1, 0.9]'
///   lathe predict ./model rows.data --from parquet -o answers.parquet
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// An MLflow model folder or a model file, as a path, `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/ID/NAME`,
    /// `graph:/NAME` (several models that answer together), or the URL of an object store.
    model: String,
    /// The rows: `.csv`, `.jsonl`, `.ndjson`, `.parquet` or `.pq`.
    input: PathBuf,
    /// Where the answers go: `.csv`, `.jsonl`, `.ndjson`, `.parquet` or `.pq`.
    #[arg(short, long)]
    output: PathBuf,
    /// What the rows are written as, whatever their file is called.
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// What the answers are written as, whatever their file is called.
    #[arg(long, value_name = "FORMAT")]
    to: Option<Format>,
    /// Rows that are answered at once; one thread for each core if absent.
    #[arg(short, long, value_name = "THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// A param of the model, for all rows: `NAME=VALUE`, where the value is JSON, or else text; may be said several times.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, Value)>,
    #[command(flatten)]
    runtimes: RuntimeArgs,
}

fn param(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("it is not `NAME=VALUE`")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), value))
}

/// How rows are written down.
#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    /// Fields between commas, with a header.
    Csv,
    /// An object a line.
    #[value(name = "jsonl")]
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            Some("parquet" | "pq") => Ok(Self::Parquet),
            _ => Err(hinted(
                format!("the format of `{}` is not known", path.display()),
                "name a `.csv`, `.jsonl`, `.ndjson` or `.parquet` file, or say `--from` or `--to`",
            )),
        }
    }
}

/// Predicts and writes.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let at = |path: &Path| call.folder.join(path);
    let format = |said: Option<Format>, path: &Path| said.map_or_else(|| Format::of(path), Ok);
    let (read, write) = (format(args.from, &args.input)?, format(args.to, &args.output)?);
    let (input, output) = (at(&args.input), at(&args.output));
    let model = Answering::open(call, &args.model, args.runtimes.runtimes()?)?;
    let params = params(args.params, &model)?;
    let threads = model.threads(args.jobs);
    let identity = match &params {
        None => model.identity.clone(),
        Some(params) => format!("{} {}", model.identity, serde_json::to_string(params)?),
    };
    let mut journal = Journal::open(&identity, &input, &output, write)?;
    let resumed = journal.done.rows;
    let rows = match answer(
        &model,
        &input,
        (read, write),
        params.as_ref(),
        threads,
        &mut journal,
        call.quiet || call.json,
    ) {
        Ok(rows) => rows,
        Err(error) => {
            journal.discard();
            return Err(error.context(format!("the rows of `{}` cannot be answered", input.display())));
        }
    };
    journal.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    if call.json {
        terminal::print_json(
            &json!({ "rows": rows, "resumed_rows": resumed, "seconds": seconds, "output": args.output }),
        )?;
    } else {
        let before = match resumed {
            0 => String::new(),
            resumed => format!(" ({resumed} of them before)"),
        };
        println!(
            "{rows} rows answered{before} in {seconds:.2} s: {}",
            args.output.display()
        );
    }
    Ok(Outcome::Done)
}

/// What is said of params, as the model takes it. A name that it does not know is a mistake here, where nobody sends the
/// same to other models.
fn params(said: Vec<(String, Value)>, model: &Answering) -> anyhow::Result<Option<Params>> {
    if said.is_empty() {
        return Ok(None);
    }
    let Some(schema) = model.params() else {
        return Err(anyhow!(
            "the model's signature has no params; leave out `--param`"
        ));
    };
    if let Some((name, _)) = said.iter().find(|(name, _)| !schema.has(name)) {
        let known: Vec<&str> = schema.names().collect();
        return Err(anyhow!(
            "the model has no param `{name}`; it has {}",
            known.join(", ")
        ));
    }
    Ok(Some(schema.check(said.into_iter().collect())?.params))
}

/// Reads pieces, answers them on several threads, and writes them in their order; tells how many rows there are.
fn answer(
    model: &Answering,
    input: &Path,
    (read, write): (Format, Format),
    params: Option<&Params>,
    threads: usize,
    journal: &mut Journal,
    quiet: bool,
) -> anyhow::Result<u64> {
    let mut reader = Reader::open(input, read, model.signature(), &journal.done)?;
    let mut told = Told::new(input, quiet);
    std::thread::scope(|scope| {
        let (pieces, to_answer) = channel::<Piece>();
        // A place is taken for each piece that is read and given back once it is written: nothing piles up.
        let (take_place, give_place) = sync_channel::<()>(threads * AHEAD);
        let to_answer = Arc::new(Mutex::new(to_answer));
        let (answered, to_write) = channel::<(usize, anyhow::Result<Written>)>();
        let failed = answered.clone();
        scope.spawn(move || {
            let mut index = 0;
            while take_place.send(()).is_ok() {
                match reader.piece(index) {
                    Ok(Some(piece)) => match pieces.send(piece) {
                        Ok(()) => index += 1,
                        Err(_) => return,
                    },
                    Ok(None) => return,
                    Err(error) => {
                        // Whoever writes has gone if nobody listens.
                        let _ = failed.send((index, Err(error)));
                        return;
                    }
                }
            }
        });
        for _ in 0..threads {
            let (to_answer, answered) = (to_answer.clone(), answered.clone());
            scope.spawn(move || work(model, write, params, &to_answer, &answered));
        }
        drop((to_answer, answered));
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for (index, piece) in to_write {
            waiting.insert(index, piece);
            while let Some(piece) = waiting.remove(&next) {
                journal.write(piece?)?;
                next += 1;
                told.tell(journal);
                // The reader may have ended already.
                let _ = give_place.try_recv();
            }
        }
        told.end();
        Ok(journal.reached().0)
    })
}

fn work(
    model: &Answering,
    write: Format,
    params: Option<&Params>,
    pieces: &Mutex<Receiver<Piece>>,
    answered: &Sender<(usize, anyhow::Result<Written>)>,
) {
    loop {
        let next = {
            let Ok(pieces) = pieces.lock() else { return };
            pieces.recv()
        };
        let Ok(piece) = next else { return };
        let index = piece.index;
        // Without its answer the others would wait for ever.
        let done = catch_unwind(AssertUnwindSafe(|| one(model, write, params, piece)))
            .unwrap_or_else(|_| Err(anyhow!("the model broke off")));
        if answered.send((index, done)).is_err() {
            return;
        }
    }
}

fn one(model: &Answering, write: Format, params: Option<&Params>, piece: Piece) -> anyhow::Result<Written> {
    let place = format!("in the {} rows after row {}", piece.rows(), piece.first_row);
    let answers = piece
        .table(model.signature())
        .and_then(|table| model.predict(table.with_params(params.cloned())))
        .context(place)?;
    Written::new(&answers, write, &piece)
}

/// The line on the terminal that tells how far it is.
struct Told {
    input_bytes: u64,
    started: Instant,
    last: Instant,
    shown: bool,
    quiet: bool,
    rows_before: Option<u64>,
}

impl Told {
    fn new(input: &Path, quiet: bool) -> Self {
        Self {
            input_bytes: std::fs::metadata(input).map_or(0, |metadata| metadata.len()),
            started: Instant::now(),
            last: Instant::now(),
            shown: false,
            quiet: quiet || !std::io::stderr().is_terminal(),
            rows_before: None,
        }
    }

    fn tell(&mut self, journal: &Journal) {
        let (rows, input_offset) = journal.reached();
        let before = *self.rows_before.get_or_insert(rows);
        if self.quiet || self.last.elapsed() < TELL_EVERY {
            return;
        }
        self.last = Instant::now();
        self.shown = true;
        let percent = 100.0 * input_offset as f64 / self.input_bytes.max(1) as f64;
        let speed = (rows - before) as f64 / self.started.elapsed().as_secs_f64();
        // A terminal that cannot be written to shows nothing.
        let _ = write!(
            std::io::stderr(),
            "\r{percent:.0} %, {rows} rows, {speed:.0} a second "
        );
    }

    fn end(&self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}
