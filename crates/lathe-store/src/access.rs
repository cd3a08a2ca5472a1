//! What a request is about, and what its caller was granted there: the facts from which the server decides.

use lathe_types::access::{Grant, Resource};
use lathe_types::models::PROMPT_TAG;

use crate::caller::{Reach, Sees};
use crate::sql::Sql;
use crate::{Result, Store, Tx, users};

/// A thing as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// An experiment by its id.
    Experiment(String),
    /// An experiment by its name.
    ExperimentNamed(String),
    /// A run by its id.
    Run(String),
    /// A logged model by its id.
    LoggedModel(String),
    /// A registered model or prompt by its name.
    Model(String),
    /// A version of one.
    ModelVersion(String),
    /// A trace by its id.
    Trace(String),
    /// A path in the artifact store.
    Artifact(String),
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where grants are looked for, the first that has any governs; empty if there is no such thing.
    pub kinds: Vec<(Resource, String)>,
    /// What the user holds on these, beyond what it holds on all of a kind.
    pub grants: Vec<Grant>,
}

impl Store {
    /// What is known of each target, for a user or for nobody in particular.
    pub async fn access_facts(&self, user: Option<i64>, targets: Vec<Target>) -> Result<Vec<Facts>> {
        self.read(move |tx| targets.iter().map(|target| facts(tx, user, target)).collect())
            .await
    }
}

fn facts(tx: &Tx<'_>, user: Option<i64>, target: &Target) -> Result<Facts> {
    let kinds = resolve(tx, target)?;
    let mut grants = Vec::new();
    if let Some(user) = user {
        for (resource, id) in kinds.iter().filter(|(_, id)| id != "*") {
            grants.extend(tx.query(
                "SELECT p.permission FROM role_permissions AS p JOIN user_roles AS u ON u.role_no = p.role_no
                 WHERE u.user_no = ?1 AND p.resource_type = ?2 AND p.pattern = ?3",
                &[user.into(), resource.as_str().into(), id.into()],
                |row| users::grant(resource.as_str().to_owned(), id, row.get(0)?),
            )?);
        }
    }
    Ok(Facts { kinds, grants })
}

type Kinds = Vec<(Resource, String)>;

fn resolve(tx: &Tx<'_>, target: &Target) -> Result<Kinds> {
    Ok(match target {
        Target::Experiment(id) => {
            let Ok(number) = id.parse::<i64>() else {
                return Ok(Vec::new());
            };
            let sql = "SELECT experiment_id FROM experiments WHERE experiment_id = ?1";
            number_of(tx, sql, number.into())?
                .map(experiment)
                .unwrap_or_default()
        }
        Target::ExperimentNamed(name) => {
            let sql = "SELECT experiment_id FROM experiments WHERE name = ?1";
            number_of(tx, sql, name.into())?
                .map(experiment)
                .unwrap_or_default()
        }
        Target::Run(id) => {
            let sql = "SELECT experiment_id FROM runs WHERE run_id = ?1";
            within(Resource::Run, number_of(tx, sql, id.into())?)
        }
        Target::LoggedModel(id) => {
            let sql = "SELECT experiment_id FROM logged_models WHERE model_id = ?1";
            within(Resource::LoggedModel, number_of(tx, sql, id.into())?)
        }
        Target::Trace(id) => {
            let sql = "SELECT experiment_id FROM traces WHERE trace_id = ?1";
            within(Resource::Trace, number_of(tx, sql, id.into())?)
        }
        Target::Model(name) => vec![(model_kind(tx, name)?.0, name.clone())],
        Target::ModelVersion(name) => {
            let (resource, version) = model_kind(tx, name)?;
            vec![(version, "*".into()), (resource, name.clone())]
        }
        Target::Artifact(path) => artifact(tx, path)?,
    })
}

fn number_of(tx: &Tx<'_>, sql: &str, value: crate::Value) -> Result<Option<i64>> {
    tx.query_opt(sql, &[value], |row| row.get(0))
}

fn experiment(id: i64) -> Kinds {
    vec![(Resource::Experiment, id.to_string())]
}

fn within(resource: Resource, experiment_id: Option<i64>) -> Kinds {
    match experiment_id {
        Some(id) => vec![(resource, "*".into()), (Resource::Experiment, id.to_string())],
        None => Vec::new(),
    }
}

/// Whether a name is a model's or a prompt's. A name that nothing has yet is a model's.
fn model_kind(tx: &Tx<'_>, name: &str) -> Result<(Resource, Resource)> {
    let prompt = tx.query_opt(
        "SELECT 1 FROM registered_model_tags WHERE name = ?1 AND key = ?2 AND value = 'true'",
        &[name.into(), PROMPT_TAG.into()],
        |_| Ok(()),
    )?;
    Ok(match prompt {
        Some(()) => (Resource::Prompt, Resource::PromptVersion),
        None => (Resource::RegisteredModel, Resource::RegisteredModelVersion),
    })
}

/// Whose artifacts lie under a path: `EXPERIMENT/RUN/…`, `EXPERIMENT/models/MODEL/…`, or an experiment's own place.
fn artifact(tx: &Tx<'_>, path: &str) -> Result<Kinds> {
    let mut parts = path.split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Ok(id) = first.parse::<i64>() {
        let kinds = resolve(tx, &Target::Experiment(first.into()))?;
        if !kinds.is_empty() {
            return Ok(match second {
                "models" => within(Resource::LoggedModel, Some(id)),
                "traces" => within(Resource::Trace, Some(id)),
                "" => kinds,
                _ => within(Resource::Run, Some(id)),
            });
        }
    }
    let own = tx.query(
        "SELECT experiment_id, artifact_location FROM experiments WHERE artifact_location LIKE 'mlflow-artifacts:%'",
        &[],
        |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
    )?;
    let mut holders = own.into_iter().filter_map(|(id, location)| {
        let place = location
            .strip_prefix("mlflow-artifacts:")?
            .trim_matches('/')
            .to_owned();
        let inside = path.strip_prefix(&place)?;
        (!place.is_empty() && (inside.is_empty() || inside.starts_with('/'))).then_some((place.len(), id))
    });
    let first = holders.next();
    let longest = holders.fold(first, |best, holder| best.max(Some(holder)));
    Ok(longest
        .map(|(_, id)| within(Resource::Run, Some(id)))
        .unwrap_or_default())
}

impl Sql {
    /// The condition that the caller may see what belongs to the experiment in `column`.
    pub(crate) fn visible_in(
        &mut self,
        tx: &Tx<'_>,
        column: &'static str,
        of_kind: impl Fn(&Sees) -> Option<Reach>,
    ) -> &mut Self {
        let sees = tx.caller().sees;
        let reach = of_kind(&sees).unwrap_or(sees.experiments);
        self.reachable(tx, reach, Resource::Experiment, "CAST(", column, " AS TEXT)")
    }

    /// The condition that the caller may see the registered model or prompt whose name is in `column`.
    pub(crate) fn visible_model(&mut self, tx: &Tx<'_>, column: &'static str) -> &mut Self {
        let Sees { models, prompts, .. } = tx.caller().sees;
        if models == Reach::Everything && prompts == Reach::Everything {
            return self.push("TRUE");
        }
        self.push("(CASE WHEN ")
            .push(column)
            .push(" IN (SELECT v.name FROM registered_model_tags AS v WHERE v.key = ")
            .bind(PROMPT_TAG)
            .push(" AND v.value = 'true') THEN ");
        self.reachable(tx, prompts, Resource::Prompt, "", column, "");
        self.push(" ELSE ");
        self.reachable(tx, models, Resource::RegisteredModel, "", column, "");
        self.push(" END)")
    }

    fn reachable(
        &mut self,
        tx: &Tx<'_>,
        reach: Reach,
        resource: Resource,
        before: &'static str,
        column: &'static str,
        after: &'static str,
    ) -> &mut Self {
        let user = tx.caller().user.unwrap_or(-1);
        const GRANTS: &str = " IN (SELECT p.pattern FROM role_permissions AS p
             JOIN user_roles AS u ON u.role_no = p.role_no WHERE u.user_no = ";
        let test = |sql: &mut Self, word: &'static str, condition: &'static str| {
            sql.push(before).push(column).push(after).push(word).push(GRANTS);
            sql.bind(user)
                .push(" AND p.resource_type = ")
                .bind(resource.as_str());
            sql.push(condition);
        };
        match reach {
            Reach::Everything => return self.push("TRUE"),
            Reach::Nothing => return self.push("FALSE"),
            Reach::AllButDenied => test(self, " NOT", " AND p.permission = 'DENY')"),
            Reach::OnlyGranted => {
                self.push("(");
                test(self, "", " AND p.permission <> 'DENY')");
                self.push(" AND ");
                test(self, " NOT", " AND p.permission = 'DENY')");
                self.push(")");
            }
        }
        self
    }
}
