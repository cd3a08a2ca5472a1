//! The options that name records and artifacts, for every command that works on them without asking a server.

use lathe_store::Location;

use super::Call;
use crate::settings::Place;

/// Where records and artifacts are.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// The database: `sqlite:///PATH`, or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` (the password may be in
    /// `PGPASSWORD` instead); `.lathe/lathe.db` if absent.
    #[arg(
        long,
        alias = "database",
        env = "MLFLOW_BACKEND_STORE_URI",
        hide_env_values = true,
        value_name = "URI"
    )]
    pub backend_store_uri: Option<String>,
    /// The folder or object store (`s3://bucket/prefix`) for artifacts; `.lathe/artifacts` if absent.
    #[arg(long, env = "MLFLOW_ARTIFACTS_DESTINATION", value_name = "FOLDER|URL")]
    artifacts_destination: Option<String>,
}

impl StoreArgs {
    /// The database and the place of artifacts: what is named, else what the project or the folder has.
    pub fn places(&self, call: &Call) -> anyhow::Result<(Location, String)> {
        let Place::Embedded { database, artifacts } = call.embedded_place()? else {
            anyhow::bail!("this works on records in their database, not through a server");
        };
        let database = match &self.backend_store_uri {
            Some(uri) => call.database_at(uri)?,
            None => Location::Sqlite(database),
        };
        let artifacts = self
            .artifacts_destination
            .clone()
            .unwrap_or_else(|| artifacts.to_string_lossy().into_owned());
        Ok((database, artifacts))
    }
}
