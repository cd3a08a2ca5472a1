use std::path::Path;

use lathe_data::{Repo, RepoLock};
use lathe_pipeline::{Dataset, Project};
use lathe_yaml::{Node, Value};
use serde_json::json;

use super::Call;
use super::data::foreign::Foreign;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Datasets that stages read as `ds://NAME`: what they are is kept in dvc.lock, where they are is the stage's business.
///
/// Examples:
///   lathe dataset add images --dvc https://github.com/me/data --path images --rev v1
///   lathe dataset update images --rev v2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a dataset to the dvc.yaml of this folder.
    ///
    /// Examples:
    ///   lathe dataset add images --dvc ../data --path images
    #[command(verbatim_doc_comment)]
    Add(AddArgs),
    /// Write down what a dataset is now.
    ///
    /// Examples:
    ///   lathe dataset update images
    #[command(verbatim_doc_comment)]
    Update {
        /// Its name.
        name: String,
        /// The branch, tag or commit from now on.
        #[arg(long, alias = "version", value_name = "COMMIT")]
        rev: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("place").required(true)))]
struct AddArgs {
    /// Its name.
    name: String,
    /// A git repository, by its URL or path.
    #[arg(long, value_name = "URL", group = "place")]
    dvc: Option<String>,
    /// A place that keeps versions (only `dvc` knows these).
    #[arg(long, value_name = "URL", group = "place")]
    url: Option<String>,
    /// A dataset of DataChain (only `dvc` knows these).
    #[arg(long, value_name = "NAME", group = "place")]
    dc: Option<String>,
    /// The branch, tag or commit.
    #[arg(long, value_name = "COMMIT", requires = "dvc")]
    rev: Option<String>,
    /// A file or folder of the repository.
    #[arg(long, value_name = "PATH", requires = "dvc")]
    path: Option<String>,
    /// Replace one of the same name.
    #[arg(short, long)]
    force: bool,
}

/// A dataset of another git repository.
struct Described {
    name: String,
    url: String,
    path: Option<String>,
    rev: Option<String>,
}

/// Carries out what is asked.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let repo = Repo::discover(&call.folder)?;
    let _lock = RepoLock::acquire(&repo)?;
    match args.action {
        Action::Add(add) => self::add(add, &repo, call),
        Action::Update { name, rev } => update(&name, rev, &repo, call),
    }
}

fn known(repo: &Repo, name: &str) -> anyhow::Result<Option<Dataset>> {
    if lathe_data::pipeline_files(repo)?.is_empty() {
        return Ok(None);
    }
    Ok(Project::load(repo)?.datasets().get(name).cloned())
}

fn add(args: AddArgs, repo: &Repo, call: &Call) -> anyhow::Result<Outcome> {
    let Some(url) = args.dvc else {
        return Err(hinted(
            "datasets of DataChain, and of places that keep versions, need their own programs",
            "add it with `dvc ds add`; stages that read it are executed by `lathe run` all the same",
        ));
    };
    if let Some(known) = known(repo, &args.name)?.filter(|_| !args.force) {
        return Err(hinted(
            format!("`{}` lists a dataset `{}` already", known.file, args.name),
            "replace it with `--force`",
        ));
    }
    let described = Described {
        name: args.name,
        url,
        path: args.path.filter(|path| !path.is_empty()),
        rev: args.rev,
    };
    let commit = described.commit(repo, &call.folder)?;
    let folder = std::fs::canonicalize(&call.folder)?;
    let file = lathe_data::relative_path(&folder.join("dvc.yaml"), repo.root());
    let (spec, locked) = described.nodes(&commit);
    lathe_pipeline::set_dataset(repo, &file, Some(&spec), &locked)?;
    stage(repo, &file)?;
    tell(call, &described.name, &file, &commit, "added")
}

fn update(name: &str, rev: Option<String>, repo: &Repo, call: &Call) -> anyhow::Result<Outcome> {
    let Some(dataset) = known(repo, name)? else {
        return Err(hinted(
            format!("there is no dataset `{name}`"),
            format!("add it: lathe dataset add {name} --dvc URL --path PATH"),
        ));
    };
    let text = |key: &str| dataset.spec.find(key).and_then(Node::as_str).map(str::to_owned);
    if text("type").as_deref() != Some("dvc") {
        return Err(hinted(
            format!("`{name}` is of the type `{}`", text("type").unwrap_or_default()),
            format!("update it with `dvc ds update {name}`"),
        ));
    }
    let described = Described {
        name: name.to_owned(),
        url: text("url").unwrap_or_default(),
        path: text("path").filter(|path| !path.is_empty()),
        rev: rev.clone().or_else(|| text("rev")),
    };
    let file = Path::new(&dataset.file).to_owned();
    let folder = repo.root().join(file.parent().unwrap_or(Path::new("")));
    let commit = described.commit(repo, &folder)?;
    let (spec, locked) = described.nodes(&commit);
    let before = dataset
        .locked
        .as_ref()
        .and_then(|locked| locked.find("rev_lock")?.as_str());
    if before == Some(commit.as_str()) && rev.is_none() {
        return tell(call, name, &dataset.file, &commit, "nothing to update in");
    }
    lathe_pipeline::set_dataset(repo, &dataset.file, rev.is_some().then_some(&spec), &locked)?;
    stage(repo, &dataset.file)?;
    tell(call, name, &dataset.file, &commit, "updated")
}

/// Tells git of what was written, if the project wants that.
fn stage(repo: &Repo, file: &str) -> anyhow::Result<()> {
    let file = repo.root().join(file);
    super::data::autostage(repo, &[file.with_extension("lock"), file]).map(drop)
}

fn tell(call: &Call, name: &str, file: &str, commit: &str, what: &str) -> anyhow::Result<Outcome> {
    match call.json {
        true => terminal::print_json(&json!({ "dataset": name, "file": file, "commit": commit }))?,
        false => println!("{what} `{name}`, which is {} now", &commit[..9.min(commit.len())]),
    }
    Ok(Outcome::Done)
}

impl Described {
    /// The commit that the dataset is of now, in which its path must be.
    fn commit(&self, repo: &Repo, folder: &Path) -> anyhow::Result<String> {
        let foreign = Foreign::open(&self.url, self.rev.as_deref(), folder, &repo.tmp(), None)?;
        if let Some(path) = &self.path {
            let at = foreign.place(path)?;
            let is_data = || -> anyhow::Result<bool> {
                let data = foreign.data(path)?;
                let mut outs = data.iter().flat_map(|data| &data.all);
                Ok(outs.any(|out| at.starts_with(&out.at) || out.at.starts_with(&at)))
            };
            if !at.exists() && !is_data()? {
                return Err(foreign.nothing(path));
            }
        }
        Ok(foreign.commit.clone())
    }

    /// As `dvc.yaml` and `dvc.lock` have it.
    fn nodes(&self, commit: &str) -> (Node, Node) {
        let mut entries = vec![
            ("name", self.name.as_str()),
            ("url", self.url.as_str()),
            ("type", "dvc"),
        ];
        entries.extend(self.path.as_deref().map(|path| ("path", path)));
        entries.extend(self.rev.as_deref().map(|rev| ("rev", rev)));
        let node = |entries: &[(&str, &str)]| {
            let entries = entries
                .iter()
                .map(|(key, value)| (Node::text(*key), Node::text(*value)));
            Node::new(Value::Map(entries.collect()))
        };
        let spec = node(&entries);
        entries.push(("rev_lock", commit));
        (spec, node(&entries))
    }
}
