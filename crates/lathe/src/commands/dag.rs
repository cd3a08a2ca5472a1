use lathe_pipeline::{Dag, DagOptions, Project, Selection};
use serde_json::json;

use super::Call;
use super::selection::folder_of_pipeline;
use crate::exit::Outcome;
use crate::terminal;

/// Larger graphs are shown as a tree: boxes would not fit any screen.
const BOXES_MAX: usize = 60;

/// Show the graph of the pipelines.
///
/// Examples:
///   lathe dag                    boxes with lines between them
///   lathe dag train --full       all that is connected with a stage
///   lathe dag --mermaid --md     for a page of Markdown
///   lathe dag --dot | dot -Tsvg
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Stages to show, with what they need; all if absent.
    targets: Vec<String>,
    /// Also whatever else is connected with the targets.
    #[arg(long)]
    full: bool,
    /// Outputs in the place of stages.
    #[arg(short, long)]
    outs: bool,
    /// Each group of `foreach` or `matrix` as one.
    #[arg(long)]
    collapse_foreach_matrix: bool,
    /// As a list in which everything is below what it needs.
    #[arg(long, conflicts_with_all = ["mermaid", "dot"])]
    tree: bool,
    /// As a flowchart of Mermaid.
    #[arg(long, conflicts_with = "dot")]
    mermaid: bool,
    /// In a fence of Markdown, with `--mermaid`.
    #[arg(long)]
    md: bool,
    /// As a graph of Graphviz.
    #[arg(long)]
    dot: bool,
}

/// Prints the graph.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let repo = lathe_data::Repo::discover(&call.folder)?;
    let project = Project::load(&repo)?;
    let options = DagOptions {
        selection: Selection {
            folder: folder_of_pipeline(call, repo.root(), &args.targets),
            targets: args.targets,
            ..Selection::default()
        },
        full: args.full,
        outs: args.outs,
        collapse: args.collapse_foreach_matrix,
    };
    let dag = Dag::of(&project, &options)?;
    if call.json {
        terminal::print_json(&json!({ "nodes": dag.nodes(), "edges": dag.edges() }))?;
    } else if args.dot {
        print!("{}", dag.dot());
    } else if args.mermaid || args.md {
        match args.md {
            true => println!("```mermaid\n{}\n```", dag.mermaid()),
            false => println!("{}", dag.mermaid()),
        }
    } else if args.tree || BOXES_MAX < dag.len() {
        print!("{}", dag.tree());
    } else {
        print!("{}", dag.boxes());
    }
    Ok(Outcome::Done)
}
