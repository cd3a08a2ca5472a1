//! Assessments: what was said of a trace.

use std::collections::HashMap;

use lathe_types::Millis;
use lathe_types::assessments::{Assessment, AssessmentChange, AssessmentSource, AssessmentValue};
use lathe_types::tags::Tag;
use lathe_types::traces::TraceId;
use serde_json::Value as Json;

use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx, Value, json, traces};

/// More assessments of one trace are refused.
const OF_ONE_TRACE_MAX: i64 = 10_000;

const COLUMNS: &str =
    "SELECT a.trace_no, t.trace_id, a.assessment_id, a.name, a.kind, a.value, a.error, a.span_id, a.source_kind,
            a.source_id, a.rationale, a.metadata, a.overrides, a.valid, a.created_at, a.updated_at
     FROM assessments AS a JOIN traces AS t ON t.trace_no = a.trace_no";

impl Store {
    /// Keeps an assessment; the one that it replaces no longer counts.
    pub async fn create_assessment(&self, assessment: Assessment, now: Millis) -> Result<Assessment> {
        self.write(move |tx| {
            let no = traces::number(tx, &assessment.trace)?;
            if let Some(overridden) = &assessment.overrides
                && set_valid(tx, no, overridden, false)? == 0
            {
                return Err(not_found(overridden));
            }
            insert(tx, no, &assessment, now)?;
            get(tx, no, &assessment.id)
        })
        .await
    }

    /// One assessment of a trace.
    pub async fn get_assessment(&self, trace: TraceId, id: String) -> Result<Assessment> {
        self.read(move |tx| get(tx, traces::number(tx, &trace)?, &id))
            .await
    }

    /// Changes an assessment.
    pub async fn update_assessment(
        &self,
        trace: TraceId,
        id: String,
        change: AssessmentChange,
        now: Millis,
    ) -> Result<Assessment> {
        self.write(move |tx| {
            let no = traces::number(tx, &trace)?;
            let after = change
                .apply(get(tx, no, &id)?, now)
                .map_err(|error| Error::Invalid {
                    message: error.to_string(),
                })?;
            tx.execute(
                "DELETE FROM assessments WHERE trace_no = ?1 AND assessment_id = ?2",
                &[no.into(), (&id).into()],
            )?;
            insert(tx, no, &after, now)?;
            Ok(after)
        })
        .await
    }

    /// Deletes an assessment, if it is there; one that it replaced counts again.
    pub async fn delete_assessment(&self, trace: TraceId, id: String) -> Result<()> {
        self.write(move |tx| {
            let no = traces::number(tx, &trace)?;
            let assessment = match get(tx, no, &id) {
                Ok(assessment) => assessment,
                Err(Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            if let Some(overridden) = &assessment.overrides {
                set_valid(tx, no, overridden, true)?;
            }
            tx.execute(
                "DELETE FROM assessments WHERE trace_no = ?1 AND assessment_id = ?2",
                &[no.into(), id.into()],
            )?;
            Ok(())
        })
        .await
    }
}

fn set_valid(tx: &Tx<'_>, no: i64, id: &str, valid: bool) -> Result<usize> {
    tx.execute(
        "UPDATE assessments SET valid = ?3 WHERE trace_no = ?1 AND assessment_id = ?2",
        &[no.into(), id.into(), i64::from(valid).into()],
    )
}

fn get(tx: &Tx<'_>, no: i64, id: &str) -> Result<Assessment> {
    let sql = format!("{COLUMNS} WHERE a.trace_no = ?1 AND a.assessment_id = ?2");
    let found = tx.query_opt(&sql, &[no.into(), id.into()], read)?;
    found
        .map(|(_, assessment)| assessment)
        .ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Error {
    Error::NotFound {
        noun: "assessment",
        id: id.to_owned(),
    }
}

/// Writes an assessment of the trace with this number. A client that tells of a trace again tells these again too.
pub(crate) fn insert(tx: &Tx<'_>, no: i64, assessment: &Assessment, now: Millis) -> Result<()> {
    let count: Option<i64> = tx.query_opt(
        "SELECT COUNT(*) FROM assessments WHERE trace_no = ?1",
        &[no.into()],
        |row| row.get(0),
    )?;
    if OF_ONE_TRACE_MAX <= count.unwrap_or_default() {
        return Err(Error::Invalid {
            message: format!("a trace can have at most {OF_ONE_TRACE_MAX} assessments"),
        });
    }
    let value = assessment.value.json();
    let text = match &value {
        Json::String(text) => text.clone(),
        value => value.to_string(),
    };
    let error = match &assessment.value {
        AssessmentValue::Feedback { error, .. } => error.as_ref().map(Json::to_string),
        _ => None,
    };
    let metadata: serde_json::Map<String, Json> = assessment
        .metadata
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.as_str().into()))
        .collect();
    let or_now = |at: Millis| if at.0 == 0 { now.0 } else { at.0 };
    let changed = tx.execute(
        "INSERT INTO assessments (assessment_id, trace_no, name, kind, value, text, number, is_number, error, span_id,
                                  source_kind, source_id, rationale, metadata, session, overrides, valid, created_at,
                                  updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
         ON CONFLICT (assessment_id) DO NOTHING",
        &[
            (&assessment.id).into(),
            no.into(),
            (&assessment.name).into(),
            assessment.value.kind().into(),
            value.to_string().into(),
            text.into(),
            assessment.value.number().into(),
            i64::from(assessment.value.is_number()).into(),
            error.into(),
            assessment.span.as_deref().into(),
            (&assessment.source.kind).into(),
            assessment.source.id.as_deref().into(),
            assessment.rationale.as_deref().into(),
            Value::Text(Json::Object(metadata).to_string()),
            assessment.session().into(),
            assessment.overrides.as_deref().into(),
            i64::from(assessment.valid).into(),
            or_now(assessment.created_at).into(),
            or_now(assessment.updated_at).into(),
        ],
    )?;
    if changed == 0 && get(tx, no, &assessment.id).is_err() {
        return Err(Error::AlreadyExists {
            noun: "assessment",
            id: assessment.id.clone(),
        });
    }
    Ok(())
}

/// Adds to `into` the assessments of traces, by the traces' numbers.
pub(crate) fn of_traces(
    tx: &Tx<'_>,
    numbers: &[i64],
    into: &mut HashMap<i64, Vec<Assessment>>,
) -> Result<()> {
    let mut sql = Sql::new(COLUMNS);
    sql.push(" WHERE a.trace_no IN ");
    sql.bind_list(numbers.iter().copied());
    sql.push(" ORDER BY a.trace_no, a.created_at, a.assessment_id");
    for (no, assessment) in sql.all(tx, read)? {
        into.entry(no).or_default().push(assessment);
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<(i64, Assessment)> {
    let trace: String = row.get(1)?;
    let kind: String = row.get(4)?;
    let value: Json = json::column(row, 5, "assessment")?;
    let metadata: serde_json::Map<String, Json> = json::column(row, 11, "assessment")?;
    let invalid = |error: lathe_types::InputError| Error::Invalid {
        message: error.to_string(),
    };
    let assessment = Assessment {
        id: row.get(2)?,
        name: row.get(3)?,
        trace: TraceId::parse("trace_id", &trace).map_err(invalid)?,
        span: row.get(7)?,
        source: AssessmentSource {
            kind: row.get(8)?,
            id: row.get(9)?,
        },
        value: match kind.as_str() {
            "expectation" => AssessmentValue::Expectation(value),
            "issue" => AssessmentValue::Issue(value.as_str().unwrap_or_default().to_owned()),
            _ => AssessmentValue::Feedback {
                value,
                error: json::column_opt(row, 6, "assessment")?,
            },
        },
        rationale: row.get(10)?,
        metadata: metadata
            .into_iter()
            .map(|(key, value)| Tag {
                key,
                value: value.as_str().unwrap_or_default().to_owned(),
            })
            .collect(),
        overrides: row.get(12)?,
        valid: row.get::<i64>(13)? == 1,
        created_at: Millis(row.get(14)?),
        updated_at: Millis(row.get(15)?),
    };
    Ok((row.get(0)?, assessment))
}
