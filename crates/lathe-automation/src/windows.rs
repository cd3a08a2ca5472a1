//! The watcher: takes samples as they are answered, keeps them, profiles them by window of event time, closes
//! windows once a later sample shows that their time has passed, and adds the error as labels arrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lathe_monitor::{Against, Profile, Reference, compare, performance};
use lathe_store::{Result, Store};
use lathe_types::Millis;
use lathe_types::project::MonitorSpec;
use lathe_types::samples::{LabelledSample, Sample};
use lathe_types::windows::Window;
use tokio::sync::mpsc;

use crate::alerts;

/// Samples that are kept in one transaction at most.
const BATCH_MAX: usize = 4_096;
/// How long samples wait for company.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// Rows of a window that its error is computed from at most.
const ROWS_MAX: usize = 200_000;
/// Closed windows whose labels are still looked for.
const LABEL_WINDOWS: usize = 8;

/// Watches until the channel closes. What it knows is rebuilt from the store, so it may be stopped at any moment.
pub async fn watch(store: Store, mut samples: mpsc::Receiver<Sample>, now: fn() -> Millis) {
    let mut watcher = Watcher {
        store,
        now,
        watched: BTreeMap::new(),
    };
    let mut batch = Vec::new();
    loop {
        let received = tokio::time::timeout(FLUSH_EVERY, samples.recv_many(&mut batch, BATCH_MAX)).await;
        if received == Ok(0) {
            return;
        }
        if received.is_ok() {
            // The first sample is here; its neighbours follow within moments and share a commit.
            tokio::time::sleep(FLUSH_EVERY / 4).await;
            while batch.len() < BATCH_MAX
                && let Ok(sample) = samples.try_recv()
            {
                batch.push(sample);
            }
        }
        match watcher.step(&batch).await {
            Ok(()) => batch.clear(),
            Err(error) => {
                tracing::error!(%error, samples = batch.len(), "samples cannot be kept; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

struct Watcher {
    store: Store,
    now: fn() -> Millis,
    watched: BTreeMap<String, Watched>,
}

/// One deployment under watch.
struct Watched {
    model: String,
    spec: MonitorSpec,
    references: BTreeMap<u32, Option<Arc<Reference>>>,
    open: BTreeMap<Millis, OpenWindow>,
    /// The newest event time seen.
    watermark: Millis,
    /// Labels that each closed window's error was computed from.
    labelled: BTreeMap<Millis, u64>,
}

struct OpenWindow {
    profile: Profile,
    /// Whose reference the profile counts by.
    version: u32,
    answered: BTreeMap<u32, u64>,
}

impl Watcher {
    async fn step(&mut self, batch: &[Sample]) -> Result<()> {
        if !batch.is_empty() {
            self.store.insert_samples(batch.to_vec()).await?;
        }
        self.refresh().await?;
        for sample in batch {
            if let Some(watched) = self.watched.get_mut(&sample.deployment) {
                watched.add(&self.store, sample).await?;
            }
        }
        for (name, watched) in &mut self.watched {
            let closed = watched.close_past(&self.store, name, (self.now)()).await?;
            let labelled = watched.add_labels(&self.store, name, (self.now)()).await?;
            if closed || labelled {
                watched.examine(&self.store, name, (self.now)()).await?;
            }
        }
        Ok(())
    }

    /// Takes over what projects declare now.
    async fn refresh(&mut self) -> Result<()> {
        for project in self.store.list_projects().await? {
            for (name, deployment) in &project.spec.deployment {
                let (Some(spec), Some((model, _))) =
                    (project.spec.monitor.get(name), deployment.model_alias())
                else {
                    continue;
                };
                match self.watched.get_mut(name) {
                    Some(watched) if watched.spec == *spec && watched.model == model => {}
                    Some(watched) if watched.spec.window == spec.window => watched.spec = spec.clone(),
                    _ => {
                        let watched = Watched::restore(&self.store, name, model, spec.clone()).await?;
                        self.watched.insert(name.clone(), watched);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Watched {
    /// Rebuilds the open windows from the samples that were kept.
    async fn restore(store: &Store, name: &str, model: &str, spec: MonitorSpec) -> Result<Self> {
        let mut watched = Self {
            model: model.to_owned(),
            spec,
            references: BTreeMap::new(),
            open: BTreeMap::new(),
            watermark: Millis(i64::MIN),
            labelled: BTreeMap::new(),
        };
        for window in store.list_windows(name, alerts::LOOK_BACK).await? {
            watched.watermark = watched
                .watermark
                .max(if window.closed { window.end } else { window.start });
            if window.closed {
                continue;
            }
            for row in store
                .labelled_samples(name, window.start, window.end, ROWS_MAX)
                .await?
            {
                watched.add(store, &row.sample).await?;
            }
        }
        Ok(watched)
    }

    async fn reference(&mut self, store: &Store, version: u32) -> Result<Option<Arc<Reference>>> {
        if let Some(known) = self.references.get(&version) {
            return Ok(known.clone());
        }
        let Some(stored) = store.get_reference(&self.model, version).await? else {
            return Ok(None);
        };
        let read = match serde_json::from_value(stored) {
            Ok(reference) => Some(Arc::new(reference)),
            Err(error) => {
                tracing::error!(%error, model = self.model, version, "the drift reference cannot be read");
                None
            }
        };
        self.references.insert(version, read.clone());
        Ok(read)
    }

    /// Counts a sample in its window, unless that has closed.
    async fn add(&mut self, store: &Store, sample: &Sample) -> Result<()> {
        let start = sample.at.floor(self.spec.window);
        let passed = start.plus(self.spec.window) <= self.watermark && !self.open.contains_key(&start);
        if passed {
            return Ok(());
        }
        let version = self
            .open
            .get(&start)
            .map_or(sample.version, |window| window.version);
        let Some(reference) = self.reference(store, version).await? else {
            return Ok(());
        };
        let window = self.open.entry(start).or_insert_with(|| OpenWindow {
            profile: Profile::empty(&reference),
            version,
            answered: BTreeMap::new(),
        });
        window.profile.add(&reference, &sample.features);
        *window.answered.entry(sample.version).or_default() += 1;
        self.watermark = self.watermark.max(sample.at);
        Ok(())
    }

    /// Writes the open windows down and closes those whose time has passed; whether any closed.
    async fn close_past(&mut self, store: &Store, name: &str, now: Millis) -> Result<bool> {
        let length = self.spec.window;
        let mut closed = false;
        let starts: Vec<Millis> = self.open.keys().copied().collect();
        for start in starts {
            let end = start.plus(length);
            let passed = end <= self.watermark;
            let Some(open) = self.open.get(&start) else {
                continue;
            };
            let most = open
                .answered
                .iter()
                .max_by_key(|(_, count)| **count)
                .map_or(open.version, |(v, _)| *v);
            let mut profile = open.profile.clone();
            let mut drift = None;
            if passed && let Some(reference) = self.reference(store, most).await? {
                if self.open.get(&start).is_some_and(|open| open.version != most) {
                    // The version changed within the window: its rows are counted again, by the new reference.
                    profile = Profile::empty(&reference);
                    for row in store.labelled_samples(name, start, end, ROWS_MAX).await? {
                        profile.add(&reference, &row.sample.features);
                    }
                }
                drift = Some(compare(&reference, Against::Training, &profile, &self.spec.drift));
            }
            let window = Window {
                deployment: name.to_owned(),
                start,
                end,
                version: most,
                rows: profile.rows(),
                closed: passed,
                profile: serde_json::to_value(&profile).unwrap_or_default(),
                drift,
                performance: None,
            };
            let known = store.find_window(name, start).await?;
            if passed || known.is_none_or(|known| known.rows != window.rows) {
                store.put_window(window, now).await?;
            }
            if passed {
                self.open.remove(&start);
                closed = true;
            }
        }
        Ok(closed)
    }

    /// Adds the error to closed windows whose labels have arrived; whether any changed.
    async fn add_labels(&mut self, store: &Store, name: &str, now: Millis) -> Result<bool> {
        let Some(limits) = self.spec.performance.clone() else {
            return Ok(false);
        };
        let mut changed = false;
        let mut closed = store.list_windows(name, LABEL_WINDOWS + self.open.len()).await?;
        closed.retain(|window| {
            window.closed && self.watermark.since(window.end) < alerts::lateness(&self.spec)
        });
        for mut window in closed.into_iter().rev() {
            let (rows, labelled) = store.count_labels(name, window.start, window.end).await?;
            let before = self.labelled.get(&window.start).copied().unwrap_or_default();
            // Not for every single label of a large window.
            let enough_new = before + before / 50 < labelled || labelled == rows && before < labelled;
            if !enough_new || (labelled as f64) < limits.coverage * rows as f64 {
                continue;
            }
            let samples = store
                .labelled_samples(name, window.start, window.end, ROWS_MAX)
                .await?;
            let of_version = || samples.iter().filter(|row| row.sample.version == window.version);
            let pairs: Vec<(f64, f64)> = of_version().filter_map(pair).collect();
            let found = performance(&limits, &pairs, of_version().count() as u64);
            self.labelled.insert(window.start, labelled);
            if found.labelled == 0 || window.performance.as_ref() == Some(&found) {
                continue;
            }
            window.performance = Some(found);
            store.put_window(window, now).await?;
            changed = true;
        }
        Ok(changed)
    }

    async fn examine(&mut self, store: &Store, name: &str, now: Millis) -> Result<()> {
        let newest = store
            .list_windows(name, LABEL_WINDOWS)
            .await?
            .into_iter()
            .find(|window| window.closed);
        let Some(newest) = newest else { return Ok(()) };
        let Some(reference) = self.reference(store, newest.version).await? else {
            return Ok(());
        };
        let facts = store.get_version_facts(&self.model, newest.version).await?;
        let metric = self
            .spec
            .performance
            .as_ref()
            .map(|limits| limits.metric.as_str());
        let error_before = facts
            .as_ref()
            .zip(metric)
            .and_then(|(facts, metric)| facts["metrics"][metric].as_f64());
        alerts::examine(store, name, &reference, &self.spec, error_before, now).await
    }
}

/// Prediction and label, where both are numbers.
fn pair(row: &LabelledSample) -> Option<(f64, f64)> {
    Some((row.sample.prediction.as_f64()?, row.label.as_ref()?.as_f64()?))
}
