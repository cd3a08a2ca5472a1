//! Rules in CEL, the Common Expression Language (<https://cel.dev>): evaluated over JSON, with every number a double,
//! so that `70` and `70.0` mean the same. What a rule is for (gates, rollouts, triggers, graphs) is for others to know.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::{Context, Env, ExecutionError};
use lathe_types::ErrorKind;
use serde_json::Value as Json;

/// Why a rule has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It is not CEL.
    #[error("the rule `{expression}` cannot be read: {reason}")]
    Syntax {
        /// Its text.
        expression: String,
        /// What the parser says.
        reason: String,
    },
    /// It names something that the evidence does not hold.
    #[error("the rule `{expression}` asks for what is not known: {reason}")]
    Unknown {
        /// Its text.
        expression: String,
        /// What is not there.
        reason: String,
    },
    /// It does something that its values do not allow.
    #[error("the rule `{expression}` cannot be evaluated: {reason}")]
    Evaluation {
        /// Its text.
        expression: String,
        /// What went wrong.
        reason: String,
    },
}

impl RuleError {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// Whether a text is an expression at all, so that a mistake is found when it is declared and not when it is needed.
pub fn check(expression: &str) -> Result<(), RuleError> {
    Rule::parse(expression).map(drop)
}

/// An expression that may be evaluated often.
pub struct Rule {
    expression: String,
    env: Arc<Env>,
    program: cel::Program,
}

impl Rule {
    /// Reads an expression.
    pub fn parse(expression: &str) -> Result<Self, RuleError> {
        let env = Arc::new(Env::stdlib());
        let program = env.compile(expression).map_err(|errors| RuleError::Syntax {
            expression: expression.to_owned(),
            reason: errors
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        })?;
        Ok(Self {
            expression: expression.to_owned(),
            env,
            program,
        })
    }

    /// What it says about the facts, whose top level names the variables.
    pub fn evaluate(&self, facts: &Json) -> Result<Json, RuleError> {
        let expression = || self.expression.clone();
        let mut context = Context::with_env(self.env.clone());
        for (name, value) in facts.as_object().into_iter().flatten() {
            context
                .add_variable(name.as_str(), as_doubles(value))
                .map_err(|error| RuleError::Evaluation {
                    expression: expression(),
                    reason: error.to_string(),
                })?;
        }
        let value = self.program.execute(&context).map_err(|error| match error {
            ExecutionError::NoSuchKey(key) => RuleError::Unknown {
                expression: expression(),
                reason: format!("there is no `{key}`"),
            },
            ExecutionError::UndeclaredReference(name) => RuleError::Unknown {
                expression: expression(),
                reason: format!("there is no `{name}`"),
            },
            // CEL does not mix whole numbers and fractions in arithmetic, and all facts are fractions.
            ExecutionError::UnsupportedBinaryOperator(..) => RuleError::Evaluation {
                expression: expression(),
                reason: format!("{error}; in arithmetic write numbers with a point: `2.0`"),
            },
            other => RuleError::Evaluation {
                expression: expression(),
                reason: other.to_string(),
            },
        })?;
        value.json().map_err(|error| RuleError::Evaluation {
            expression: expression(),
            reason: error.to_string(),
        })
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.expression).finish()
    }
}

/// What an expression says about the facts, whose top level names the variables.
pub fn evaluate(expression: &str, facts: &Json) -> Result<Json, RuleError> {
    Rule::parse(expression)?.evaluate(facts)
}

/// Whether an expression holds.
pub fn holds(expression: &str, facts: &Json) -> Result<bool, RuleError> {
    match evaluate(expression, facts)? {
        Json::Bool(holds) => Ok(holds),
        other => Err(RuleError::Evaluation {
            expression: expression.to_owned(),
            reason: format!("it says {other}, not true or false"),
        }),
    }
}

fn as_doubles(value: &Json) -> Json {
    match value {
        Json::Number(number) => number.as_f64().map_or(Json::Null, Json::from),
        Json::Array(items) => items.iter().map(as_doubles).collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), as_doubles(value)))
            .collect(),
        other => other.clone(),
    }
}

/// The value of every path of the facts that an expression names: `candidate.metrics.rmse` and the like.
pub fn named_values(expression: &str, facts: &Json) -> BTreeMap<String, Json> {
    let mut found = BTreeMap::new();
    let mut quote = None;
    let mut word = String::new();
    for c in expression.chars().chain([' ']) {
        match quote {
            Some(open) => {
                if c == open {
                    quote = None;
                }
            }
            None if c.is_alphanumeric() || c == '_' || c == '.' => word.push(c),
            None => {
                if let Some(value) = at_path(facts, &word) {
                    found.insert(word.clone(), value);
                }
                word.clear();
                if matches!(c, '"' | '\'') {
                    quote = Some(c);
                }
            }
        }
    }
    found
}

/// The value at a dotted path of two names or more; null where the path ends early.
fn at_path(facts: &Json, path: &str) -> Option<Json> {
    let (root, rest) = path.split_once('.')?;
    let mut value = facts.get(root)?;
    for name in rest.split('.') {
        match value.get(name) {
            Some(next) => value = next,
            None => return Some(Json::Null),
        }
    }
    Some(value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_and_fractions_mix() {
        let facts = json!({ "a": { "x": 70, "y": 1.5 }, "b": {} });
        for (expression, says) in [
            ("a.x <= 70", true),
            ("a.x <= 70.0 && a.x < 71", true),
            ("a.x * 1.02 <= 71.4", true),
            ("2.0 * a.x > 139", true),
            ("a.x == 70", true),
            ("!has(b.x) || b.x > a.x", true),
            ("a.y > 2", false),
        ] {
            assert_eq!(holds(expression, &facts), Ok(says), "{expression}");
        }
    }

    #[test]
    fn what_is_not_known_is_told_from_what_is_wrong() {
        let facts = json!({ "a": { "x": 1 } });
        assert!(matches!(holds("a.z > 1", &facts), Err(RuleError::Unknown { .. })));
        assert!(matches!(
            holds("nobody.z > 1", &facts),
            Err(RuleError::Unknown { .. })
        ));
        assert!(matches!(holds("a.x >", &facts), Err(RuleError::Syntax { .. })));
        assert!(matches!(holds("a.x", &facts), Err(RuleError::Evaluation { .. })));
        assert!(matches!(
            holds("a.x > 'b'", &facts),
            Err(RuleError::Evaluation { .. })
        ));
    }

    #[test]
    fn the_values_a_rule_names_are_found() {
        let facts = json!({ "candidate": { "metrics": { "rmse": 70.5 } }, "champion": {} });
        let found = named_values(
            "candidate.metrics.rmse <= champion.metrics.rmse * 1.02 || 'champion.x' == ''",
            &facts,
        );
        assert_eq!(
            json!(found),
            json!({ "candidate.metrics.rmse": 70.5, "champion.metrics.rmse": null })
        );
    }
}
