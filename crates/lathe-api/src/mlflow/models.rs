//! The model registry on the wire.

use lathe_types::models::{AliasName, ModelName, registry_tag, version_number};
use lathe_types::tags::Tag;
use lathe_types::{InputError, Millis, required};
use serde::{Deserialize, Serialize};

use super::json::objects;
use super::{Int64, KeyValue};

/// `registered-models/create`
#[derive(Debug, Deserialize)]
pub struct CreateModel {
    /// Required.
    pub name: Option<String>,
    /// The first tags.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
    /// What it is.
    pub description: Option<String>,
}

/// `registered-models/get`, `delete`
#[derive(Debug, Deserialize)]
pub struct ModelByName {
    /// Required.
    pub name: Option<String>,
}

/// `registered-models/rename`
#[derive(Debug, Deserialize)]
pub struct RenameModel {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub new_name: Option<String>,
}

/// `registered-models/update`
#[derive(Debug, Deserialize)]
pub struct UpdateModel {
    /// Required.
    pub name: Option<String>,
    /// What it is.
    pub description: Option<String>,
}

/// `registered-models/get-latest-versions`
#[derive(Debug, Deserialize)]
pub struct GetLatestVersions {
    /// Required.
    pub name: Option<String>,
    /// None: every stage.
    #[serde(default)]
    pub stages: Vec<String>,
}

/// `registered-models/set-tag`, `delete-tag`
#[derive(Debug, Deserialize)]
pub struct ModelTag {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub key: Option<String>,
    /// Not to delete.
    pub value: Option<String>,
}

/// `registered-models/alias`
#[derive(Debug, Deserialize)]
pub struct ModelAlias {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub alias: Option<String>,
    /// Only to set, and then required.
    pub version: Option<String>,
}

/// `registered-models/search`, `model-versions/search`
#[derive(Debug, Deserialize)]
pub struct SearchModels {
    /// Conditions.
    pub filter: Option<String>,
    /// How many results a page may hold.
    pub max_results: Option<Int64>,
    /// Keys to sort by.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// `model-versions/create`
#[derive(Debug, Deserialize)]
pub struct CreateVersion {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub source: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// A link to that run.
    pub run_link: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// The first tags.
    #[serde(default, deserialize_with = "objects")]
    pub tags: Vec<KeyValue>,
}

/// `model-versions/get`, `delete`, `get-download-uri`
#[derive(Debug, Deserialize)]
pub struct VersionByName {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub version: Option<String>,
}

impl VersionByName {
    /// Name and number.
    pub fn parse(self) -> Result<(ModelName, u32), InputError> {
        version_key(self.name, self.version)
    }
}

/// `model-versions/update`
#[derive(Debug, Deserialize)]
pub struct UpdateVersion {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub version: Option<String>,
    /// What it is.
    pub description: Option<String>,
}

/// `model-versions/transition-stage`
#[derive(Debug, Deserialize)]
pub struct TransitionVersion {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub version: Option<String>,
    /// Required.
    pub stage: Option<String>,
    /// Whether those that are in the stage become archived.
    pub archive_existing_versions: Option<bool>,
}

/// `model-versions/set-tag`, `delete-tag`
#[derive(Debug, Deserialize)]
pub struct VersionTag {
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub version: Option<String>,
    /// Required.
    pub key: Option<String>,
    /// Not to delete.
    pub value: Option<String>,
}

/// The answer where one registered model is wanted.
#[derive(Debug, Serialize)]
pub struct ModelReply {
    /// The model.
    pub registered_model: RegisteredModel,
}

/// The answer where one version is wanted.
#[derive(Debug, Serialize)]
pub struct VersionReply {
    /// The version.
    pub model_version: ModelVersion,
}

/// The answer to `registered-models/search`.
#[derive(Debug, Serialize)]
pub struct ModelPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registered_models: Vec<RegisteredModel>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer to `model-versions/search` and `get-latest-versions`.
#[derive(Debug, Serialize)]
pub struct VersionPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_versions: Vec<ModelVersion>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer to `model-versions/get-download-uri`.
#[derive(Debug, Serialize)]
pub struct DownloadUri {
    /// Where the files are.
    pub artifact_uri: String,
}

/// A registered model.
#[derive(Debug, Serialize)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// When it was registered.
    pub creation_timestamp: Millis,
    /// When it last changed.
    pub last_updated_timestamp: Millis,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The newest in every stage that has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latest_versions: Vec<ModelVersion>,
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
    /// By alias.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
}

/// An alias and the version it names.
#[derive(Debug, Serialize)]
pub struct Alias {
    /// The alias.
    pub alias: String,
    /// The version's number as text.
    pub version: String,
}

/// A version of a registered model.
#[derive(Debug, Serialize)]
pub struct ModelVersion {
    /// Its model.
    pub name: String,
    /// Its number as text.
    pub version: String,
    /// When it was registered.
    pub creation_timestamp: Millis,
    /// When it last changed.
    pub last_updated_timestamp: Millis,
    /// Who registered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `None`, `Staging`…
    pub current_stage: &'static str,
    /// Empty if there is none.
    pub description: String,
    /// Where it was registered from.
    pub source: String,
    /// The run that made it; empty if there is none.
    pub run_id: String,
    /// Versions are complete once they are registered.
    pub status: &'static str,
    /// Empty if there is none.
    pub run_link: String,
    /// The logged model that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// By key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<KeyValue>,
    /// The aliases that name it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

impl From<lathe_types::models::RegisteredModel> for RegisteredModel {
    fn from(model: lathe_types::models::RegisteredModel) -> Self {
        let aliases = model.aliases.into_iter();
        let latest = model.latest_versions.into_iter();
        Self {
            name: model.name,
            creation_timestamp: model.created_at,
            last_updated_timestamp: model.updated_at,
            description: model.description,
            latest_versions: latest.map(ModelVersion::from).collect(),
            tags: model.tags.into_iter().map(KeyValue::from).collect(),
            aliases: aliases
                .map(|(alias, version)| Alias {
                    alias,
                    version: version.to_string(),
                })
                .collect(),
        }
    }
}

impl From<lathe_types::models::ModelVersion> for ModelVersion {
    fn from(version: lathe_types::models::ModelVersion) -> Self {
        Self {
            name: version.name,
            version: version.version.to_string(),
            creation_timestamp: version.created_at,
            last_updated_timestamp: version.updated_at,
            user_id: version.user_id,
            current_stage: version.stage.as_str(),
            description: version.description.unwrap_or_default(),
            source: version.source,
            run_id: version.run_id.unwrap_or_default(),
            status: "READY",
            run_link: version.run_link.unwrap_or_default(),
            model_id: version.model_id,
            tags: version.tags.into_iter().map(KeyValue::from).collect(),
            aliases: version.aliases,
        }
    }
}

/// The name in a required field.
pub fn model_name(name: Option<String>) -> Result<ModelName, InputError> {
    ModelName::new("name", required("name", name)?)
}

/// The alias in a required field.
pub fn alias_name(alias: Option<String>) -> Result<AliasName, InputError> {
    AliasName::new("alias", required("alias", alias)?)
}

/// The name and the number in required fields.
pub fn version_key(name: Option<String>, version: Option<String>) -> Result<(ModelName, u32), InputError> {
    let name = model_name(name)?;
    let version = version_number("version", &required("version", version)?)?;
    Ok((name, version))
}

/// The tags of a request, within their limits.
pub fn registry_tags(tags: Vec<KeyValue>) -> Result<Vec<Tag>, InputError> {
    super::runs::each("tags", tags, |tag| registry_tag(tag.key, tag.value))
}
