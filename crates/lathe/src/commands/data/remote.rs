use lathe_data::{Config, ConfigEdit, Level};
use serde_json::{Map, Value};

use super::config::{LevelArgs, settings};
use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Manage remotes: places where data is shared.
///
/// A URL is a folder, `s3://bucket/prefix`, `gs://…`, `azure://container/prefix`, `http(s)://…`, `webdav(s)://…` or
/// `ssh://host/path`. What a server wants to know is set with `modify`, secrets with `modify --local`, which git
/// does not keep.
///
/// Examples:
///   lathe remote add --default store /mnt/store
///   lathe remote modify store endpointurl http://127.0.0.1:9000
///   lathe remote modify --local store secret_access_key …
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a remote.
    ///
    /// Examples:
    ///   lathe remote add --default store /mnt/store
    ///   lathe remote add archive s3://bucket/data
    #[command(verbatim_doc_comment)]
    Add {
        /// Its name.
        name: String,
        /// Where it is.
        url: String,
        /// Use it where none is named.
        #[arg(short, long)]
        default: bool,
        /// Replace one of this name.
        #[arg(short, long)]
        force: bool,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// List all.
    ///
    /// Examples:
    ///   lathe remote list --json
    #[command(verbatim_doc_comment)]
    List {
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Set or remove one of its settings.
    ///
    /// Examples:
    ///   lathe remote modify archive region eu-central-1
    ///   lathe remote modify --local archive secret_access_key …
    ///   lathe remote modify archive region --unset
    #[command(verbatim_doc_comment)]
    Modify {
        /// Its name.
        name: String,
        /// The setting.
        option: String,
        /// The new value.
        value: Option<String>,
        /// Remove the setting.
        #[arg(short, long, conflicts_with = "value")]
        unset: bool,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Forget it. Its data stays.
    ///
    /// Examples:
    ///   lathe remote remove archive
    #[command(verbatim_doc_comment)]
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Give it another name.
    ///
    /// Examples:
    ///   lathe remote rename archive cold
    #[command(verbatim_doc_comment)]
    Rename {
        /// Its name.
        name: String,
        /// Its new name.
        new: String,
        #[command(flatten)]
        level: LevelArgs,
    },
    /// Show or choose the one that is used where none is named.
    ///
    /// Examples:
    ///   lathe remote default
    ///   lathe remote default store
    #[command(verbatim_doc_comment)]
    Default {
        /// Its name.
        name: Option<String>,
        /// Choose none.
        #[arg(short, long, conflicts_with = "name")]
        unset: bool,
        #[command(flatten)]
        level: LevelArgs,
    },
}

fn section(name: &str) -> String {
    format!("remote \"{}\"", name.to_lowercase())
}

fn unknown(name: &str) -> anyhow::Error {
    hinted(
        format!("there is no remote `{name}`"),
        "`lathe remote list` shows all; `lathe remote add` makes one",
    )
}

/// Shows or changes remotes.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let (dvc, config) = settings(call)?;
    let open = |level: Level| ConfigEdit::open(dvc.as_deref(), level);
    let or_project = |level: &LevelArgs| level.level().unwrap_or(Level::Project);
    match args.command {
        Command::Add {
            name,
            url,
            default,
            force,
            level,
        } => {
            let mut edit = open(or_project(&level))?;
            let section = section(&name);
            if edit.ini().has(&section) && !force {
                return Err(hinted(
                    format!("there is a remote `{name}` already"),
                    "use `--force` to replace it, or `lathe remote modify`",
                ));
            }
            edit.remove(&section);
            edit.set(&section, "url", &url, &call.folder)?;
            if default {
                edit.set("core", "remote", &name.to_lowercase(), &call.folder)?;
            }
            edit.save()?;
        }
        Command::List { level } => list(&config, level.level(), call)?,
        Command::Modify {
            name,
            option,
            value,
            unset,
            level,
        } => {
            let mut edit = open(or_project(&level))?;
            let section = section(&name);
            let is_known = config.remotes().contains(&name.to_lowercase());
            if !is_known {
                return Err(unknown(&name));
            }
            match value {
                Some(value) => edit.set(&section, &option.to_lowercase(), &value, &call.folder)?,
                None if unset => {
                    edit.unset(&section, &option.to_lowercase());
                }
                None => return Err(hinted("no value is given", "write one, or use `--unset`")),
            }
            edit.save()?;
        }
        Command::Remove { name, level } => {
            let level = or_project(&level);
            let mut edit = open(level)?;
            if !edit.remove(&section(&name)) {
                return Err(unknown(&name));
            }
            edit.save()?;
            forget_default(&config, dvc.as_deref(), level, &name.to_lowercase(), None, call)?;
        }
        Command::Rename { name, new, level } => {
            let level = or_project(&level);
            if config.remotes().contains(&new.to_lowercase()) {
                return Err(hinted(
                    format!("there is a remote `{new}` already"),
                    "choose another name",
                ));
            }
            let mut edit = open(level)?;
            if !edit.ini().has(&section(&name)) {
                return Err(unknown(&name));
            }
            edit.rename(&section(&name), &section(&new));
            edit.save()?;
            forget_default(
                &config,
                dvc.as_deref(),
                level,
                &name.to_lowercase(),
                Some(&new.to_lowercase()),
                call,
            )?;
        }
        Command::Default { name, unset, level } => {
            if name.is_none() && !unset {
                let found = config
                    .levels()
                    .filter(|(at, _, _)| level.level().is_none_or(|level| level == *at))
                    .filter_map(|(_, _, ini)| ini.find("core", "remote"))
                    .last();
                tell!("{}", found.unwrap_or("No default remote set"));
                return Ok(if found.is_some() {
                    Outcome::Done
                } else {
                    Outcome::Changed
                });
            }
            let mut edit = open(or_project(&level))?;
            match name {
                Some(name) if !config.remotes().contains(&name.to_lowercase()) => return Err(unknown(&name)),
                Some(name) => edit.set("core", "remote", &name.to_lowercase(), &call.folder)?,
                None => {
                    edit.unset("core", "remote");
                }
            }
            edit.save()?;
        }
    }
    Ok(Outcome::Done)
}

/// A default that is gone is none, in every level that decides over this one.
fn forget_default(
    config: &Config,
    dvc: Option<&std::path::Path>,
    from: Level,
    name: &str,
    new: Option<&str>,
    call: &Call,
) -> anyhow::Result<()> {
    for (level, _, ini) in config.levels() {
        if level < from || ini.find("core", "remote") != Some(name) {
            continue;
        }
        let mut edit = ConfigEdit::open(dvc, level)?;
        match new {
            Some(new) => edit.set("core", "remote", new, &call.folder)?,
            None => {
                edit.unset("core", "remote");
            }
        }
        edit.save()?;
    }
    Ok(())
}

fn list(config: &Config, level: Option<Level>, call: &Call) -> anyhow::Result<()> {
    let default = config.find("core", "remote");
    let mut all = Map::new();
    for name in config.remotes() {
        let here = config
            .levels()
            .filter(|(at, _, _)| level.is_none_or(|level| level == *at))
            .any(|(_, _, ini)| ini.has(&section(&name)));
        let settings = config.section(&section(&name));
        let url = settings
            .iter()
            .find(|(key, _)| key == "url")
            .map_or("", |(_, url)| url.as_str());
        if !here {
            continue;
        }
        if !call.json {
            let mark = if default == Some(name.as_str()) {
                "\t(default)"
            } else {
                ""
            };
            tell!("{name}\t{url}{mark}");
        }
        all.insert(name, Value::from(url));
    }
    if call.json {
        terminal::print_json(&Value::Object(all))?;
    }
    Ok(())
}
