use lathe_types::ExperimentId;
use lathe_types::runs::Run;
use lathe_types::search::{Comparison, Condition, DatasetField, Field, Order, RunAttribute, Test};
use lathe_types::tags::{Page, PageRequest, ViewType};

use super::read;
use super::whole::all_whole;
use crate::sql::Sql;
use crate::{Result, Store, Tx};

/// Which runs are wanted, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSearch {
    /// Runs of these experiments; none: no runs.
    pub experiments: Vec<ExperimentId>,
    /// What the runs must be.
    pub conditions: Vec<Condition<RunAttribute>>,
    /// What comes first; then the newest.
    pub order: Vec<Order<RunAttribute>>,
    /// Active, deleted or all.
    pub view: ViewType,
    /// Which part.
    pub page: PageRequest,
}

/// Where no more runs than this fit a condition on a metric, they are looked up by it, whatever the order: walking the runs
/// in their order until a page is full would visit most of them.
const FEW: i64 = 2_000;

const METRIC: &str = "latest_metrics AS m WHERE m.run_no = runs.run_no AND m.key = ";
const PARAM: &str = "params AS p WHERE p.run_no = runs.run_no AND p.key = ";
const TAG: &str = "tags AS t WHERE t.run_no = runs.run_no AND t.key = ";

impl Store {
    /// The runs that fit, with everything they logged.
    pub async fn search_runs(&self, search: RunSearch) -> Result<Page<Run>> {
        if search.experiments.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        self.read_metrics(None, move |tx| {
            let found = sql(tx, &search)?.page(tx, search.page, read)?;
            Ok(Page {
                items: all_whole(tx, found.items)?,
                next: found.next,
            })
        })
        .await
    }
}

fn sql(tx: &Tx<'_>, search: &RunSearch) -> Result<Sql> {
    let mut sql = Sql::new(super::COLUMNS);
    let first = leading_metric(search);
    let leading = match first {
        Some(_) => first,
        None => rare_metric(tx, search)?,
    };
    match leading {
        // In the order of the index, and no further than the page goes: a cross join tells SQLite where to begin.
        Some((key, condition)) => {
            sql.push(" FROM latest_metrics AS m CROSS JOIN runs WHERE runs.run_no = m.run_no AND m.key = ")
                .bind(key)
                .push(" AND m.is_nan = 0 AND ")
                .test("m.value", &condition.test)
                .push(" AND ");
        }
        None => {
            sql.push(" FROM runs WHERE ");
        }
    }
    sql.push("runs.experiment_id IN ");
    sql.bind_list(search.experiments.iter().map(|id| id.number()));
    sql.push(match search.view {
        ViewType::ActiveOnly => " AND runs.lifecycle = 'active'",
        ViewType::DeletedOnly => " AND runs.lifecycle = 'deleted'",
        ViewType::All => "",
    });
    sql.push(" AND ")
        .visible_in(tx, "runs.experiment_id", |sees| sees.runs);
    for condition in &search.conditions {
        if leading.is_some_and(|(_, leading)| std::ptr::eq(leading, condition)) {
            continue;
        }
        sql.push(" AND ");
        restrict(&mut sql, condition);
    }
    sql.push(" ORDER BY ");
    for (place, order) in search.order.iter().enumerate() {
        match first {
            Some(_) if place == 0 => {
                sql.push(if order.descending {
                    "m.value DESC, "
                } else {
                    "m.value, "
                });
            }
            _ => sort(&mut sql, order),
        }
    }
    sql.push("runs.start_time DESC, runs.run_id");
    Ok(sql)
}

/// The metric that runs are sorted by first, if they must have it: then its index gives them in their order.
fn leading_metric(search: &RunSearch) -> Option<(&str, &Condition<RunAttribute>)> {
    let Field::Metric(key) = &search.order.first()?.field else {
        return None;
    };
    bounded_metrics(search).find(|(bounded, _)| bounded == key)
}

/// The metric whose condition the fewest runs fit, if they are few.
fn rare_metric<'a>(
    tx: &Tx<'_>,
    search: &'a RunSearch,
) -> Result<Option<(&'a str, &'a Condition<RunAttribute>)>> {
    let (mut found, mut least) = (None, FEW + 1);
    for (key, condition) in bounded_metrics(search) {
        let mut sql = Sql::new("SELECT COUNT(*) FROM (SELECT 1 FROM latest_metrics AS m WHERE m.key = ");
        sql.bind(key)
            .push(" AND m.is_nan = 0 AND ")
            .test("m.value", &condition.test)
            .push(" LIMIT ")
            .bind(least)
            .push(") AS few");
        let fit: i64 = sql.all(tx, |row| row.get(0))?.first().copied().unwrap_or(least);
        if fit < least {
            (found, least) = (Some((key, condition)), fit);
        }
    }
    Ok(found)
}

/// The conditions that the index of metrics by value can answer.
fn bounded_metrics(search: &RunSearch) -> impl Iterator<Item = (&str, &Condition<RunAttribute>)> {
    search
        .conditions
        .iter()
        .filter_map(|condition| match (&condition.field, &condition.test) {
            (Field::Metric(key), Test::Number(comparison, _)) if *comparison != Comparison::Unequal => {
                Some((key.as_str(), condition))
            }
            _ => None,
        })
}

fn restrict(sql: &mut Sql, condition: &Condition<RunAttribute>) {
    let test = &condition.test;
    match &condition.field {
        Field::Attribute(attribute) => sql.test(column(*attribute), test),
        // NaN is stored as 0, and is unequal to every number.
        Field::Metric(key) => match test {
            Test::Number(Comparison::Unequal, _) => {
                sql.test_keyed(METRIC, "m.is_nan = 1 OR m.value", key, test)
            }
            _ => sql.test_keyed(METRIC, "m.is_nan = 0 AND m.value", key, test),
        },
        Field::Param(key) => sql.test_keyed(PARAM, "p.value", key, test),
        Field::Tag(key) => sql.test_keyed(TAG, "t.value", key, test),
        Field::Dataset(field) => {
            sql.push(
                "EXISTS (SELECT 1 FROM run_datasets AS r JOIN datasets AS d ON d.dataset_no = r.dataset_no
                 LEFT JOIN run_dataset_tags AS c
                 ON c.run_no = r.run_no AND c.dataset_no = r.dataset_no AND c.key = 'mlflow.data.context'
                 WHERE r.run_no = runs.run_no AND ",
            );
            let column = match field {
                DatasetField::Name => "d.name",
                DatasetField::Digest => "d.digest",
                DatasetField::Context => "c.value",
            };
            sql.test(column, test).push(")")
        }
    };
}

fn sort(sql: &mut Sql, order: &Order<RunAttribute>) {
    let descending = order.descending;
    match &order.field {
        Field::Attribute(attribute) => sql.order(column(*attribute), descending),
        // Numbers, then NaN, then the runs without the metric.
        Field::Metric(key) => sql
            .order_keyed("m.is_nan", METRIC, key, false)
            .order_keyed("m.value", METRIC, key, descending),
        Field::Param(key) => sql.order_keyed("p.value", PARAM, key, descending),
        Field::Tag(key) => sql.order_keyed("t.value", TAG, key, descending),
        // The grammar sorts by none of these.
        Field::Dataset(_) => sql,
    };
}

fn column(attribute: RunAttribute) -> &'static str {
    match attribute {
        RunAttribute::Id => "runs.run_id",
        RunAttribute::Name => "runs.name",
        RunAttribute::Status => "runs.status",
        RunAttribute::UserId => "runs.user_id",
        RunAttribute::ArtifactUri => "runs.artifact_uri",
        RunAttribute::StartTime => "runs.start_time",
        RunAttribute::EndTime => "runs.end_time",
    }
}
