use lathe_data::ops;
use serde_json::json;

use super::Data;
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Rename tracked data; its `.dvc` file goes along.
///
/// Examples:
///   lathe move raw.csv data/raw.csv
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What a `.dvc` file tracks.
    src: String,
    /// Its new path, or a folder to put it into.
    dst: String,
}

/// Moves it.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let data = Data::open_locked(call)?;
    let from = lathe_data::normal_path(&data.folder.join(&args.src));
    let to = lathe_data::normal_path(&data.folder.join(&args.dst));
    if let Some(made) = data.all.iter().find(|out| out.at == from && out.stage.is_some()) {
        return Err(hinted(
            format!(
                "`{}` is an output of stage `{}`",
                args.src,
                made.address(&data.folder)
            ),
            "change its path in `dvc.yaml`",
        ));
    }
    let file = data.file(&args.src)?;
    let new = ops::move_data(&data.repo, file, &from, &to)?;
    if call.json {
        terminal::print_json(&json!({ "file": data.shown(&new) }))?;
    }
    let ignores = [
        from.with_file_name(".gitignore"),
        new.with_file_name(".gitignore"),
    ];
    let mut changed = vec![file.path().to_owned(), new];
    changed.extend(ignores);
    data.stage(&changed, true)?;
    Ok(Outcome::Done)
}
