use lathe_types::models::{ModelVersion, PROMPT_TAG, RegisteredModel, Stage};
use lathe_types::search::{Condition, Field, ModelAttribute, Order, Test, VersionAttribute};
use lathe_types::tags::{Page, PageRequest};

use super::{VERSION_COLUMNS, get_model, get_version, version_row, with_tags};
use crate::sql::Sql;
use crate::{Result, Store, Tx};

/// Which registered models are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSearch {
    /// What the models must be.
    pub conditions: Vec<Condition<ModelAttribute>>,
    /// What comes first; then by name.
    pub order: Vec<Order<ModelAttribute>>,
    /// Which part.
    pub page: PageRequest,
}

/// Which versions are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionSearch {
    /// What the versions must be.
    pub conditions: Vec<Condition<VersionAttribute>>,
    /// What comes first; then the one that changed last.
    pub order: Vec<Order<VersionAttribute>>,
    /// Which part.
    pub page: PageRequest,
}

const MODEL_TAG: &str = "registered_model_tags AS t WHERE t.name = registered_models.name AND t.key = ";
const VERSION_TAG: &str = "model_version_tags AS t WHERE t.name = model_versions.name
                           AND t.version = model_versions.version AND t.key = ";

impl Store {
    /// The registered models that fit. Prompts are left out unless a condition asks for their tag.
    pub async fn search_registered_models(&self, search: ModelSearch) -> Result<Page<RegisteredModel>> {
        self.read(move |tx| {
            let found = models_sql(tx, &search).page(tx, search.page, |row| row.get::<String>(0))?;
            let items = found.items.iter().map(|name| get_model(tx, name));
            Ok(Page {
                items: items.collect::<Result<_>>()?,
                next: found.next,
            })
        })
        .await
    }

    /// The versions that fit.
    pub async fn search_model_versions(&self, search: VersionSearch) -> Result<Page<ModelVersion>> {
        self.read(move |tx| {
            let found = versions_sql(tx, &search).page(tx, search.page, version_row)?;
            let items = found.items.into_iter().map(|version| with_tags(tx, version));
            Ok(Page {
                items: items.collect::<Result<_>>()?,
                next: found.next,
            })
        })
        .await
    }

    /// The newest version of a model in each of these stages.
    pub async fn latest_model_versions(&self, name: &str, stages: Vec<Stage>) -> Result<Vec<ModelVersion>> {
        let name = name.to_owned();
        self.read(move |tx| {
            get_model(tx, &name)?;
            latest_versions(tx, &name, &stages)
        })
        .await
    }
}

pub(super) fn latest_versions(tx: &Tx<'_>, name: &str, stages: &[Stage]) -> Result<Vec<ModelVersion>> {
    let mut latest = Vec::new();
    for stage in stages {
        let version = tx.query_opt(
            "SELECT MAX(version) FROM model_versions WHERE name = ?1 AND stage = ?2",
            &[name.into(), stage.as_str().into()],
            |row| row.get::<Option<u32>>(0),
        )?;
        if let Some(version) = version.flatten() {
            latest.push(get_version(tx, name, version)?);
        }
    }
    Ok(latest)
}

fn models_sql(tx: &Tx<'_>, search: &ModelSearch) -> Sql {
    let mut sql = Sql::new("SELECT name FROM registered_models WHERE ");
    sql.visible_model(tx, "registered_models.name");
    let about_prompts =
        |condition: &Condition<ModelAttribute>| condition.field == Field::Tag(PROMPT_TAG.into());
    let not_a_prompt = Test::Text {
        text: "true".into(),
        negated: true,
    };
    if !search.conditions.iter().any(about_prompts) {
        sql.push(" AND ");
        without_prompts(&mut sql);
    }
    for condition in &search.conditions {
        sql.push(" AND ");
        match &condition.field {
            Field::Attribute(attribute) => sql.test(model_column(*attribute), &condition.test),
            Field::Tag(_) if about_prompts(condition) && condition.test == not_a_prompt => {
                without_prompts(&mut sql)
            }
            Field::Tag(key) => sql.test_keyed(MODEL_TAG, "t.value", key, &condition.test),
            // The grammar has none of these for models.
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => sql.push("FALSE"),
        };
    }
    sql.push(" ORDER BY ");
    for order in &search.order {
        match &order.field {
            Field::Attribute(attribute) => sql.order(model_column(*attribute), order.descending),
            Field::Tag(key) => sql.order_keyed("t.value", MODEL_TAG, key, order.descending),
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => &mut sql,
        };
    }
    sql.push("name");
    sql
}

fn without_prompts(sql: &mut Sql) -> &mut Sql {
    let prompt = Test::Text {
        text: "true".into(),
        negated: false,
    };
    sql.push("NOT ")
        .test_keyed(MODEL_TAG, "t.value", PROMPT_TAG, &prompt)
}

fn versions_sql(tx: &Tx<'_>, search: &VersionSearch) -> Sql {
    let mut sql = Sql::new(VERSION_COLUMNS);
    sql.push(" WHERE ").visible_model(tx, "model_versions.name");
    for condition in &search.conditions {
        sql.push(" AND ");
        match &condition.field {
            Field::Attribute(attribute) => sql.test(version_column(*attribute), &condition.test),
            Field::Tag(key) => sql.test_keyed(VERSION_TAG, "t.value", key, &condition.test),
            // The grammar has none of these for versions.
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => sql.push("FALSE"),
        };
    }
    sql.push(" ORDER BY ");
    for order in &search.order {
        match &order.field {
            Field::Attribute(attribute) => sql.order(version_column(*attribute), order.descending),
            Field::Tag(key) => sql.order_keyed("t.value", VERSION_TAG, key, order.descending),
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => &mut sql,
        };
    }
    sql.push("updated_at DESC, name, version DESC");
    sql
}

fn model_column(attribute: ModelAttribute) -> &'static str {
    match attribute {
        ModelAttribute::Name => "registered_models.name",
        ModelAttribute::CreatedAt => "created_at",
        ModelAttribute::UpdatedAt => "updated_at",
    }
}

fn version_column(attribute: VersionAttribute) -> &'static str {
    match attribute {
        VersionAttribute::Name => "model_versions.name",
        VersionAttribute::Version => "model_versions.version",
        VersionAttribute::RunId => "run_id",
        VersionAttribute::Source => "source",
        VersionAttribute::CreatedAt => "created_at",
        VersionAttribute::UpdatedAt => "updated_at",
    }
}
