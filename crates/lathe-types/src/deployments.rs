//! A deployment: an alias served at an endpoint, and the rollout that moves it to another version.

use serde::{Deserialize, Serialize};

use crate::project::DeploymentSpec;
use crate::{Millis, Span};

/// What one version does in a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers whatever no canary answers, and steps in when the canary fails.
    Stable,
    /// Answers its share of the traffic while it is judged.
    Canary,
    /// Sees a copy of every request; its answers are counted and thrown away.
    Shadow,
}

/// A fault put in on purpose, to rehearse a rollback: it acts on the new version's answers only.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Added to every answer.
    #[serde(default)]
    pub delay_ms: u64,
    /// Share of requests that fail, 0 to 1.
    #[serde(default)]
    pub error_share: f64,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Going through its steps.
    Running,
    /// Every step passed and the alias moved.
    Promoted,
    /// The analysis or a person stopped it; the alias never moved.
    RolledBack,
}

/// One step of a rollout, in the order they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new version sees copies of the traffic.
    Shadow {
        /// How long at least.
        length: Span,
    },
    /// The new version answers `percent` of the traffic.
    Canary {
        /// 1 to 100.
        percent: u8,
        /// How long at least; zero for the closing 100 % step.
        length: Span,
    },
}

/// A version on its way from "passed the gate" to "answers everything".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Counts up over all deployments.
    pub id: i64,
    /// The deployment it changes.
    pub deployment: String,
    /// The version that answers now.
    pub from_version: u32,
    /// The version that wants to.
    pub to_version: u32,
    /// Index into the steps of the deployment's spec.
    pub step: usize,
    /// When that step began.
    pub step_started_at: Millis,
    /// When the first step began.
    pub started_at: Millis,
    /// When it was promoted or rolled back.
    pub finished_at: Option<Millis>,
    /// Running, promoted or rolled back.
    pub state: RolloutState,
    /// Why it ended, in words for people.
    pub reason: Option<String>,
    /// A rehearsed fault of the new version.
    pub fault: Option<Fault>,
}

/// A deployment as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name: the `{name}` of `/v2/models/{name}`.
    pub name: String,
    /// What `lathe.toml` declares.
    pub spec: DeploymentSpec,
    /// The version that answers; none until an alias is set.
    pub stable: Option<u32>,
    /// The version that answered before, where a rollback goes.
    pub previous: Option<u32>,
    /// The rollout under way.
    pub rollout: Option<Rollout>,
    /// Grows with every change, so that a reader sees whether anything moved.
    pub revision: i64,
    /// When it last changed.
    pub updated_at: Millis,
}

/// One version in a deployment's traffic split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The model version.
    pub version: u32,
    /// What it does.
    pub role: Role,
    /// Share of the answers, 0 to 1; zero for a shadow.
    pub weight: f64,
    /// A rehearsed fault.
    pub fault: Option<Fault>,
}

impl Deployment {
    /// The traffic split of this moment: at most one target of each role, weights summing to 1. Empty when no
    /// version has been deployed yet.
    pub fn targets(&self) -> Vec<Target> {
        let Some(stable) = self.stable else {
            return Vec::new();
        };
        let target = |version, role, weight, fault| Target {
            version,
            role,
            weight,
            fault,
        };
        let Some(rollout) = self.rollout.as_ref().filter(|r| r.state == RolloutState::Running) else {
            return vec![target(stable, Role::Stable, 1.0, None)];
        };
        match self.spec.steps().get(rollout.step) {
            Some(Step::Canary { percent, .. }) => {
                let share = f64::from(*percent) / 100.0;
                vec![
                    target(stable, Role::Stable, 1.0 - share, None),
                    target(rollout.to_version, Role::Canary, share, rollout.fault),
                ]
            }
            Some(Step::Shadow { .. }) => vec![
                target(stable, Role::Stable, 1.0, None),
                target(rollout.to_version, Role::Shadow, 0.0, rollout.fault),
            ],
            None => vec![target(stable, Role::Stable, 1.0, None)],
        }
    }
}

/// What one target of a rollout step did, counted by the server and judged by the rollout analysis. Counters and
/// buckets only, so that rows of several replicas add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetStats {
    /// The deployment.
    pub deployment: String,
    /// The rollout it belongs to; 0 outside a rollout.
    pub rollout: i64,
    /// The step of that rollout; 0 outside a rollout.
    pub step: usize,
    /// The model version.
    pub version: u32,
    /// What it did.
    pub role: Role,
    /// Requests it was asked to answer.
    pub requests: u64,
    /// How many of them it failed.
    pub errors: u64,
    /// Requests by latency: see [`LatencyHistogram`].
    pub latency: LatencyHistogram,
}

/// Latencies in buckets that grow by 2^(1/4) from 1 µs: a quantile is exact to 19 %. Adds up by bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct LatencyHistogram(Vec<u64>);

impl TryFrom<Vec<u64>> for LatencyHistogram {
    type Error = String;

    fn try_from(counts: Vec<u64>) -> Result<Self, String> {
        // Sums of what servers tell must fit.
        let sum = counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        match counts.len() <= Self::BUCKETS && sum.is_some_and(|sum| sum < 1 << 53) {
            true => Ok(Self(counts)),
            false => Err("these are no counts of latencies".into()),
        }
    }
}

impl From<LatencyHistogram> for Vec<u64> {
    fn from(histogram: LatencyHistogram) -> Self {
        histogram.0
    }
}

impl LatencyHistogram {
    /// Up to 2^30 µs, about 18 minutes.
    const BUCKETS: usize = 120;

    fn bucket(micros: u64) -> usize {
        let position = (micros.max(1) as f64).log2() * 4.0;
        (position as usize).min(Self::BUCKETS - 1)
    }

    /// Counts one answer that took `micros`.
    pub fn record(&mut self, micros: u64) {
        if self.0.is_empty() {
            self.0 = vec![0; Self::BUCKETS];
        }
        self.0[Self::bucket(micros)] += 1;
    }

    /// Adds everything the other has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// How many answers were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The latency in milliseconds that a share `q` of the answers stayed under; none without answers.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((count as f64 * q).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.0.iter().position(|n| {
            seen += n;
            rank <= seen
        })?;
        Some(2f64.powf((bucket + 1) as f64 / 4.0) / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_its_bucket() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.quantile_ms(0.5), None);
        for micros in 1..=1_000 {
            histogram.record(micros);
        }
        let median = histogram.quantile_ms(0.5).unwrap();
        assert!((0.5..0.6).contains(&median), "{median}");
        let p99 = histogram.quantile_ms(0.99).unwrap();
        assert!((0.99..1.2).contains(&p99), "{p99}");
    }
}
