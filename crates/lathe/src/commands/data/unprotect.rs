use lathe_data::ops;

use super::Data;
use crate::commands::Call;
use crate::exit::Outcome;

/// Turn links to the cache into files of their own, which can be edited.
///
/// Examples:
///   lathe unprotect images
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Tracked files and folders.
    #[arg(required = true)]
    targets: Vec<String>,
}

/// Unlinks what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let selected = data.select(&args.targets, Default::default())?;
    for selected in selected {
        let at = match &selected.within {
            Some(within) => selected.out.at.join(within),
            None => selected.out.at.clone(),
        };
        ops::unprotect(&data.repo, &at)?;
    }
    Ok(Outcome::Done)
}
