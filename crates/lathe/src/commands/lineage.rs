use super::Call;
use crate::client::segment;
use crate::exit::Outcome;
use crate::terminal::{self, Style, paint};
use lathe_types::lineage::LineageGraph;

/// Walk back from a prediction, a run or a model version to deployment, data, environment and commit.
///
/// Examples:
///   lathe lineage 0191e0a4c2f07b1c9f6e1d2c3b4a5968     a prediction id, as every answer carries it
///   lathe lineage models:/bike-demand/3                 a model version
///   lathe lineage models:/bike-demand@champion          the version behind an alias
///   lathe lineage 4be1f0c2… --json                      a run, for programs
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A prediction id, a run id, `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
    id: String,
}

/// Prints the way back.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let graph: LineageGraph = call
        .client()?
        .get(&format!("/api/v1/lineage?of={}", segment(&args.id)))?;
    if call.json {
        terminal::print_json(&graph)?;
    } else {
        print_tree(&graph);
    }
    Ok(Outcome::Done)
}

/// The nodes in the order they were reached, each under the node it explains.
fn print_tree(graph: &LineageGraph) {
    for node in &graph.nodes {
        let relation = graph
            .edges
            .iter()
            .find(|edge| edge.to == node.id)
            .map(|edge| edge.relation.as_str());
        let lead = match relation {
            Some(relation) => paint(&format!("  └ {relation:<12} "), Style::Faint),
            None => String::new(),
        };
        println!("{lead}{} {}", paint(&node.kind, Style::Strong), node.title);
        let Some(details) = node.details.as_object() else {
            continue;
        };
        for (key, value) in details {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            println!(
                "                   {} {text}",
                paint(&format!("{key}:"), Style::Faint)
            );
        }
    }
}
