use lathe_data::Repo;
use lathe_data::remote::{RemoteSettings, find_remote};
use lathe_types::Span;
use serde_json::json;

use super::Call;
use crate::exit::{Outcome, hinted};
use crate::settings::Place;
use crate::steps::{Settings, Worker, cache_limit};
use crate::terminal::{self, Style, paint};

/// Execute stages of pipelines that `lathe run --engine worker` elsewhere hands out through the server.
///
/// A worker shares the server and a remote with `lathe run`, and nothing else: it needs a folder of its own, which may
/// be empty. It executes whatever those queue who may: start it for a server whose users you trust with this machine.
///
/// Examples:
///   lathe worker --server https://lathe.example.org --remote s3://bucket/path
///   lathe worker                        in a clone of the repository: its server and its default remote
///   lathe worker --jobs 4               up to four steps beside one another
///   lathe worker --project bike-demand  only of one project
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Take only steps of this project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Where data comes from and goes to: the name of a remote, a URL or a path; the default remote if absent.
    #[arg(short, long, value_name = "REMOTE")]
    remote: Option<String>,
    /// So many steps at once.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// When the server hears nothing for so long, it gives the step to another worker.
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = parse_lease)]
    lease: Span,
    /// Of what steps brought and made, keep so much in the cache: `50GiB`, `500MB`, `none` for no limit. What was not used
    /// for longest is removed between steps; the remote holds it.
    #[arg(long, value_name = "BYTES", default_value = "50GiB", value_parser = cache_limit::parse)]
    cache_limit: cache_limit::CacheBytes,
}

fn parse_lease(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|error: lathe_types::SpanError| error.to_string())?;
    match (1_000..=3_600_000).contains(&span.0) {
        true => Ok(span),
        false => Err("a lease is from `1s` to `1h`".to_owned()),
    }
}

/// Whether it is a URL or a path, and no name.
fn is_place(remote: &str) -> bool {
    remote.contains('/')
}

/// Works until it is asked to end.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let place = call.place()?;
    let Place::Server(url) = &place else {
        return Err(hinted(
            "a worker takes steps from a server, and none is named",
            "name it with `--server`, `LATHE_SERVER` or `[project] server`",
        ));
    };
    let found = Repo::find_folder(&call.folder)?;
    let repo = match (found, &args.remote) {
        (Some(_), _) => Repo::discover(&call.folder)?,
        (None, Some(remote)) if is_place(remote) => Repo::init(&call.folder)?,
        (None, _) => {
            return Err(hinted(
                format!(
                    "`{}` is in no repository, so no remote is known",
                    call.folder.display()
                ),
                "name one by its URL, as `--remote s3://bucket/path`, or go to a clone of the repository",
            ));
        }
    };
    let remote = match &args.remote {
        Some(remote) if is_place(remote) => RemoteSettings {
            name: remote.clone(),
            url: match remote.contains("://") {
                true => remote.clone(),
                false => call.folder.join(remote).display().to_string(),
            },
            settings: Vec::new(),
        },
        name => find_remote(&repo, name.as_deref())?,
    };
    let url = url.clone();
    let settings = Settings {
        project: args.project,
        jobs: args.jobs,
        lease: args.lease,
        cache_bytes: args.cache_limit.0,
    };
    let worker = Worker::new(settings, place, repo, &remote)?;
    if call.json {
        terminal::print_json(&json!({ "worker": worker.name, "server": url }))?;
    } else if !call.quiet {
        println!(
            "worker {} takes steps from {url}",
            paint(&worker.name, Style::Strong)
        );
    }
    worker.work(&|ended| {
        if call.json {
            let told = json!({
                "stage": ended.stage, "step": ended.id, "how": ended.how, "took_ms": ended.took.as_millis() as u64,
            });
            // Whoever reads this may be gone; the work goes on.
            let _ = terminal::print_json(&told);
        } else if !call.quiet {
            println!(
                "{} (step {}) {} in {:.1} s",
                paint(&ended.stage, Style::Strong),
                ended.id,
                ended.how,
                ended.took.as_secs_f64()
            );
        }
    })?;
    Ok(Outcome::Done)
}
