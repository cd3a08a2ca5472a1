//! Scorers and their versions.

use lathe_types::scorers::{OnlineScoring, ScorerVersion};
use lathe_types::{ExperimentId, Millis};

use crate::sql::Sql;
use crate::{Error, Result, Row, Store, Tx, experiments};

/// More scorers than any page lists.
const SCORERS_MAX: i64 = 10_000;

const COLUMNS: &str = "SELECT s.scorer_id, s.experiment_id, s.name, v.version, v.serialized, v.created_at
     FROM scorers AS s JOIN scorer_versions AS v ON v.scorer_id = s.scorer_id";
const LATEST: &str =
    " AND v.version = (SELECT MAX(n.version) FROM scorer_versions AS n WHERE n.scorer_id = s.scorer_id)";

impl Store {
    /// Adds a version to the scorer of this name; the first makes the scorer, with this id.
    pub async fn register_scorer(
        &self,
        experiment: ExperimentId,
        name: String,
        serialized: String,
        new_id: String,
        now: Millis,
    ) -> Result<ScorerVersion> {
        self.write(move |tx| {
            experiments::get_active(tx, experiment)?;
            tx.execute(
                "INSERT INTO scorers (scorer_id, experiment_id, name) VALUES (?1, ?2, ?3)
                 ON CONFLICT (experiment_id, name) DO NOTHING",
                &[new_id.into(), experiment.number().into(), (&name).into()],
            )?;
            let id = id_of(tx, experiment, &name)?;
            let version: Option<i64> = tx
                .query_opt(
                    "SELECT MAX(version) FROM scorer_versions WHERE scorer_id = ?1",
                    &[(&id).into()],
                    |row| row.get(0),
                )?
                .flatten();
            let version = version.unwrap_or_default() + 1;
            tx.execute(
                "INSERT INTO scorer_versions (scorer_id, version, serialized, created_at) VALUES (?1, ?2, ?3, ?4)",
                &[(&id).into(), version.into(), serialized.into(), now.0.into()],
            )?;
            one(tx, experiment, &name, Some(version))
        })
        .await
    }

    /// The newest version of every scorer, of these experiments or of all.
    pub async fn list_scorers(&self, of: Option<Vec<ExperimentId>>) -> Result<Vec<ScorerVersion>> {
        self.read(move |tx| {
            let mut sql = Sql::new(COLUMNS);
            sql.push(LATEST).push(
                " JOIN experiments AS e ON e.experiment_id = s.experiment_id WHERE e.lifecycle = 'active'",
            );
            if let Some(of) = of {
                if of.is_empty() {
                    return Ok(Vec::new());
                }
                if let [only] = of.as_slice() {
                    experiments::get_active(tx, *only)?;
                }
                sql.push(" AND s.experiment_id IN ");
                sql.bind_list(of.iter().map(|id| id.number()));
            }
            sql.push(" ORDER BY s.experiment_id, s.name LIMIT ")
                .bind(SCORERS_MAX);
            sql.all(tx, read)
        })
        .await
    }

    /// Every version of a scorer, the first one first.
    pub async fn list_scorer_versions(
        &self,
        experiment: ExperimentId,
        name: String,
    ) -> Result<Vec<ScorerVersion>> {
        self.read(move |tx| {
            experiments::get_active(tx, experiment)?;
            let id = id_of(tx, experiment, &name)?;
            let sql = format!("{COLUMNS} WHERE s.scorer_id = ?1 ORDER BY v.version LIMIT ?2");
            tx.query(&sql, &[id.into(), SCORERS_MAX.into()], read)
        })
        .await
    }

    /// One version of a scorer; without a number the newest.
    pub async fn get_scorer(
        &self,
        experiment: ExperimentId,
        name: String,
        version: Option<i64>,
    ) -> Result<ScorerVersion> {
        self.read(move |tx| {
            experiments::get_active(tx, experiment)?;
            one(tx, experiment, &name, version)
        })
        .await
    }

    /// Deletes a version, or the scorer with all of them.
    pub async fn delete_scorer(
        &self,
        experiment: ExperimentId,
        name: String,
        version: Option<i64>,
    ) -> Result<()> {
        self.write(move |tx| {
            experiments::get_active(tx, experiment)?;
            let scorer = one(tx, experiment, &name, version)?;
            let id = scorer.scorer_id;
            if version.is_some() {
                tx.execute(
                    "DELETE FROM scorer_versions WHERE scorer_id = ?1 AND version = ?2",
                    &[(&id).into(), scorer.version.into()],
                )?;
                return Ok(());
            }
            for part in [
                "DELETE FROM scorer_versions WHERE scorer_id = ?1",
                "DELETE FROM online_scorings WHERE scorer_id = ?1",
                "DELETE FROM scorers WHERE scorer_id = ?1",
            ] {
                tx.execute(part, &[(&id).into()])?;
            }
            Ok(())
        })
        .await
    }

    /// Says which traces a scorer judges as they come.
    pub async fn set_online_scoring(
        &self,
        experiment: ExperimentId,
        name: String,
        sample_rate: f64,
        filter: Option<String>,
        new_id: String,
    ) -> Result<OnlineScoring> {
        self.write(move |tx| {
            experiments::get_active(tx, experiment)?;
            let scorer = id_of(tx, experiment, &name)?;
            tx.execute(
                "INSERT INTO online_scorings (scoring_id, scorer_id, sample_rate, filter) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (scorer_id) DO UPDATE SET sample_rate = excluded.sample_rate, filter = excluded.filter",
                &[new_id.into(), (&scorer).into(), sample_rate.into(), filter.into()],
            )?;
            let mut found = scorings(tx, &[scorer])?;
            found.pop().ok_or_else(|| not_found(&name))
        })
        .await
    }

    /// Which traces these scorers judge as they come; scorers of which nothing was said are left out.
    pub async fn list_online_scorings(&self, scorers: Vec<String>) -> Result<Vec<OnlineScoring>> {
        self.read(move |tx| scorings(tx, &scorers)).await
    }
}

fn scorings(tx: &Tx<'_>, scorers: &[String]) -> Result<Vec<OnlineScoring>> {
    if scorers.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(
        "SELECT o.scoring_id, o.scorer_id, s.experiment_id, o.sample_rate, o.filter
         FROM online_scorings AS o JOIN scorers AS s ON s.scorer_id = o.scorer_id WHERE o.scorer_id IN ",
    );
    sql.bind_list(scorers).push(" ORDER BY o.scoring_id");
    sql.all(tx, |row| {
        Ok(OnlineScoring {
            id: row.get(0)?,
            scorer_id: row.get(1)?,
            experiment_id: ExperimentId::new(row.get(2)?),
            sample_rate: row.get(3)?,
            filter: row.get(4)?,
        })
    })
}

fn id_of(tx: &Tx<'_>, experiment: ExperimentId, name: &str) -> Result<String> {
    let found = tx.query_opt(
        "SELECT scorer_id FROM scorers WHERE experiment_id = ?1 AND name = ?2",
        &[experiment.number().into(), name.into()],
        |row| row.get(0),
    )?;
    found.ok_or_else(|| not_found(name))
}

fn one(tx: &Tx<'_>, experiment: ExperimentId, name: &str, version: Option<i64>) -> Result<ScorerVersion> {
    let mut sql = Sql::new(COLUMNS);
    sql.push(" WHERE s.experiment_id = ").bind(experiment.number());
    sql.push(" AND s.name = ").bind(name);
    if let Some(version) = version {
        sql.push(" AND v.version = ").bind(version);
    }
    sql.push(" ORDER BY v.version DESC LIMIT 1");
    sql.all(tx, read)?.pop().ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> Error {
    Error::NotFound {
        noun: "scorer",
        id: name.to_owned(),
    }
}

fn read(row: &Row<'_>) -> Result<ScorerVersion> {
    Ok(ScorerVersion {
        scorer_id: row.get(0)?,
        experiment_id: ExperimentId::new(row.get(1)?),
        name: row.get(2)?,
        version: row.get(3)?,
        serialized: row.get(4)?,
        created_at: Millis(row.get(5)?),
    })
}
