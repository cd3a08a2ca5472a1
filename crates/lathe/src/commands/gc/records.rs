//! Removes deleted records.

use lathe_blob::{ArtifactPath, Artifacts};
use lathe_store::{Doomed, GcWanted, Location, Store};
use lathe_types::{ExperimentId, Millis, RunId};

use crate::commands::Call;
use crate::commands::store_args::StoreArgs;
use crate::exit::{Outcome, hinted};
use crate::{clock, terminal, wiring};

/// Uploads in parts that nobody went on with for so long are given up.
const PARTS_IDLE_MS: i64 = 7 * 86_400_000;

/// Which deleted records go, and where they are.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Records")]
pub struct Options {
    /// Only what was deleted longer ago than this: `30d`, `1d12h`, `90m`.
    #[arg(long, value_name = "SPAN")]
    older_than: Option<String>,
    /// Only these runs, which must be deleted.
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    run_ids: Vec<String>,
    /// Only these experiments with all they hold; they must be deleted.
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    experiment_ids: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Where clients were told to keep artifacts, if not with the server.
    #[arg(long, env = "MLFLOW_DEFAULT_ARTIFACT_ROOT", value_name = "URI")]
    default_artifact_root: Option<String>,
}

impl Options {
    /// Whether an option says which records are meant.
    pub fn names_records(&self) -> bool {
        self.older_than.is_some() || !self.run_ids.is_empty() || !self.experiment_ids.is_empty()
    }
}

/// What was removed, or would be.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    removed: Vec<String>,
    kept: Vec<String>,
    artifacts_left: Vec<String>,
    uploads_given_up: u64,
}

/// Removes, and tells what.
pub fn execute(args: Options, dry: bool, call: &Call) -> anyhow::Result<Outcome> {
    let now = clock::now();
    let wanted = GcWanted {
        before: args
            .older_than
            .as_deref()
            .map(|span| before(now, span))
            .transpose()?,
        runs: args
            .run_ids
            .iter()
            .map(|id| RunId::parse(id))
            .collect::<Result<_, _>>()?,
        experiments: args
            .experiment_ids
            .iter()
            .map(|id| ExperimentId::parse(id))
            .collect::<Result<_, _>>()?,
    };
    let (database, artifacts) = args.store.places(call)?;
    if let Location::Sqlite(path) = &database
        && !path.is_file()
    {
        return Err(hinted(
            format!("there are no records at `{}`", path.display()),
            "name their database with `--backend-store-uri`, or say which data is used, as with `--workspace`",
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let mut options = wiring::PartOptions::default();
        if let Some(root) = args.default_artifact_root {
            options.default_artifact_root = root;
        }
        let state = wiring::open_parts(&database, &artifacts, options)?.state;
        collect(&state.store, &state.artifacts, wanted, dry, now).await
    })?;
    tell(call, &report, dry)?;
    Ok(Outcome::Done)
}

async fn collect(
    store: &Store,
    artifacts: &Artifacts,
    wanted: GcWanted,
    dry: bool,
    now: Millis,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    if !dry {
        // What an earlier one did not come to.
        delete_buried(store, artifacts, &mut report).await?;
    }
    for doomed in store.gc_plan(wanted).await? {
        let name = format!("{} {}", doomed.kind.noun(), doomed.id);
        if let Some(by) = &doomed.kept_by {
            report.kept.push(format!("{name}: {by} needs it"));
            continue;
        }
        if dry {
            report.removed.push(name);
            continue;
        }
        let removed = store.bury(Doomed::clone(&doomed)).await?;
        if removed {
            delete_buried(store, artifacts, &mut report).await?;
            report.removed.push(name);
        } else {
            report
                .kept
                .push(format!("{name}: it holds what is needed, or was restored"));
        }
    }
    if !dry {
        let swept = artifacts.sweep(now, Millis(now.0 - PARTS_IDLE_MS)).await;
        report.uploads_given_up = swept?.leftovers;
    }
    Ok(report)
}

/// Deletes the artifacts that tombstones stand for, where they are this server's own.
async fn delete_buried(store: &Store, artifacts: &Artifacts, report: &mut Report) -> anyhow::Result<()> {
    for location in store.tombstones().await? {
        let own = match location.strip_prefix("mlflow-artifacts:") {
            Some(path) => Some((artifacts.clone(), ArtifactPath::parse(path.trim_matches('/'))?)),
            None => artifacts.within(&location)?,
        };
        match own {
            Some((place, path)) if !path.is_root() => match place.delete(&path).await {
                Ok(()) | Err(lathe_blob::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            },
            _ => report.artifacts_left.push(location.clone()),
        }
        store.remove_tombstone(location).await?;
    }
    Ok(())
}

/// The time that lies a span like `1d12h` before now.
fn before(now: Millis, span: &str) -> anyhow::Result<Millis> {
    let unknown = || {
        hinted(
            format!("`{span}` is no span of time"),
            "write whole numbers with units, as `30d`, `1d12h` or `90m`",
        )
    };
    let mut total = 0_i64;
    let mut number = String::new();
    for letter in span.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            'w' => 604_800_000,
            'd' => 86_400_000,
            'h' => 3_600_000,
            'm' => 60_000,
            's' => 1_000,
            _ => return Err(unknown()),
        };
        let amount: i64 = number.parse().map_err(|_| unknown())?;
        total = amount
            .checked_mul(unit)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(unknown)?;
        number.clear();
    }
    if span.is_empty() || !number.is_empty() {
        return Err(unknown());
    }
    Ok(Millis(now.0 - total))
}

fn tell(call: &Call, report: &Report, dry: bool) -> anyhow::Result<()> {
    if call.json {
        return terminal::print_json(report);
    }
    let done = if dry { "would remove" } else { "removed" };
    for name in &report.removed {
        tell!("{done} {name}");
    }
    for kept in &report.kept {
        tell!("kept {kept}");
    }
    for left in &report.artifacts_left {
        tell!("artifacts at {left} are not this server's, and stay");
    }
    if report.uploads_given_up != 0 {
        tell!("{} unfinished uploads given up", report.uploads_given_up);
    }
    tell!(
        "{done}: {} records, {} kept",
        report.removed.len(),
        report.kept.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_numbers_with_units() {
        let now = Millis(1_000_000_000_000);
        let ago = |span| now.0 - before(now, span).unwrap().0;
        assert_eq!(ago("30d"), 30 * 86_400_000);
        assert_eq!(
            ago("1d12h5m10s"),
            86_400_000 + 12 * 3_600_000 + 5 * 60_000 + 10_000
        );
        for wrong in [
            "",
            "d",
            "30",
            "1y",
            "-1d",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(before(now, wrong).is_err(), "{wrong}");
        }
    }
}
