//! Writes runs and models into another MLflow server through its own API. What was written before is found by a tag and
//! not written again; a run that broke off is written anew.

mod remote;

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::{Value, json};

pub use remote::{Credentials, Remote};

/// Names the run here that a run there was written from; set last.
const ORIGIN_TAG: &str = "lathe.exported_from";
/// What one request may hold, as MLflow limits it.
const METRICS_MAX: usize = 1_000;
const PAIRS_MAX: usize = 100;
/// Points that are read at once.
const PAGE: &str = "10000";

/// What was written.
#[derive(Debug, Default, serde::Serialize)]
pub struct Report {
    /// Ids of runs: here, and there.
    pub runs: BTreeMap<String, String>,
    /// Versions: here, and there.
    pub versions: BTreeMap<String, String>,
    /// Points of metrics.
    pub points: u64,
    /// Files.
    pub artifacts: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
    /// What is not there as it is here.
    pub left_out: Vec<String>,
}

/// From one server to another.
pub struct Export {
    pub from: Remote,
    pub to: Remote,
    /// The experiment there; the one of the same name if none.
    pub experiment: Option<String>,
    pub report: Report,
}

impl Export {
    /// Writes a run with all it logged; its id there.
    pub fn run(&mut self, id: &str) -> anyhow::Result<String> {
        if let Some(known) = self.report.runs.get(id) {
            return Ok(known.clone());
        }
        let run = self.from.get("runs/get", &[("run_id", id)])?["run"].take();
        let info = &run["info"];
        let experiment = self.experiment_of(info)?;
        if let Some(there) = self.written(&experiment, id)? {
            self.report.runs.insert(id.to_owned(), there.clone());
            return Ok(there);
        }
        let created = self.to.post(
            "runs/create",
            &json!({
                "experiment_id": experiment,
                "run_name": info["run_name"],
                "user_id": info["user_id"],
                "start_time": info["start_time"],
            }),
        )?;
        let target = &created["run"]["info"];
        let there = text(target, "run_id")?;
        self.pairs("params", &there, &run["data"]["params"])?;
        self.pairs("tags", &there, &run["data"]["tags"])?;
        for metric in list(&run["data"]["metrics"]) {
            self.history(id, &there, &text(metric, "key")?)?;
        }
        let datasets = &run["inputs"]["dataset_inputs"];
        if !list(datasets).is_empty() {
            self.to.post(
                "runs/log-inputs",
                &json!({ "run_id": there, "datasets": datasets }),
            )?;
        }
        self.artifacts_of_run(id, &text(target, "artifact_uri")?)?;
        let mut ended = json!({ "run_id": there, "status": info["status"] });
        if info["end_time"].is_number() {
            ended["end_time"] = info["end_time"].clone();
        }
        let origin = json!({ "run_id": there, "key": ORIGIN_TAG, "value": id });
        self.to.post("runs/set-tag", &origin)?;
        self.to.post("runs/update", &ended)?;
        self.report.runs.insert(id.to_owned(), there.clone());
        Ok(there)
    }

    /// Writes a registered model, or one version of it, with the runs that the versions came from.
    pub fn model(&mut self, name: &str, only: Option<u32>) -> anyhow::Result<()> {
        let model = self.from.get("registered-models/get", &[("name", name)])?["registered_model"].take();
        if self
            .to
            .find("registered-models/get", &[("name", name)])?
            .is_none()
        {
            self.to.post(
                "registered-models/create",
                &json!({ "name": name, "description": model["description"], "tags": list(&model["tags"]) }),
            )?;
        }
        let filter = format!("name = '{}'", name.replace('\'', "''"));
        let mut versions = self.versions(&self.from, &filter)?;
        let there = self.versions(&self.to, &filter)?;
        versions.sort_by_key(number);
        let mut numbers = BTreeMap::new();
        for version in versions {
            let here = number(&version);
            if only.is_some_and(|only| only != here) {
                continue;
            }
            let label = format!("{name}/{here}");
            let known = there.iter().find(|known| {
                list(&known["tags"])
                    .iter()
                    .any(|tag| tag["key"] == ORIGIN_TAG && tag["value"] == label.as_str())
            });
            let target = match known {
                Some(known) => number(known),
                None => self.version(name, &version, &label)?,
            };
            numbers.insert(here, target);
            self.report.versions.insert(label, format!("{name}/{target}"));
        }
        for alias in list(&model["aliases"]) {
            let of = alias["version"].as_str().and_then(|version| version.parse().ok());
            if let Some(target) = of.and_then(|of: u32| numbers.get(&of)) {
                let body = json!({ "name": name, "alias": alias["alias"], "version": target.to_string() });
                self.to.post("registered-models/alias", &body)?;
            }
        }
        Ok(())
    }

    fn version(&mut self, name: &str, version: &Value, label: &str) -> anyhow::Result<u32> {
        let mut body = json!({
            "name": name,
            "description": version["description"],
            "tags": list(&version["tags"]),
        });
        let run = version["run_id"].as_str().filter(|run| !run.is_empty());
        let source = text(version, "source")?;
        body["source"] = json!(source);
        if let Some(run) = run {
            let there = self.run(run)?;
            let target = self.to.get("runs/get", &[("run_id", &there)])?;
            let root = text(&target["run"]["info"], "artifact_uri")?;
            let own = self.from.get("runs/get", &[("run_id", run)])?;
            let own_root = text(&own["run"]["info"], "artifact_uri")?;
            body["run_id"] = json!(there);
            let below = source
                .strip_prefix(&own_root)
                .or_else(|| source.strip_prefix(&format!("runs:/{run}")))
                .map(|below| below.trim_matches('/').to_owned());
            let below = match below {
                Some(below) => below,
                // A logged model's files lie beside the run's: there they become the run's.
                None => {
                    let asked = [("name", name), ("version", &number(version).to_string())];
                    let place = self.from.get("model-versions/get-download-uri", &asked)?;
                    let place = text(&place, "artifact_uri")?;
                    let folder = format!("models/{}", place.trim_end_matches('/').replace([':', '/'], "_"));
                    self.files(&place, &format!("{root}/{folder}"), label)?;
                    folder
                }
            };
            body["source"] = json!(format!("{root}/{below}").trim_end_matches('/'));
        }
        let created = self.to.post("model-versions/create", &body)?;
        let target = number(&created["model_version"]);
        let stage = version["current_stage"].as_str().unwrap_or("None");
        if stage != "None" {
            let body = json!({ "name": name, "version": target.to_string(), "stage": stage });
            self.to.post("model-versions/transition-stage", &body)?;
        }
        let origin =
            json!({ "name": name, "version": target.to_string(), "key": ORIGIN_TAG, "value": label });
        self.to.post("model-versions/set-tag", &origin)?;
        Ok(target)
    }

    fn versions(&self, server: &Remote, filter: &str) -> anyhow::Result<Vec<Value>> {
        let mut versions = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("filter", filter), ("max_results", "1000")];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let page = server.get("model-versions/search", &query)?;
            versions.extend(list(&page["model_versions"]).iter().cloned());
            match page["next_page_token"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => token = next.to_owned(),
                None => return Ok(versions),
            }
        }
    }

    /// The experiment there, which is made if it is not there.
    fn experiment_of(&self, info: &Value) -> anyhow::Result<String> {
        let name = match &self.experiment {
            Some(name) => name.clone(),
            None => {
                let id = text(info, "experiment_id")?;
                let own = self.from.get("experiments/get", &[("experiment_id", &id)])?;
                text(&own["experiment"], "name")?
            }
        };
        let found = self
            .to
            .find("experiments/get-by-name", &[("experiment_name", &name)])?;
        if let Some(found) = found {
            return text(&found["experiment"], "experiment_id");
        }
        text(
            &self.to.post("experiments/create", &json!({ "name": name }))?,
            "experiment_id",
        )
    }

    /// The run there that was written from this one before.
    fn written(&self, experiment: &str, id: &str) -> anyhow::Result<Option<String>> {
        let found = self.to.post(
            "runs/search",
            &json!({
                "experiment_ids": [experiment],
                "filter": format!("tags.`{ORIGIN_TAG}` = '{id}'"),
                "max_results": 1,
            }),
        )?;
        match list(&found["runs"]).first() {
            Some(run) => text(&run["info"], "run_id").map(Some),
            None => Ok(None),
        }
    }

    fn pairs(&self, kind: &str, there: &str, pairs: &Value) -> anyhow::Result<()> {
        for pairs in list(pairs).chunks(PAIRS_MAX) {
            self.to
                .post("runs/log-batch", &json!({ "run_id": there, kind: pairs }))?;
        }
        Ok(())
    }

    fn history(&mut self, id: &str, there: &str, key: &str) -> anyhow::Result<()> {
        let mut token = String::new();
        loop {
            let mut query = vec![("run_id", id), ("metric_key", key), ("max_results", PAGE)];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let page = self.from.get("metrics/get-history", &query)?;
            for points in list(&page["metrics"]).chunks(METRICS_MAX) {
                self.to
                    .post("runs/log-batch", &json!({ "run_id": there, "metrics": points }))?;
                self.report.points += points.len() as u64;
            }
            match page["next_page_token"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => token = next.to_owned(),
                None => return Ok(()),
            }
        }
    }

    fn artifacts_of_run(&mut self, id: &str, root_there: &str) -> anyhow::Result<()> {
        let mut open = vec![String::new()];
        while let Some(folder) = open.pop() {
            let query = [("run_id", id), ("path", folder.as_str())];
            let listed = match self
                .from
                .get("artifacts/list", &query[..if folder.is_empty() { 1 } else { 2 }])
            {
                Ok(listed) => listed,
                Err(error) => {
                    self.report
                        .left_out
                        .push(format!("artifacts of run {id}: {error:#}"));
                    return Ok(());
                }
            };
            for file in list(&listed["files"]) {
                let path = text(file, "path")?;
                if file["is_dir"] == true {
                    open.push(path);
                    continue;
                }
                let (bytes, size) = self.from.read_artifact(id, &path)?;
                self.put(
                    &format!("{root_there}/{path}"),
                    bytes,
                    size,
                    &format!("artifacts of run {id}"),
                )?;
            }
        }
        Ok(())
    }

    /// Copies what lies under a place of the server here.
    fn files(&mut self, place: &str, target: &str, label: &str) -> anyhow::Result<()> {
        let Some(root) = proxied(place) else {
            self.report.left_out.push(format!(
                "files of {label}: they lie at `{place}`, which clients reach themselves"
            ));
            return Ok(());
        };
        let mut open = vec![String::new()];
        while let Some(folder) = open.pop() {
            let path = format!("{root}/{folder}");
            let path = path.trim_end_matches('/');
            let listed = self.from.list_files(path)?;
            for file in list(&listed["files"]) {
                let below = format!("{folder}/{}", text(file, "path")?);
                let below = below.trim_start_matches('/').to_owned();
                if file["is_dir"] == true {
                    open.push(below);
                    continue;
                }
                let (bytes, size) = self.from.read_file(&format!("{root}/{below}"))?;
                self.put(
                    &format!("{target}/{below}"),
                    bytes,
                    size,
                    &format!("files of {label}"),
                )?;
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        location: &str,
        bytes: impl std::io::Read,
        size: u64,
        what: &str,
    ) -> anyhow::Result<()> {
        match proxied(location) {
            Some(path) => self.to.put_file(&path, bytes, size)?,
            None => {
                let told = format!(
                    "{what}: the other server keeps them at `{location}`, which clients reach themselves"
                );
                if !self.report.left_out.contains(&told) {
                    self.report.left_out.push(told);
                }
                return Ok(());
            }
        }
        self.report.artifacts += 1;
        self.report.artifact_bytes += size;
        Ok(())
    }
}

/// The path below a server's own artifacts.
fn proxied(location: &str) -> Option<String> {
    let rest = location.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Some(path.trim_matches('/').to_owned())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    match &value[key] {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(anyhow::anyhow!("an answer has no `{key}`")).context("the server speaks another API"),
    }
}

fn number(version: &Value) -> u32 {
    let version = &version["version"];
    let text = version
        .as_str()
        .map_or_else(|| version.to_string(), str::to_owned);
    text.parse().unwrap_or(0)
}
