//! Aliases: names for versions that move from one to the next.

use lathe_types::Millis;
use serde_json::json;

use super::{get_model, get_version, touch};
use crate::{Result, Store, Tx, Value, deployments, events, graphs, webhooks};

impl Store {
    /// Lets an alias name a version; it names no other from then on. Deployments of the alias, and graphs that it is a
    /// member of, are answered by that version, and rollouts of theirs end: whoever moves the alias has decided.
    pub async fn set_model_alias(&self, name: &str, alias: &str, version: u32, now: Millis) -> Result<()> {
        let (name, alias) = (name.to_owned(), alias.to_owned());
        self.write(move |tx| {
            set_alias(tx, &name, &alias, version, now)?;
            deployments::follow_alias(tx, &name, &alias, version, now)
        })
        .await
    }

    /// Takes an alias away; one that is not there is fine. Graphs that it is a member of go on as they were, and say that
    /// it is missing.
    pub async fn delete_model_alias(&self, name: &str, alias: &str, now: Millis) -> Result<()> {
        let (name, alias) = (name.to_owned(), alias.to_owned());
        self.write(move |tx| {
            get_model(tx, &name)?;
            let key: [Value; 2] = [(&name).into(), (&alias).into()];
            if tx.execute("DELETE FROM model_aliases WHERE name = ?1 AND alias = ?2", &key)? == 0 {
                return Ok(());
            }
            let (deleted, prompt) = ("model_version_alias.deleted", "prompt_alias.deleted");
            webhooks::tell_of_model(
                tx,
                &name,
                Some(deleted),
                prompt,
                now,
                || json!({ "name": name, "alias": alias }),
            )?;
            let summary = format!("alias `{alias}` of `{name}` taken away");
            events::append(
                tx,
                now,
                "alias.deleted",
                &format!("model/{name}"),
                &summary,
                &json!({ "alias": alias }),
            )?;
            graphs::follow(tx, now)
        })
        .await
    }

    /// The version that an alias names, if it names one.
    pub async fn find_model_alias(&self, name: &str, alias: &str) -> Result<Option<u32>> {
        let (name, alias) = (name.to_owned(), alias.to_owned());
        self.read(move |tx| find_alias(tx, &name, &alias)).await
    }
}

/// Lets an alias name a version, and graphs follow, in the caller's transaction.
pub fn set_alias(tx: &Tx<'_>, name: &str, alias: &str, version: u32, now: Millis) -> Result<()> {
    get_version(tx, name, version)?;
    let before = find_alias(tx, name, alias)?;
    if before == Some(version) {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO model_aliases (name, alias, version) VALUES (?1, ?2, ?3)
         ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version",
        &[name.into(), alias.into(), version.into()],
    )?;
    touch(tx, name, now)?;
    let (created, prompt) = ("model_version_alias.created", "prompt_alias.created");
    webhooks::tell_of_model(
        tx,
        name,
        Some(created),
        prompt,
        now,
        || json!({ "name": name, "alias": alias, "version": version.to_string() }),
    )?;
    let summary = match before {
        Some(before) => format!("`{name}@{alias}` is version {version}, before {before}"),
        None => format!("`{name}@{alias}` is version {version}"),
    };
    let data = json!({ "alias": alias, "version": version, "before": before });
    events::append(
        tx,
        now,
        "alias.set",
        &format!("model/{name}/{version}"),
        &summary,
        &data,
    )?;
    graphs::follow(tx, now)
}

/// The version that an alias names, in the caller's transaction.
pub fn find_alias(tx: &Tx<'_>, name: &str, alias: &str) -> Result<Option<u32>> {
    tx.query_opt(
        "SELECT version FROM model_aliases WHERE name = ?1 AND alias = ?2",
        &[name.into(), alias.into()],
        |row| row.get(0),
    )
}
