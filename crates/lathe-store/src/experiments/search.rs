use lathe_types::experiments::Experiment;
use lathe_types::search::{Condition, ExperimentAttribute, Field, Order};
use lathe_types::tags::{Page, PageRequest, ViewType};

use super::{COLUMNS, experiment, tags};
use crate::sql::Sql;
use crate::{Result, Store, Tx};

/// Which experiments are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentSearch {
    /// What the experiments must be.
    pub conditions: Vec<Condition<ExperimentAttribute>>,
    /// What comes first; then the newest.
    pub order: Vec<Order<ExperimentAttribute>>,
    /// Active, deleted or all.
    pub view: ViewType,
    /// Which part.
    pub page: PageRequest,
}

const TAG: &str = "experiment_tags AS t WHERE t.experiment_id = experiments.experiment_id AND t.key = ";

impl Store {
    /// The experiments that fit.
    pub async fn search_experiments(&self, search: ExperimentSearch) -> Result<Page<Experiment>> {
        self.read(move |tx| {
            let mut found = sql(tx, &search).page(tx, search.page, experiment)?;
            for experiment in &mut found.items {
                experiment.tags = tags(tx, experiment.id)?;
            }
            Ok(found)
        })
        .await
    }
}

fn sql(tx: &Tx<'_>, search: &ExperimentSearch) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(COLUMNS);
    sql.push(match search.view {
        ViewType::ActiveOnly => " FROM experiments WHERE lifecycle = 'active'",
        ViewType::DeletedOnly => " FROM experiments WHERE lifecycle = 'deleted'",
        ViewType::All => " FROM experiments WHERE TRUE",
    });
    sql.push(" AND ").visible_in(tx, "experiment_id", |_| None);
    for condition in &search.conditions {
        sql.push(" AND ");
        match &condition.field {
            Field::Attribute(attribute) => sql.test(column(*attribute), &condition.test),
            Field::Tag(key) => sql.test_keyed(TAG, "t.value", key, &condition.test),
            // The grammar has none of these for experiments.
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => sql.push("FALSE"),
        };
    }
    sql.push(" ORDER BY ");
    for order in &search.order {
        match &order.field {
            // As numbers, 9 comes before 10.
            Field::Attribute(ExperimentAttribute::Id) => sql.order("experiment_id", order.descending),
            Field::Attribute(attribute) => sql.order(column(*attribute), order.descending),
            Field::Tag(key) => sql.order_keyed("t.value", TAG, key, order.descending),
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => &mut sql,
        };
    }
    // Numbers count up, so this is also by creation.
    sql.push("experiment_id DESC");
    sql
}

fn column(attribute: ExperimentAttribute) -> &'static str {
    match attribute {
        ExperimentAttribute::Name => "name",
        ExperimentAttribute::Id => "CAST(experiment_id AS TEXT)",
        ExperimentAttribute::CreatedAt => "created_at",
        ExperimentAttribute::UpdatedAt => "updated_at",
    }
}
