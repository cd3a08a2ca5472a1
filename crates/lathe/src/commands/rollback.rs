use lathe_types::deployments::Deployment;
use serde_json::json;

use super::Call;
use crate::client::segment;
use crate::exit::Outcome;
use crate::terminal::{self, Style, paint};

/// Stop the rollout under way, or go back to the version before.
///
/// Examples:
///   lathe rollback bike-demand
///   lathe rollback bike-demand --reason "wrong units in temp"
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The deployment.
    deployment: String,
    /// Why; kept in the audit trail.
    #[arg(long, default_value = "asked for by hand")]
    reason: String,
}

/// Rolls back.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let path = format!("/api/v1/deployments/{}/rollback", segment(&args.deployment));
    let deployment: Deployment = call.client()?.post(&path, &json!({ "reason": args.reason }))?;
    if call.json {
        terminal::print_json(&deployment)?;
    } else if let Some(stable) = deployment.stable {
        println!(
            "{} `{}` is answered by version {stable}",
            paint("rolled back:", Style::Good),
            deployment.name
        );
    }
    Ok(Outcome::Done)
}
