//! The model registry: registered models, versions, aliases.

mod aliases;
mod search;
mod source;
mod told;

pub use aliases::{find_alias, set_alias};
pub use search::{ModelSearch, VersionSearch};
pub(crate) use told::is_prompt;
use told::{public_tags, tell_of_version};

use lathe_types::Millis;
use lathe_types::access::Resource;
use lathe_types::models::{ModelName, ModelVersion, NewModelVersion, PROMPT_TAG, RegisteredModel, Stage};
use lathe_types::tags::Tag;
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, Value, caller, events, graphs, roles, webhooks};

const VERSION_COLUMNS: &str =
    "SELECT name, version, created_at, updated_at, user_id, stage, description, source,
                                      run_id, run_link, model_id
                               FROM model_versions";

impl Store {
    /// Registers a model; its name must be free.
    pub async fn create_registered_model(
        &self,
        name: ModelName,
        description: Option<String>,
        tags: Vec<Tag>,
        now: Millis,
    ) -> Result<RegisteredModel> {
        self.write(move |tx| {
            let name = name.as_str();
            if find_model(tx, name)?.is_some() {
                return Err(Error::AlreadyExists {
                    noun: "registered model",
                    id: name.to_owned(),
                });
            }
            tx.execute(
                "INSERT INTO registered_models (name, description, created_at, updated_at, versions)
                 VALUES (?1, ?2, ?3, ?3, 0)",
                &[name.into(), description.clone().into(), now.0.into()],
            )?;
            for tag in &tags {
                set_model_tag(tx, name, tag)?;
            }
            let is_prompt = |tag: &Tag| tag.key == PROMPT_TAG && tag.value == "true";
            let resource = match tags.iter().any(is_prompt) {
                true => Resource::Prompt,
                false => Resource::RegisteredModel,
            };
            caller::owns(tx, resource, name)?;
            let (registered, prompt) = ("registered_model.created", "prompt.created");
            webhooks::tell_of_model(
                tx,
                name,
                Some(registered),
                prompt,
                now,
                || json!({ "name": name, "tags": public_tags(&tags), "description": description }),
            )?;
            get_model(tx, name)
        })
        .await
    }

    /// The model of this name.
    pub async fn get_registered_model(&self, name: &str) -> Result<RegisteredModel> {
        let name = name.to_owned();
        self.read(move |tx| get_model(tx, &name)).await
    }

    /// Gives a model another name; its versions, tags and aliases follow.
    pub async fn rename_registered_model(
        &self,
        name: &str,
        to: ModelName,
        now: Millis,
    ) -> Result<RegisteredModel> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_model(tx, &name)?;
            let to = to.as_str();
            if to != name && find_model(tx, to)?.is_some() {
                return Err(Error::AlreadyExists {
                    noun: "registered model",
                    id: to.to_owned(),
                });
            }
            tx.execute(
                "UPDATE registered_models SET name = ?2, updated_at = ?3 WHERE name = ?1",
                &[(&name).into(), to.into(), now.0.into()],
            )?;
            for table in ["version_facts", "verdicts"] {
                let sql = format!("UPDATE {table} SET model = ?2 WHERE model = ?1");
                tx.execute(&sql, &[(&name).into(), to.into()])?;
            }
            if to != name {
                for resource in [Resource::RegisteredModel, Resource::Prompt] {
                    roles::rename(tx, resource.as_str(), &name, to)?;
                }
            }
            graphs::follow(tx, now)?;
            get_model(tx, to)
        })
        .await
    }

    /// Describes a model anew.
    pub async fn describe_registered_model(
        &self,
        name: &str,
        description: Option<String>,
        now: Millis,
    ) -> Result<RegisteredModel> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_model(tx, &name)?;
            tx.execute(
                "UPDATE registered_models SET description = ?2, updated_at = ?3 WHERE name = ?1",
                &[(&name).into(), description.into(), now.0.into()],
            )?;
            get_model(tx, &name)
        })
        .await
    }

    /// Deletes a model with its versions, tags and aliases.
    pub async fn delete_registered_model(&self, name: &str, now: Millis) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_model(tx, &name)?;
            tx.execute("DELETE FROM registered_models WHERE name = ?1", &[(&name).into()])?;
            for resource in [Resource::RegisteredModel, Resource::Prompt] {
                roles::forget(tx, resource.as_str(), &name)?;
            }
            graphs::follow(tx, now)
        })
        .await
    }

    /// Sets a tag of a model.
    pub async fn set_registered_model_tag(&self, name: &str, tag: Tag, now: Millis) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_model(tx, &name)?;
            set_model_tag(tx, &name, &tag)?;
            webhooks::tell_of_model(
                tx,
                &name,
                None,
                "prompt_tag.set",
                now,
                || json!({ "name": name, "key": tag.key, "value": tag.value }),
            )
        })
        .await
    }

    /// Takes a tag off a model; one that is not there is fine.
    pub async fn delete_registered_model_tag(&self, name: &str, key: &str, now: Millis) -> Result<()> {
        let (name, key) = (name.to_owned(), key.to_owned());
        self.write(move |tx| {
            get_model(tx, &name)?;
            webhooks::tell_of_model(
                tx,
                &name,
                None,
                "prompt_tag.deleted",
                now,
                || json!({ "name": name, "key": key }),
            )?;
            tx.execute(
                "DELETE FROM registered_model_tags WHERE name = ?1 AND key = ?2",
                &[(&name).into(), (&key).into()],
            )?;
            Ok(())
        })
        .await
    }

    /// The version.
    pub async fn get_model_version(&self, name: &str, version: u32) -> Result<ModelVersion> {
        let name = name.to_owned();
        self.read(move |tx| get_version(tx, &name, version)).await
    }

    /// Describes a version anew.
    pub async fn describe_model_version(
        &self,
        name: &str,
        version: u32,
        description: Option<String>,
        now: Millis,
    ) -> Result<ModelVersion> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_version(tx, &name, version)?;
            tx.execute(
                "UPDATE model_versions SET description = ?3, updated_at = ?4 WHERE name = ?1 AND version = ?2",
                &[(&name).into(), version.into(), description.into(), now.0.into()],
            )?;
            get_version(tx, &name, version)
        })
        .await
    }

    /// Moves a version to a stage; with `archive_existing` those that are there become archived.
    pub async fn transition_model_version(
        &self,
        name: &str,
        version: u32,
        stage: Stage,
        archive_existing: bool,
        now: Millis,
    ) -> Result<ModelVersion> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_version(tx, &name, version)?;
            if archive_existing {
                tx.execute(
                    "UPDATE model_versions SET stage = 'Archived', updated_at = ?3
                     WHERE name = ?1 AND stage = ?2 AND version <> ?4",
                    &[
                        (&name).into(),
                        stage.as_str().into(),
                        now.0.into(),
                        version.into(),
                    ],
                )?;
            }
            tx.execute(
                "UPDATE model_versions SET stage = ?3, updated_at = ?4 WHERE name = ?1 AND version = ?2",
                &[
                    (&name).into(),
                    version.into(),
                    stage.as_str().into(),
                    now.0.into(),
                ],
            )?;
            get_version(tx, &name, version)
        })
        .await
    }

    /// Deletes a version with its tags and aliases; its number is not used again.
    pub async fn delete_model_version(&self, name: &str, version: u32, now: Millis) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_version(tx, &name, version)?;
            tx.execute(
                "DELETE FROM model_versions WHERE name = ?1 AND version = ?2",
                &[(&name).into(), version.into()],
            )?;
            graphs::follow(tx, now)
        })
        .await
    }

    /// Sets a tag of a version.
    pub async fn set_model_version_tag(&self, name: &str, version: u32, tag: Tag, now: Millis) -> Result<()> {
        let name = name.to_owned();
        self.write(move |tx| {
            get_version(tx, &name, version)?;
            set_version_tag(tx, &name, version, &tag)?;
            let (set, prompt) = ("model_version_tag.set", "prompt_version_tag.set");
            webhooks::tell_of_model(tx, &name, Some(set), prompt, now, || {
                json!({ "name": name, "version": version.to_string(), "key": tag.key, "value": tag.value })
            })
        })
        .await
    }

    /// Takes a tag off a version; one that is not there is fine.
    pub async fn delete_model_version_tag(
        &self,
        name: &str,
        version: u32,
        key: &str,
        now: Millis,
    ) -> Result<()> {
        let (name, key) = (name.to_owned(), key.to_owned());
        self.write(move |tx| {
            get_version(tx, &name, version)?;
            let (deleted, prompt) = ("model_version_tag.deleted", "prompt_version_tag.deleted");
            webhooks::tell_of_model(
                tx,
                &name,
                Some(deleted),
                prompt,
                now,
                || json!({ "name": name, "version": version.to_string(), "key": key }),
            )?;
            tx.execute(
                "DELETE FROM model_version_tags WHERE name = ?1 AND version = ?2 AND key = ?3",
                &[(&name).into(), version.into(), (&key).into()],
            )?;
            Ok(())
        })
        .await
    }
}

fn create_version(tx: &Tx<'_>, new: &NewModelVersion, now: Millis) -> Result<ModelVersion> {
    let name = new.name.as_str();
    let number = tx.query_opt(
        "UPDATE registered_models SET versions = versions + 1, updated_at = ?2 WHERE name = ?1 RETURNING versions",
        &[name.into(), now.0.into()],
        |row| row.get::<u32>(0),
    )?;
    let number = number.ok_or_else(|| not_registered(name))?;
    tx.execute(
        "INSERT INTO model_versions (name, version, created_at, updated_at, stage, description, source, run_id,
                                     run_link, model_id)
         VALUES (?1, ?2, ?3, ?3, 'None', ?4, ?5, ?6, ?7, ?8)",
        &[
            name.into(),
            number.into(),
            now.0.into(),
            new.description.clone().into(),
            (&new.source).into(),
            new.run_id.clone().into(),
            new.run_link.clone().into(),
            new.model_id.clone().into(),
        ],
    )?;
    for tag in &new.tags {
        set_version_tag(tx, name, number, tag)?;
    }
    tell_of_version(tx, new, number, now)?;
    let summary = format!("`{name}` version {number} registered");
    let data = json!({ "run_id": new.run_id, "source": new.source });
    events::append(
        tx,
        now,
        "version.registered",
        &format!("model/{name}/{number}"),
        &summary,
        &data,
    )?;
    get_version(tx, name, number)
}

fn touch(tx: &Tx<'_>, name: &str, now: Millis) -> Result<()> {
    tx.execute(
        "UPDATE registered_models SET updated_at = ?2 WHERE name = ?1",
        &[name.into(), now.0.into()],
    )?;
    Ok(())
}

fn set_model_tag(tx: &Tx<'_>, name: &str, tag: &Tag) -> Result<()> {
    tx.execute(
        "INSERT INTO registered_model_tags (name, key, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (name, key) DO UPDATE SET value = excluded.value",
        &[name.into(), (&tag.key).into(), (&tag.value).into()],
    )?;
    Ok(())
}

fn set_version_tag(tx: &Tx<'_>, name: &str, version: u32, tag: &Tag) -> Result<()> {
    tx.execute(
        "INSERT INTO model_version_tags (name, version, key, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value",
        &[
            name.into(),
            version.into(),
            (&tag.key).into(),
            (&tag.value).into(),
        ],
    )?;
    Ok(())
}

fn not_registered(name: &str) -> Error {
    Error::NotFound {
        noun: "registered model",
        id: name.to_owned(),
    }
}

fn get_model(tx: &Tx<'_>, name: &str) -> Result<RegisteredModel> {
    find_model(tx, name)?.ok_or_else(|| not_registered(name))
}

pub(crate) fn find_model(tx: &Tx<'_>, name: &str) -> Result<Option<RegisteredModel>> {
    let found = tx.query_opt(
        "SELECT name, description, created_at, updated_at FROM registered_models WHERE name = ?1",
        &[name.into()],
        |row| {
            Ok(RegisteredModel {
                name: row.get(0)?,
                description: row.get(1)?,
                created_at: Millis(row.get(2)?),
                updated_at: Millis(row.get(3)?),
                tags: Vec::new(),
                aliases: Vec::new(),
                latest_versions: Vec::new(),
            })
        },
    )?;
    let Some(mut model) = found else { return Ok(None) };
    model.tags = tx.query(
        "SELECT key, value FROM registered_model_tags WHERE name = ?1 ORDER BY key",
        &[name.into()],
        tag,
    )?;
    model.aliases = tx.query(
        "SELECT alias, version FROM model_aliases WHERE name = ?1 ORDER BY alias",
        &[name.into()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    model.latest_versions = search::latest_versions(tx, name, &Stage::ALL)?;
    Ok(Some(model))
}

fn get_version(tx: &Tx<'_>, name: &str, version: u32) -> Result<ModelVersion> {
    find_version(tx, name, version)?.ok_or_else(|| Error::NotFound {
        noun: "model version",
        id: format!("{name}/{version}"),
    })
}

pub(crate) fn find_version(tx: &Tx<'_>, name: &str, version: u32) -> Result<Option<ModelVersion>> {
    let sql = format!("{VERSION_COLUMNS} WHERE name = ?1 AND version = ?2");
    let found = tx.query_opt(&sql, &[name.into(), version.into()], version_row)?;
    found.map(|version| with_tags(tx, version)).transpose()
}

fn with_tags(tx: &Tx<'_>, mut version: ModelVersion) -> Result<ModelVersion> {
    let key: [Value; 2] = [(&version.name).into(), version.version.into()];
    version.tags = tx.query(
        "SELECT key, value FROM model_version_tags WHERE name = ?1 AND version = ?2 ORDER BY key",
        &key,
        tag,
    )?;
    version.aliases = tx.query(
        "SELECT alias FROM model_aliases WHERE name = ?1 AND version = ?2 ORDER BY alias",
        &key,
        |row| row.get(0),
    )?;
    Ok(version)
}

fn tag(row: &Row<'_>) -> Result<Tag> {
    Ok(Tag {
        key: row.get(0)?,
        value: row.get(1)?,
    })
}

fn version_row(row: &Row<'_>) -> Result<ModelVersion> {
    let stage: String = row.get(5)?;
    Ok(ModelVersion {
        name: row.get(0)?,
        version: row.get(1)?,
        created_at: Millis(row.get(2)?),
        updated_at: Millis(row.get(3)?),
        user_id: row.get(4)?,
        stage: Stage::ALL
            .into_iter()
            .find(|known| known.as_str() == stage)
            .unwrap_or(Stage::None),
        description: row.get(6)?,
        source: row.get(7)?,
        run_id: row.get(8)?,
        run_link: row.get(9)?,
        model_id: row.get(10)?,
        tags: Vec::new(),
        aliases: Vec::new(),
    })
}
