//! `lathe.toml`: found upwards from the working folder, parsed, checked.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lathe_monitor::METRICS;
use lathe_types::graphs::{self, GraphError, Shape};
use lathe_types::project::{PayloadSpec, PerformanceSpec, ProjectSpec};

use crate::exit::hinted;
use crate::payloads;

/// The file's name.
pub const FILE_NAME: &str = "lathe.toml";

/// A project as its folder holds it.
#[derive(Debug, Clone)]
pub struct ProjectFile {
    /// The folder of `lathe.toml`.
    pub root: PathBuf,
    /// What it says.
    pub spec: ProjectSpec,
}

impl ProjectFile {
    /// The project that holds `start`; an error if there is none.
    pub fn discover(start: &Path) -> anyhow::Result<Self> {
        Self::find(start)?.ok_or_else(|| {
            hinted(
                format!("no `{FILE_NAME}` in `{}` or any folder above it", start.display()),
                "go to the project's folder, or make one with `lathe init`",
            )
        })
    }

    /// What a folder is without a `lathe.toml`: a project of the folder's name.
    pub fn without_file(root: &Path) -> Self {
        let name = root
            .file_name()
            .map_or("project".into(), |name| name.to_string_lossy());
        Self {
            root: root.to_owned(),
            spec: ProjectSpec::named(&name),
        }
    }

    /// The project that holds `start`, if there is one.
    pub fn find(start: &Path) -> anyhow::Result<Option<Self>> {
        let Some(root) = start.ancestors().find(|folder| folder.join(FILE_NAME).is_file()) else {
            return Ok(None);
        };
        let path = root.join(FILE_NAME);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        let spec = parse(&text).map_err(|error| with_place(&path, error))?;
        Ok(Some(Self {
            root: root.to_owned(),
            spec,
        }))
    }
}

fn with_place(path: &Path, error: ProjectError) -> anyhow::Error {
    let message = format!("`{}` is not valid: {error}", path.display());
    match error.hint() {
        Some(hint) => hinted(message, hint),
        None => anyhow::Error::msg(message),
    }
}

/// Why a `lathe.toml` is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{0}")]
    Form(toml::de::Error),
    /// A section names another section that is not there.
    #[error("`[{section}]` names the {noun} `{name}`, which is not declared")]
    Dangling {
        /// Where it is named.
        section: String,
        /// What is named.
        noun: &'static str,
        /// Its name.
        name: String,
    },
    /// Graphs that cannot be.
    #[error("{0}")]
    Graph(GraphError),
    /// A value that no type can refuse.
    #[error("`[{section}]` `{key}` {problem}")]
    Value {
        /// Where.
        section: String,
        /// Which.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ProjectError {
    /// What to write instead, if that can be guessed.
    fn hint(&self) -> Option<String> {
        let Self::Form(error) = self else { return None };
        let (unknown, expected) = unknown_field(error.message())?;
        let nearest = expected
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b)))?;
        (0.75 < strsim::jaro_winkler(unknown, nearest)).then(|| format!("did you mean `{nearest}`?"))
    }
}

/// Takes serde's "unknown field `x`, expected one of `a`, `b`" apart.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message
        .strip_prefix("unknown field ")
        .or_else(|| message.strip_prefix("unknown variant "))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

/// Parses and checks the text of a `lathe.toml`.
pub fn parse(text: &str) -> Result<ProjectSpec, ProjectError> {
    let spec: ProjectSpec = toml::from_str(text).map_err(ProjectError::Form)?;
    let declared = |section: String, noun, known: bool, name: &str| {
        if known {
            Ok(())
        } else {
            Err(ProjectError::Dangling {
                section,
                noun,
                name: name.to_owned(),
            })
        }
    };
    if let Some(problem) = spec
        .environment
        .as_ref()
        .and_then(|environment| environment.python.problem())
    {
        return Err(ProjectError::Value {
            section: "environment".into(),
            key: "python".into(),
            problem: problem.into(),
        });
    }
    for (name, deployment) in &spec.deployment {
        if deployment.model_alias().is_none() {
            return Err(ProjectError::Value {
                section: format!("deployment.{name}"),
                key: "model".into(),
                problem: format!("is `{}`; write `models:/NAME@ALIAS`", deployment.model),
            });
        }
        if let Some(payloads) = &deployment.payloads {
            check_payloads("deployment", name, payloads)?;
        }
    }
    check_graphs(&spec)?;
    for name in spec.gate.keys() {
        declared(
            format!("gate.{name}"),
            "model",
            spec.model.contains_key(name),
            name,
        )?;
    }
    for (name, monitor) in &spec.monitor {
        let section = format!("monitor.{name}");
        declared(
            section.clone(),
            "deployment",
            spec.deployment.contains_key(name),
            name,
        )?;
        if monitor.window.0 <= 0 {
            return Err(ProjectError::Value {
                section: section.clone(),
                key: "window".into(),
                problem: "must be longer than 0".into(),
            });
        }
        if let Some(performance) = &monitor.performance {
            check_performance(&section, performance)?;
        }
    }
    check_rules(&spec)?;
    for (name, trigger) in &spec.trigger {
        let then = &trigger.then;
        if then.run != "dvc.yaml" {
            return Err(ProjectError::Value {
                section: format!("trigger.{name}"),
                key: "then.run".into(),
                problem: format!("is `{}`; the pipeline that is run is `dvc.yaml`", then.run),
            });
        }
        declared(
            format!("trigger.{name}"),
            "gate",
            spec.gate.contains_key(&then.gate),
            &then.gate,
        )?;
        let known = spec.deployment.contains_key(&then.deploy);
        declared(format!("trigger.{name}"), "deployment", known, &then.deploy)?;
    }
    Ok(spec)
}

fn check_performance(section: &str, performance: &PerformanceSpec) -> Result<(), ProjectError> {
    let wrong = |problem: String| {
        Err(ProjectError::Value {
            section: section.to_owned(),
            key: "performance".into(),
            problem,
        })
    };
    if !METRICS.contains(&performance.metric.as_str()) {
        return wrong(format!(
            "judges by `{}`; windows can be judged by {}",
            performance.metric,
            METRICS.join(", ")
        ));
    }
    if performance.max.is_none() && performance.min.is_none() {
        return wrong("has no limit; give it a `max` or a `min`".into());
    }
    Ok(())
}

/// Graphs name what is there, and nobody else has their names.
fn check_graphs(spec: &ProjectSpec) -> Result<(), ProjectError> {
    graphs::check(&spec.graph).map_err(ProjectError::Graph)?;
    for (name, graph) in &spec.graph {
        let wrong = |key: &str, problem: String| ProjectError::Value {
            section: format!("graph.{name}"),
            key: key.into(),
            problem,
        };
        if spec.deployment.contains_key(name) {
            return Err(wrong(
                "name",
                format!("is `{name}`, as that of a deployment; choose another"),
            ));
        }
        if let Shape::Switch { on, .. } = &graph.shape {
            lathe_rules::check(on).map_err(|error| wrong("switch", format!("is not CEL: {error}")))?;
        }
        if let Some(payloads) = &graph.payloads {
            check_payloads("graph", name, payloads)?;
        }
    }
    Ok(())
}

fn check_payloads(kind: &str, deployment: &str, payloads: &PayloadSpec) -> Result<(), ProjectError> {
    let wrong = |key: &str, problem: &str| {
        Err(ProjectError::Value {
            section: format!("{kind}.{deployment}.payloads"),
            key: key.into(),
            problem: problem.into(),
        })
    };
    if !(0.0..=1.0).contains(&payloads.sample) {
        return wrong("sample", "is a share from 0 to 1");
    }
    if !(1..=1_000_000).contains(&payloads.file_rows) {
        return wrong("file_rows", "is a number from 1 to 1000000");
    }
    if !(1..=86_400_000).contains(&payloads.file_age.0) {
        return wrong("file_age", "is a span from 1ms to 1d");
    }
    match payloads::folder(deployment) {
        Ok(_) => Ok(()),
        Err(_) => wrong("sample", "needs a name that can be a folder's"),
    }
}

/// Every expression must at least be one.
fn check_rules(spec: &ProjectSpec) -> Result<(), ProjectError> {
    let gates = spec.gate.iter().flat_map(|(name, gate)| {
        let rules = gate.rules.iter();
        rules.map(move |(rule, text)| (format!("gate.{name}"), format!("rules.{rule}"), text))
    });
    let aborts = spec.deployment.iter().filter_map(|(name, deployment)| {
        let abort = deployment.abort.as_ref()?;
        Some((format!("deployment.{name}"), "abort".to_owned(), abort))
    });
    let triggers = spec.trigger.iter().flat_map(|(name, trigger)| {
        let section = format!("trigger.{name}");
        let set = trigger.then.set.iter().map({
            let section = section.clone();
            move |(key, text)| (section.clone(), format!("then.set.{key}"), text)
        });
        set.chain([(section, "when".to_owned(), &trigger.when)])
    });
    for (section, key, rule) in gates.chain(aborts).chain(triggers) {
        lathe_rules::check(rule).map_err(|error| ProjectError::Value {
            section,
            key,
            problem: format!("is not CEL: {error}"),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_named_with_its_place_and_the_likely_one() {
        let error = parse("[project]\nname = 'x'\n[monitor.m]\nwindwo = '1h'\n").unwrap_err();
        assert!(
            error.to_string().contains("windwo") && error.to_string().contains("line 4"),
            "{error}"
        );
        assert_eq!(error.hint().unwrap(), "did you mean `window`?");
    }

    #[test]
    fn a_section_cannot_name_what_is_not_declared() {
        let error = parse("[project]\nname = 'x'\n[gate.m]\nrules.a = 'true'\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`[gate.m]` names the model `m`, which is not declared"
        );
    }

    #[test]
    fn a_rollout_step_says_what_it_should_look_like() {
        let text = "[project]\nname = 'x'\n[deployment.d]\nmodel = 'models:/m@champion'\nrollout = [{ canary = 101 }]\n";
        assert!(parse(text).unwrap_err().to_string().contains("from 1 to 100"));
        let text = text.replace("101 ", "5, shadow = '1m' ");
        assert!(
            parse(&text)
                .unwrap_err()
                .to_string()
                .contains("a rollout step is")
        );
    }

    #[test]
    fn graphs_name_what_is_there_and_have_names_of_their_own() {
        let told = |graphs: &str| {
            let text = format!("[project]\nname = 'x'\n[deployment.d]\nmodel = 'models:/m@a'\n{graphs}");
            parse(&text).unwrap_err().to_string()
        };
        assert_eq!(
            told(
                "[graph.a]\nsequence = ['graph:/b']\n[graph.b]\nensemble = ['graph:/a']\ncombine = 'mean'\n"
            ),
            "`[graph.a]` is a part of itself: a → b → a"
        );
        assert_eq!(
            told("[graph.a]\nsequence = ['graph:/d']\n"),
            "`[graph.a]` names the graph `d`, which is not declared"
        );
        assert!(told("[graph.d]\nsequence = ['models:/m@a']\n").contains("as that of a deployment"));
        let switch = told("[graph.a]\nswitch = 'input.x >'\ncases = { true = 'models:/m@a' }\n");
        assert!(switch.starts_with("`[graph.a]` `switch` is not CEL"), "{switch}");
        let wrong = told("[graph.a]\nsequence = ['m@a']\n");
        assert!(
            wrong.contains("`m@a` is no member of a graph") && wrong.contains("line 6"),
            "{wrong}"
        );
    }

    #[test]
    fn a_rule_that_is_none_and_a_metric_that_nobody_computes_are_refused() {
        let gate = "[project]\nname = 'x'\n[model.m]\npath = 'm'\nmetrics = 'm'\nreference = 'r'\n[gate.m]\n";
        let error = parse(&format!("{gate}rules.a = 'candidate.x >'\n")).unwrap_err();
        assert!(
            error.to_string().starts_with("`[gate.m]` `rules.a` is not CEL"),
            "{error}"
        );
        let monitor =
            "[project]\nname = 'x'\n[deployment.d]\nmodel = 'models:/m@a'\n[monitor.d]\nwindow = '1h'\n";
        let error = parse(&format!(
            "{monitor}performance = {{ metric = 'auc', min = 0.9 }}\n"
        ))
        .unwrap_err();
        assert!(
            error.to_string().contains("judged by rmse, mae, bias, accuracy"),
            "{error}"
        );
        let error = parse(&format!("{monitor}performance = {{ metric = 'rmse' }}\n")).unwrap_err();
        assert!(error.to_string().contains("has no limit"), "{error}");
    }
}
