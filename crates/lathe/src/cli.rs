//! The command line: every command with its help, its examples and its arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{
    audit, completion, confined, dag, data, dataset, demo, deploy, doctor, drift, exp, export, freeze, gate,
    gc, git_hook, import, init, install, lineage, metrics, onnx_worker, params, permission, plots, predict,
    reproduce, rollback, root, run, runtime, serve, server, stage, status, token, user, worker,
};

/// The whole MLOps loop in one binary: pipelines, tracking, registry, gates, serving, monitoring.
///
/// Exit codes: 0 done, 1 error, 2 usage, 3 gate failed, 4 inconclusive, 5 waiting for approval, 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "lathe",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Print the result as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// The server that keeps the records; without it `lathe.toml` decides, else the repository's own store.
    #[arg(long, global = true, env = "LATHE_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Act as if started in this folder.
    #[arg(long = "cd", global = true, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Wait as long as another process holds a lock, not for seconds only.
    #[arg(long, global = true)]
    pub wait_for_lock: bool,
    /// Print errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// The form of log lines: `text` or `json`.
    #[arg(
        long,
        global = true,
        env = "LATHE_LOG_FORMAT",
        default_value = "text",
        value_name = "FORM"
    )]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do. The help of each command stands with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Args),
    Add(data::add::Args),
    Checkout(data::checkout::Args),
    Commit(data::commit::Args),
    Diff(data::diff::Args),
    Data(data::data_status::Args),
    #[command(visible_alias = "mv")]
    Move(data::rename::Args),
    #[command(visible_alias = "rm")]
    Remove(data::remove::Args),
    Unprotect(data::unprotect::Args),
    CheckIgnore(data::check_ignore::Args),
    Push(data::push::Args),
    Pull(data::pull::Args),
    Fetch(data::fetch::Args),
    Remote(data::remote::Args),
    Config(data::config::Args),
    Cache(data::cache::Args),
    ImportUrl(data::import::UrlArgs),
    Update(data::update::Args),
    Get(data::get::Args),
    GetUrl(data::get::UrlArgs),
    #[command(visible_alias = "ls")]
    List(data::list::Args),
    #[command(visible_alias = "ls-url")]
    ListUrl(data::list_url::Args),
    Du(data::disk_use::Args),
    #[command(visible_alias = "repro")]
    Run(run::Args),
    Status(status::Args),
    Dag(dag::Args),
    Stage(stage::Args),
    #[command(visible_alias = "ds")]
    Dataset(dataset::Args),
    Freeze(freeze::Args),
    /// Let frozen stages be executed again.
    ///
    /// Examples:
    ///   lathe unfreeze download
    #[command(verbatim_doc_comment)]
    Unfreeze(freeze::Args),
    Params(params::Args),
    Metrics(metrics::Args),
    Plots(plots::Args),
    #[command(visible_alias = "experiments")]
    Exp(Box<exp::Args>),
    Queue(exp::queue::Args),
    Server(Box<server::Args>),
    Worker(worker::Args),
    Serve(serve::Args),
    Predict(predict::Args),
    Runtime(runtime::Args),
    #[command(hide = true)]
    OnnxWorker(onnx_worker::Args),
    #[command(hide = true)]
    Confined(confined::Args),
    Gate(gate::Args),
    Deploy(deploy::Args),
    Rollback(rollback::Args),
    Drift(drift::Args),
    Lineage(lineage::Args),
    Import(import::Args),
    Export(export::Args),
    Gc(gc::Args),
    Reproduce(reproduce::Args),
    Demo(demo::Args),
    User(user::Args),
    Token(token::Args),
    Permission(permission::Args),
    Audit(audit::Args),
    #[command(visible_alias = "version")]
    Doctor(doctor::Args),
    Root(root::Args),
    Install(install::Args),
    Completion(completion::Args),
    #[command(hide = true)]
    GitHook(git_hook::Args),
}
