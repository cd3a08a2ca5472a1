//! Samples and their labels, joined by prediction id whichever comes first.

use lathe_types::Millis;
use lathe_types::samples::{Label, LabelledSample, Sample};
use serde::{Deserialize, Serialize};

use crate::{Result, Store, json};

/// What became of a batch of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounts {
    /// Kept.
    pub stored: u64,
    /// Kept, although no sample of that id is here (yet).
    pub unknown: u64,
}

impl Store {
    /// Keeps samples; one that is there already stays as it is.
    pub async fn insert_samples(&self, samples: Vec<Sample>) -> Result<()> {
        self.write(move |tx| {
            for sample in &samples {
                tx.execute(
                    "INSERT INTO samples (prediction_id, deployment, at, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (prediction_id) DO NOTHING",
                    &[
                        sample.prediction_id.as_str().into(),
                        (&sample.deployment).into(),
                        sample.at.0.into(),
                        json::text(sample),
                    ],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps labels; a later label for the same prediction replaces the earlier one.
    pub async fn insert_labels(&self, labels: Vec<Label>, now: Millis) -> Result<LabelCounts> {
        self.write(move |tx| {
            let mut counts = LabelCounts {
                stored: 0,
                unknown: 0,
            };
            for label in &labels {
                let id = label.prediction_id.as_str();
                tx.execute(
                    "INSERT INTO labels (prediction_id, value, at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (prediction_id) DO UPDATE SET value = excluded.value, at = excluded.at",
                    &[
                        id.into(),
                        json::text(&label.value),
                        label.at.unwrap_or(now).0.into(),
                    ],
                )?;
                let known = tx.query_opt(
                    "SELECT 1 FROM samples WHERE prediction_id = ?1",
                    &[id.into()],
                    |_| Ok(()),
                )?;
                counts.stored += 1;
                counts.unknown += u64::from(known.is_none());
            }
            Ok(counts)
        })
        .await
    }

    /// The samples of a deployment with `from <= at < to`, oldest first, at most `limit`, with their labels.
    pub async fn labelled_samples(
        &self,
        deployment: &str,
        from: Millis,
        to: Millis,
        limit: usize,
    ) -> Result<Vec<LabelledSample>> {
        let deployment = deployment.to_owned();
        self.read(move |tx| {
            tx.query(
                "SELECT samples.body, labels.value FROM samples
                 LEFT JOIN labels ON labels.prediction_id = samples.prediction_id
                 WHERE samples.deployment = ?1 AND ?2 <= samples.at AND samples.at < ?3
                 ORDER BY samples.at, samples.prediction_id LIMIT ?4",
                &[
                    deployment.into(),
                    from.0.into(),
                    to.0.into(),
                    (limit as i64).into(),
                ],
                |row| {
                    let sample = json::column(row, 0, "sample")?;
                    Ok(LabelledSample {
                        sample,
                        label: json::column_opt(row, 1, "label")?,
                    })
                },
            )
        })
        .await
    }

    /// How many samples of a deployment with `from <= at < to` there are, and how many of them have a label.
    pub async fn count_labels(&self, deployment: &str, from: Millis, to: Millis) -> Result<(u64, u64)> {
        let deployment = deployment.to_owned();
        let counts = self
            .read(move |tx| {
                tx.query_opt(
                    "SELECT COUNT(*), COUNT(labels.prediction_id) FROM samples
                     LEFT JOIN labels ON labels.prediction_id = samples.prediction_id
                     WHERE samples.deployment = ?1 AND ?2 <= samples.at AND samples.at < ?3",
                    &[deployment.into(), from.0.into(), to.0.into()],
                    |row| Ok((row.get::<i64>(0)? as u64, row.get::<i64>(1)? as u64)),
                )
            })
            .await?;
        Ok(counts.unwrap_or_default())
    }
}
