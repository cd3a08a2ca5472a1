//! Projects: what each `lathe.toml` declares.

use lathe_types::Millis;
use lathe_types::project::ProjectSpec;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Result, Row, Store, Tx, deployments, graphs, json};

/// A project as it was last declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its folder on the machine that declared it.
    pub root: String,
    /// What its `lathe.toml` says.
    pub spec: ProjectSpec,
    /// When it was declared.
    pub declared_at: Millis,
}

impl Store {
    /// Takes over what a `lathe.toml` declares. The same declaration again changes nothing.
    pub async fn declare_project(
        &self,
        name: &str,
        root: String,
        spec: ProjectSpec,
        now: Millis,
    ) -> Result<()> {
        let project = Project {
            name: name.to_owned(),
            root,
            spec,
            declared_at: now,
        };
        self.write(move |tx| declare(tx, &project)).await
    }

    /// The project of this name, if it was declared.
    pub async fn find_project(&self, name: &str) -> Result<Option<Project>> {
        let name = name.to_owned();
        self.read(move |tx| find(tx, &name)).await
    }

    /// Every project, by name.
    pub async fn list_projects(&self) -> Result<Vec<Project>> {
        self.read(|tx| {
            tx.query(
                "SELECT name, root, spec, declared_at FROM projects ORDER BY name",
                &[],
                project,
            )
        })
        .await
    }
}

fn declare(tx: &Tx<'_>, project: &Project) -> Result<()> {
    let same = find(tx, &project.name)?
        .is_some_and(|before| before.root == project.root && before.spec == project.spec);
    if same {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO projects (name, root, spec, declared_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE
         SET root = excluded.root, spec = excluded.spec, declared_at = excluded.declared_at",
        &[
            (&project.name).into(),
            (&project.root).into(),
            json::text(&project.spec),
            project.declared_at.0.into(),
        ],
    )?;
    // A graph that goes may leave its name to a deployment.
    graphs::declare(tx, &project.name, &project.spec, project.declared_at)?;
    for (name, spec) in &project.spec.deployment {
        deployments::declare(tx, &project.name, name, spec, project.declared_at)?;
    }
    let summary = format!("project `{}` declared", project.name);
    let data = json!({
        "deployments": project.spec.deployment.keys().collect::<Vec<_>>(),
        "graphs": project.spec.graph.keys().collect::<Vec<_>>(),
    });
    let subject = format!("project/{}", project.name);
    crate::events::append(
        tx,
        project.declared_at,
        "project.declared",
        &subject,
        &summary,
        &data,
    )
}

fn find(tx: &Tx<'_>, name: &str) -> Result<Option<Project>> {
    tx.query_opt(
        "SELECT name, root, spec, declared_at FROM projects WHERE name = ?1",
        &[name.into()],
        project,
    )
}

fn project(row: &Row<'_>) -> Result<Project> {
    Ok(Project {
        name: row.get(0)?,
        root: row.get(1)?,
        spec: json::column(row, 2, "project")?,
        declared_at: Millis(row.get(3)?),
    })
}
