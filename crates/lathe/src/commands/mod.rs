//! One file per command: an `Args` whose doc comments are the help text, and `execute`.

use std::path::PathBuf;

use anyhow::Context;
use lathe_store::Location;

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::exit::{Outcome, hinted};
use crate::project::ProjectFile;
use crate::settings::Place;

pub mod audit;
pub mod completion;
pub mod confined;
pub mod dag;
pub mod data;
pub mod dataset;
pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod drift;
pub mod engine;
pub mod exp;
pub mod export;
pub mod freeze;
pub mod gate;
pub mod gc;
pub mod git_hook;
pub mod import;
pub mod init;
pub mod install;
pub mod lineage;
pub mod metrics;
pub mod onnx_worker;
pub mod params;
pub mod permission;
pub mod plots;
pub mod predict;
pub mod reproduce;
pub mod rollback;
pub mod root;
pub mod run;
pub mod runtime;
pub mod selection;
pub mod serve;
pub mod server;
pub mod stage;
pub mod status;
pub mod store_args;
pub mod token;
pub mod user;
pub mod values;
pub mod worker;

/// What every command knows of its call.
pub struct Call {
    /// The folder it acts in.
    pub folder: PathBuf,
    /// Whether the result is for programs.
    pub json: bool,
    /// Whether only errors are to be printed.
    pub quiet: bool,
    server: Option<String>,
}

impl Call {
    /// The project around the folder.
    pub fn project(&self) -> anyhow::Result<ProjectFile> {
        ProjectFile::discover(&self.folder)
    }

    /// The project around the folder, or the DVC repository around it, which needs no `lathe.toml`.
    pub fn project_or_repository(&self) -> anyhow::Result<ProjectFile> {
        if let Some(project) = ProjectFile::find(&self.folder)? {
            return Ok(project);
        }
        match lathe_data::Repo::discover(&self.folder) {
            Ok(repo) => Ok(ProjectFile::without_file(repo.root())),
            Err(_) => self.project(),
        }
    }

    /// Where the records are.
    pub fn place(&self) -> anyhow::Result<Place> {
        let project = match ProjectFile::find(&self.folder)? {
            Some(project) => Some(project),
            None => self.project_or_repository().ok(),
        };
        let root = project
            .as_ref()
            .map_or(self.folder.as_path(), |project| &project.root);
        Ok(Place::choose(self.server.as_deref(), project.as_ref(), root))
    }

    /// The store of this folder or the project around it, whatever server is named.
    pub fn embedded_place(&self) -> anyhow::Result<Place> {
        let project = ProjectFile::find(&self.folder)?;
        let root = project.map_or_else(|| self.folder.clone(), |project| project.root);
        Ok(Place::embedded_in(&root))
    }

    /// The database that a URI names; a file in the folder that the command acts in.
    pub fn database_at(&self, uri: &str) -> anyhow::Result<Location> {
        match server::database_at(uri, std::env::var("PGPASSWORD").ok().as_deref())? {
            Location::Sqlite(path) => Ok(Location::Sqlite(self.folder.join(path))),
            location => Ok(location),
        }
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
    if cli.wait_for_lock {
        lathe_data::wait_for_locks();
    }
    let call = Call {
        folder,
        json: cli.json,
        quiet: cli.quiet,
        server: cli.server,
    };
    match cli.command {
        Command::Add(args) => data::add::execute(args, &call),
        Command::Checkout(args) => data::checkout::execute(args, &call),
        Command::CheckIgnore(args) => data::check_ignore::execute(args, &call),
        Command::Commit(args) => data::commit::execute(args, &call),
        Command::Cache(args) => data::cache::execute(args, &call),
        Command::Config(args) => data::config::execute(args, &call),
        Command::Data(args) => data::data_status::execute(args, &call),
        Command::Diff(args) => data::diff::execute(args, &call),
        Command::Push(args) => data::push::execute(args, &call),
        Command::Pull(args) => data::pull::execute(args, &call),
        Command::Fetch(args) => data::fetch::execute(args, &call),
        Command::Remote(args) => data::remote::execute(args, &call),
        Command::Move(args) => data::rename::execute(args, &call),
        Command::Remove(args) => data::remove::execute(args, &call),
        Command::Unprotect(args) => data::unprotect::execute(args, &call),
        Command::ImportUrl(args) => data::import::from_url(&args, &call),
        Command::Update(args) => data::update::execute(args, &call),
        Command::Get(args) => data::get::execute(&args, &call),
        Command::GetUrl(args) => data::get::from_url(&args, &call),
        Command::List(args) => data::list::execute(&args, &call),
        Command::ListUrl(args) => data::list_url::execute(&args, &call),
        Command::Du(args) => data::disk_use::execute(&args, &call),
        Command::Dataset(args) => dataset::execute(args, &call),
        Command::Root(args) => root::execute(&args, &call),
        Command::Completion(args) => completion::execute(&args),
        Command::Install(args) => install::execute(&args, &call),
        Command::GitHook(args) => git_hook::execute(&args, &call),
        Command::Init(args) => init::execute(args, &call),
        Command::Run(args) => run::execute(args, &call),
        Command::Dag(args) => dag::execute(args, &call),
        Command::Stage(args) => stage::execute(args, &call),
        Command::Freeze(args) => freeze::execute(args, &call, true),
        Command::Unfreeze(args) => freeze::execute(args, &call, false),
        Command::Params(args) => params::execute(args, &call),
        Command::Metrics(args) => metrics::execute(args, &call),
        Command::Plots(args) => plots::execute(args, &call),
        Command::Exp(args) => exp::execute(*args, &call),
        Command::Queue(args) => exp::queue::execute(args, &call),
        Command::Status(args) => status::execute(args, &call),
        Command::Server(args) => server::execute(*args, &call),
        Command::Worker(args) => worker::execute(args, &call),
        Command::Serve(args) => serve::execute(args, &call),
        Command::Predict(args) => predict::execute(args, &call),
        Command::Runtime(args) => runtime::execute(args, &call),
        Command::OnnxWorker(args) => onnx_worker::execute(args),
        Command::Confined(args) => confined::execute(args),
        Command::Gate(args) => gate::execute(args, &call),
        Command::Deploy(args) => deploy::execute(args, &call),
        Command::Rollback(args) => rollback::execute(args, &call),
        Command::Drift(args) => drift::execute(args, &call),
        Command::Import(args) => import::execute(args, &call),
        Command::Export(args) => export::execute(args, &call),
        Command::Gc(args) => gc::execute(args, &call),
        Command::Lineage(args) => lineage::execute(args, &call),
        Command::Reproduce(args) => reproduce::execute(args, &call),
        Command::Demo(args) => demo::execute(args, &call),
        Command::User(args) => user::execute(args, &call),
        Command::Token(args) => token::execute(args, &call),
        Command::Permission(args) => permission::execute(args, &call),
        Command::Audit(args) => audit::execute(args, &call),
        Command::Doctor(args) => doctor::execute(args, &call),
    }
}
