//! One command for two kinds of garbage: records that were deleted, and data that nothing uses.

use super::Call;
use crate::exit::{Outcome, hinted};

mod data;
mod records;

/// Remove for good what was deleted, or data that nothing uses any more.
///
/// Without a scope of data: deleted runs, logged models and experiments go, with their artifacts. What a registered
/// version was made from stays, and so do artifacts that an import linked. It may be interrupted, and run beside a
/// server; the next one goes on.
///
/// With `--workspace`, `--all-branches`, `--all-tags`, `--all-commits`, `--all-experiments`, `--date` or `--rev`: objects
/// of the cache go that neither the workspace nor those commits use, and with `--cloud` those of a remote too. The
/// workspace always counts.
///
/// Examples:
///   lathe gc --dry                           says which records would go
///   lathe gc --older-than 30d                what was deleted more than 30 days ago
///   lathe gc --experiment-ids 3,4            these experiments, with all they hold
///   lathe gc --workspace --dry               says which data would go
///   lathe gc --all-branches --all-tags
///   lathe gc --workspace --cloud -r store    on a remote too
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Only say what would go.
    #[arg(long)]
    dry: bool,
    #[command(flatten)]
    records: records::Options,
    #[command(flatten)]
    data: data::Options,
}

/// Removes what is meant.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    if !args.data.names_data() {
        return records::execute(args.records, args.dry, call);
    }
    if args.records.names_records() {
        return Err(hinted(
            "some options are about records, others about data",
            "remove the ones, then the others",
        ));
    }
    data::execute(args.data, args.dry, call)
}
