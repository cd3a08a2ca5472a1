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
    /// Where somebody wants to keep artifacts, or has some.
    Place {
        /// `mlflow-artifacts:/PATH`, or a URI of other storage.
        uri: String,
        /// The path in the storage where experiments without a place of their own have theirs, if it lies there.
        path: Option<String>,
    },
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where grants are looked for, the first that has any governs; empty if there is no such thing.
    pub kinds: Vec<(Resource, String)>,
    /// What the user holds on these, beyond what it holds on all of a kind.
    pub grants: Vec<Grant>,
    /// Of a place that is no experiment's: whether experiments keep theirs below it, or will.
    pub is_kept: bool,
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
    let is_kept = match target {
        Target::Place { uri, path } if kinds.is_empty() => is_kept(tx, uri, path.as_deref())?,
        _ => false,
    };
    Ok(Facts {
        kinds,
        grants,
        is_kept,
    })
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
        Target::Place { uri, path } => {
            let own = holder(&locations(tx)?, uri);
            match path.as_deref().filter(|_| own.is_empty()) {
                Some(path) => of_number(tx, path)?.unwrap_or_default(),
                None => own,
            }
        }
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
    if let Some(kinds) = of_number(tx, path)? {
        return Ok(kinds);
    }
    let places = locations(tx)?;
    let uri = format!("{OWN}{path}");
    // A folder that holds those of several experiments is nobody's.
    if places
        .iter()
        .any(|(_, place)| *place != uri && holds(&uri, place))
    {
        return Ok(Vec::new());
    }
    Ok(holder(&places, &uri))
}

/// How the server's own artifacts are told.
const OWN: &str = "mlflow-artifacts:/";

/// Whose artifacts lie under a path that begins with the number of an experiment.
fn of_number(tx: &Tx<'_>, path: &str) -> Result<Option<Kinds>> {
    let mut parts = path.split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(id) = first.parse::<i64>() else {
        return Ok(None);
    };
    let kinds = resolve(tx, &Target::Experiment(first.into()))?;
    Ok((!kinds.is_empty()).then(|| match second {
        "models" => within(Resource::LoggedModel, Some(id)),
        "traces" => within(Resource::Trace, Some(id)),
        "" => kinds,
        _ => within(Resource::Run, Some(id)),
    }))
}

/// Whether experiments keep artifacts below a place that is none's, or will: folders that are called by a number are
/// those of experiments to come, and an imported root is its experiments'.
fn is_kept(tx: &Tx<'_>, uri: &str, path: Option<&str>) -> Result<bool> {
    let first = path.map(|path| path.split('/').next().unwrap_or_default());
    if first.is_some_and(|first| first.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(true);
    }
    let links = tx.query("SELECT root FROM artifact_links", &[], |row| row.get::<String>(0))?;
    Ok(links.iter().any(|root| holds(root, uri))
        || locations(tx)?.iter().any(|(_, location)| holds(uri, location)))
}

/// The places that experiments have of their own; the root, which holds all, is nobody's.
fn locations(tx: &Tx<'_>) -> Result<Vec<(i64, String)>> {
    let mut places = tx.query(
        "SELECT experiment_id, artifact_location FROM experiments WHERE artifact_location IS NOT NULL",
        &[],
        |row| Ok((row.get(0)?, told_once(&row.get::<String>(1)?))),
    )?;
    places.retain(|(_, place)| place != OWN);
    Ok(places)
}

/// A place as it is compared: of the server's own artifacts without a host, which says nothing here.
fn told_once(location: &str) -> String {
    let Some(rest) = location.strip_prefix("mlflow-artifacts:") else {
        return location.trim_end_matches('/').to_owned();
    };
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    format!("{OWN}{}", path.trim_matches('/'))
}

/// The experiment whose place is nearest around another.
fn holder(places: &[(i64, String)], inside: &str) -> Kinds {
    places
        .iter()
        .filter(|(_, place)| holds(place, inside))
        .max_by_key(|(_, place)| place.len())
        .map(|(id, _)| within(Resource::Run, Some(*id)))
        .unwrap_or_default()
}

/// Whether a place is a folder around another, or the same.
fn holds(folder: &str, place: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    !folder.is_empty()
        && place
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
