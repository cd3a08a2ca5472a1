use std::io::BufRead;

use lathe_data::Repo;

use crate::commands::Call;
use crate::exit::{Outcome, hinted};

/// Say which paths `.dvcignore` files leave out. The exit code is 1 if none is.
///
/// Examples:
///   lathe check-ignore data/tmp.csv
///   lathe check-ignore -d data/tmp.csv     with the rule that decides
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Paths.
    targets: Vec<String>,
    /// Show the file, line and pattern that decide.
    #[arg(short, long)]
    details: bool,
    /// With `--details`: also show paths that no rule names.
    #[arg(short, long, requires = "details")]
    non_matching: bool,
    /// Read paths from standard input, one a line.
    #[arg(long, conflicts_with = "targets")]
    stdin: bool,
}

/// Checks the paths.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let folder = std::fs::canonicalize(&call.folder)?;
    let repo = Repo::discover(&folder)?;
    let targets = match args.stdin {
        true => std::io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()?,
        false => args.targets,
    };
    if targets.is_empty() {
        return Err(hinted("there is no path to check", "name some, or use `--stdin`"));
    }
    let mut any = false;
    for target in &targets {
        let path = lathe_data::normal_path(&folder.join(target));
        let found = lathe_data::ignored_by(&repo, &path)?;
        let is_ignored = found.as_ref().is_some_and(|rule| !rule.is_exception);
        // As git does: with the rules, one that takes a path back in counts too.
        any |= is_ignored || args.details && found.is_some();
        match (&found, args.details) {
            (Some(rule), true) => tell!("{}:{}:{}\t{target}", rule.file, rule.line, rule.pattern),
            (None, true) if args.non_matching => tell!("::\t{target}"),
            (_, false) if is_ignored => tell!("{target}"),
            _ => {}
        }
    }
    Ok(if any { Outcome::Done } else { Outcome::Changed })
}
