//! The whole loop on real data, through this same binary: child processes for what a user would type, HTTP for what
//! clients would send. Nothing is staged: each step checks what it claims, and the demo fails if one does not hold.

mod project;
mod replay;
mod steps;
mod story;
mod walk;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use super::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal::{self, Style, paint};

/// Walk the whole loop on real data: run, track, register, gate, deploy, serve, watch, alert, retrain, promote.
///
/// An hourly bike rental data set (UCI, 2011-2012) is trained on 2011; the traffic of 2012 is replayed hour by hour,
/// its true counts arriving a day later as labels. Needs git, Python 3.11 or newer, and for the first time the
/// network (for the Python packages of the example's lock file).
///
/// Examples:
///   lathe demo                       then open the address it prints
///   DEMO_EXIT=1 lathe demo           ends after the summary; not 0 if any step did not do what it should
///   lathe demo --into /tmp/bikes     keep the project there
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Where the example project is made; a folder that an earlier demo made is replaced.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// End after the summary instead of keeping the server up.
    #[arg(long, env = "DEMO_EXIT", value_parser = clap::builder::FalseyValueParser::new())]
    exit: bool,
    /// The server's port; 0 takes a free one.
    #[arg(short, long, default_value_t = 0)]
    port: u16,
}

/// Runs the demo.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let folder = args
        .into
        .unwrap_or_else(|| std::env::temp_dir().join("lathe-demo"));
    let folder = std::path::absolute(call.folder.join(folder))?;
    project::make(&folder)?;
    let mut story = story::Story::new(call.json);
    let mut walk = walk::Walk::new(&folder, args.port);
    let result = steps::all(&mut walk, &mut story);
    let failure = result.err();
    if let Some(error) = &failure {
        terminal::print_error(error);
    }
    story.summary(started.elapsed(), &folder, walk.url(), failure.is_none())?;
    if failure.is_some() {
        walk.stop()?;
        return Err(hinted(
            "the demo did not do what it should",
            format!(
                "the project is kept in `{}`, its server's log in `.lathe/server.log`",
                folder.display()
            ),
        ));
    }
    if args.exit || !std::io::stdout().is_terminal() {
        walk.stop()?;
        return Ok(Outcome::Done);
    }
    println!(
        "{} Ctrl-C stops the server",
        paint("the server stays up:", Style::Strong)
    );
    walk.wait()?;
    Ok(Outcome::Done)
}
