use std::sync::Arc;

use lathe_rules::Rule;
use lathe_serving::{OutputSpec, Table};
use serde_json::{Value, json};

use super::super::answer::Refusal;
use super::no_case;

/// Rows whose cases are found where the request arrives; more are a thread's work.
const ROWS_HERE_MAX: usize = 64;

/// Finds who is asked for a row.
pub(super) struct Switch {
    pub(super) rule: Rule,
    /// In the order of the members.
    pub(super) cases: Vec<String>,
    /// Whether one more member follows, who is asked for whatever is no case.
    pub(super) has_other: bool,
    /// What it answers with, whoever is asked.
    pub(super) outputs: Vec<OutputSpec>,
}

impl Switch {
    /// The member of each row, by its place.
    pub(super) async fn choose(self: &Arc<Self>, table: &Arc<Table>) -> Result<Vec<usize>, Refusal> {
        if table.rows() <= ROWS_HERE_MAX {
            return self.choose_here(table);
        }
        let (switch, table) = (self.clone(), table.clone());
        let chosen = tokio::task::spawn_blocking(move || switch.choose_here(&table)).await;
        chosen.unwrap_or_else(|error| Err(Refusal::Failed(error.to_string())))
    }

    fn choose_here(&self, table: &Table) -> Result<Vec<usize>, Refusal> {
        (0..table.rows()).map(|row| self.case(table, row)).collect()
    }

    fn case(&self, table: &Table, row: usize) -> Result<usize, Refusal> {
        let said = self.rule.evaluate(&json!({ "input": table.record(row) }));
        let said = said.map_err(|error| no_case(row, error.to_string()))?;
        let said = match said {
            Value::String(text) => text,
            // All numbers are doubles here, and 3 is written `3`.
            Value::Number(number) => number
                .as_f64()
                .map_or_else(String::new, |number| number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => said.to_string(),
        };
        let case = self.cases.iter().position(|case| *case == said);
        match case {
            Some(case) => Ok(case),
            None if self.has_other => Ok(self.cases.len()),
            None => Err(no_case(
                row,
                format!(
                    "the switch says `{said}`; its cases are {}",
                    self.cases.join(", ")
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use lathe_serving::{ColumnSpec, ColumnType, Signature};

    use super::*;

    async fn cases(rule: &str, cases: &[&str], has_other: bool) -> Vec<Result<usize, String>> {
        let column = |name: &str, kind| ColumnSpec {
            name: name.into(),
            kind,
            required: false,
        };
        let signature = Signature::new(vec![
            column("n", ColumnType::Double),
            column("w", ColumnType::String),
        ]);
        let records = [
            json!({ "n": 3, "w": "eu" }),
            json!({ "n": 2.5, "w": "us" }),
            json!({}),
        ];
        let switch = Arc::new(Switch {
            rule: Rule::parse(rule).unwrap(),
            cases: cases.iter().map(|case| (*case).to_owned()).collect(),
            has_other,
            outputs: Vec::new(),
        });
        let mut found = Vec::new();
        for record in records {
            let table = Table::from_records(&[record.as_object().unwrap().clone()], &signature).unwrap();
            let chosen = switch.choose(&Arc::new(table)).await;
            found.push(chosen.map(|chosen| chosen[0]).map_err(Refusal::message));
        }
        found
    }

    #[tokio::test]
    async fn words_numbers_and_flags_are_cases() {
        assert_eq!(cases("input.w", &["eu", "us"], true).await, [Ok(0), Ok(1), Ok(2)]);
        assert_eq!(cases("input.n", &["2.5", "3"], true).await, [Ok(1), Ok(0), Ok(2)]);
        let flags = cases("input.n > 2.7", &["false", "true"], false).await;
        assert_eq!(flags[..2], [Ok(1), Ok(0)]);
        // What is missing is compared with nothing.
        assert!(
            flags[2]
                .as_ref()
                .unwrap_err()
                .starts_with("row 0: the rule `input.n > 2.7` cannot be evaluated")
        );
        let lonely = cases("input.w", &["eu"], false).await;
        assert_eq!(
            lonely[1],
            Err("row 0: the switch says `us`; its cases are eu".into())
        );
        let wrong = cases("input.x", &["eu"], true).await;
        assert!(
            wrong[0].as_ref().unwrap_err().contains("there is no `x`"),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_row_without_a_case_is_told_by_its_number_in_the_request() {
        let refusal = no_case(1, "nobody".into()).at_rows(&[4, 7]);
        assert_eq!(refusal.message(), "row 7: nobody");
    }
}
