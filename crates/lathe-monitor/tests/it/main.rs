//! Drift on real rows: the bike rentals of 2011 as the reference, weeks of 2012 as windows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::path::Path;

use lathe_monitor::{Against, Cell, Profile, RawColumn, Reference, compare, diagnose, performance};
use lathe_types::alerts::AlertKind;
use lathe_types::drift::{Cause, ColumnKind, DriftReport, Outcome};
use lathe_types::project::{DriftSpec, MonitorSpec};
use lathe_types::windows::Window;
use lathe_types::{Millis, Span};
use serde_json::{Map, Value, json};

const COLUMNS: [&str; 4] = ["temp", "hum", "windspeed", "weathersit"];

struct Hour {
    at: Millis,
    row: Map<String, Value>,
}

fn hours() -> Vec<Hour> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bike-demand/data/hour.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let records: Vec<std::collections::BTreeMap<String, String>> =
        reader.deserialize().map(Result::unwrap).collect();
    let hours = records.iter().map(|record| {
        let date: Vec<&str> = record["dteday"].split('/').collect();
        let at = format!(
            "{}-{:0>2}-{:0>2}T{:0>2}:00:00",
            date[2], date[0], date[1], record["hr"]
        );
        let row = COLUMNS.map(|name| (name.to_owned(), json!(record[name].parse::<f64>().unwrap())));
        Hour {
            at: Millis::parse(&at).unwrap(),
            row: Map::from_iter(row),
        }
    });
    hours.collect()
}

fn between<'a>(hours: &'a [Hour], from: &str, to: &str) -> Vec<&'a Hour> {
    let (from, to) = (Millis::parse(from).unwrap(), Millis::parse(to).unwrap());
    hours
        .iter()
        .filter(|hour| from <= hour.at && hour.at < to)
        .collect()
}

fn reference(hours: &[&Hour]) -> Reference {
    let columns = COLUMNS.map(|name| RawColumn {
        name: name.into(),
        kind: if name == "weathersit" {
            ColumnKind::Categorical
        } else {
            ColumnKind::Numeric
        },
        cells: hours.iter().map(|hour| Cell::of(&hour.row[name])).collect(),
    });
    let times: Vec<Millis> = hours.iter().map(|hour| hour.at).collect();
    Reference::build(columns.into(), Some(&times)).unwrap()
}

fn profile<'a>(reference: &Reference, rows: impl IntoIterator<Item = &'a Map<String, Value>>) -> Profile {
    let mut profile = Profile::empty(reference);
    rows.into_iter().for_each(|row| profile.add(reference, row));
    profile
}

fn drifted(report: &DriftReport) -> Vec<&str> {
    let drifted = report
        .columns
        .iter()
        .filter(|column| column.outcome == Outcome::Drift);
    drifted.map(|column| column.column.as_str()).collect()
}

#[test]
fn a_winter_week_differs_from_the_year_and_not_from_its_own_month() {
    let hours = hours();
    let reference = reference(&between(&hours, "2011-01-01T00:00:00", "2012-01-01T00:00:00"));
    let week = between(&hours, "2012-01-19T00:00:00", "2012-01-26T00:00:00");
    let window = profile(&reference, week.iter().map(|hour| &hour.row));
    let spec = DriftSpec::default();
    let year = compare(&reference, Against::Training, &window, &spec);
    let january = compare(&reference, Against::Month(1), &window, &spec);
    assert!(drifted(&year).contains(&"temp"));
    assert!(
        january.columns[0].score < year.columns[0].score / 2.0,
        "{:?}",
        january.columns[0]
    );
    assert_eq!(january.reference, "training, month 1");
}

#[test]
fn random_halves_of_the_same_rows_are_hardly_ever_called_drift() {
    let hours = hours();
    let year = between(&hours, "2011-01-01T00:00:00", "2012-01-01T00:00:00");
    let reference = reference(&year);
    let (mut alarms, mut verdicts) = (0, 0);
    let mut state = 1u64;
    for _ in 0..200 {
        let rows: Vec<&Map<String, Value>> = (0..168)
            .map(|_| {
                // Knuth's MMIX generator: the same rows in every run.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                &year[(state >> 33) as usize % year.len()].row
            })
            .collect();
        let report = compare(
            &reference,
            Against::Training,
            &profile(&reference, rows),
            &DriftSpec::default(),
        );
        alarms += drifted(&report).len();
        verdicts += report.columns.len();
    }
    let share = alarms as f64 / verdicts as f64;
    assert!(share <= 0.02, "{alarms} false alarms in {verdicts} verdicts");
}

#[test]
fn half_a_standard_deviation_is_seen_in_a_week() {
    let hours = hours();
    let year = between(&hours, "2011-01-01T00:00:00", "2012-01-01T00:00:00");
    let reference = reference(&year);
    let moved: Vec<Map<String, Value>> = year
        .iter()
        .step_by(52)
        .map(|hour| {
            let mut row = hour.row.clone();
            row["hum"] = json!(row["hum"].as_f64().unwrap() + 0.1);
            row
        })
        .collect();
    let report = compare(
        &reference,
        Against::Training,
        &profile(&reference, &moved),
        &DriftSpec::default(),
    );
    assert_eq!(drifted(&report), ["hum"]);
    let hum = &report.columns[1];
    assert!(
        (0.4..0.6).contains(&hum.score) && hum.p_value.unwrap() < 0.01,
        "{hum:?}"
    );
    let shares: f64 = hum.histogram.iter().map(|bar| bar.window).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}

#[test]
fn profiles_of_parts_add_up_to_the_profile_of_the_whole() {
    let hours = hours();
    let year = between(&hours, "2011-01-01T00:00:00", "2011-03-01T00:00:00");
    let reference = reference(&year);
    let (first, second) = year.split_at(500);
    let mut merged = profile(&reference, first.iter().map(|hour| &hour.row));
    merged.merge(&profile(&reference, second.iter().map(|hour| &hour.row)));
    let whole = profile(&reference, year.iter().map(|hour| &hour.row));
    let spec = DriftSpec::default();
    let (a, b) = (
        compare(&reference, Against::Training, &merged, &spec),
        compare(&reference, Against::Training, &whole, &spec),
    );
    for (a, b) in a.columns.iter().zip(&b.columns) {
        assert!(
            (a.score - b.score).abs() < 1e-9 && a.window.rows == b.window.rows,
            "{a:?} {b:?}"
        );
        assert!((a.window.std.unwrap_or(0.0) - b.window.std.unwrap_or(0.0)).abs() < 1e-9);
    }
}

#[test]
fn too_few_rows_and_missing_columns_never_fail_the_others() {
    let hours = hours();
    let reference = reference(&between(&hours, "2011-01-01T00:00:00", "2012-01-01T00:00:00"));
    let week = between(&hours, "2012-01-19T00:00:00", "2012-01-26T00:00:00");
    let few = profile(&reference, week.iter().take(20).map(|hour| &hour.row));
    assert_eq!(
        compare(&reference, Against::Training, &few, &DriftSpec::default()).outcome,
        Outcome::Insufficient
    );
    let mut rows: Vec<Map<String, Value>> = week.iter().map(|hour| hour.row.clone()).collect();
    rows.iter_mut().for_each(|row| drop(row.shift_remove("hum")));
    let report = compare(
        &reference,
        Against::Training,
        &profile(&reference, &rows),
        &DriftSpec::default(),
    );
    assert_eq!(
        report.columns[1].reason.as_deref(),
        Some("every value is missing")
    );
    assert_eq!(report.columns[0].reason, None);
}

/// The cause that is named for a week of 2012, changed by `change`, with predictions that are off by `bias`.
fn cause(from: &str, to: &str, bias: f64, change: impl Fn(usize, &mut Map<String, Value>)) -> Cause {
    let hours = hours();
    let reference = reference(&between(&hours, "2011-01-01T00:00:00", "2012-01-01T00:00:00"));
    let rows: Vec<Map<String, Value>> = between(&hours, from, to)
        .iter()
        .enumerate()
        .map(|(index, hour)| {
            let mut row = hour.row.clone();
            change(index, &mut row);
            row
        })
        .collect();
    let spec: MonitorSpec =
        serde_json::from_value(json!({ "window": "7d", "performance": { "metric": "rmse", "max": 50.0 } }))
            .unwrap();
    let profile = profile(&reference, &rows);
    let pairs: Vec<(f64, f64)> = rows.iter().map(|_| (100.0 + bias, 100.0)).collect();
    let start = Millis::parse(from).unwrap();
    let window = Window {
        deployment: "d".into(),
        start,
        end: start.plus(Span(7 * 86_400_000)),
        version: 1,
        rows: profile.rows(),
        closed: true,
        profile: Value::Null,
        drift: Some(compare(&reference, Against::Training, &profile, &spec.drift)),
        performance: Some(performance(
            spec.performance.as_ref().unwrap(),
            &pairs,
            rows.len() as u64,
        )),
    };
    diagnose(
        AlertKind::Performance,
        &reference,
        &[window],
        &profile,
        &spec,
        Some(10.0),
    )
    .cause
}

#[test]
fn a_season_a_changed_world_and_a_broken_input_are_told_apart() {
    let same = |_: usize, _: &mut Map<String, Value>| {};
    // The summer of 2012 was like that of 2011; only the answers may be wrong.
    let summer = ("2012-08-09T00:00:00", "2012-08-16T00:00:00");
    assert_eq!(cause(summer.0, summer.1, 80.0, same), Cause::ChangedWorld);
    let frozen = |_: usize, row: &mut Map<String, Value>| row["hum"] = json!(0.1);
    assert_eq!(cause(summer.0, summer.1, 80.0, frozen), Cause::BrokenInput);
    let holes = |index: usize, row: &mut Map<String, Value>| {
        if index.is_multiple_of(4) {
            row["temp"] = Value::Null;
        }
    };
    assert_eq!(cause(summer.0, summer.1, 0.0, holes), Cause::BrokenInput);
    let hot = |_: usize, row: &mut Map<String, Value>| {
        row["temp"] = json!(row["temp"].as_f64().unwrap() * 0.5 + 0.45);
    };
    assert_eq!(
        cause("2012-01-19T00:00:00", "2012-01-26T00:00:00", 0.0, hot),
        Cause::ShiftedInputs
    );
    assert_eq!(
        cause("2012-01-19T00:00:00", "2012-01-26T00:00:00", 80.0, hot),
        Cause::ChangedWorld,
        "errors that all point one way are not explained by inputs that moved"
    );
}
