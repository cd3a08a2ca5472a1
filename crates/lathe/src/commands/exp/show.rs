use std::collections::HashSet;
use std::sync::Mutex;

use anyhow::Context;
use lathe_pipeline::{LockedPath, State, flat};
use serde_json::{Map, Value as Json, json};

use super::super::Call;
use super::super::values::{TableStyle, cell, files_json, print_table};
use super::{Baselines, Place};
use crate::exit::Outcome;
use crate::experiments::{self, Entry, Experiment};
use crate::revisions::{self, WORKSPACE};
use crate::{process, terminal};

/// Show experiments with their params and metrics, below the commits they began from.
///
/// Examples:
///   lathe exp show
///   lathe exp show --only-changed --sort-by rmse
///   lathe exp show -A --csv > all.csv
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    style: TableStyle,
    #[command(flatten)]
    baselines: Baselines,
    /// As comma-separated values.
    #[arg(long)]
    csv: bool,
    /// Only params and metrics that are not the same everywhere.
    #[arg(long)]
    only_changed: bool,
    /// Leave these columns out: params, metrics or deps by name.
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    /// Keep these columns, whatever else is left out.
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Only params that stages depend on.
    #[arg(long)]
    param_deps: bool,
    /// Order the experiments of a commit by a param or metric.
    #[arg(long, value_name = "NAME")]
    sort_by: Option<String>,
    /// Which way.
    #[arg(long, value_enum, default_value_t = Order::Asc)]
    sort_order: Order,
    /// Leave those out that wait.
    #[arg(long)]
    hide_queued: bool,
    /// Leave those out that failed.
    #[arg(long)]
    hide_failed: bool,
    /// Leave the files as they are out.
    #[arg(long)]
    hide_workspace: bool,
    /// Do not look for names of commits.
    #[arg(long, alias = "sha")]
    sha_only: bool,
    /// Nothing: what is shown is never stopped at each page.
    #[arg(long, hide = true)]
    no_pager: bool,
    /// Nothing: experiments that run are read where they are.
    #[arg(long, hide = true)]
    no_fetch: bool,
    /// Nothing: nothing is kept of what was shown.
    #[arg(short, long, hide = true)]
    force: bool,
    /// Also those of the last commit of every branch.
    #[arg(short, long)]
    all_branches: bool,
    /// Also those of the commit of every tag.
    #[arg(short = 'T', long)]
    all_tags: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// The smallest first.
    Asc,
    /// The largest first.
    Desc,
}

/// One line: a commit, an experiment, or the files as they are.
struct Row {
    rev: String,
    name: Option<String>,
    is_experiment: bool,
    /// How far it is, unless it is saved.
    state: Option<&'static str>,
    data: Result<Json, String>,
}

/// Shows them.
pub fn execute(args: &Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = Place::of(call)?;
    let rows = collect(args, &place)?;
    if call.json {
        terminal::print_json(&as_json(&rows))?;
        return Ok(Outcome::Done);
    }
    let (header, lines) = table(args, &rows);
    if args.csv {
        let mut writer = csv::Writer::from_writer(std::io::stdout());
        writer.write_record(&header)?;
        for line in lines {
            writer.write_record(&line)?;
        }
        writer.flush()?;
        return Ok(Outcome::Done);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    print_table(&header, &lines, args.style);
    Ok(Outcome::Done)
}

fn collect(args: &Args, place: &Place) -> anyhow::Result<Vec<Row>> {
    // Revision, name, state, whether it is an experiment.
    let mut wanted: Vec<(String, Option<String>, Option<&'static str>, bool)> = Vec::new();
    if !args.hide_workspace {
        wanted.push((WORKSPACE.to_owned(), None, None, false));
    }
    let waiting = experiments::entries(&place.root)?;
    let mut commits = args.baselines.commits(place)?;
    for (is_wanted, kind) in [(args.all_branches, "refs/heads"), (args.all_tags, "refs/tags")] {
        let names = match is_wanted {
            true => crate::git::references(&place.root, kind)?,
            false => Vec::new(),
        };
        // A tag with a message is an object of its own.
        let new = names
            .iter()
            .filter_map(|name| crate::git::commit_of(&place.root, name));
        for commit in new {
            if !commits.contains(&commit) {
                commits.push(commit);
            }
        }
    }
    for commit in commits {
        let name = if args.sha_only {
            None
        } else {
            name_of(place, &commit)
        };
        wanted.push((commit.clone(), name, None, false));
        let mut saved = experiments::of_baselines(&place.root, &HashSet::from([commit.clone()]))?;
        saved.reverse();
        let saved = saved
            .into_iter()
            .map(|Experiment { commit, name, .. }| (commit, Some(name), None, true));
        wanted.extend(saved);
        let is_wanted = |entry: &&Entry| {
            entry.baseline == commit
                && match entry.state {
                    experiments::State::Queued => !args.hide_queued,
                    experiments::State::Failed => !args.hide_failed,
                    experiments::State::Running => true,
                }
        };
        wanted.extend(waiting.iter().filter(is_wanted).map(|entry| {
            (
                entry.commit.clone(),
                Some(entry.name.clone()),
                Some(entry.state.name()),
                true,
            )
        }));
    }
    // Each is read by git processes of its own, which is what takes the time.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let next = Mutex::new(wanted.into_iter().enumerate());
    let found: Mutex<Vec<(usize, Row)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().ok().and_then(|mut next| next.next());
                    let Some((at, (rev, name, state, is_experiment))) = taken else {
                        return;
                    };
                    let data = read(args, place, &rev).map_err(|error| format!("{error:#}"));
                    let row = Row {
                        rev,
                        name,
                        is_experiment,
                        state,
                        data,
                    };
                    if let Ok(mut found) = found.lock() {
                        found.push((at, row));
                    }
                }
            });
        }
    });
    let mut found = found
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    found.sort_by_key(|(at, _)| *at);
    let rows: Vec<Row> = found.into_iter().map(|(_, row)| row).collect();
    Ok(match &args.sort_by {
        Some(by) => sorted(rows, by, args.sort_order)?,
        None => rows,
    })
}

/// Those of each commit by the value of a column; without a value they come last.
fn sorted(rows: Vec<Row>, by: &str, order: Order) -> anyhow::Result<Vec<Row>> {
    let value = |row: &Row| {
        let values = ["metrics", "params"].map(|kind| values_of(row, kind));
        let found = values.into_iter().flatten();
        let mut found = found.filter(|(file, key, _)| key == by || format!("{file}:{key}") == by);
        found.next().and_then(|(_, _, value)| value.as_f64())
    };
    if !rows.iter().any(|row| value(row).is_some()) {
        anyhow::bail!("no experiment has a number `{by}` to sort by");
    }
    let mut sorted: Vec<Row> = Vec::new();
    let mut begun = 0;
    for row in rows {
        if !row.is_experiment {
            sorted.push(row);
            begun = sorted.len();
            continue;
        }
        let place = match value(&row) {
            None => sorted.len(),
            Some(mine) => sorted[begun..]
                .iter()
                .position(|other| match (value(other), order) {
                    (None, _) => true,
                    (Some(other), Order::Asc) => mine < other,
                    (Some(other), Order::Desc) => other < mine,
                })
                .map_or(sorted.len(), |at| begun + at),
        };
        sorted.insert(place, row);
    }
    Ok(sorted)
}

/// A branch or tag of the commit.
fn name_of(place: &Place, commit: &str) -> Option<String> {
    let branch = process::output_of(
        "git",
        &["symbolic-ref", "--quiet", "--short", "HEAD"],
        &place.root,
    )
    .ok();
    if commit == place.head && branch.is_some() {
        return branch;
    }
    let listed = process::output_of(
        "git",
        &[
            "for-each-ref",
            "--points-at",
            commit,
            "--format=%(refname:short)",
            "refs/tags",
            "refs/heads",
        ],
        &place.root,
    );
    listed.ok()?.lines().next().map(str::to_owned)
}

fn read(args: &Args, place: &Place, rev: &str) -> anyhow::Result<Json> {
    let state = revisions::state(&place.repo, rev)?;
    let at = if rev == WORKSPACE {
        Json::Null
    } else {
        json!(process::output_of(
            "git",
            &[
                "show",
                "--no-patch",
                "--format=%cd",
                "--date=format-local:%Y-%m-%dT%H:%M:%S",
                rev
            ],
            &place.root,
        )?)
    };
    data(&state, rev, at, args.param_deps).context("its pipeline cannot be read")
}

fn data(state: &State, rev: &str, at: Json, param_deps: bool) -> lathe_pipeline::Result<Json> {
    let paths = |paths: Vec<LockedPath>, tell: &dyn Fn(&LockedPath, &mut Map<String, Json>)| {
        let told = paths.into_iter().map(|path| {
            let hashed = path.hashed.as_ref();
            let mut told = Map::new();
            told.insert("hash".into(), json!(hashed.map(|hashed| &hashed.md5)));
            told.insert("size".into(), json!(hashed.map(|hashed| hashed.size)));
            told.insert("nfiles".into(), json!(hashed.and_then(|hashed| hashed.nfiles)));
            tell(&path, &mut told);
            (path.at, Json::Object(told))
        });
        Json::Object(told.collect())
    };
    Ok(json!({
        "rev": rev,
        "timestamp": at,
        "params": files_json(&state.params(&[], param_deps)?),
        "metrics": files_json(&state.metrics(&[])?),
        "deps": paths(state.deps(), &|_, _| {}),
        "outs": paths(state.outs(), &|path, told| {
            told.insert("use_cache".into(), json!(path.cache));
            told.insert("is_data_source".into(), json!(false));
        }),
        "meta": {},
    }))
}

/// In the form of `dvc exp show --json`.
fn as_json(rows: &[Row]) -> Json {
    let state = |row: &Row| {
        let (data, error) = match &row.data {
            Ok(data) => (data.clone(), Json::Null),
            Err(problem) => (Json::Null, json!({ "msg": problem, "type": "" })),
        };
        json!({ "rev": row.rev, "name": row.name, "data": data, "error": error, "experiments": null })
    };
    let mut told: Vec<Json> = Vec::new();
    for row in rows {
        if !row.is_experiment {
            told.push(state(row));
            continue;
        }
        let executor = row
            .state
            .map(|state| json!({ "state": state, "name": null, "local": null }));
        let range = json!({ "revs": [state(row)], "executor": executor, "name": row.name });
        if let Some(Json::Object(baseline)) = told.last_mut() {
            match baseline.get_mut("experiments") {
                Some(Json::Array(all)) => all.push(range),
                _ => drop(baseline.insert("experiments".into(), json!([range]))),
            }
        }
    }
    Json::Array(told)
}

/// File, dotted key and value of params or metrics.
fn values_of(row: &Row, kind: &str) -> Vec<(String, String, Json)> {
    let files = row.data.as_ref().ok().and_then(|data| data[kind].as_object());
    let files = files.into_iter().flatten();
    files
        .flat_map(|(file, found)| {
            let values = flat(&found["data"]);
            values.into_iter().map(|(key, value)| (file.clone(), key, value))
        })
        .collect()
}

fn table(args: &Args, rows: &[Row]) -> (Vec<String>, Vec<Vec<String>>) {
    let text = |value: &Json| {
        if args.csv {
            plain(value)
        } else {
            cell(value, args.style.precision)
        }
    };
    let mut header: Vec<String> = if args.csv {
        ["Experiment", "rev", "typ", "Created", "parent"]
            .map(str::to_owned)
            .to_vec()
    } else {
        ["Experiment", "Created"].map(str::to_owned).to_vec()
    };
    let has_states = rows.iter().any(|row| row.state.is_some());
    if has_states {
        header.push("State".to_owned());
    }
    let none = if args.csv { "" } else { "-" };
    let mut lines: Vec<Vec<String>> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let is_last = rows.get(at + 1).is_none_or(|next| !next.is_experiment);
            let mut line = first_cells(args.csv, row, is_last);
            if has_states {
                line.push(row.state.unwrap_or(none).to_owned());
            }
            line
        })
        .collect();
    let fixed = header.len();
    for kind in ["metrics", "params"] {
        let all: Vec<Vec<(String, String, Json)>> = rows.iter().map(|row| values_of(row, kind)).collect();
        let mut columns: Vec<(String, String)> = Vec::new();
        for (file, key, _) in all.iter().flatten() {
            let column = (file.clone(), key.clone());
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        for (file, key) in &columns {
            let is_alone = columns.iter().filter(|(_, other)| other == key).count() == 1;
            header.push(if is_alone {
                key.clone()
            } else {
                format!("{file}:{key}")
            });
            for (line, (row, values)) in lines.iter_mut().zip(rows.iter().zip(&all)) {
                let value = values.iter().find(|(f, k, _)| f == file && k == key);
                let is_broken = row
                    .data
                    .as_ref()
                    .is_ok_and(|data| !data[kind][file]["error"].is_null());
                line.push(match value {
                    Some((_, _, value)) => text(value),
                    None if is_broken => "!".to_owned(),
                    None => none.to_owned(),
                });
            }
        }
    }
    let mut deps: Vec<String> = Vec::new();
    for row in rows {
        let of_row = row.data.as_ref().ok().and_then(|data| data["deps"].as_object());
        deps.extend(of_row.into_iter().flatten().map(|(path, _)| path.clone()));
    }
    deps.sort();
    deps.dedup();
    for dep in deps {
        for (line, row) in lines.iter_mut().zip(rows) {
            let hash = row
                .data
                .as_ref()
                .ok()
                .and_then(|data| data["deps"][&dep]["hash"].as_str());
            line.push(
                hash.map_or(none, |hash| {
                    if args.csv {
                        hash
                    } else {
                        &hash[..hash.len().min(7)]
                    }
                })
                .to_owned(),
            );
        }
        header.push(dep);
    }
    keep_columns(args, fixed, header, lines)
}

fn keep_columns(
    args: &Args,
    fixed: usize,
    header: Vec<String>,
    lines: Vec<Vec<String>>,
) -> (Vec<String>, Vec<Vec<String>>) {
    let is_kept: Vec<bool> = header
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let is_same = || lines.windows(2).all(|pair| pair[0][at] == pair[1][at]);
            at < fixed
                || args.keep.contains(name)
                || !(args.drop.contains(name) || args.only_changed && is_same())
        })
        .collect();
    let pick = |line: Vec<String>| {
        let kept = line.into_iter().zip(&is_kept).filter(|(_, is_kept)| **is_kept);
        kept.map(|(cell, _)| cell).collect::<Vec<_>>()
    };
    (pick(header), lines.into_iter().map(pick).collect())
}

fn first_cells(is_csv: bool, row: &Row, is_last: bool) -> Vec<String> {
    let short = |rev: &str| {
        if rev == WORKSPACE {
            rev.to_owned()
        } else {
            rev[..rev.len().min(7)].to_owned()
        }
    };
    let at = row
        .data
        .as_ref()
        .ok()
        .and_then(|data| data["timestamp"].as_str())
        .unwrap_or_default();
    let rev = match (&row.name, row.is_experiment) {
        (Some(name), false) => name.clone(),
        _ => short(&row.rev),
    };
    if is_csv {
        let kind = match (row.is_experiment, is_last) {
            (false, _) => "baseline",
            (true, true) => "branch_base",
            (true, false) => "branch_commit",
        };
        let name = row.name.clone().filter(|_| row.is_experiment).unwrap_or_default();
        return vec![name, rev, kind.to_owned(), at.to_owned(), String::new()];
    }
    let name = match (&row.name, row.is_experiment) {
        (Some(name), true) => {
            let mark = if is_last { "└──" } else { "├──" };
            format!("{mark} {} [{name}]", short(&row.rev))
        }
        _ => rev,
    };
    let at = if at.is_empty() {
        "-".to_owned()
    } else {
        at.replace('T', " ")
    };
    vec![name, at]
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        value => value.to_string(),
    }
}

/// Lists what git calls a commit, for messages.
pub fn short_name(place: &Place, commit: &str) -> String {
    name_of(place, commit).unwrap_or_else(|| commit[..commit.len().min(7)].to_owned())
}
