//! `/metrics`: what Prometheus reads. Routes are told by their templates, so that no value of a request becomes a
//! label, and there are as many series as there are routes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use lathe_store::{StoreCounts, Tally};

use crate::inference::Deployments;
use crate::{ApiError, AppState};

/// Upper bounds of the classes of a request's duration, in seconds.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Series at most; a router has fewer routes.
const SERIES_MAX: usize = 2_000;

/// Counts requests.
#[derive(Debug, Default)]
pub struct Requests {
    in_flight: AtomicI64,
    routes: Mutex<HashMap<(String, String), Arc<Route>>>,
}

#[derive(Debug, Default)]
struct Route {
    by_status: Mutex<BTreeMap<u16, u64>>,
    classes: [AtomicU64; SECONDS.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

/// A request that is being answered; it is counted when this is dropped, also if the client left.
pub(crate) struct InFlight<'a>(&'a Requests);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Requests {
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self)
    }

    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let Some(known) = self.route(method, route) else {
            return;
        };
        *lock(&known.by_status).entry(status).or_default() += 1;
        let seconds = took.as_secs_f64();
        if let Some(class) = SECONDS.iter().position(|bound| seconds <= *bound) {
            known.classes[class].fetch_add(1, Relaxed);
        }
        known.count.fetch_add(1, Relaxed);
        known
            .sum_us
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn route(&self, method: &str, route: &str) -> Option<Arc<Route>> {
        // Methods that nobody defined would be labels that anybody can make.
        let method = match method {
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => method,
            _ => "other",
        };
        let mut routes = lock(&self.routes);
        let full = SERIES_MAX <= routes.len();
        let key = (method.to_owned(), route.to_owned());
        match routes.get(&key) {
            Some(known) => Some(known.clone()),
            None if full => None,
            None => Some(routes.entry(key).or_default().clone()),
        }
    }

    fn write(&self, text: &mut Text) {
        let routes = lock(&self.routes);
        let mut sorted: Vec<_> = routes.iter().collect();
        sorted.sort_by_key(|(key, _)| (*key).clone());
        text.begin(
            "lathe_http_requests_total",
            "counter",
            "Requests that were answered.",
        );
        for ((method, route), counts) in &sorted {
            for (status, count) in lock(&counts.by_status).iter() {
                let labels = format!(
                    "method=\"{method}\",route=\"{}\",status=\"{status}\"",
                    escaped(route)
                );
                text.line("lathe_http_requests_total", &labels, *count);
            }
        }
        let name = "lathe_http_request_duration_seconds";
        text.begin(name, "histogram", "How long answers took, to their first byte.");
        for ((method, route), counts) in &sorted {
            let labels = format!("method=\"{method}\",route=\"{}\"", escaped(route));
            let classes = SECONDS.iter().zip(&counts.classes);
            let classes = classes.map(|(bound, count)| (*bound, count.load(Relaxed)));
            let sum = counts.sum_us.load(Relaxed) as f64 / 1e6;
            text.histogram(name, &labels, classes, counts.count.load(Relaxed), sum);
        }
        text.begin(
            "lathe_http_requests_in_flight",
            "gauge",
            "Requests that are being answered.",
        );
        text.line("lathe_http_requests_in_flight", "", self.in_flight.load(Relaxed));
    }
}

/// Prometheus' text format, version 0.0.4.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail; likewise below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.begin(name, kind, help);
        self.line(name, "", value);
    }

    /// Classes come with their own counts and go out added up.
    fn histogram(
        &mut self,
        name: &str,
        labels: &str,
        classes: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (bound, own) in classes {
            total += own;
            self.line(
                &format!("{name}_bucket"),
                &format!("{labels}{comma}le=\"{bound}\""),
                total,
            );
        }
        // Counted one after the other: a scrape in between must not see fewer than in a class.
        let count = count.max(total);
        self.line(
            &format!("{name}_bucket"),
            &format!("{labels}{comma}le=\"+Inf\""),
            count,
        );
        self.line(&format!("{name}_sum"), labels, sum);
        self.line(&format!("{name}_count"), labels, count);
    }

    fn tally(&mut self, name: &str, help: &str, tally: &Tally, unit: f64) {
        self.begin(name, "histogram", help);
        let count = tally.classes.iter().map(|(_, count)| count).sum::<u64>() + tally.beyond;
        let classes = tally
            .classes
            .iter()
            .map(|(bound, count)| (*bound as f64 / unit, *count));
        self.histogram(name, "", classes, count, tally.sum as f64 / unit);
    }
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `GET /metrics`
pub(crate) async fn show(State(state): State<AppState>) -> Result<Response, ApiError> {
    let mut text = Text::default();
    text.begin("lathe_build_info", "gauge", "The version that runs.");
    let version = format!("version=\"{}\"", escaped(state.options.lathe_version));
    text.line("lathe_build_info", &version, 1);
    state.options.requests.write(&mut text);
    let StoreCounts {
        queue_depth,
        commit_us,
        group_size,
    } = state.store.counts();
    let commits = commit_us.classes.iter().map(|(_, count)| count).sum::<u64>() + commit_us.beyond;
    text.single("lathe_store_commits_total", "counter", "Commits.", commits);
    text.single(
        "lathe_store_changes_total",
        "counter",
        "Changes that shared the commits.",
        group_size.sum,
    );
    text.single(
        "lathe_store_queue_depth",
        "gauge",
        "Changes that wait.",
        queue_depth,
    );
    text.tally(
        "lathe_store_commit_duration_seconds",
        "From taking the first change to disk.",
        &commit_us,
        1e6,
    );
    text.tally("lathe_store_group_size", "Changes per commit.", &group_size, 1.0);
    text.begin("lathe_jobs", "gauge", "Jobs by state.");
    let mut jobs: BTreeMap<String, u64> = BTreeMap::new();
    let listed = state.store.list_jobs(10_000).await?;
    for job in &listed {
        *jobs.entry(format!("{:?}", job.state).to_lowercase()).or_default() += 1;
    }
    for (job_state, count) in jobs {
        text.line("lathe_jobs", &format!("state=\"{job_state}\""), count);
    }
    text.single(
        "lathe_samples_dropped_total",
        "counter",
        "Answers whose sample found no room.",
        state.deployments.samples_dropped(),
    );
    state.deployments.write_metrics(&mut text);
    process(&mut text);
    Ok(text.into_response())
}

/// `/metrics` of a process that serves models and keeps no records.
pub(crate) fn of_models(deployments: &Deployments) -> Response {
    let mut text = Text::default();
    deployments.write_metrics(&mut text);
    process(&mut text);
    text.into_response()
}

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, self.0).into_response()
    }
}

/// What the kernel says of this process, under the names that Prometheus' own clients use; nothing where there is no
/// `/proc`.
fn process(text: &mut Text) {
    // Ticks of user space are a hundredth of a second on every Linux (`USER_HZ`, man 5 proc).
    const TICKS: f64 = 100.0;
    const PAGE_BYTES: f64 = 4096.0;
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    // The name in parentheses may hold blanks; the fields behind it are counted from the third.
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
    let cpu = (field(14) + field(15)) / TICKS;
    text.single("process_cpu_seconds_total", "counter", "CPU time used.", cpu);
    text.single("process_threads", "gauge", "Threads.", field(20));
    text.single(
        "process_virtual_memory_bytes",
        "gauge",
        "Address space.",
        field(23),
    );
    let resident = field(24) * PAGE_BYTES;
    text.single("process_resident_memory_bytes", "gauge", "Memory held.", resident);
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        text.single("process_open_fds", "gauge", "Open files.", files.count());
    }
    let booted = std::fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        line.trim().parse::<f64>().ok()
    });
    if let Some(booted) = booted {
        let start = booted + field(22) / TICKS;
        text.single(
            "process_start_time_seconds",
            "gauge",
            "Start, in seconds since 1970.",
            start,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up_and_labels_cannot_break_out() {
        let requests = Requests::default();
        requests.answered("GET", "/a/{b}", 200, Duration::from_millis(2));
        requests.answered("GET", "/a/{b}", 404, Duration::from_millis(20));
        requests.answered("BREW", "/a\"\n{b}", 200, Duration::from_secs(60));
        let mut text = Text::default();
        requests.write(&mut text);
        let has = |line: &str| assert!(text.0.lines().any(|known| known == line), "{line}\n{}", text.0);
        has(r#"lathe_http_requests_total{method="GET",route="/a/{b}",status="404"} 1"#);
        has(r#"lathe_http_request_duration_seconds_bucket{method="GET",route="/a/{b}",le="0.0025"} 1"#);
        has(r#"lathe_http_request_duration_seconds_bucket{method="GET",route="/a/{b}",le="+Inf"} 2"#);
        has(r#"lathe_http_request_duration_seconds_count{method="other",route="/a\"\n{b}"} 1"#);
        has("lathe_http_requests_in_flight 0");
    }
}
