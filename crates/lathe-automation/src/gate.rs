//! Gates: rules over evidence.

use lathe_rules::RuleError;
use lathe_types::gates::{GateOutcome, RuleVerdict};
use lathe_types::project::GateSpec;
use serde_json::Value;

/// Judges the evidence. A rule that asks for what is not known is inconclusive; a rule that is not a rule is an
/// error, since nobody could ever pass it.
pub fn decide(spec: &GateSpec, evidence: &Value) -> Result<(GateOutcome, Vec<RuleVerdict>), RuleError> {
    let mut rules = Vec::with_capacity(spec.rules.len());
    for (name, expression) in &spec.rules {
        let (outcome, reason) = match lathe_rules::holds(expression, evidence) {
            Ok(true) => (GateOutcome::Pass, "holds".to_owned()),
            Ok(false) => (GateOutcome::Fail, "does not hold".to_owned()),
            Err(RuleError::Unknown { reason, .. }) => (GateOutcome::Inconclusive, reason),
            Err(error) => return Err(error),
        };
        rules.push(RuleVerdict {
            rule: name.clone(),
            expression: expression.clone(),
            outcome,
            values: lathe_rules::named_values(expression, evidence),
            reason,
        });
    }
    let any = |wanted| rules.iter().any(|rule| rule.outcome == wanted);
    let outcome = [GateOutcome::Fail, GateOutcome::Inconclusive, GateOutcome::Waiting]
        .into_iter()
        .find(|outcome| any(*outcome))
        .unwrap_or(GateOutcome::Pass);
    Ok((outcome, rules))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(rules: &[(&str, &str)], evidence: &Value) -> GateOutcome {
        let rules = rules
            .iter()
            .map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned()))
            .collect();
        decide(&GateSpec { rules }, evidence).unwrap().0
    }

    #[test]
    fn one_failed_rule_fails_and_one_unknown_leaves_it_open() {
        let evidence = json!({ "candidate": { "metrics": { "rmse": 60 } }, "champion": {}, "challenge": {} });
        let good = ("good", "candidate.metrics.rmse < 70");
        let bad = ("bad", "candidate.metrics.rmse < 50");
        let unknown = ("unknown", "candidate.metrics.mae < 50");
        assert_eq!(outcome(&[good], &evidence), GateOutcome::Pass);
        assert_eq!(outcome(&[good, unknown], &evidence), GateOutcome::Inconclusive);
        assert_eq!(outcome(&[good, unknown, bad], &evidence), GateOutcome::Fail);
        assert_eq!(outcome(&[], &evidence), GateOutcome::Pass);
    }
}
