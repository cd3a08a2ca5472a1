//! What an experiment changes in parameters, in the grammar of Hydra's overrides as far as `dvc exp run -S` takes it
//! (<https://hydra.cc/docs/advanced/override_grammar/basic/>), with distributions for searches beside its sweeps.
//!
//! | text | meaning |
//! |---|---|
//! | `a.b=1` | sets a parameter that is there |
//! | `+a.b=1` | adds one that is not there |
//! | `++a.b=1` | sets or adds |
//! | `~a.b` | removes |
//! | `FILE:a.b=1` | in another file than `params.yaml` |
//! | `a=1,2,3`, `a=choice(1,2,3)` | each of them |
//! | `a=range(1,10,2)` | from 1 in steps of 2 below 10 |
//! | `a=uniform(0.1,1)`, `a=loguniform(1e-5,1)`, `a=int(1,9)` | drawn from between; both ends belong to `int` |

use std::path::Path;

use serde_json::Value as Json;

use crate::exit::hinted;

/// A change of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The file, relative to the project.
    pub file: String,
    /// The parameter, dotted.
    pub key: String,
    /// What is done with it.
    pub action: Action,
}

/// What is done with a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Set what is there.
    Set(Space),
    /// Add what is not there.
    Add(Space),
    /// Set or add.
    Put(Space),
    /// Remove.
    Remove,
}

/// The values that a parameter may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Space {
    /// One.
    Fixed(Json),
    /// One of these.
    Choices(Vec<Json>),
    /// A number between two.
    Between {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// Whether its logarithm is what is evenly spread.
        log: bool,
        /// Whether it is whole.
        whole: bool,
    },
}

impl Override {
    /// What it takes values from, if it sets one.
    pub fn space(&self) -> Option<&Space> {
        match &self.action {
            Action::Set(space) | Action::Add(space) | Action::Put(space) => Some(space),
            Action::Remove => None,
        }
    }

    /// Whether it stands for more than one experiment.
    pub fn is_sweep(&self) -> bool {
        !matches!(self.space(), None | Some(Space::Fixed(_)))
    }

    /// The same with one value.
    pub fn with(&self, value: Json) -> Self {
        let space = Space::Fixed(value);
        let action = match &self.action {
            Action::Set(_) => Action::Set(space),
            Action::Add(_) => Action::Add(space),
            Action::Put(_) => Action::Put(space),
            Action::Remove => Action::Remove,
        };
        Self {
            action,
            ..self.clone()
        }
    }

    /// As people wrote it, `lr=0.1`.
    pub fn told(&self) -> String {
        let file = match self.file.as_str() {
            "params.yaml" => String::new(),
            file => format!("{file}:"),
        };
        let value = match self.space() {
            Some(Space::Fixed(value)) => format!("={value}"),
            _ => String::new(),
        };
        let sign = match self.action {
            Action::Set(_) => "",
            Action::Add(_) => "+",
            Action::Put(_) => "++",
            Action::Remove => "~",
        };
        format!("{file}{sign}{}{value}", self.key)
    }
}

/// Reads one override.
pub fn parse(text: &str) -> anyhow::Result<Override> {
    let refuse = |why: &str| {
        hinted(
            format!("`-S {text}` {why}"),
            "write `-S key=value`, `-S +new=value` or `-S ~key`",
        )
    };
    let (left, value) = match text.split_once('=') {
        Some((left, value)) => (left, Some(value)),
        None => (text, None),
    };
    let (file, left) = match left.split_once(':') {
        Some((file, rest)) if !file.is_empty() => (file.to_owned(), rest),
        _ => ("params.yaml".to_owned(), left),
    };
    let (sign, key) = match left {
        left if left.starts_with("++") => ("++", &left[2..]),
        left if left.starts_with('+') => ("+", &left[1..]),
        left if left.starts_with('~') => ("~", &left[1..]),
        left => ("", left),
    };
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err(refuse("names no parameter"));
    }
    let action = match (sign, value) {
        ("~", _) => Action::Remove,
        (_, None) => return Err(refuse("sets nothing")),
        (sign, Some(value)) => {
            let space = parse_space(value).map_err(|error| error.context(format!("`-S {text}`")))?;
            match sign {
                "+" => Action::Add(space),
                "++" => Action::Put(space),
                _ => Action::Set(space),
            }
        }
    };
    Ok(Override {
        file,
        key: key.to_owned(),
        action,
    })
}

fn parse_space(text: &str) -> anyhow::Result<Space> {
    let called = text
        .trim()
        .strip_suffix(')')
        .and_then(|text| text.split_once('('))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let Some((name, arguments)) = called else {
        let parts = split(text);
        return match parts.as_slice() {
            [one] => Ok(Space::Fixed(lathe_pipeline::parse_param(one)?)),
            several => choices(several),
        };
    };
    let arguments = split(arguments);
    let numbers = || -> anyhow::Result<Vec<f64>> {
        let numbers = arguments.iter().map(|argument| {
            let number: Option<f64> = argument.trim().parse().ok();
            number
                .filter(|number| number.is_finite())
                .ok_or_else(|| hinted(format!("`{argument}` is not a number"), "write `range(1,10)`"))
        });
        numbers.collect()
    };
    let between = |log: bool, whole: bool| match numbers()?.as_slice() {
        [low, high] if low < high && (!log || 0.0 < *low) => Ok(Space::Between {
            low: *low,
            high: *high,
            log,
            whole,
        }),
        _ => Err(hinted(
            format!("`{name}` lies between two numbers, the smaller one first"),
            if log {
                "write `loguniform(1e-5,1e-1)`; logarithms need numbers above 0"
            } else {
                "write `uniform(0,1)` or `int(1,9)`"
            },
        )),
    };
    match name {
        "choice" => choices(&arguments),
        "range" => range(&numbers()?, &arguments),
        "uniform" => between(false, false),
        "loguniform" => between(true, false),
        "int" => between(false, true),
        _ => Err(hinted(
            format!("`{name}(…)` is not known"),
            "use `choice`, `range`, `uniform`, `loguniform` or `int`; put text with brackets in quotes",
        )),
    }
}

fn choices(parts: &[String]) -> anyhow::Result<Space> {
    let values: Result<Vec<Json>, _> = parts
        .iter()
        .map(|part| lathe_pipeline::parse_param(part.trim()))
        .collect();
    Ok(Space::Choices(values?))
}

fn range(numbers: &[f64], texts: &[String]) -> anyhow::Result<Space> {
    let (start, stop, step) = match *numbers {
        [stop] => (0.0, stop, 1.0),
        [start, stop] => (start, stop, 1.0),
        [start, stop, step] => (start, stop, step),
        _ => {
            return Err(hinted(
                "`range` takes one to three numbers",
                "write `range(1,10,2)`",
            ));
        }
    };
    let count = ((stop - start) / step).ceil();
    if step == 0.0 || !(1.0..=10_000.0).contains(&count) {
        return Err(hinted(
            format!("`range({})` has no values, or more than 10,000", texts.join(",")),
            "write `range(1,10,2)`",
        ));
    }
    let is_whole = texts.iter().all(|text| text.trim().parse::<i64>().is_ok());
    let values = (0..10_000_u32)
        .map(f64::from)
        .take_while(|n| *n < count)
        .map(|n| {
            let value = start + n * step;
            if is_whole {
                Json::from(value as i64)
            } else {
                // What adding up tenths adds is nobody's wish.
                let rounded: f64 = format!("{value:.12e}").parse().unwrap_or(value);
                Json::from(rounded)
            }
        });
    Ok(Space::Choices(values.collect()))
}

/// At commas that are not within brackets or quotes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote) = (0_u32, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{' | '(') => depth += 1,
            (None, ']' | '}' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

/// Every combination of the choices, the last one changing fastest.
pub fn grid(overrides: &[Override]) -> anyhow::Result<Vec<Vec<Override>>> {
    let mut combinations: Vec<Vec<Override>> = vec![Vec::new()];
    for change in overrides {
        let variants: Vec<Override> = match change.space() {
            None | Some(Space::Fixed(_)) => vec![change.clone()],
            Some(Space::Choices(values)) => values.iter().map(|value| change.with(value.clone())).collect(),
            Some(Space::Between { .. }) => {
                return Err(hinted(
                    format!("`{}` can be any number between two", change.key),
                    "say how many are drawn with `--trials 20`",
                ));
            }
        };
        if GRID_MAX < combinations.len() * variants.len() {
            return Err(hinted(
                format!("the choices make more than {GRID_MAX} experiments"),
                "draw some of them with `--trials 50`",
            ));
        }
        combinations = combinations
            .iter()
            .flat_map(|made| {
                variants
                    .iter()
                    .map(|variant| [made.as_slice(), std::slice::from_ref(variant)].concat())
            })
            .collect();
    }
    Ok(combinations)
}

/// More experiments than this are not queued at once.
const GRID_MAX: usize = 10_000;

/// One value drawn for each.
pub fn draw(overrides: &[Override], random: &mut fastrand::Rng) -> Vec<Override> {
    let drawn = overrides.iter().map(|change| match change.space() {
        None | Some(Space::Fixed(_)) => change.clone(),
        Some(Space::Choices(values)) => {
            let value = values.get(random.usize(..values.len().max(1)));
            change.with(value.cloned().unwrap_or_default())
        }
        Some(&Space::Between {
            low,
            high,
            log,
            whole,
        }) => change.with(match (whole, log) {
            (true, _) => {
                Json::from(random.i64(low.ceil() as i64..=(high.floor() as i64).max(low.ceil() as i64)))
            }
            (false, true) => Json::from(
                (low.ln() + random.f64() * (high.ln() - low.ln()))
                    .exp()
                    .clamp(low, high),
            ),
            (false, false) => Json::from(low + random.f64() * (high - low)),
        }),
    });
    drawn.collect()
}

/// The files as they become, by path; `folder` is where they are read.
pub fn applied(folder: &Path, overrides: &[Override]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let scratch = tempfile::tempdir()?;
    let mut files: Vec<(String, std::path::PathBuf)> = Vec::new();
    for change in overrides {
        let copy = match files.iter().find(|(name, _)| *name == change.file) {
            Some((_, copy)) => copy.clone(),
            None => {
                let name = Path::new(&change.file).file_name().unwrap_or_default();
                let copy = scratch.path().join(files.len().to_string()).join(name);
                std::fs::create_dir_all(copy.parent().unwrap_or(scratch.path()))?;
                if folder.join(&change.file).exists() {
                    std::fs::copy(folder.join(&change.file), &copy)?;
                }
                files.push((change.file.clone(), copy.clone()));
                copy
            }
        };
        apply_one(&copy, change)?;
    }
    let read = files.into_iter().map(|(name, copy)| {
        let content = std::fs::read(&copy)?;
        Ok((name, content))
    });
    read.collect()
}

/// Changes the files in `folder`.
pub fn apply(folder: &Path, overrides: &[Override]) -> anyhow::Result<()> {
    for (name, content) in applied(folder, overrides)? {
        lathe_data::write_atomically(&folder.join(name), &content)?;
    }
    Ok(())
}

fn apply_one(path: &Path, change: &Override) -> anyhow::Result<()> {
    let is_there = lathe_pipeline::has_param(path, &change.key)?;
    match (&change.action, is_there) {
        (Action::Set(_) | Action::Remove, false) => Err(hinted(
            format!("`{}` has no parameter `{}`", change.file, change.key),
            format!("add it with `-S +{}=…`", change.key),
        )),
        (Action::Add(_), true) => Err(hinted(
            format!("`{}` has a parameter `{}` already", change.file, change.key),
            format!("set it with `-S {}=…`", change.key),
        )),
        (Action::Remove, true) => Ok(lathe_pipeline::remove_param(path, &change.key)?),
        (Action::Set(space) | Action::Add(space) | Action::Put(space), _) => {
            let Space::Fixed(value) = space else {
                anyhow::bail!("`{}` has no single value", change.key);
            };
            Ok(lathe_pipeline::set_params(
                path,
                &[(change.key.clone(), value.clone())],
            )?)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space(text: &str) -> Space {
        parse(text).unwrap().space().unwrap().clone()
    }

    #[test]
    fn overrides_are_read_as_hydra_reads_them() {
        assert_eq!(space("a.b=1"), Space::Fixed(json!(1)));
        assert_eq!(space("a=[1,2]"), Space::Fixed(json!([1, 2])));
        assert_eq!(space("a='x,y'"), Space::Fixed(json!("x,y")));
        assert_eq!(
            space("a=1,2.5,x"),
            Space::Choices(vec![json!(1), json!(2.5), json!("x")])
        );
        assert_eq!(
            space("a=choice(1,[2,3])"),
            Space::Choices(vec![json!(1), json!([2, 3])])
        );
        assert_eq!(
            space("a=range(1,6,2)"),
            Space::Choices(vec![json!(1), json!(3), json!(5)])
        );
        assert_eq!(
            space("a=range(0,0.3,0.1)"),
            Space::Choices(vec![json!(0.0), json!(0.1), json!(0.2)])
        );
        assert_eq!(space("a=range(3,1,-1)"), Space::Choices(vec![json!(3), json!(2)]));
        let change = parse("conf/p.json:+a.b=1").unwrap();
        assert_eq!(
            (change.file.as_str(), change.key.as_str()),
            ("conf/p.json", "a.b")
        );
        assert_eq!(change.action, Action::Add(Space::Fixed(json!(1))));
        assert_eq!(parse("~a").unwrap().action, Action::Remove);
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for nonsense in [
            "a",
            "=1",
            "a..b=1",
            "a=range(1,2,0)",
            "a=uniform(2,1)",
            "a=loguniform(0,1)",
            "a=dance(1)",
        ] {
            let error = format!("{:#}", parse(nonsense).unwrap_err());
            assert!(error.contains('`'), "{nonsense}: {error}");
        }
    }

    #[test]
    fn a_grid_has_every_combination() {
        let overrides = [
            parse("a=1,2").unwrap(),
            parse("b=3").unwrap(),
            parse("c=x,y").unwrap(),
        ];
        let told: Vec<String> = grid(&overrides)
            .unwrap()
            .iter()
            .map(|one| one.iter().map(Override::told).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            told,
            [
                "a=1 b=3 c=\"x\"",
                "a=1 b=3 c=\"y\"",
                "a=2 b=3 c=\"x\"",
                "a=2 b=3 c=\"y\""
            ]
        );
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = fastrand::Rng::with_seed(7);
        let overrides = [
            parse("a=loguniform(1e-5,1e-1)").unwrap(),
            parse("b=int(1,3)").unwrap(),
        ];
        for _ in 0..200 {
            let drawn = draw(&overrides, &mut random);
            let Some(Space::Fixed(a)) = drawn[0].space() else {
                panic!("{drawn:?}")
            };
            let Some(Space::Fixed(b)) = drawn[1].space() else {
                panic!("{drawn:?}")
            };
            assert!((1e-5..=1e-1).contains(&a.as_f64().unwrap()));
            assert!((1..=3).contains(&b.as_i64().unwrap()));
        }
    }
}
