use std::path::PathBuf;

use anyhow::Context;
use base64::Engine;
use lathe_data::Repo;
use lathe_pipeline::{Content, Plot, PlotQuery, TEMPLATES};
use serde_json::{Map, Value as Json, json};

use super::Call;
use super::values;
use crate::exit::{Outcome, hinted};
use crate::plot_page::{self, Drawn};
use crate::revisions::{self, WORKSPACE};
use crate::{experiments, process, terminal};

/// Draw the plots of the pipelines, of one state or of several.
///
/// Examples:
///   lathe plots show                       of the files as they are, into a page
///   lathe plots diff                       with the last commit
///   lathe plots diff main v1.2 --json      as Vega-Lite charts
///   lathe plots show loss.csv -x epoch --template smooth
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    style: StyleArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Args)]
struct StyleArgs {
    /// How to draw: linear, simple, smooth, scatter, scatter_jitter, confusion, confusion_normalized, bar_horizontal,
    /// bar_horizontal_sorted, or the name of a file in .dvc/plots.
    #[arg(short, long, global = true)]
    template: Option<String>,
    /// The field along the bottom.
    #[arg(short, global = true, value_name = "FIELD")]
    x: Option<String>,
    /// The field that goes up.
    #[arg(short, global = true, value_name = "FIELD")]
    y: Option<String>,
    /// What is written below.
    #[arg(long, global = true)]
    x_label: Option<String>,
    /// What is written at the left.
    #[arg(long, global = true)]
    y_label: Option<String>,
    /// What is written above.
    #[arg(long, global = true)]
    title: Option<String>,
    /// The first line of a table is data too.
    #[arg(long, global = true)]
    no_header: bool,
    /// The folder of the page.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "dvc_plots"
    )]
    out: PathBuf,
    /// Print the only chart as Vega-Lite.
    #[arg(long, global = true)]
    show_vega: bool,
    /// Show the page in a browser.
    #[arg(long, global = true)]
    open: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Draw the plots as they are.
    ///
    /// Examples:
    ///   lathe plots show
    ///   lathe plots show loss.csv -x epoch
    #[command(verbatim_doc_comment)]
    Show {
        /// Plots; all if absent.
        targets: Vec<String>,
    },
    /// Draw the plots of several states over one another.
    ///
    /// Examples:
    ///   lathe plots diff
    ///   lathe plots diff main v1.2 --targets loss.csv
    #[command(verbatim_doc_comment)]
    Diff {
        /// Commits, and `workspace` for the files as they are; the last commit and the workspace if absent.
        revisions: Vec<String>,
        /// Only these plots.
        #[arg(long, num_args = 1.., value_name = "PLOT")]
        targets: Vec<String>,
        /// The commit that an experiment began from comes beside it.
        #[arg(short, long)]
        experiment: bool,
    },
    /// Say how plots can be drawn: templates of Lathe, and those in .dvc/plots.
    ///
    /// Examples:
    ///   lathe plots templates
    #[command(verbatim_doc_comment)]
    Templates,
}

/// Draws plots.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let (given, targets) = match args.action {
        Action::Show { targets } => (vec![WORKSPACE.to_owned()], targets),
        Action::Diff {
            revisions,
            targets,
            experiment,
        } => (compared(call, revisions, experiment)?, targets),
        Action::Templates => return templates(call),
    };
    let (repo, from_root) = values::repository(call, &targets)?;
    let names = match given.as_slice() {
        [] => vec![WORKSPACE.to_owned(), "HEAD".to_owned()],
        [only] if only != WORKSPACE => vec![WORKSPACE.to_owned(), only.clone()],
        _ => given,
    };
    // A target is a path, or the name of a plot that is none.
    let both = targets.into_iter().chain(from_root);
    let style = args.style;
    let query = PlotQuery {
        targets: both.collect(),
        x: style.x,
        y: style.y,
        template: style.template,
        x_label: style.x_label,
        y_label: style.y_label,
        title: style.title,
        no_header: style.no_header,
    };
    let mut states = Vec::new();
    for name in &names {
        states.push((name.clone(), revisions::state(&repo, name)?.plots(&query)?));
    }
    let drawn = draw(&repo, &states)?;
    if style.show_vega {
        let charts: Vec<&Json> = drawn.iter().filter_map(|drawn| drawn.vega.as_ref()).collect();
        let [only] = charts.as_slice() else {
            return Err(hinted(
                format!("there are {} charts, and `--show-vega` prints one", charts.len()),
                "name one plot",
            ));
        };
        terminal::print_json(only)?;
        return Ok(Outcome::Done);
    }
    if call.json {
        terminal::print_json(&json_of(&drawn))?;
        return Ok(Outcome::Done);
    }
    if drawn.is_empty() {
        println!("there are no plots");
        return Ok(Outcome::Done);
    }
    let folder = call.folder.join(&style.out);
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let page = folder.join("index.html");
    std::fs::write(&page, plot_page::html(&drawn))
        .with_context(|| format!("failed to write `{}`", page.display()))?;
    println!("file://{}", page.display());
    if style.open {
        let opener = if cfg!(target_os = "macos") {
            "open"
        } else {
            "xdg-open"
        };
        process::output_of(opener, &[&page.display().to_string()], &folder)
            .map_err(|error| error.context("no browser could be started"))?;
    }
    Ok(Outcome::Done)
}

/// The revisions, and for an experiment where it began.
fn compared(call: &Call, revisions: Vec<String>, experiment: bool) -> anyhow::Result<Vec<String>> {
    let [only] = revisions.as_slice() else {
        return Ok(revisions);
    };
    if !experiment {
        return Ok(revisions);
    }
    let repo = Repo::discover(&call.folder)?;
    let Some(found) = experiments::find(repo.root(), only)? else {
        return Err(hinted(
            format!("there is no experiment `{only}`"),
            "see them with `lathe exp list -A`",
        ));
    };
    Ok(vec![only.clone(), found.baseline])
}

fn templates(call: &Call) -> anyhow::Result<Outcome> {
    let mut names: Vec<String> = TEMPLATES.iter().map(|name| (*name).to_owned()).collect();
    if let Ok(repo) = Repo::discover(&call.folder) {
        let folder = repo.dvc_folder().join("plots");
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".json").map(str::to_owned));
        }
    }
    names.sort();
    names.dedup();
    match call.json {
        true => terminal::print_json(&names)?,
        false => println!("{}", names.join("\n")),
    }
    Ok(Outcome::Done)
}

/// One chart for each plot, of all states that have it; pictures one by one.
fn draw(repo: &Repo, states: &[(String, Vec<Plot>)]) -> anyhow::Result<Vec<Drawn>> {
    let mut drawn: Vec<Drawn> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (_, plots) in states {
        for plot in plots.iter().filter(|plot| seen.insert((&plot.id, &plot.style.y))) {
            let mut of_states: Vec<(String, &Plot)> = Vec::new();
            for (name, plots) in states {
                let same = plots
                    .iter()
                    .find(|other| other.id == plot.id && other.style.y == plot.style.y);
                let Some(same) = same else { continue };
                match &same.content {
                    Content::Points(_) => of_states.push((name.clone(), same)),
                    Content::Image(media, bytes) => {
                        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
                        drawn.push(Drawn {
                            id: plot.id.clone(),
                            revisions: vec![name.clone()],
                            style: plot.style.clone(),
                            vega: None,
                            image: Some(format!("data:{media};base64,{encoded}")),
                        });
                    }
                    Content::Problem(problem) => eprintln!("{name}: {problem}"),
                }
            }
            if of_states.is_empty() {
                continue;
            }
            let custom = custom_template(repo, plot.style.template.as_deref())?;
            drawn.push(Drawn {
                id: plot.id.clone(),
                revisions: of_states.iter().map(|(name, _)| name.clone()).collect(),
                style: plot.style.clone(),
                vega: Some(plot.vega(&of_states, custom.as_ref())),
                image: None,
            });
        }
    }
    Ok(drawn)
}

/// A template of the repository's own.
fn custom_template(repo: &Repo, name: Option<&str>) -> anyhow::Result<Option<Json>> {
    let Some(name) = name.filter(|name| !TEMPLATES.contains(name)) else {
        return Ok(None);
    };
    let folder = repo.root().join(".dvc").join("plots");
    let places = [
        folder.join(format!("{name}.json")),
        folder.join(name),
        repo.root().join(name),
    ];
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        return Err(hinted(
            format!("there is no template `{name}`"),
            format!(
                "use one of {}, or write .dvc/plots/{name}.json",
                TEMPLATES.join(", ")
            ),
        ));
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let template =
        serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", path.display()))?;
    Ok(Some(template))
}

fn json_of(drawn: &[Drawn]) -> Json {
    let mut data: Map<String, Json> = Map::new();
    for plot in drawn {
        let told = match (&plot.vega, &plot.image) {
            (Some(chart), _) => json!({ "type": "vega", "revisions": plot.revisions, "content": chart }),
            (None, image) => json!({ "type": "image", "revisions": plot.revisions, "url": image }),
        };
        let of_plot = data.entry(plot.id.clone()).or_insert_with(|| json!([]));
        if let Some(list) = of_plot.as_array_mut() {
            list.push(told);
        }
    }
    json!({ "data": data })
}
