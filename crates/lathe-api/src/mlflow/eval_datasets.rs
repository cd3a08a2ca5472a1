//! Evaluation datasets on the wire. Tags, records and schemas are JSON in texts.

use lathe_types::eval_datasets::{self, NewEvalRecord, dataset_name, dataset_tags};
use lathe_types::tags::Tag;
use lathe_types::{ExperimentId, InputError, Millis, required};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::Int64;
use super::traces::experiment_ids;

/// `POST datasets/create`
#[derive(Debug, Deserialize)]
pub struct CreateDataset {
    /// Required.
    pub name: Option<String>,
    /// Where it is used.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
    /// An object of texts, as JSON.
    pub tags: Option<String>,
}

impl CreateDataset {
    /// Name, tags and experiments.
    pub fn parse(self) -> Result<(String, Vec<Tag>, Vec<ExperimentId>), InputError> {
        let tags = self.tags.filter(|text| !text.is_empty());
        Ok((
            dataset_name(self.name.unwrap_or_default())?,
            tags.map(|text| dataset_tags(&text))
                .transpose()?
                .unwrap_or_default(),
            experiment_ids(self.experiment_ids)?,
        ))
    }
}

/// `POST datasets/search`
#[derive(Debug, Deserialize)]
pub struct SearchDatasets {
    /// Used in one of these.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
    /// Conditions.
    pub filter_string: Option<String>,
    /// How many datasets a page may hold.
    pub max_results: Option<Int64>,
    /// Keys to sort by.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// `PATCH datasets/{id}/tags`
#[derive(Debug, Deserialize)]
pub struct SetDatasetTags {
    /// Required: an object of texts, as JSON.
    pub tags: Option<String>,
}

impl SetDatasetTags {
    /// The tags.
    pub fn parse(self) -> Result<Vec<Tag>, InputError> {
        dataset_tags(&required("tags", self.tags)?)
    }
}

/// `POST datasets/{id}/add-experiments`, `remove-experiments`
#[derive(Debug, Deserialize)]
pub struct DatasetExperiments {
    /// Which.
    #[serde(default)]
    pub experiment_ids: Vec<String>,
}

/// `POST datasets/{id}/records`
#[derive(Debug, Deserialize)]
pub struct UpsertRecords {
    /// Required: a list of objects, as JSON.
    pub records: Option<String>,
}

impl UpsertRecords {
    /// The records.
    pub fn parse(self) -> Result<Vec<NewEvalRecord>, InputError> {
        NewEvalRecord::parse_all(&required("records", self.records)?)
    }
}

/// `GET datasets/{id}/records`
#[derive(Debug, Deserialize)]
pub struct GetRecords {
    /// How many records a page may hold.
    pub max_results: Option<Int64>,
    /// Where the page starts.
    pub page_token: Option<String>,
}

/// `DELETE datasets/{id}/records`
#[derive(Debug, Deserialize)]
pub struct DeleteRecords {
    /// Which.
    #[serde(default)]
    pub dataset_record_ids: Vec<String>,
}

/// The answer where one dataset is wanted.
#[derive(Debug, Serialize)]
pub struct DatasetReply {
    /// The dataset.
    pub dataset: Dataset,
}

/// The answer to a search.
#[derive(Debug, Serialize)]
pub struct DatasetPage {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<Dataset>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// The answer to `GET datasets/{id}/experiment-ids`.
#[derive(Debug, Serialize)]
pub struct DatasetExperimentIds {
    /// Where it is used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experiment_ids: Vec<String>,
}

/// The answer to `POST datasets/{id}/records`.
#[derive(Debug, Serialize)]
pub struct UpsertedRecords {
    /// New ones.
    pub inserted_count: i64,
    /// Known ones.
    pub updated_count: i64,
}

/// The answer to `DELETE datasets/{id}/records`.
#[derive(Debug, Serialize)]
pub struct DeletedRecords {
    /// How many there were.
    pub deleted_count: i64,
}

/// The answer to `GET datasets/{id}/records`.
#[derive(Debug, Serialize)]
pub struct RecordPage {
    /// A list of records, as JSON.
    pub records: String,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A dataset.
#[derive(Debug, Serialize)]
pub struct Dataset {
    /// Its id.
    pub dataset_id: String,
    /// Its name.
    pub name: String,
    /// An object of texts, as JSON.
    pub tags: String,
    /// What its records hold, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// How many records it has, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Changes whenever it does.
    pub digest: String,
    /// When it was made.
    pub created_time: Millis,
    /// When it last changed.
    pub last_update_time: Millis,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who changed it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<String>,
    /// Where it is used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experiment_ids: Vec<String>,
}

impl From<eval_datasets::EvalDataset> for Dataset {
    fn from(dataset: eval_datasets::EvalDataset) -> Self {
        let tags: Map<String, Json> = dataset
            .tags
            .into_iter()
            .map(|tag| (tag.key, tag.value.into()))
            .collect();
        Self {
            dataset_id: dataset.id,
            name: dataset.name,
            tags: Json::Object(tags).to_string(),
            schema: dataset.schema,
            profile: (dataset.records != 0).then(|| json!({ "num_records": dataset.records }).to_string()),
            digest: dataset.digest,
            created_time: dataset.created_at,
            last_update_time: dataset.updated_at,
            created_by: dataset.created_by,
            last_updated_by: dataset.updated_by,
            experiment_ids: dataset.experiments.iter().map(ToString::to_string).collect(),
        }
    }
}

impl RecordPage {
    /// A page of records of a dataset.
    pub fn new(
        dataset: &str,
        records: Vec<eval_datasets::EvalRecord>,
        next_page_token: Option<String>,
    ) -> Self {
        let records: Vec<Json> = records
            .into_iter()
            .map(|record| wire_record(dataset, record))
            .collect();
        Self {
            records: Json::from(records).to_string(),
            next_page_token,
        }
    }
}

fn wire_record(dataset: &str, record: eval_datasets::EvalRecord) -> Json {
    let mut json = json!({
        "dataset_record_id": record.id,
        "dataset_id": dataset,
        "inputs": record.inputs,
        "created_time": record.created_at,
        "last_update_time": record.updated_at,
    });
    let source = record.source.as_ref();
    let data = source.and_then(|source| source.get("source_data"));
    let kind = source.and_then(|source| source.get("source_type")).cloned();
    let source_id = data
        .and_then(|data| data.get("trace_id").or_else(|| data.get("source_id")))
        .cloned();
    let fields = [
        ("outputs", record.outputs),
        ("expectations", record.expectations),
        ("tags", record.tags),
        ("source_type", kind),
        ("source_id", source_id),
        ("source", record.source),
        ("created_by", record.created_by.map(Json::from)),
        ("last_updated_by", record.updated_by.map(Json::from)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            json[name] = value;
        }
    }
    json
}
