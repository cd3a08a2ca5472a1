//! The command line: every command with its help, its examples and its arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{
    demo, deploy, doctor, drift, gate, init, lineage, rollback, run, serve, server, status,
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
    /// Log more; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this folder a project: `lathe.toml`, and `.dvc/` if it is not there.
    Init(init::Args),
    /// Execute what changed in the pipeline, record the run, register its model.
    Run(run::Args),
    /// Say what `run` would execute, and why.
    Status(status::Args),
    /// Keep records, answer predictions, watch them, act on alerts: everything in one process.
    Server(server::Args),
    /// Answer predictions for one model, and nothing else.
    Serve(serve::Args),
    /// Judge a model version by the rules of its gate.
    Gate(gate::Args),
    /// Bring a model version to a deployment, step by step.
    Deploy(deploy::Args),
    /// Stop the rollout under way, or go back to the version before.
    Rollback(rollback::Args),
    /// Show how live data differs from the reference, or compare two CSV files.
    Drift(drift::Args),
    /// Walk back from a prediction, a run or a model version to commit, data and environment.
    Lineage(lineage::Args),
    /// Walk the whole loop on real data, start to end.
    Demo(demo::Args),
    /// Check this machine: ports, disk, clock, database, Python.
    Doctor(doctor::Args),
}
