use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Place, similar};
use crate::param_files::ParamFiles;
use crate::parse::StageParser;
use crate::stage::{Stage, folder_of, joined};
use crate::template::{OptionStyle, Place as TemplatePlace, Scope};
use crate::vars::{Context, VarsError};
use crate::yaml::{Node, Value, read};
use crate::{Error, Result, matrix, template};

const TOP_KEYS: [&str; 7] = [
    "stages",
    "vars",
    "params",
    "metrics",
    "plots",
    "artifacts",
    "datasets",
];

/// One `dvc.yaml`, everything resolved.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    /// Relative to the repository.
    pub path: Arc<str>,
    /// In the order of the file.
    pub stages: Vec<Stage>,
    /// Groups that `foreach` and `matrix` make.
    pub groups: Vec<String>,
    /// Files of parameters that no stage need use, relative to the repository.
    pub params: Vec<String>,
    /// Files of metrics that no stage need make, relative to the repository.
    pub metrics: Vec<String>,
    /// Plots that are not part of a stage: id or path, and how to draw it.
    pub plots: Vec<(String, Option<Node>)>,
    /// Artifacts by id.
    pub artifacts: Vec<(String, Node)>,
    /// Datasets.
    pub datasets: Vec<Node>,
}

impl PipelineFile {
    /// Reads the text of the pipeline file at `path`.
    pub fn parse(path: &str, text: &str, files: &ParamFiles, options: OptionStyle) -> Result<Self> {
        let path: Arc<str> = path.into();
        let document = read(text).map_err(|source| Error::syntax(&path, text, source))?;
        let mut reader = Reader::new(path, files, options)?;
        reader.document(&document)?;
        Ok(reader.file)
    }
}

/// The `wdir` of every stage that writes it as a template, by the stage's name; nothing else is resolved, so that
/// files can be read whose other templates lack their values.
pub fn templated_wdirs(path: &str, document: &Node, files: &ParamFiles) -> Result<HashMap<String, String>> {
    let mut found = HashMap::new();
    let Some(stages) = document.find("stages").and_then(Node::as_map) else {
        return Ok(found);
    };
    let is_templated = |definition: &Node| {
        let body = definition.find("do").unwrap_or(definition);
        body.find("wdir").is_some_and(template::interpolates)
    };
    if !stages.iter().any(|(_, definition)| is_templated(definition)) {
        return Ok(found);
    }
    let mut reader = Reader::new(path.into(), files, OptionStyle::default())?;
    reader.shared_vars(document)?;
    for (name_node, definition) in stages.iter().filter(|(_, definition)| is_templated(definition)) {
        let Some(expanded) = reader.expand(&name_node.to_key(), name_node, definition)? else {
            continue;
        };
        for (name, locals) in expanded.members {
            let wdir = reader.wdir(&name, &expanded.body, &reader.context, &locals)?;
            found.insert(name, wdir);
        }
    }
    Ok(found)
}

/// What one entry of `stages` stands for.
struct Expanded {
    is_group: bool,
    body: Node,
    /// The names of the stages, with what only each of them sees.
    members: Vec<(String, Vec<(Node, Node)>)>,
}

struct Reader<'a> {
    file: PipelineFile,
    files: &'a ParamFiles,
    folder: String,
    context: Context,
    options: OptionStyle,
}

impl<'a> Reader<'a> {
    fn new(path: Arc<str>, files: &'a ParamFiles, options: OptionStyle) -> Result<Self> {
        let folder = folder_of(&path).to_owned();
        Ok(Self {
            context: Context::of(&folder, files)?,
            file: PipelineFile {
                path,
                stages: Vec::new(),
                groups: Vec::new(),
                params: Vec::new(),
                metrics: Vec::new(),
                plots: Vec::new(),
                artifacts: Vec::new(),
                datasets: Vec::new(),
            },
            files,
            folder,
            options,
        })
    }

    fn shared_vars(&mut self, document: &Node) -> Result<()> {
        if let Some(vars) = document.find("vars") {
            let folder = self.folder.clone();
            let mut context = self.context.clone();
            self.extend(&mut context, vars, None, &folder)?;
            self.context = context;
        }
        Ok(())
    }

    fn document(&mut self, document: &Node) -> Result<()> {
        let entries = match &document.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                return Err(self.at(
                    document,
                    None,
                    None,
                    format!("holds {}, not a map", document.kind()),
                ));
            }
        };
        for (key, _) in entries {
            let name = key.to_key();
            if !TOP_KEYS.contains(&name.as_str()) {
                return Err(Error::Definition {
                    place: Box::new(self.place(key, None, Some(&name))),
                    problem: "there is no such key".to_owned(),
                    hint: similar(&name, TOP_KEYS.into_iter())
                        .map(|known| format!("did you mean `{known}`?"))
                        .or_else(|| Some(format!("known keys: {}", TOP_KEYS.join(", ")))),
                });
            }
        }
        self.shared_vars(document)?;
        for (name, definition) in self.map_of(document, "stages")? {
            self.add_stages(&name.to_key(), name, definition)?;
        }
        self.file.params = self.paths_of(document, "params")?;
        self.file.metrics = self.paths_of(document, "metrics")?;
        self.plots(document)?;
        for (id, definition) in self.map_of(document, "artifacts")? {
            let id = self.resolved(id, "artifacts")?;
            let definition = self.resolved(definition, "artifacts")?;
            self.artifact(&id, definition)?;
        }
        for dataset in self.list_of(document, "datasets")? {
            let dataset = self.resolved(dataset, "datasets")?;
            for key in ["name", "type"] {
                if dataset.find(key).and_then(Node::as_str).is_none() {
                    return Err(self.at(
                        &dataset,
                        None,
                        Some("datasets"),
                        format!("has a dataset without a `{key}`"),
                    ));
                }
            }
            self.file.datasets.push(dataset);
        }
        Ok(())
    }

    fn plots(&mut self, document: &Node) -> Result<()> {
        for plot in self.list_of(document, "plots")? {
            let plot = self.resolved(plot, "plots")?;
            match &plot.value {
                Value::Str(path) => self.file.plots.push((path.clone(), None)),
                Value::Map(entries) => {
                    for (id, settings) in entries {
                        let settings = match settings.value {
                            Value::Null => None,
                            Value::Map(_) => Some(settings.clone()),
                            _ => {
                                let problem = format!("has {} where settings belong", settings.kind());
                                return Err(self.at(settings, None, Some("plots"), problem));
                            }
                        };
                        self.file.plots.push((id.to_key(), settings));
                    }
                }
                _ => {
                    let problem = format!("holds {}, neither a path nor a plot", plot.kind());
                    return Err(self.at(&plot, None, Some("plots"), problem));
                }
            }
        }
        Ok(())
    }

    fn artifact(&mut self, id: &Node, definition: Node) -> Result<()> {
        let id_text = id.to_key();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '/';
        if id_text.is_empty() || !id_text.chars().all(plain) {
            let problem = format!("has the id `{id_text}`; letters, digits and `-` make an id");
            return Err(self.at(id, None, Some("artifacts"), problem));
        }
        if definition.find("path").and_then(Node::as_str).is_none() {
            let problem = format!("`{id_text}` has no `path`");
            return Err(self.at(id, None, Some("artifacts"), problem));
        }
        self.file.artifacts.push((id_text, definition));
        Ok(())
    }

    fn map_of<'n>(&self, document: &'n Node, key: &str) -> Result<&'n [(Node, Node)]> {
        match document.find(key).map(|node| (node, &node.value)) {
            None | Some((_, Value::Null)) => Ok(&[]),
            Some((_, Value::Map(entries))) => Ok(entries),
            Some((node, _)) => Err(self.at(node, None, Some(key), format!("is {}, not a map", node.kind()))),
        }
    }

    fn list_of<'n>(&self, document: &'n Node, key: &str) -> Result<&'n [Node]> {
        match document.find(key).map(|node| (node, &node.value)) {
            None | Some((_, Value::Null)) => Ok(&[]),
            Some((_, Value::List(items))) => Ok(items),
            Some((node, _)) => Err(self.at(node, None, Some(key), format!("is {}, not a list", node.kind()))),
        }
    }

    fn paths_of(&self, document: &Node, key: &str) -> Result<Vec<String>> {
        self.list_of(document, key)?
            .iter()
            .map(|node| {
                let node = self.resolved(node, key)?;
                let path = node.as_str();
                let path = path.ok_or_else(|| {
                    self.at(
                        &node,
                        None,
                        Some(key),
                        format!("has {} where a path belongs", node.kind()),
                    )
                })?;
                Ok(joined(&self.folder, path))
            })
            .collect()
    }

    fn resolved(&self, node: &Node, key: &str) -> Result<Node> {
        let scope = self.scope(&self.context, &[]);
        template::resolve(node, scope, TemplatePlace::Anywhere)
            .map_err(|problem| self.at(node, None, Some(key), problem))
    }

    fn scope<'s>(&self, context: &'s Context, locals: &'s [(Node, Node)]) -> Scope<'s> {
        Scope {
            locals,
            shared: &context.values,
            options: self.options,
        }
    }

    /// The members of a group, or the one stage; `None` if it is no definition.
    fn expand(&self, name: &str, name_node: &Node, definition: &Node) -> Result<Option<Expanded>> {
        let Some(entries) = definition.as_map() else {
            return Ok(None);
        };
        let resolve = |key: &str, node: &Node| {
            template::resolve(node, self.scope(&self.context, &[]), TemplatePlace::Anywhere)
                .map_err(|problem| self.at(node, Some(name), Some(key), problem))
        };
        let (members, body) = if let Some(data) = definition.find("foreach") {
            let Some(body) = definition.find("do") else {
                let problem = "is missing beside `foreach`".to_owned();
                return Err(self.at(name_node, Some(name), Some("do"), problem));
            };
            let other = entries
                .iter()
                .find(|(key, _)| !matches!(key.as_str(), Some("foreach" | "do")));
            if let Some((key, _)) = other {
                let problem = "must be inside `do`".to_owned();
                return Err(self.at(key, Some(name), Some(&key.to_key()), problem));
            }
            if body.find("matrix").is_some() {
                let problem = "cannot be inside `foreach`".to_owned();
                return Err(self.at(body, Some(name), Some("matrix"), problem));
            }
            let members = matrix::foreach(&resolve("foreach", data)?);
            let members = members.map_err(|problem| self.at(data, Some(name), Some("foreach"), problem))?;
            (members, body.clone())
        } else if let Some(data) = definition.find("matrix") {
            let members = matrix::matrix(&resolve("matrix", data)?);
            let members = members.map_err(|problem| self.at(data, Some(name), Some("matrix"), problem))?;
            let rest = entries.iter().filter(|(key, _)| key.as_str() != Some("matrix"));
            let body = Node {
                value: Value::Map(rest.cloned().collect()),
                span: definition.span,
            };
            (members, body)
        } else {
            return Ok(Some(Expanded {
                is_group: false,
                body: definition.clone(),
                members: vec![(name.to_owned(), Vec::new())],
            }));
        };
        let members = members
            .into_iter()
            .map(|member| (format!("{name}@{}", member.key), member.locals));
        Ok(Some(Expanded {
            is_group: true,
            body,
            members: members.collect(),
        }))
    }

    fn add_stages(&mut self, name: &str, name_node: &Node, definition: &Node) -> Result<()> {
        let Some(expanded) = self.expand(name, name_node, definition)? else {
            let problem = format!("is {}, not a map", definition.kind());
            return Err(self.at(name_node, Some(name), None, problem));
        };
        if expanded.is_group {
            self.file.groups.push(name.to_owned());
        }
        let reserved = expanded.members.first().map(|(_, locals)| locals);
        let reserved = reserved.into_iter().flatten().map(|(key, _)| key.to_key());
        let context = match expanded.body.find("vars") {
            Some(_) => &self.context.reserving(reserved),
            None => &self.context,
        };
        for (name, locals) in expanded.members {
            let stage = self.stage(name, name_node, &expanded.body, context, &locals)?;
            self.file.stages.push(stage);
        }
        Ok(())
    }

    /// The folder that a stage is executed in, as it is written or as its template resolves.
    fn wdir(&self, name: &str, body: &Node, context: &Context, locals: &[(Node, Node)]) -> Result<String> {
        let Some(node) = body.find("wdir") else {
            return Ok(".".to_owned());
        };
        let wdir = template::resolve(node, self.scope(context, locals), TemplatePlace::Stage)
            .map_err(|problem| self.at(node, Some(name), Some("wdir"), problem))?;
        let text = wdir.as_str().map(str::to_owned);
        text.ok_or_else(|| {
            let problem = format!("has {} where text belongs", wdir.kind());
            self.at(node, Some(name), Some("wdir"), problem)
        })
    }

    fn stage(
        &self,
        name: String,
        name_node: &Node,
        body: &Node,
        context: &Context,
        locals: &[(Node, Node)],
    ) -> Result<Stage> {
        let Some(entries) = body.as_map() else {
            let problem = format!("is {}, not a map", body.kind());
            return Err(self.at(name_node, Some(&name), None, problem));
        };
        let own;
        let context = match body.find("vars") {
            None => context,
            Some(vars) => {
                let folder = joined(&self.folder, &self.wdir(&name, body, context, locals)?);
                let mut extended = context.clone();
                self.extend(&mut extended, vars, Some(&name), &folder)?;
                own = extended;
                &own
            }
        };
        let mut resolved = Vec::new();
        for (key, value) in entries {
            let key_text = key.to_key();
            if key_text == "vars" {
                continue;
            }
            let place = match key_text.as_str() {
                "cmd" => TemplatePlace::Command,
                _ => TemplatePlace::Stage,
            };
            let value = template::resolve(value, self.scope(context, locals), place)
                .map_err(|problem| self.at(value, Some(&name), Some(&key_text), problem))?;
            resolved.push((key.clone(), value));
        }
        StageParser::new(&self.file.path, name, name_node).parse(&resolved)
    }

    fn extend(&self, context: &mut Context, vars: &Node, stage: Option<&str>, folder: &str) -> Result<()> {
        context
            .extend(vars, self.files, folder)
            .map_err(|error| match error {
                VarsError::File(error) => error,
                VarsError::Problem(problem) => self.at(vars, stage, Some("vars"), problem),
            })
    }

    fn place(&self, node: &Node, stage: Option<&str>, key: Option<&str>) -> Place {
        Place {
            file: self.file.path.to_string(),
            line: node.span.line,
            stage: stage.map(str::to_owned),
            key: key.map(str::to_owned),
        }
    }

    fn at(&self, node: &Node, stage: Option<&str>, key: Option<&str>, problem: String) -> Error {
        Error::Definition {
            place: Box::new(self.place(node, stage, key)),
            problem,
            hint: None,
        }
    }
}
