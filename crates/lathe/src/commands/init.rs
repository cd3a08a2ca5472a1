use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Call;
use crate::exit::{Outcome, hinted};
use crate::project::FILE_NAME;
use crate::settings::STATE_FOLDER;
use crate::terminal;

/// Make this folder a project.
///
/// Writes `lathe.toml`, makes `.dvc/` if it is not there, and keeps `.lathe/` out of git. Nothing that exists is
/// changed.
///
/// Examples:
///   lathe init                   in the root of a git repository
///   lathe init --name churn      with a name of its own
///   lathe init --no-scm          without git
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The project's name; the folder's name if absent.
    #[arg(long)]
    name: Option<String>,
    /// The folder; made if it is not there.
    directory: Option<PathBuf>,
    /// Do without git: runs are recorded without a commit, and nothing is kept out of git.
    #[arg(long)]
    no_scm: bool,
    /// Write the settings of data (`.dvc/config`) anew in a project that is there; its cache and `lathe.toml` stay.
    #[arg(short, long)]
    force: bool,
    /// Nothing: a folder inside of a git repository is as good as its root.
    #[arg(long, hide = true)]
    subdir: bool,
}

/// Makes the project.
pub fn execute(args: Args, call: &Call) -> anyhow::Result<Outcome> {
    let root = &match &args.directory {
        None => call.folder.clone(),
        Some(folder) => {
            let folder = call.folder.join(folder);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("failed to create `{}`", folder.display()))?;
            std::fs::canonicalize(&folder)?
        }
    };
    let file = root.join(FILE_NAME);
    let is_known = file.exists();
    if is_known && !args.force {
        return Err(hinted(
            format!("`{}` is a project already", root.display()),
            format!("edit its `{FILE_NAME}`, or go on with `lathe run`"),
        ));
    }
    if !args.no_scm && !root.ancestors().any(|folder| folder.join(".git").exists()) {
        return Err(hinted(
            format!("`{}` is not in a git repository", root.display()),
            "run `git init` first: a run is only worth its record if its commit is known; `--no-scm` does without",
        ));
    }
    let folder_name = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = args.name.or(folder_name).unwrap_or_else(|| "project".into());
    let made_dvc = !root.join(".dvc").exists();
    if made_dvc {
        lathe_data::Repo::init(root)?;
    }
    if made_dvc && args.no_scm || args.force && !made_dvc {
        let settings = if args.no_scm {
            "[core]\n    no_scm = True\n"
        } else {
            ""
        };
        let config = root.join(".dvc/config");
        lathe_data::write_atomically(&config, settings.as_bytes())?;
    }
    if !args.no_scm {
        ignore(root, &format!("/{STATE_FOLDER}/"))?;
    }
    if !is_known {
        std::fs::write(&file, template(&name))
            .with_context(|| format!("failed to write `{}`", file.display()))?;
    }
    if call.json {
        terminal::print_json(&serde_json::json!({ "project": name, "root": root, "made_dvc": made_dvc }))?;
    } else {
        println!(
            "made the project `{name}`: {FILE_NAME}{}",
            if made_dvc { ", .dvc/" } else { "" }
        );
        println!("next: write `dvc.yaml`, then `lathe run`");
    }
    Ok(Outcome::Done)
}

fn ignore(root: &Path, line: &str) -> anyhow::Result<()> {
    let path = root.join(".gitignore");
    let mut text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    };
    if text.lines().any(|existing| existing.trim() == line) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    std::fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

fn template(name: &str) -> String {
    let name = toml::Value::String(name.to_owned());
    format!(
        r#"[project]
name = {name}
# server = "http://127.0.0.1:5000"   # without it the records are kept in .lathe/

# How stages get their interpreter; its digest is recorded with every run.
# [environment]
# python = {{ manager = "uv", requirements = "requirements.lock" }}

# What `lathe reproduce` lets pass, and whether `lathe run` takes chance out of common libraries too.
# [reproduce]
# deterministic = true
# tolerance.rmse = "1%"

# What a successful run registers: an MLflow model folder, its metrics, and the rows that live data is compared with.
# [model.my-model]
# path = "model"
# metrics = "metrics.json"
# reference = "data/train.csv"

# What a version must show before it may be deployed (CEL over candidate and champion).
# [gate.my-model]
# rules.accurate = "candidate.metrics.rmse <= 70.0"
# rules.no-regress = "!has(champion.metrics) || candidate.metrics.rmse <= champion.metrics.rmse * 1.02"

# [deployment.my-model]
# model = "models:/my-model@champion"
# rollout = [{{ shadow = "10m" }}, {{ canary = 5, for = "10m" }}, {{ canary = 50, for = "10m" }}, {{ canary = 100 }}]
# abort = "canary.error_rate > 0.01 || canary.latency.p99_ms > 2.0 * stable.latency.p99_ms"

# [monitor.my-model]
# window = "1h"
# performance = {{ metric = "rmse", max = 90.0 }}

# [trigger.retrain]
# when = "alert.kind == 'drift' || alert.kind == 'performance'"
# then = {{ run = "dvc.yaml", gate = "my-model", deploy = "my-model" }}
# cooldown = "6h"
# budget = {{ per_week = 5 }}
"#
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_and_all_its_suggestions_are_valid() {
        let text = super::template("a \"quoted\" name");
        crate::project::parse(&text).unwrap();
        let all: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let spec = crate::project::parse(&all.replace("   # without it the records are kept in .lathe/", ""))
            .unwrap();
        assert_eq!(spec.trigger.len(), 1);
    }
}
