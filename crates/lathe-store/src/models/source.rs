//! Where versions come from and where their files are.

use lathe_types::logged_models::LoggedModel;
use lathe_types::models::{LATEST, ModelVersion, NewModelVersion, Origin, check_source};
use lathe_types::runs::RunInfo;
use lathe_types::{LoggedModelId, Millis, RunId};

use super::{create_version, find_alias, get_model, get_version, is_prompt};
use crate::{Error, Result, Store, Tx, logged_models, runs};

/// A version can be a copy of a copy; more steps than this are a circle.
const COPIES_MAX: usize = 10;

impl Store {
    /// Registers the next version of a model as a client asks for it: its source must be one that it may read.
    pub async fn register_model_version(
        &self,
        mut new: NewModelVersion,
        now: Millis,
    ) -> Result<ModelVersion> {
        self.write(move |tx| {
            if !is_prompt(&new.tags) {
                if let Some(id) = &new.model_id {
                    let id = LoggedModelId::parse(id).map_err(|_| Error::NotFound {
                        noun: "logged model",
                        id: id.clone(),
                    })?;
                    logged_models::number(tx, &id)?;
                }
                inherit(tx, &mut new)?;
                new.source = check(tx, &new)?;
            }
            create_version(tx, &new, now)
        })
        .await
    }

    /// The version that an alias names.
    pub async fn get_model_version_by_alias(&self, name: &str, alias: &str) -> Result<ModelVersion> {
        let (name, alias) = (name.to_owned(), alias.to_owned());
        self.read(move |tx| {
            get_model(tx, &name)?;
            let version = match alias.as_str() {
                LATEST => newest(tx, &name)?,
                alias => find_alias(tx, &name, alias)?,
            };
            // Clients tell a wrong alias from a wrong model by this being no "not found".
            let version = version.ok_or_else(|| Error::Invalid {
                message: format!("Registered model alias {alias} not found."),
            })?;
            get_version(tx, &name, version)
        })
        .await
    }

    /// Where the files of a version are: the place behind `models:/…` sources.
    pub async fn model_version_location(&self, name: &str, version: u32) -> Result<String> {
        let name = name.to_owned();
        self.read(move |tx| {
            let mut source = get_version(tx, &name, version)?.source;
            for _ in 0..COPIES_MAX {
                source = match behind(tx, &source)? {
                    Some(Behind::Version(version)) => version.source,
                    Some(Behind::LoggedModel(model)) => return Ok(model.artifact_location),
                    None => return Ok(source),
                };
            }
            Err(Error::Invalid {
                message: format!("the source of version {version} of `{name}` leads in a circle"),
            })
        })
        .await
    }
}

fn newest(tx: &Tx<'_>, name: &str) -> Result<Option<u32>> {
    let newest = tx.query_opt(
        "SELECT MAX(version) FROM model_versions WHERE name = ?1",
        &[name.into()],
        |row| row.get(0),
    )?;
    Ok(newest.flatten())
}

/// What a `models:/…` source names.
enum Behind {
    Version(Box<ModelVersion>),
    LoggedModel(Box<LoggedModel>),
}

/// A source that is no `models:/…` is the place itself.
fn behind(tx: &Tx<'_>, source: &str) -> Result<Option<Behind>> {
    let Some(path) = source.strip_prefix("models:/") else {
        return Ok(None);
    };
    let path = path.trim_matches('/');
    if let Ok(id) = LoggedModelId::parse(path) {
        let model = logged_models::get(tx, &id, true)?;
        return Ok(Some(Behind::LoggedModel(Box::new(model))));
    }
    let version = match (path.rsplit_once('/'), path.rsplit_once('@')) {
        (Some((name, number)), _) => number.parse().ok().map(|number| (name, number)),
        (None, Some((name, alias))) => find_alias(tx, name, alias)?.map(|number| (name, number)),
        (None, None) => None,
    };
    let (name, number) = version.ok_or_else(|| Error::Invalid {
        message: format!("the source `{source}` names no version and no logged model"),
    })?;
    let version = get_version(tx, name, number)?;
    Ok(Some(Behind::Version(Box::new(version))))
}

/// A version that is registered from another one, or from a logged model, has its origin.
fn inherit(tx: &Tx<'_>, new: &mut NewModelVersion) -> Result<()> {
    match behind(tx, &new.source)? {
        Some(Behind::Version(version)) => {
            new.run_id = new.run_id.take().or(version.run_id);
            new.model_id = new.model_id.take().or(version.model_id);
        }
        Some(Behind::LoggedModel(model)) => {
            new.run_id = new.run_id.take().or(model.source_run_id);
            new.model_id = new.model_id.take().or(Some(model.id.to_string()));
        }
        None => {}
    }
    Ok(())
}

/// The source, which is one that the version may have.
fn check(tx: &Tx<'_>, new: &NewModelVersion) -> Result<String> {
    let run = find_run(tx, new.run_id.as_deref())?;
    let model = find_logged_model(tx, new.model_id.as_deref())?;
    let origin = Origin {
        run: run
            .as_ref()
            .map(|run| (run.id.as_str(), run.artifact_uri.as_str())),
        model: model
            .as_ref()
            .map(|model| (model.id.as_str(), model.artifact_location.as_str())),
    };
    check_source(&new.source, &origin).map_err(|error| Error::Invalid {
        message: error.to_string(),
    })
}

/// Versions of models from elsewhere may name runs that this server does not know.
fn find_run(tx: &Tx<'_>, id: Option<&str>) -> Result<Option<RunInfo>> {
    let Some(id) = id.and_then(|id| RunId::parse(id).ok()) else {
        return Ok(None);
    };
    Ok(runs::find(tx, &id)?.map(|run| run.info))
}

fn find_logged_model(tx: &Tx<'_>, id: Option<&str>) -> Result<Option<LoggedModel>> {
    let Some(id) = id.and_then(|id| LoggedModelId::parse(id).ok()) else {
        return Ok(None);
    };
    match logged_models::get(tx, &id, false) {
        Ok(model) => Ok(Some(model)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
