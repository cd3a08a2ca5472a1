//! Rollouts: whether a new version goes on, waits, is promoted or rolled back.

use lathe_rules::RuleError;
use lathe_types::Millis;
use lathe_types::deployments::{LatencyHistogram, Role, Rollout, Step, TargetStats};
use lathe_types::project::DeploymentSpec;
use serde_json::{Value, json};

/// What happens to a rollout now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing yet.
    Wait,
    /// It goes on to this step.
    Advance {
        /// Index into the spec's steps.
        step: usize,
    },
    /// Every step passed.
    Promote {
        /// In words for people.
        reason: String,
    },
    /// The `abort` rule holds.
    RollBack {
        /// In words for people.
        reason: String,
    },
}

/// Decides from what the targets did: `stats` are those of every step of this rollout. The new version is judged by
/// the present step, the stable one by all of them, since the last step leaves it little to answer.
pub fn decide(
    spec: &DeploymentSpec,
    rollout: &Rollout,
    stats: &[TargetStats],
    now: Millis,
) -> Result<Decision, RuleError> {
    let steps = spec.steps();
    let Some(step) = steps.get(rollout.step) else {
        return Ok(Decision::Promote {
            reason: "no steps are declared".into(),
        });
    };
    let canary = Sum::of(stats.iter().filter(|target| {
        target.step == rollout.step && target.version == rollout.to_version && target.role != Role::Stable
    }));
    let stable = Sum::of(stats.iter().filter(|target| target.role == Role::Stable));
    if canary.requests < spec.min_requests {
        return Ok(Decision::Wait);
    }
    let facts = json!({ "canary": canary.facts(), "stable": stable.facts() });
    if let Some(abort) = &spec.abort {
        match lathe_rules::holds(abort, &facts) {
            Ok(true) => {
                let values = lathe_rules::named_values(abort, &facts);
                let values: Vec<String> = values
                    .iter()
                    .map(|(path, value)| format!("{path} = {}", round(value)))
                    .collect();
                return Ok(Decision::RollBack {
                    reason: format!("`{abort}` with {}", values.join(", ")),
                });
            }
            Ok(false) => {}
            // The stable version has answered nothing yet. Once it has, every name is known: then the rule is wrong,
            // and a version that cannot be judged must not go on.
            Err(RuleError::Unknown { .. }) if stable.requests == 0 => return Ok(Decision::Wait),
            Err(error) => return Err(error),
        }
    }
    let length = match step {
        Step::Shadow { length } | Step::Canary { length, .. } => *length,
    };
    if now.since(rollout.step_started_at) < length {
        return Ok(Decision::Wait);
    }
    if rollout.step + 1 < steps.len() {
        return Ok(Decision::Advance {
            step: rollout.step + 1,
        });
    }
    Ok(Decision::Promote {
        reason: format!(
            "{} steps passed; {} of {} requests failed in the last",
            steps.len(),
            canary.errors,
            canary.requests
        ),
    })
}

fn round(value: &Value) -> String {
    match value.as_f64() {
        Some(number) => format!("{number:.3}"),
        None => value.to_string(),
    }
}

#[derive(Default)]
struct Sum {
    requests: u64,
    errors: u64,
    latency: LatencyHistogram,
}

impl Sum {
    fn of<'a>(stats: impl Iterator<Item = &'a TargetStats>) -> Self {
        stats.fold(Self::default(), |mut sum, target| {
            sum.requests += target.requests;
            sum.errors += target.errors;
            sum.latency.merge(&target.latency);
            sum
        })
    }

    /// What the `abort` rule can see; without requests nothing but their number.
    fn facts(&self) -> Value {
        if self.requests == 0 {
            return json!({ "requests": 0 });
        }
        json!({
            "requests": self.requests,
            "errors": self.errors,
            "error_rate": self.errors as f64 / self.requests as f64,
            "latency": {
                "p50_ms": self.latency.quantile_ms(0.5),
                "p95_ms": self.latency.quantile_ms(0.95),
                "p99_ms": self.latency.quantile_ms(0.99),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use lathe_types::Span;
    use lathe_types::deployments::RolloutState;

    use super::*;

    fn spec() -> DeploymentSpec {
        serde_json::from_value(json!({
            "model": "models:/m@champion",
            "rollout": [{ "shadow": "1s" }, { "canary": 50, "for": "1s" }, { "canary": 100 }],
            "abort": "canary.error_rate > 0.01 || canary.latency.p95_ms > 3.0 * stable.latency.p95_ms + 5.0",
            "min_requests": 10,
        }))
        .unwrap()
    }

    fn target(step: usize, version: u32, role: Role, requests: u64, errors: u64, micros: u64) -> TargetStats {
        let mut latency = LatencyHistogram::default();
        (0..requests).for_each(|_| latency.record(micros));
        TargetStats {
            deployment: "d".into(),
            rollout: 1,
            step,
            version,
            role,
            requests,
            errors,
            latency,
        }
    }

    fn rollout(step: usize) -> Rollout {
        Rollout {
            id: 1,
            deployment: "d".into(),
            from_version: 1,
            to_version: 2,
            step,
            step_started_at: Millis(0),
            started_at: Millis(0),
            finished_at: None,
            state: RolloutState::Running,
            reason: None,
            fault: None,
        }
    }

    fn decision(step: usize, age: Span, stats: &[TargetStats]) -> Decision {
        decide(&spec(), &rollout(step), stats, Millis(0).plus(age)).unwrap()
    }

    #[test]
    fn a_step_takes_its_time_and_its_requests() {
        let good = [
            target(0, 1, Role::Stable, 20, 0, 500),
            target(0, 2, Role::Shadow, 20, 0, 600),
        ];
        assert_eq!(decision(0, Span(999), &good), Decision::Wait);
        assert_eq!(decision(0, Span(1_000), &good), Decision::Advance { step: 1 });
        let few = [
            target(0, 1, Role::Stable, 20, 0, 500),
            target(0, 2, Role::Shadow, 9, 0, 600),
        ];
        assert_eq!(decision(0, Span(9_000), &few), Decision::Wait);
        assert_eq!(decision(1, Span(9_000), &good), Decision::Wait);
    }

    #[test]
    fn the_last_step_promotes_and_judges_by_what_the_stable_version_did_before() {
        let stats = [
            target(0, 1, Role::Stable, 20, 0, 500),
            target(2, 2, Role::Canary, 20, 0, 600),
        ];
        assert!(matches!(decision(2, Span(0), &stats), Decision::Promote { .. }));
    }

    #[test]
    fn a_rule_that_names_nothing_known_is_an_error_and_no_endless_wait() {
        let mut spec = spec();
        spec.abort = Some("canary.eror_rate > 0.1".into());
        let stats = [
            target(0, 1, Role::Stable, 20, 0, 500),
            target(0, 2, Role::Shadow, 20, 0, 600),
        ];
        let told = decide(&spec, &rollout(0), &stats, Millis(0)).unwrap_err();
        assert!(matches!(told, RuleError::Unknown { .. }), "{told}");
        assert_eq!(
            decide(&spec, &rollout(0), &stats[1..], Millis(0)),
            Ok(Decision::Wait)
        );
    }

    #[test]
    fn a_slow_or_failing_version_is_rolled_back_at_once() {
        let stable = target(0, 1, Role::Stable, 20, 0, 500);
        let slow = [stable.clone(), target(0, 2, Role::Shadow, 20, 0, 40_000)];
        let Decision::RollBack { reason } = decision(0, Span(0), &slow) else {
            panic!("a slow version goes on");
        };
        assert!(reason.contains("canary.latency.p95_ms = 4"), "{reason}");
        let failing = [stable, target(1, 2, Role::Canary, 20, 1, 500)];
        assert!(matches!(
            decision(1, Span(0), &failing),
            Decision::RollBack { .. }
        ));
    }
}
