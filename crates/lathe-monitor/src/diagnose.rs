//! Why a limit was breached: what moved, since when, and which of four causes fits the observations.

use lathe_types::alerts::AlertKind;
use lathe_types::drift::{Cause, ColumnMovement, ColumnVerdict, Diagnosis, Outcome};
use lathe_types::project::MonitorSpec;
use lathe_types::windows::Window;

use crate::judge::breaches;
use crate::{Against, Profile, Reference, compare};

/// More missing values than the reference by this share mean a broken input.
const MISSING_MORE: f64 = 0.05;
/// This share of values that the reference never had means a broken input.
const UNSEEN_MANY: f64 = 0.2;

/// Errors are one-sided when their mean is at least this much of their root mean square.
const ONE_SIDED: f64 = 0.5;

/// The same month explains a drift that it makes at most this much of. Weather and the like come in spells, so that
/// even a plain week differs somewhat from its month.
const SEASON_EXPLAINS: f64 = 0.5;

/// Explains a breach. `windows` are the closed ones of one version, oldest first, the breached one last; `profile` is
/// the last one's; `error_before` is the judged metric as evaluated before deployment.
pub fn diagnose(
    kind: AlertKind,
    reference: &Reference,
    windows: &[Window],
    profile: &Profile,
    spec: &MonitorSpec,
    error_before: Option<f64>,
) -> Diagnosis {
    let Some(newest) = windows.last() else {
        return empty(error_before);
    };
    let verdicts: &[ColumnVerdict] = newest.drift.as_ref().map_or(&[], |report| &report.columns);
    let month = newest.start.month();
    let seasonal = compare(reference, Against::Month(month), profile, &spec.drift);

    let mut columns: Vec<ColumnMovement> = verdicts
        .iter()
        .filter(|verdict| verdict.outcome == Outcome::Drift)
        .map(|verdict| ColumnMovement {
            column: verdict.column.clone(),
            score: verdict.score,
            reference_mean: verdict.reference.mean,
            window_mean: verdict.window.mean,
            since: drifted_since(windows, &verdict.column),
            seasonal: seasonal
                .columns
                .iter()
                .find(|same| same.column == verdict.column)
                .and_then(|same| explained_by_season(verdict, same)),
        })
        .collect();
    columns.sort_by(|a, b| b.score.total_cmp(&a.score));

    let mut evidence = Vec::new();
    let broken: Vec<&str> = verdicts
        .iter()
        .filter_map(|verdict| broken_input(verdict, &mut evidence))
        .collect();
    let limits = spec.performance.as_ref();
    let error_now = windows
        .iter()
        .rev()
        .find_map(|window| window.performance.as_ref());
    let error_breached = limits
        .zip(error_now)
        .is_some_and(|(limits, found)| breaches(limits, found));
    // Errors that all point one way come from a changed relation: inputs that merely moved take the predictions along.
    let bias = error_now.and_then(|found| found.metrics.get("bias").copied());
    let one_sided = error_now
        .and_then(|found| found.metrics.get("rmse").zip(bias))
        .is_some_and(|(rmse, bias)| ONE_SIDED <= bias.abs() / rmse);
    if let Some(found) = error_now {
        let before = error_before.map(|before| format!(" ({} when it was evaluated)", round(before)));
        evidence.push(format!(
            "{} is {} on {} labelled rows{}",
            found.metric,
            round(found.value),
            found.labelled,
            before.unwrap_or_default()
        ));
        if let Some(bias) = bias.filter(|_| error_breached) {
            let way = if bias < 0.0 { "too low" } else { "too high" };
            evidence.push(format!(
                "predictions are {way} by {} on average",
                round(bias.abs())
            ));
        }
    }
    let unexplained: Vec<&ColumnMovement> = columns
        .iter()
        .filter(|column| column.seasonal != Some(true))
        .collect();
    for column in &columns {
        let explained = match column.seasonal {
            Some(true) => format!("much as in month {month} of the training rows"),
            Some(false) => format!("and differs from month {month} of the training rows about as much"),
            None => format!("and the training rows of month {month} are too few to compare"),
        };
        let means = column.reference_mean.zip(column.window_mean);
        let moved = means.map(|(from, to)| format!(" (mean {} → {})", round(from), round(to)));
        evidence.push(format!(
            "`{}` moved by {}{} since {}, {explained}",
            column.column,
            round(column.score),
            moved.unwrap_or_default(),
            day(column.since)
        ));
    }

    let cause = if !broken.is_empty() {
        Cause::BrokenInput
    } else if error_breached && (one_sided || unexplained.len() <= columns.len() / 2) {
        Cause::ChangedWorld
    } else if !unexplained.is_empty() {
        Cause::ShiftedInputs
    } else {
        Cause::Season
    };
    let since = match kind {
        AlertKind::Drift => drift_since(windows),
        AlertKind::Performance => error_since(windows, spec),
    };
    let error_moved = match (error_before, error_now) {
        (Some(before), Some(now)) => {
            format!(
                " {} went from {} to {}.",
                now.metric,
                round(before),
                round(now.value)
            )
        }
        (None, Some(now)) => format!(" {} is {}.", now.metric, round(now.value)),
        _ => String::new(),
    };
    let names = |columns: &[&str]| {
        columns
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let moved = names(
        &columns
            .iter()
            .take(3)
            .map(|column| column.column.as_str())
            .collect::<Vec<_>>(),
    );
    let summary = match cause {
        Cause::BrokenInput => format!(
            "An input looks broken since {}: {}.{error_moved} Mend the source before retraining.",
            day(since),
            names(&broken)
        ),
        Cause::ChangedWorld if columns.is_empty() => format!(
            "The inputs look as they did in training, but the answers no longer fit since {}: the world has changed.{error_moved}",
            day(since)
        ),
        Cause::ChangedWorld if unexplained.is_empty() => format!(
            "The inputs moved with the season ({moved}), which the training rows know, but the answers no longer fit since {}: the world has changed.{error_moved}",
            day(since)
        ),
        Cause::ChangedWorld => format!(
            "The inputs moved ({moved}), but that does not explain why the answers no longer fit since {}{}: the world has changed.{error_moved}",
            day(since),
            bias.map(|bias| format!(
                ", {} by {} on average",
                if bias < 0.0 { "too low" } else { "too high" },
                round(bias.abs())
            ))
            .unwrap_or_default()
        ),
        Cause::ShiftedInputs => format!(
            "The inputs moved in a way that the training rows never did at this time of year, since {}: {}.{error_moved}",
            day(since),
            names(
                &unexplained
                    .iter()
                    .take(3)
                    .map(|column| column.column.as_str())
                    .collect::<Vec<_>>()
            )
        ),
        Cause::Season => format!(
            "The inputs ({moved}) look as the training rows did at the same time of year: a season, not a change.{error_moved}"
        ),
    };
    Diagnosis {
        cause,
        summary,
        columns,
        since,
        error_before,
        error_now: error_now.map(|found| found.value),
        evidence,
    }
}

fn empty(error_before: Option<f64>) -> Diagnosis {
    Diagnosis {
        cause: Cause::ShiftedInputs,
        summary: "No closed window explains this.".into(),
        columns: Vec::new(),
        since: lathe_types::Millis::default(),
        error_before,
        error_now: None,
        evidence: Vec::new(),
    }
}

/// Whether a column looks broken, and how.
fn broken_input<'a>(verdict: &'a ColumnVerdict, evidence: &mut Vec<String>) -> Option<&'a str> {
    let (then, now) = (&verdict.reference, &verdict.window);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let told = if MISSING_MORE < now.missing_share - then.missing_share {
        format!(
            "{} of its values are missing, {} in training",
            percent(now.missing_share),
            percent(then.missing_share)
        )
    } else if UNSEEN_MANY < now.unseen_share {
        format!(
            "{} of its values were never seen in training",
            percent(now.unseen_share)
        )
    } else if verdict.outcome == Outcome::Drift && now.std == Some(0.0) && then.std != Some(0.0) {
        format!("it is frozen at {}", now.mean.map(round).unwrap_or_default())
    } else {
        return None;
    };
    evidence.push(format!("`{}` looks broken: {told}", verdict.column));
    Some(&verdict.column)
}

/// Whether the same month of the reference explains a drift; none if there are too few rows of it.
fn explained_by_season(whole: &ColumnVerdict, month: &ColumnVerdict) -> Option<bool> {
    match month.outcome {
        Outcome::Ok => Some(true),
        Outcome::Drift => Some(month.score <= SEASON_EXPLAINS * whole.score),
        Outcome::Insufficient | Outcome::Untestable => None,
    }
}

/// The start of the unbroken row of windows, up to the newest, in which a column drifted.
fn drifted_since(windows: &[Window], column: &str) -> lathe_types::Millis {
    first_of_row(windows, |window| {
        let report = window.drift.as_ref()?;
        let verdict = report.columns.iter().find(|verdict| verdict.column == column)?;
        Some(verdict.outcome == Outcome::Drift)
    })
}

fn drift_since(windows: &[Window]) -> lathe_types::Millis {
    first_of_row(windows, |window| {
        Some(window.drift.as_ref()?.outcome == Outcome::Drift)
    })
}

fn error_since(windows: &[Window], spec: &MonitorSpec) -> lathe_types::Millis {
    first_of_row(windows, |window| {
        Some(breaches(spec.performance.as_ref()?, window.performance.as_ref()?))
    })
}

fn first_of_row(windows: &[Window], bad: impl Fn(&Window) -> Option<bool>) -> lathe_types::Millis {
    let row = windows
        .iter()
        .rev()
        .take_while(|window| bad(window) != Some(false))
        .last();
    row.or(windows.last())
        .map(|window| window.start)
        .unwrap_or_default()
}

fn day(time: lathe_types::Millis) -> String {
    time.to_string().chars().take(10).collect()
}

/// Three significant digits for people.
fn round(number: f64) -> String {
    let digits = if number.abs() < 1e-9 {
        0
    } else {
        (2 - number.abs().log10().floor() as i32).clamp(0, 4)
    };
    format!("{number:.*}", digits as usize)
}
