use lathe_data::Repo;

use crate::error::Place;
use crate::parse::StageParser;
use crate::stage::Stage;
use crate::vars::VarsError;
use crate::yaml::{Node, Value, read};
use crate::{Error, Result, graph, matrix, template, vars};

const FILE: &str = "dvc.yaml";
const TOP_KEYS: [&str; 7] = [
    "stages",
    "vars",
    "params",
    "metrics",
    "plots",
    "artifacts",
    "datasets",
];

/// The stages of a repository, everything resolved and checked.
#[derive(Debug, Clone)]
pub struct Project {
    stages: Vec<Stage>,
}

impl Project {
    /// Reads `dvc.yaml` in the root of the repository.
    pub fn load(repo: &Repo) -> Result<Self> {
        let path = repo.root().join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoPipeline {
                    root: repo.root().to_owned(),
                });
            }
            Err(error) => return Err(Error::read(&path)(error)),
        };
        let file = read(&text).map_err(|source| Error::Syntax {
            file: FILE.to_owned(),
            source,
        })?;
        let stages = Definitions { repo }.stages(&file)?;
        graph::check_outputs(&stages)?;
        let all: Vec<usize> = (0..stages.len()).collect();
        graph::in_order(&stages, &graph::needs(&stages), &all)?;
        Ok(Self { stages })
    }

    /// The wanted stages and all that they need, in the order to execute them.
    pub(crate) fn in_order(&self, targets: &[String]) -> Result<Vec<&Stage>> {
        let mut wanted = Vec::new();
        for target in targets {
            let name = target.strip_prefix("dvc.yaml:").unwrap_or(target);
            let before = wanted.len();
            for (index, stage) in self.stages.iter().enumerate() {
                let group = stage.name.split('@').next().unwrap_or_default();
                if stage.name == name || group == name {
                    wanted.push(index);
                }
            }
            if wanted.len() == before {
                let names = self.stages.iter().map(|stage| stage.name.as_str());
                return Err(Error::UnknownTarget {
                    target: target.clone(),
                    similar: similar(name, names),
                });
            }
        }
        if targets.is_empty() {
            wanted = (0..self.stages.len()).collect();
        }
        let needs = graph::needs(&self.stages);
        let order = graph::in_order(&self.stages, &needs, &wanted)?;
        Ok(order.into_iter().map(|index| &self.stages[index]).collect())
    }
}

/// The name most like this one, if one is like it.
pub fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| 0.8 < *likeness)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

struct Definitions<'a> {
    repo: &'a Repo,
}

impl Definitions<'_> {
    fn stages(&self, file: &Node) -> Result<Vec<Stage>> {
        let entries = match &file.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => return Err(at(file, None, None, format!("holds {}, not a map", file.kind()))),
        };
        for (key, _) in entries {
            let name = key.to_key();
            if !TOP_KEYS.contains(&name.as_str()) {
                return Err(Error::Definition {
                    place: Box::new(place(key, None, Some(&name))),
                    problem: "there is no such key".to_owned(),
                    hint: similar(&name, TOP_KEYS.into_iter())
                        .map(|known| format!("did you mean `{known}`?"))
                        .or_else(|| Some(format!("known keys: {}", TOP_KEYS.join(", ")))),
                });
            }
        }
        let mut context = vars::base(self.repo.root())?;
        if let Some(vars) = file.find("vars") {
            self.extend(&mut context, vars, None, "")?;
        }
        let mut stages = Vec::new();
        let defined = match file.find("stages") {
            None => &[],
            Some(node) => match &node.value {
                Value::Map(entries) => entries.as_slice(),
                Value::Null => &[],
                _ => {
                    return Err(at(
                        node,
                        None,
                        Some("stages"),
                        format!("is {}, not a map", node.kind()),
                    ));
                }
            },
        };
        for (name, definition) in defined {
            self.add_stages(&name.to_key(), name, definition, &context, &mut stages)?;
        }
        Ok(stages)
    }

    fn add_stages(
        &self,
        name: &str,
        name_node: &Node,
        definition: &Node,
        context: &Node,
        stages: &mut Vec<Stage>,
    ) -> Result<()> {
        let Some(entries) = definition.as_map() else {
            let problem = format!("is {}, not a map", definition.kind());
            return Err(at(name_node, Some(name), None, problem));
        };
        let resolve = |key: &str, node: &Node| {
            template::resolve(node, context, false)
                .map_err(|problem| at(node, Some(name), Some(key), problem))
        };
        let (members, body) = if let Some(data) = definition.find("foreach") {
            let Some(body) = definition.find("do") else {
                return Err(at(
                    name_node,
                    Some(name),
                    Some("do"),
                    "is missing beside `foreach`".to_owned(),
                ));
            };
            if let Some((key, _)) = entries
                .iter()
                .find(|(key, _)| !matches!(key.as_str(), Some("foreach" | "do")))
            {
                let problem = "must be inside `do`".to_owned();
                return Err(at(key, Some(name), Some(&key.to_key()), problem));
            }
            let members = matrix::foreach(&resolve("foreach", data)?);
            let members = members.map_err(|problem| at(data, Some(name), Some("foreach"), problem))?;
            (members, body.clone())
        } else if let Some(data) = definition.find("matrix") {
            let members = matrix::matrix(&resolve("matrix", data)?);
            let members = members.map_err(|problem| at(data, Some(name), Some("matrix"), problem))?;
            let rest = entries.iter().filter(|(key, _)| key.as_str() != Some("matrix"));
            let body = Node {
                value: Value::Map(rest.cloned().collect()),
                span: definition.span,
            };
            (members, body)
        } else {
            stages.push(self.stage(name.to_owned(), name_node, definition, context.clone())?);
            return Ok(());
        };
        for member in members {
            let mut context = context.clone();
            if let Value::Map(entries) = &mut context.value {
                for (key, value) in member.locals {
                    entries.retain(|(k, _)| *k != key);
                    entries.push((key, value));
                }
            }
            let name = format!("{name}@{}", member.key);
            stages.push(self.stage(name, name_node, &body, context)?);
        }
        Ok(())
    }

    fn stage(&self, name: String, name_node: &Node, body: &Node, mut context: Node) -> Result<Stage> {
        let Some(entries) = body.as_map() else {
            let problem = format!("is {}, not a map", body.kind());
            return Err(at(name_node, Some(&name), None, problem));
        };
        let wdir = match body.find("wdir") {
            Some(node) => template::resolve(node, &context, false)
                .map_err(|problem| at(node, Some(&name), Some("wdir"), problem))?,
            None => Node::text("."),
        };
        if let Some(vars) = body.find("vars") {
            let folder = crate::stage::joined("", wdir.as_str().unwrap_or_default());
            self.extend(&mut context, vars, Some(&name), &folder)?;
        }
        let mut resolved = Vec::new();
        for (key, value) in entries {
            let key_text = key.to_key();
            if key_text == "vars" {
                continue;
            }
            let value = template::resolve(value, &context, key_text == "cmd")
                .map_err(|problem| at(value, Some(&name), Some(&key_text), problem))?;
            resolved.push((key.clone(), value));
        }
        StageParser::new(FILE, name, name_node).parse(&resolved)
    }

    fn extend(&self, context: &mut Node, vars: &Node, stage: Option<&str>, folder: &str) -> Result<()> {
        vars::extend(context, vars, self.repo.root(), folder).map_err(|error| match error {
            VarsError::File(error) => error,
            VarsError::Problem(problem) => at(vars, stage, Some("vars"), problem),
        })
    }
}

fn place(node: &Node, stage: Option<&str>, key: Option<&str>) -> Place {
    Place {
        file: FILE.to_owned(),
        line: node.span.line,
        stage: stage.map(str::to_owned),
        key: key.map(str::to_owned),
    }
}

fn at(node: &Node, stage: Option<&str>, key: Option<&str>, problem: String) -> Error {
    Error::Definition {
        place: Box::new(place(node, stage, key)),
        problem,
        hint: None,
    }
}
