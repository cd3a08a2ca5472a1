use super::Call;
use crate::exit::Outcome;

/// Walk the whole loop on real data, start to end.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Placeholder until the rooms stand.
pub fn execute(_args: Args, _call: &Call) -> anyhow::Result<Outcome> {
    anyhow::bail!("not built yet")
}
