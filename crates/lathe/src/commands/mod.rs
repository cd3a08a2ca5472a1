//! One file per command: an `Args` whose doc comments are the help text, and `execute`.

use std::path::PathBuf;

use anyhow::Context;

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::exit::{Outcome, hinted};
use crate::project::ProjectFile;
use crate::settings::Place;

pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod drift;
pub mod gate;
pub mod init;
pub mod lineage;
pub mod predict;
pub mod reproduce;
pub mod rollback;
pub mod run;
pub mod serve;
pub mod server;
pub mod status;

/// What every command knows of its call.
pub struct Call {
    /// The folder it acts in.
    pub folder: PathBuf,
    /// Whether the result is for programs.
    pub json: bool,
    server: Option<String>,
}

impl Call {
    /// The project around the folder.
    pub fn project(&self) -> anyhow::Result<ProjectFile> {
        ProjectFile::discover(&self.folder)
    }

    /// Where the records are.
    pub fn place(&self) -> anyhow::Result<Place> {
        let project = ProjectFile::find(&self.folder)?;
        let root = project
            .as_ref()
            .map_or(self.folder.as_path(), |project| &project.root);
        Ok(Place::choose(self.server.as_deref(), project.as_ref(), root))
    }

    /// A client of the place where the records are. An embedded store that nobody made yet is an error.
    pub fn client(&self) -> anyhow::Result<Client> {
        let place = self.place()?;
        match &place {
            Place::Embedded { database, .. } if !database.exists() => Err(hinted(
                format!("there are no records in `{}` yet", database.display()),
                "make them with `lathe run`, or name a server with `--server`",
            )),
            _ => Client::open(&place),
        }
    }

    /// As [`Call::client`], and makes the embedded store if it is not there.
    pub fn client_to_write(&self) -> anyhow::Result<Client> {
        Client::open(&self.place()?)
    }
}

/// Carries out the command line.
pub fn execute(cli: Cli) -> anyhow::Result<Outcome> {
    let folder = match cli.folder {
        Some(folder) => std::fs::canonicalize(&folder)
            .with_context(|| format!("the folder `{}` cannot be used", folder.display()))?,
        None => std::env::current_dir().context("the working folder cannot be read")?,
    };
    let call = Call {
        folder,
        json: cli.json,
        server: cli.server,
    };
    match cli.command {
        Command::Init(args) => init::execute(args, &call),
        Command::Run(args) => run::execute(args, &call),
        Command::Status(args) => status::execute(args, &call),
        Command::Server(args) => server::execute(args, &call),
        Command::Serve(args) => serve::execute(args, &call),
        Command::Predict(args) => predict::execute(args, &call),
        Command::Gate(args) => gate::execute(args, &call),
        Command::Deploy(args) => deploy::execute(args, &call),
        Command::Rollback(args) => rollback::execute(args, &call),
        Command::Drift(args) => drift::execute(args, &call),
        Command::Lineage(args) => lineage::execute(args, &call),
        Command::Reproduce(args) => reproduce::execute(args, &call),
        Command::Demo(args) => demo::execute(args, &call),
        Command::Doctor(args) => doctor::execute(args, &call),
    }
}
