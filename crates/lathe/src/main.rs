//! The `lathe` binary: one file per command, settings, and the wiring of all rooms. Nothing is decided here that a
//! room could decide; what only a process knows (arguments, environment, terminal, clock) is known only here.

// First, for the macros in it.
#[macro_use]
mod terminal;

mod background;
mod cli;
mod client;
mod clock;
mod commands;
mod confinement;
mod determinism;
mod environment_marks;
mod exit;
mod experiments;
mod export;
mod external;
mod git;
mod graphs;
mod import;
mod jobs;
mod model_memory;
mod model_source;
mod objects;
mod onnxruntime;
mod payloads;
mod plot_page;
mod process;
mod project;
mod python;
mod python_models;
mod registration;
mod reproduction;
mod revisions;
mod runtimes;
mod settings;
mod sources;
mod stage_view;
mod steps;
mod tls;
mod tracking;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Rust ignores SIGPIPE, so `lathe … | head` would panic in `println!`.
    process::restore_sigpipe();
    let cli = cli::Cli::parse();
    let (system, global) = settings::dvc_config_folders();
    lathe_data::set_config_folders(system, global);
    if cli.quiet {
        terminal::be_quiet();
    }
    terminal::start_logging(cli.verbose, cli.log_format);
    exit::report(commands::execute(cli))
}
