use serde_json::{Map, Value as Json, json};

use super::{State, vega};
use crate::stage::{OutKind, folder_of, joined};
use crate::yaml::{Node, Value};
use crate::{Result, param_files};

/// A row of a plot's data.
pub type Point = Map<String, Json>;

/// Which plots, and how to draw them in the place of what the pipeline says.
#[derive(Debug, Clone, Default)]
pub struct PlotQuery {
    /// Ids or paths; all if empty.
    pub targets: Vec<String>,
    /// The field along the bottom.
    pub x: Option<String>,
    /// The field that goes up.
    pub y: Option<String>,
    /// A template by name.
    pub template: Option<String>,
    /// Words at the axes and above.
    pub x_label: Option<String>,
    /// At the left.
    pub y_label: Option<String>,
    /// Above.
    pub title: Option<String>,
    /// The first line of a table is no header.
    pub no_header: bool,
}

/// A plot of one state.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Its id: a path, or a name.
    pub id: String,
    /// How it is drawn.
    pub style: Style,
    /// What is drawn.
    pub content: Content,
}

/// How a plot is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Style {
    /// A template by name.
    pub template: Option<String>,
    /// The field along the bottom.
    pub x: String,
    /// The field that goes up.
    pub y: String,
    /// Below.
    pub x_label: String,
    /// At the left.
    pub y_label: String,
    /// Above.
    pub title: String,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Rows.
    Points(Vec<Point>),
    /// A picture as it is, with its media type.
    Image(&'static str, Vec<u8>),
    /// Nothing, because of this.
    Problem(String),
}

/// A file with its fields.
struct Source {
    path: String,
    x: Option<String>,
    /// The last one of the table if none is named.
    y: Vec<String>,
}

impl Plot {
    /// The plot of several states in one, as Vega-Lite.
    pub fn vega(&self, states: &[(String, &Plot)], custom: Option<&Json>) -> Json {
        let mut points = Vec::new();
        for (revision, plot) in states {
            if let Content::Points(rows) = &plot.content {
                points.extend(rows.iter().map(|row| {
                    let mut row = row.clone();
                    row.insert("rev".to_owned(), json!(revision));
                    Json::Object(row)
                }));
            }
        }
        match custom {
            Some(template) => vega::filled(template, &self.style, points),
            None => vega::spec(&self.style, points),
        }
    }
}

impl State {
    /// The plots of the pipelines, those of stages first.
    pub fn plots(&self, query: &PlotQuery) -> Result<Vec<Plot>> {
        let wanted = |id: &str| {
            let is_target = |target: &String| id == target || id.starts_with(&format!("{target}/"));
            query.targets.is_empty() || query.targets.iter().any(is_target)
        };
        let mut plots: Vec<Plot> = Vec::new();
        for file in &self.pipelines {
            let folder = folder_of(&file.path);
            for stage in &file.stages {
                for out in stage.outs.iter().filter(|out| out.kind == OutKind::Plot) {
                    let several = match out.plot.as_ref().map(|node| &node.value) {
                        Some(Value::List(items)) => items.iter().map(Some).collect(),
                        Some(_) => vec![out.plot.as_ref()],
                        None => vec![None],
                    };
                    for settings in several {
                        self.add(&out.at, settings, query, &wanted, &mut plots)?;
                    }
                }
            }
            for (id, settings) in &file.plots {
                let by_file = settings
                    .as_ref()
                    .and_then(|settings| settings.find("y"))
                    .and_then(Node::as_map);
                match by_file {
                    None => self.add(&joined(folder, id), settings.as_ref(), query, &wanted, &mut plots)?,
                    Some(by_file) if wanted(id) => {
                        let sources = by_file.iter().map(|(path, fields)| Source {
                            path: joined(folder, &path.to_key()),
                            x: x_of(settings.as_ref(), &path.to_key()),
                            y: texts(fields),
                        });
                        let sources = sources.collect::<Vec<_>>();
                        plots.push(self.plot(id, settings.as_ref(), sources, query)?);
                    }
                    Some(_) => {}
                }
            }
        }
        // A top-level definition of a stage's plot says how to draw it.
        let mut seen = std::collections::HashSet::new();
        plots.reverse();
        plots.retain(|plot| seen.insert((plot.id.clone(), plot.style.y.clone())));
        plots.reverse();
        Ok(plots)
    }

    fn add(
        &self,
        path: &str,
        settings: Option<&Node>,
        query: &PlotQuery,
        wanted: &dyn Fn(&str) -> bool,
        plots: &mut Vec<Plot>,
    ) -> Result<()> {
        let mut paths = self.files.list(path)?;
        if paths.is_empty() {
            paths.push(path.to_owned());
        }
        for path in paths.into_iter().filter(|path| wanted(path)) {
            let y = settings
                .and_then(|settings| settings.find("y"))
                .map(texts)
                .unwrap_or_default();
            let source = Source {
                x: x_of(settings, &path),
                y: query.y.clone().map_or(y, |y| vec![y]),
                path: path.clone(),
            };
            plots.push(self.plot(&path, settings, vec![source], query)?);
        }
        Ok(())
    }

    fn plot(
        &self,
        id: &str,
        settings: Option<&Node>,
        sources: Vec<Source>,
        query: &PlotQuery,
    ) -> Result<Plot> {
        let setting = |key: &str| {
            let found = settings.and_then(|settings| settings.find(key));
            found.and_then(Node::as_str).map(str::to_owned)
        };
        let has_header = !query.no_header
            && !matches!(
                settings
                    .and_then(|settings| settings.find("header"))
                    .map(|node| &node.value),
                Some(Value::Bool(false))
            );
        let mut style = Style {
            template: query.template.clone().or_else(|| setting("template")),
            title: query
                .title
                .clone()
                .or_else(|| setting("title"))
                .unwrap_or_else(|| id.to_owned()),
            ..Style::default()
        };
        let mut points = Vec::new();
        let several = 1 < sources.len() || sources.iter().any(|source| 1 < source.y.len());
        for source in &sources {
            let bytes = match self.bytes(&source.path) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    return Ok(Plot {
                        id: id.to_owned(),
                        style,
                        content: Content::Problem(format!("`{}` does not exist", source.path)),
                    });
                }
                Err(error) => return Err(error),
            };
            if let Some(media) = media_type(&source.path) {
                return Ok(Plot {
                    id: id.to_owned(),
                    style,
                    content: Content::Image(media, bytes),
                });
            }
            let rows = match rows_of(&source.path, &bytes, has_header, &source.y) {
                Ok(rows) => rows,
                Err(problem) => {
                    return Ok(Plot {
                        id: id.to_owned(),
                        style,
                        content: Content::Problem(problem),
                    });
                }
            };
            let x = query
                .x
                .clone()
                .or_else(|| source.x.clone())
                .unwrap_or_else(|| "step".to_owned());
            let last = rows.first().and_then(|row| row.keys().next_back().cloned());
            let fields = match source.y.is_empty() {
                true => last.into_iter().collect(),
                false => source.y.clone(),
            };
            style.x.clone_from(&x);
            let shared = if several {
                "dvc_inferred_y_value"
            } else {
                fields.first().map_or("", String::as_str)
            };
            style.y = shared.to_owned();
            for field in &fields {
                for (index, row) in rows.iter().enumerate() {
                    let mut point = row.clone();
                    if !point.contains_key(&x) && x == "step" {
                        point.insert(x.clone(), json!(index));
                    }
                    if several {
                        let value = row.get(field).cloned().unwrap_or(Json::Null);
                        point.insert(shared.to_owned(), value);
                        point.insert("filename".to_owned(), json!(source.path));
                        point.insert("field".to_owned(), json!(field));
                    }
                    points.push(point);
                }
            }
            let label = |given: &Option<String>, key: &str, field: &str| {
                given
                    .clone()
                    .or_else(|| setting(key))
                    .unwrap_or_else(|| field.to_owned())
            };
            style.x_label = label(&query.x_label, "x_label", &x);
            let y_name = if several && fields.len() != 1 {
                "y"
            } else {
                fields.first().map_or("y", String::as_str)
            };
            style.y_label = label(&query.y_label, "y_label", y_name);
        }
        Ok(Plot {
            id: id.to_owned(),
            style,
            content: Content::Points(points),
        })
    }
}

fn x_of(settings: Option<&Node>, path: &str) -> Option<String> {
    let x = settings?.find("x")?;
    match &x.value {
        Value::Map(entries) => {
            let own = entries.iter().find(|(file, _)| file.as_str() == Some(path));
            own.or(entries.first())
                .and_then(|(_, field)| field.as_str())
                .map(str::to_owned)
        }
        _ => x.as_str().map(str::to_owned),
    }
}

fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(items) => items.iter().map(Node::to_key).collect(),
        Value::Null => Vec::new(),
        _ => vec![node.to_key()],
    }
}

fn media_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn rows_of(
    path: &str,
    bytes: &[u8],
    has_header: bool,
    fields: &[String],
) -> std::result::Result<Vec<Point>, String> {
    let delimiter = match path
        .rsplit_once('.')
        .map(|(_, suffix)| suffix.to_ascii_lowercase())
        .as_deref()
    {
        Some("csv") => b',',
        Some("tsv") => b'\t',
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let node = param_files::parse_any(path, &text).map_err(|error| error.to_string())?;
            let found = list_in(&node.to_json(), fields);
            return found.ok_or_else(|| format!("`{path}` holds no list of rows"));
        }
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(has_header)
        .flexible(true)
        .from_reader(bytes);
    let wrong = |error: csv::Error| format!("`{path}` is no table: {error}");
    let header: Vec<String> = match has_header {
        true => reader
            .headers()
            .map_err(wrong)?
            .iter()
            .map(str::to_owned)
            .collect(),
        false => Vec::new(),
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let row = record.iter().enumerate().map(|(index, cell)| {
            let name = header.get(index).cloned().unwrap_or_else(|| index.to_string());
            (name, cell_value(cell))
        });
        rows.push(row.collect());
    }
    Ok(rows)
}

fn cell_value(cell: &str) -> Json {
    if let Ok(int) = cell.parse::<i64>() {
        return json!(int);
    }
    match cell.parse::<f64>() {
        Ok(float) if float.is_finite() => json!(float),
        _ => json!(cell),
    }
}

/// The first list of rows in a value that has one of the fields, if any are named.
fn list_in(value: &Json, fields: &[String]) -> Option<Vec<Point>> {
    match value {
        Json::Array(items) => {
            let rows: Option<Vec<Point>> = items.iter().map(|item| item.as_object().cloned()).collect();
            let rows = rows.filter(|rows| !rows.is_empty())?;
            let fits = fields.is_empty() || fields.iter().any(|field| rows[0].contains_key(field));
            fits.then_some(rows)
        }
        Json::Object(entries) => entries.values().find_map(|value| list_in(value, fields)),
        _ => None,
    }
}
