//! Graphs: models that answer together. A graph's row holds the versions that its members are by now; whatever moves an
//! alias moves them along. A graph that is declared no more keeps its row, so that its versions count on if it comes
//! back.

use std::collections::BTreeMap;

use lathe_types::Millis;
use lathe_types::graphs::{self, Graph, GraphSpec, Member, Part, Shape, VersionName};
use lathe_types::project::ProjectSpec;
use serde_json::json;

use crate::{Error, Result, Row, Store, Tx, events, json, models};

const COLUMNS: &str = "SELECT name, spec, shape, missing, version, updated_at FROM graphs";

impl Store {
    /// Every graph that is declared, by name.
    pub async fn list_graphs(&self) -> Result<Vec<Graph>> {
        self.read(list).await
    }

    /// Fails unless a deployment or a graph of this name is declared: samples and counts may be of either.
    pub async fn expect_answering(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.read(move |tx| {
            let found = tx.query_opt(
                "SELECT 1 FROM deployments WHERE name = ?1
                 UNION ALL SELECT 1 FROM graphs WHERE name = ?1",
                &[(&name).into()],
                |_| Ok(()),
            )?;
            found.ok_or_else(|| Error::NotFound {
                noun: "deployment",
                id: name.clone(),
            })
        })
        .await
    }
}

/// Takes over the graphs that a project declares; those that it declares no more answer no more.
pub(crate) fn declare(tx: &Tx<'_>, project: &str, spec: &ProjectSpec, now: Millis) -> Result<()> {
    graphs::check(&spec.graph).map_err(|error| Error::Invalid {
        message: error.to_string(),
    })?;
    for (name, graph) in &spec.graph {
        expect_known(tx, name, graph, spec)?;
        declare_one(tx, project, name, graph, now)?;
    }
    withdraw_all_but(tx, project, &spec.graph, now)?;
    follow(tx, now)
}

/// A name that answers already belongs to whoever declared it.
pub(crate) fn expect_free(tx: &Tx<'_>, name: &str) -> Result<()> {
    let taken = tx.query_opt(
        "SELECT project FROM graphs WHERE name = ?1 AND spec IS NOT NULL",
        &[name.into()],
        |row| row.get::<String>(0),
    )?;
    match taken {
        None => Ok(()),
        Some(project) => Err(Error::Conflict {
            message: format!("`{name}` is a graph of the project `{project}`; choose another name"),
        }),
    }
}

/// Refuses members that neither the registry knows nor the project is going to register.
fn expect_known(tx: &Tx<'_>, name: &str, graph: &GraphSpec, spec: &ProjectSpec) -> Result<()> {
    for member in graph.shape.members() {
        let unknown = match member {
            Member::Graph { .. } => None,
            Member::Alias { model, .. } => {
                let known = spec.model.contains_key(model) || models::find_model(tx, model)?.is_some();
                (!known)
                    .then(|| format!("which is neither registered nor a `[model.{model}]` of the project"))
            }
            Member::Version(version) => {
                let known = models::find_version(tx, &version.model, version.version)?.is_some();
                (!known).then(|| "which is not registered".to_owned())
            }
        };
        if let Some(why) = unknown {
            return Err(Error::Invalid {
                message: format!("`[graph.{name}]` names `{member}`, {why}"),
            });
        }
    }
    Ok(())
}

fn declare_one(tx: &Tx<'_>, project: &str, name: &str, spec: &GraphSpec, now: Millis) -> Result<()> {
    let deployed = tx.query_opt(
        "SELECT 1 FROM deployments WHERE name = ?1",
        &[name.into()],
        |_| Ok(()),
    )?;
    if deployed.is_some() {
        return Err(Error::Conflict {
            message: format!("`{name}` is a deployment; choose another name for the graph"),
        });
    }
    let before = tx.query_opt(
        "SELECT project, spec FROM graphs WHERE name = ?1",
        &[name.into()],
        |row| {
            Ok((
                row.get::<String>(0)?,
                json::column_opt::<GraphSpec>(row, 1, "graph")?,
            ))
        },
    )?;
    match before {
        Some((owner, Some(_))) if owner != project => {
            return Err(Error::Conflict {
                message: format!("the graph `{name}` belongs to the project `{owner}`; choose another name"),
            });
        }
        Some((_, Some(stored))) if stored == *spec => return Ok(()),
        _ => {}
    }
    tx.execute(
        "INSERT INTO graphs (name, project, spec, version, updated_at) VALUES (?1, ?2, ?3, 1, ?4)
         ON CONFLICT (name) DO UPDATE
         SET project = excluded.project, spec = excluded.spec, version = graphs.version + 1,
             updated_at = excluded.updated_at",
        &[name.into(), project.into(), json::text(spec), now.0.into()],
    )?;
    let members: Vec<String> = spec.shape.members().iter().map(ToString::to_string).collect();
    let summary = format!("graph `{name}` declared: {}", members.join(", "));
    let subject = format!("graph/{name}");
    events::append(
        tx,
        now,
        "graph.declared",
        &subject,
        &summary,
        &json!({ "members": members }),
    )
}

fn withdraw_all_but(
    tx: &Tx<'_>,
    project: &str,
    declared: &BTreeMap<String, GraphSpec>,
    now: Millis,
) -> Result<()> {
    let names = tx.query(
        "SELECT name FROM graphs WHERE project = ?1 AND spec IS NOT NULL ORDER BY name",
        &[project.into()],
        |row| row.get::<String>(0),
    )?;
    for name in names.iter().filter(|name| !declared.contains_key(*name)) {
        tx.execute(
            "UPDATE graphs SET spec = NULL, shape = NULL, missing = NULL, version = version + 1, updated_at = ?2
             WHERE name = ?1",
            &[name.into(), now.0.into()],
        )?;
        let summary = format!("graph `{name}` is declared no more");
        let subject = format!("graph/{name}");
        events::append(tx, now, "graph.withdrawn", &subject, &summary, &json!({}))?;
    }
    Ok(())
}

/// Brings every graph in step with the aliases. One that names an alias that is not set goes on as it was.
pub(crate) fn follow(tx: &Tx<'_>, now: Millis) -> Result<()> {
    let all = list(tx)?;
    let specs: BTreeMap<&str, &GraphSpec> = all
        .iter()
        .map(|graph| (graph.name.as_str(), &graph.spec))
        .collect();
    for graph in &all {
        let (shape, missing) = match resolved(tx, &specs, &graph.spec.shape) {
            Ok(shape) => (Some(shape), None),
            Err(Unresolved::Missing(member)) => (graph.shape.clone(), Some(member)),
            Err(Unresolved::Failed(error)) => return Err(error),
        };
        if shape == graph.shape && missing == graph.missing {
            continue;
        }
        let version = match shape == graph.shape {
            true => graph.version,
            false => graph.version + 1,
        };
        tx.execute(
            "UPDATE graphs SET shape = ?2, missing = ?3, version = ?4, updated_at = ?5 WHERE name = ?1",
            &[
                (&graph.name).into(),
                shape.as_ref().map(json::text).into(),
                missing.clone().into(),
                version.into(),
                now.0.into(),
            ],
        )?;
        if let Some(shape) = shape.filter(|_| version != graph.version) {
            tell_of(tx, &graph.name, version, &shape.versions(), now)?;
        }
    }
    Ok(())
}

fn tell_of(tx: &Tx<'_>, name: &str, version: u32, members: &[VersionName], now: Millis) -> Result<()> {
    let members: Vec<String> = members.iter().map(ToString::to_string).collect();
    let summary = format!("graph `{name}` is answered by {}", members.join(", "));
    let data = json!({ "version": version, "members": members });
    events::append(
        tx,
        now,
        "graph.swapped",
        &format!("graph/{name}"),
        &summary,
        &data,
    )
}

/// Why a graph has no versions.
enum Unresolved {
    /// This member names none.
    Missing(String),
    Failed(Error),
}

impl From<Error> for Unresolved {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The shape with versions in place of aliases. The graphs of a project were checked when they were declared: none is a
/// part of itself.
fn resolved(
    tx: &Tx<'_>,
    specs: &BTreeMap<&str, &GraphSpec>,
    shape: &Shape<Member>,
) -> std::result::Result<Shape<Part>, Unresolved> {
    shape.try_map(|member| {
        let missing = || Unresolved::Missing(member.to_string());
        Ok(match member {
            Member::Version(version) => Part::Model(version.clone()),
            Member::Alias { model, alias } => Part::Model(VersionName {
                model: model.clone(),
                version: models::find_alias(tx, model, alias)?.ok_or_else(missing)?,
            }),
            Member::Graph { name } => Part::Graph {
                name: name.clone(),
                shape: Box::new(resolved(
                    tx,
                    specs,
                    &specs.get(name.as_str()).ok_or_else(missing)?.shape,
                )?),
            },
        })
    })
}

fn list(tx: &Tx<'_>) -> Result<Vec<Graph>> {
    tx.query(
        &format!("{COLUMNS} WHERE spec IS NOT NULL ORDER BY name"),
        &[],
        graph,
    )
}

fn graph(row: &Row<'_>) -> Result<Graph> {
    Ok(Graph {
        name: row.get(0)?,
        spec: json::column(row, 1, "graph")?,
        shape: json::column_opt(row, 2, "graph")?,
        missing: row.get(3)?,
        version: row.get(4)?,
        updated_at: Millis(row.get(5)?),
    })
}
