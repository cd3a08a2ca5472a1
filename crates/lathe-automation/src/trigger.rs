//! Triggers: whether an alert sets something off.

use lathe_rules::RuleError;
use lathe_types::alerts::Alert;
use lathe_types::project::TriggerSpec;
use lathe_types::{Millis, Span};
use serde_json::{Map, Value, json};

/// What a trigger answers to an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is not about such alerts.
    Ignore,
    /// It would fire, and may not now.
    HoldBack {
        /// In words for people.
        reason: String,
    },
    /// It fires.
    Fire {
        /// Parameters to set first: dotted key to value.
        set: Map<String, Value>,
        /// In words for people.
        reason: String,
    },
}

/// The period that a budget counts over.
pub const BUDGET_PERIOD: Span = Span(7 * 86_400_000);

/// Decides from when the trigger fired before (oldest first, at least the last seven days).
pub fn decide(
    spec: &TriggerSpec,
    alert: &Alert,
    fired: &[Millis],
    now: Millis,
) -> Result<Decision, RuleError> {
    let facts = facts(alert);
    if !lathe_rules::holds(&spec.when, &facts)? {
        return Ok(Decision::Ignore);
    }
    if let Some(last) = fired.last()
        && now.since(*last) < spec.cooldown
    {
        let reason = format!(
            "held back: it fired {} ago and cools down for {}",
            now.since(*last),
            spec.cooldown
        );
        return Ok(Decision::HoldBack { reason });
    }
    let in_period = fired.iter().filter(|at| now.since(**at) < BUDGET_PERIOD).count();
    if let Some(budget) = spec.budget
        && budget.per_week as usize <= in_period
    {
        let reason = format!(
            "held back: it fired {in_period} times in seven days, its budget is {}",
            budget.per_week
        );
        return Ok(Decision::HoldBack { reason });
    }
    let set = spec
        .then
        .set
        .iter()
        .map(|(key, expression)| Ok((key.clone(), lathe_rules::evaluate(expression, &facts)?)))
        .collect::<Result<Map<_, _>, RuleError>>()?;
    let told: Vec<String> = set
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    let with = if told.is_empty() {
        String::new()
    } else {
        format!(" with {}", told.join(", "))
    };
    Ok(Decision::Fire {
        set,
        reason: format!("runs {} on alert {}{with}", spec.then.run, alert.id),
    })
}

/// What `when` and `set` can see.
fn facts(alert: &Alert) -> Value {
    json!({ "alert": {
        "id": alert.id,
        "deployment": alert.deployment,
        "version": alert.version,
        "kind": alert.kind,
        "cause": alert.diagnosis.cause,
        "at": alert.at.to_string(),
        "since": alert.diagnosis.since.to_string(),
        "error_before": alert.diagnosis.error_before,
        "error_now": alert.diagnosis.error_now,
        "columns": alert.diagnosis.columns.iter().map(|column| &column.column).collect::<Vec<_>>(),
    } })
}

#[cfg(test)]
mod tests {
    use lathe_types::alerts::{AlertKind, AlertState};
    use lathe_types::drift::{Cause, Diagnosis};

    use super::*;

    fn alert(kind: AlertKind, cause: Cause) -> Alert {
        Alert {
            id: 4,
            deployment: "d".into(),
            version: 1,
            kind,
            state: AlertState::Open,
            at: Millis(1_332_374_400_000),
            opened_at: Millis(0),
            resolved_at: None,
            window_start: Millis(0),
            summary: String::new(),
            diagnosis: Diagnosis {
                cause,
                summary: String::new(),
                columns: Vec::new(),
                since: Millis(0),
                error_before: None,
                error_now: Some(120.0),
                evidence: Vec::new(),
            },
        }
    }

    fn decision(alert: &Alert, fired: &[i64], now: i64) -> Decision {
        let spec = serde_json::from_value(json!({
            "when": "alert.kind == 'performance' && alert.cause != 'broken_input'",
            "then": { "run": "dvc.yaml", "gate": "m", "deploy": "d", "set": { "prepare.until": "alert.at" } },
            "cooldown": "1h",
            "budget": { "per_week": 2 },
        }))
        .unwrap();
        let fired: Vec<Millis> = fired.iter().copied().map(Millis).collect();
        decide(&spec, alert, &fired, Millis(now)).unwrap()
    }

    #[test]
    fn a_trigger_fires_on_its_alerts_only_and_not_too_often() {
        let alert_of = alert(AlertKind::Performance, Cause::ChangedWorld);
        let Decision::Fire { set, .. } = decision(&alert_of, &[], 0) else {
            panic!("it does not fire");
        };
        assert_eq!(set["prepare.until"], "2012-03-22T00:00:00Z");
        assert_eq!(
            decision(&alert(AlertKind::Drift, Cause::Season), &[], 0),
            Decision::Ignore
        );
        assert_eq!(
            decision(&alert(AlertKind::Performance, Cause::BrokenInput), &[], 0),
            Decision::Ignore
        );
        let hour = 3_600_000;
        assert!(matches!(
            decision(&alert_of, &[0], hour - 1),
            Decision::HoldBack { .. }
        ));
        assert!(matches!(decision(&alert_of, &[0], hour), Decision::Fire { .. }));
        assert!(matches!(
            decision(&alert_of, &[0, hour], 9 * hour),
            Decision::HoldBack { .. }
        ));
    }
}
