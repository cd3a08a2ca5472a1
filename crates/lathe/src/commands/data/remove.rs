use lathe_data::ops;
use serde_json::json;

use super::Data;
use crate::commands::Call;
use crate::exit::Outcome;
use crate::terminal;

/// Stop tracking data: remove its `.dvc` file. The data stays, unless `--outs` is given.
///
/// Examples:
///   lathe remove images.dvc
///   lathe remove --outs images.dvc     and the data with it
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// `.dvc` files, or what they track.
    #[arg(required = true)]
    targets: Vec<String>,
    /// Also remove the data from the workspace; the cache keeps it.
    #[arg(long)]
    outs: bool,
}

/// Removes what the targets name.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open(call)?;
    let files = data.files_named(&args.targets)?;
    let _lock = data.lock()?;
    let mut changed = Vec::new();
    for file in files {
        ops::remove(&data.repo, file, args.outs)?;
        changed.push(file.path().to_owned());
        changed.push(file.path().with_file_name(".gitignore"));
    }
    if call.json {
        terminal::print_json(&json!({ "removed": args.targets }))?;
    }
    data.stage(&changed, true)?;
    Ok(Outcome::Done)
}
