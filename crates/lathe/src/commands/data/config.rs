use lathe_data::{Config, ConfigEdit, Level, Repo};
use serde_json::{Map, Value};

use crate::commands::Call;
use crate::exit::{Outcome, hinted};
use crate::terminal;

/// Read or change settings of data: remotes, cache, core.
///
/// Examples:
///   lathe config core.remote store              set
///   lathe config core.remote                    read
///   lathe config --unset core.remote
///   lathe config --local cache.type hardlink    of this checkout only
///   lathe config --list --show-origin
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// `section.option`, `remote.NAME.option`
    name: Option<String>,
    /// The new value.
    value: Option<String>,
    /// Remove the setting.
    #[arg(short, long, conflicts_with_all = ["value", "list"])]
    unset: bool,
    /// List all settings.
    #[arg(short, long, conflicts_with_all = ["name", "value"])]
    list: bool,
    /// Show the file that a setting is in.
    #[arg(long)]
    show_origin: bool,
    #[command(flatten)]
    level: LevelArgs,
}

/// Which level is meant.
#[derive(Debug, clap::Args)]
pub struct LevelArgs {
    /// Settings of the user.
    #[arg(long, group = "level")]
    global: bool,
    /// Settings of the machine.
    #[arg(long, group = "level")]
    system: bool,
    /// Settings of the project: `.dvc/config`
    #[arg(long, group = "level")]
    project: bool,
    /// Settings of this checkout: `.dvc/config.local`
    #[arg(long, group = "level")]
    local: bool,
}

impl LevelArgs {
    /// The level, if one was named.
    pub fn level(&self) -> Option<Level> {
        let levels = [
            (self.system, Level::System),
            (self.global, Level::Global),
            (self.project, Level::Project),
            (self.local, Level::Local),
        ];
        levels
            .iter()
            .find(|(is_meant, _)| *is_meant)
            .map(|(_, level)| *level)
    }
}

/// The settings around a call, and where the project's are.
pub fn settings(call: &Call) -> anyhow::Result<(Option<std::path::PathBuf>, Config)> {
    let dvc = Repo::find_folder(&call.folder)?;
    let config = Config::load(dvc.as_deref())?;
    Ok((dvc, config))
}

/// Reads or changes a setting.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let (dvc, config) = settings(call)?;
    let level = args.level.level();
    if args.list {
        return list(&config, level, args.show_origin, call);
    }
    let Some(name) = &args.name else {
        return Err(hinted(
            "no setting is named",
            "name one, as `core.remote`, or use `--list`",
        ));
    };
    let (section, key) = parse(name)?;
    if let Some(value) = &args.value {
        let mut edit = ConfigEdit::open(dvc.as_deref(), level.unwrap_or(Level::Project))?;
        if section.starts_with("remote \"") && config.find(&section, "url").is_none() && key != "url" {
            return Err(hinted(
                format!("there is no {section}"),
                "make it with `lathe remote add`",
            ));
        }
        edit.set(&section, &key, value, &call.folder)?;
        edit.save()?;
        return Ok(Outcome::Done);
    }
    let missing = || {
        hinted(
            format!("the setting {name} is not there"),
            "list all with `lathe config --list`",
        )
    };
    if args.unset {
        let mut edit = ConfigEdit::open(dvc.as_deref(), level.unwrap_or(Level::Project))?;
        if !edit.unset(&section, &key) {
            return Err(missing());
        }
        edit.save()?;
        return Ok(Outcome::Done);
    }
    let found = config
        .levels()
        .filter(|(at, _, _)| level.is_none_or(|level| level == *at))
        .filter_map(|(_, path, ini)| Some((path, ini.find(&section, &key)?)))
        .last();
    let (path, value) = match found {
        Some(found) => found,
        None if level.is_some() => return Err(missing()),
        None => return Ok(Outcome::Done),
    };
    let value = Config::shown(path, &section, &key, value);
    if call.json {
        terminal::print_json(&Value::Object(Map::from_iter([(name.clone(), value.into())])))?;
    } else if args.show_origin {
        tell!("{}\t{value}", shown(path, call));
    } else {
        tell!("{value}");
    }
    Ok(Outcome::Done)
}

/// Shows or sets where the cache is.
pub fn cache_dir(
    call: &Call,
    path: Option<String>,
    unset: bool,
    level: LevelArgs,
) -> anyhow::Result<Outcome> {
    let (dvc, config) = settings(call)?;
    if path.is_none() && !unset && level.level().is_none() && config.find("cache", "dir").is_none() {
        let dvc = dvc.ok_or_else(|| {
            hinted(
                format!("`{}` is in no repository", call.folder.display()),
                "go to one, or make one with `lathe init`",
            )
        })?;
        let folder = dvc.join("cache").display().to_string();
        match call.json {
            true => terminal::print_json(&serde_json::json!({ "cache.dir": folder }))?,
            false => tell!("{folder}"),
        }
        return Ok(Outcome::Done);
    }
    let args = Args {
        name: Some("cache.dir".to_owned()),
        value: path,
        unset,
        list: false,
        show_origin: false,
        level,
    };
    execute(args, call)
}

fn list(config: &Config, level: Option<Level>, show_origin: bool, call: &Call) -> anyhow::Result<Outcome> {
    let mut all = Map::new();
    for (at, path, ini) in config.levels() {
        if level.is_some_and(|level| level != at) {
            continue;
        }
        for (section, settings) in ini.sections() {
            for (key, value) in settings {
                let value = Config::shown(path, section, key, value);
                let name = format!("{}.{key}", section.replace(" \"", ".").trim_end_matches('"'));
                if !call.json {
                    let origin = if show_origin {
                        format!("{}\t", shown(path, call))
                    } else {
                        String::new()
                    };
                    tell!("{origin}{name}={value}");
                }
                all.insert(name, value.into());
            }
        }
    }
    if call.json {
        terminal::print_json(&Value::Object(all))?;
    }
    Ok(Outcome::Done)
}

fn shown(path: &std::path::Path, call: &Call) -> String {
    match path.strip_prefix(&call.folder) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

/// `core.remote`, `remote.NAME.url`
fn parse(name: &str) -> anyhow::Result<(String, String)> {
    let lower = name.to_lowercase();
    let parts: Vec<&str> = lower.split('.').collect();
    match parts.as_slice() {
        [kind @ ("remote" | "db"), name, key] => Ok((format!("{kind} \"{name}\""), (*key).to_owned())),
        [section, key] if !section.is_empty() && !key.is_empty() => {
            Ok(((*section).to_owned(), (*key).to_owned()))
        }
        _ => Err(hinted(
            format!("`{name}` names no setting"),
            "write `section.option` or `remote.NAME.option`",
        )),
    }
}
