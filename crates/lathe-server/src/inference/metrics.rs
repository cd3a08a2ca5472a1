//! What models did, for Prometheus: under the names that dashboards for Triton look for, and our own where Triton has
//! none. Labels are deployments and versions, of which there are as many as people made.

use std::sync::atomic::Ordering::Relaxed;

use super::answerer::Answerer;
use super::deployments::Deployments;
use super::graph::Graph;
use super::lane::Served;
use super::statistics::Reason;
use crate::telemetry::{Text, escaped};

impl Deployments {
    pub(crate) fn write_metrics(&self, text: &mut Text) {
        self.write_payload_metrics(text);
        let all = self.all();
        let served: Vec<(String, &Answerer)> = all
            .iter()
            .flat_map(|live| {
                live.targets.iter().filter_map(|target| {
                    let labels = format!("model=\"{}\",version=\"{}\"", escaped(&live.name), target.version);
                    Some((labels, target.model.as_ref().ok()?))
                })
            })
            .collect();
        let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Answerer) -> u64| {
            text.begin(name, kind, help);
            for (labels, served) in &served {
                text.line(name, labels, value(served));
            }
        };
        let us = |ns: u64| ns / 1_000;
        each(
            "nv_inference_request_success",
            "counter",
            "Requests that were answered.",
            &|served| served.totals().success.read().0,
        );
        each(
            "nv_inference_count",
            "counter",
            "Rows that were answered.",
            &|served| served.totals().rows.load(Relaxed),
        );
        each(
            "nv_inference_exec_count",
            "counter",
            "How often the model was asked; requests that were answered together count once.",
            &|served| served.totals().infer.read().0,
        );
        each(
            "nv_inference_pending_request_count",
            "gauge",
            "Requests that wait for the model.",
            &Answerer::waiting,
        );
        each(
            "nv_inference_request_duration_us",
            "counter",
            "Time of requests, waiting included.",
            &|served| us(served.totals().success.read().1),
        );
        each(
            "nv_inference_queue_duration_us",
            "counter",
            "Time that requests waited.",
            &|served| us(served.totals().queue.read().1),
        );
        each(
            "nv_inference_compute_infer_duration_us",
            "counter",
            "Time that the model took.",
            &|served| us(served.totals().infer.read().1),
        );
        each(
            "nv_inference_compute_input_duration_us",
            "counter",
            "Nothing: inputs are read where they arrive, before the model is asked.",
            &|_| 0,
        );
        each(
            "nv_inference_compute_output_duration_us",
            "counter",
            "Nothing: outputs are written where they leave.",
            &|_| 0,
        );
        each(
            "lathe_model_size_bytes",
            "gauge",
            "The size of the model's file.",
            &|served| served.facts().size_bytes(),
        );
        each(
            "lathe_model_memory_bytes",
            "gauge",
            "About what the model takes of memory; 0 while it has made room for others.",
            &Answerer::memory_bytes,
        );
        let name = "nv_inference_request_failure";
        text.begin(name, "counter", "Requests that were not answered, by reason.");
        for (labels, served) in &served {
            for reason in Reason::ALL {
                let labels = format!("{labels},reason=\"{}\"", reason.name());
                text.line(name, &labels, served.totals().failed(reason));
            }
        }
        write_members(text, &served);
        let shelf = &self.inner.shelf;
        if let Some(bytes_max) = shelf.bytes_max {
            let name = "lathe_models_memory_limit_bytes";
            text.begin(name, "gauge", "What all models may take of memory together.");
            text.line(name, "", bytes_max);
            let name = "lathe_models_loads_total";
            text.begin(
                name,
                "counter",
                "Models that were loaded, the first time or again.",
            );
            text.line(name, "", shelf.loads.load(Relaxed));
            let name = "lathe_models_unloads_total";
            text.begin(name, "counter", "Models that made room for others.");
            text.line(name, "", shelf.unloads.load(Relaxed));
        }
        let name = "lathe_model_ready";
        text.begin(name, "gauge", "Whether a version of a deployment can answer.");
        for live in &all {
            for target in &live.targets {
                let labels = format!("model=\"{}\",version=\"{}\"", escaped(&live.name), target.version);
                text.line(name, &labels, u8::from(target.model.is_ok()));
            }
        }
    }
}

/// What the members of graphs did in them, under names of their own: a sum over models counts no row twice.
fn write_members(text: &mut Text, served: &[(String, &Answerer)]) {
    let mut members: Vec<(String, &Served)> = Vec::new();
    for (labels, answerer) in served {
        for (member, served) in answerer.graph().into_iter().flat_map(Graph::served) {
            let model = escaped(&member.model);
            let labels = format!(
                "{labels},member=\"{model}\",member_version=\"{}\"",
                member.version
            );
            members.push((labels, &**served));
        }
    }
    if members.is_empty() {
        return;
    }
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Served) -> u64| {
        text.begin(name, "counter", help);
        for (labels, served) in &members {
            text.line(name, labels, value(served));
        }
    };
    each(
        "lathe_graph_member_requests_total",
        "Requests that a member of a graph answered.",
        &|served| served.totals.success.read().0,
    );
    each(
        "lathe_graph_member_failures_total",
        "Requests that a member of a graph did not answer.",
        &|served| served.totals.failure.read().0,
    );
    each(
        "lathe_graph_member_rows_total",
        "Rows that a member of a graph answered.",
        &|served| served.totals.rows.load(Relaxed),
    );
    each(
        "lathe_graph_member_duration_us_total",
        "Time of requests at a member of a graph, waiting included.",
        &|served| served.totals.success.read().1 / 1_000,
    );
    each(
        "lathe_graph_member_queue_duration_us_total",
        "Time that requests waited for a member of a graph.",
        &|served| served.totals.queue.read().1 / 1_000,
    );
    each(
        "lathe_graph_member_compute_duration_us_total",
        "Time that a member of a graph computed.",
        &|served| served.totals.infer.read().1 / 1_000,
    );
}
