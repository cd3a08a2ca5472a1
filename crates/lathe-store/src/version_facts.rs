//! What is known of a model version beside the registry: its facts for gates, its reference for drift.

use serde_json::Value as Json;

use crate::{Result, Store, json};

impl Store {
    /// Keeps what gates may see of a version.
    pub async fn put_version_facts(&self, model: &str, version: u32, facts: Json) -> Result<()> {
        let model = model.to_owned();
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO version_facts (model, version, facts) VALUES (?1, ?2, ?3)
                 ON CONFLICT (model, version) DO UPDATE SET facts = excluded.facts",
                &[model.into(), version.into(), json::text(&facts)],
            )?;
            Ok(())
        })
        .await
    }

    /// What gates may see of a version, if it was kept.
    pub async fn get_version_facts(&self, model: &str, version: u32) -> Result<Option<Json>> {
        let model = model.to_owned();
        let found = self.read(move |tx| {
            tx.query_opt(
                "SELECT facts FROM version_facts WHERE model = ?1 AND version = ?2",
                &[model.into(), version.into()],
                |row| json::column_opt(row, 0, "version's facts"),
            )
        });
        Ok(found.await?.flatten())
    }

    /// Keeps the drift reference of a version, in `lathe-monitor`'s form.
    pub async fn put_reference(&self, model: &str, version: u32, reference: Json) -> Result<()> {
        let model = model.to_owned();
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO version_facts (model, version, reference) VALUES (?1, ?2, ?3)
                 ON CONFLICT (model, version) DO UPDATE SET reference = excluded.reference",
                &[model.into(), version.into(), json::text(&reference)],
            )?;
            Ok(())
        })
        .await
    }

    /// The drift reference of a version, if it was kept.
    pub async fn get_reference(&self, model: &str, version: u32) -> Result<Option<Json>> {
        let model = model.to_owned();
        let found = self.read(move |tx| {
            tx.query_opt(
                "SELECT reference FROM version_facts WHERE model = ?1 AND version = ?2",
                &[model.into(), version.into()],
                |row| json::column_opt(row, 0, "version's reference"),
            )
        });
        Ok(found.await?.flatten())
    }
}
