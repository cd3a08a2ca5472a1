use std::path::{Path, PathBuf};

use lathe_data::{DataKind, Tracked, normal_path, recorded, relative_path};

use crate::param_files::ParamFiles;
use crate::pipeline_file::templated_wdirs;
use crate::template::interpolates;
use crate::yaml::{Node, Value, read};
use crate::{Error, Result};

/// The outputs that a `dvc.lock` lists, without resolving the `dvc.yaml` beside it: that is only looked at for what
/// decides over their data (`wdir`, `cache`, `push`, `remote`), so this also reads other commits. `params` are those of
/// the same commit, which a `wdir` may name. `root` and `file`, the `dvc.yaml`, are absolute.
pub fn locked_outs(
    root: &Path,
    file: &Path,
    definition: &str,
    lock: &str,
    params: &ParamFiles,
) -> Result<Vec<Tracked>> {
    let parse = |text: &str, name: PathBuf| {
        read(text).map_err(|source| Error::Syntax {
            file: name.display().to_string(),
            source,
        })
    };
    let definition = parse(definition, file.to_owned())?;
    let lock = parse(lock, file.with_file_name("dvc.lock"))?;
    let stages = match lock.find("schema") {
        Some(_) => lock.find("stages"),
        // As the first version of the format had it.
        None => Some(&lock),
    };
    let wdirs = templated_wdirs(&relative_path(file, root), &definition, params)?;
    let mut found = Vec::new();
    for (name, entry) in stages.and_then(Node::as_map).unwrap_or_default() {
        let name = name.to_key();
        let group = name.split('@').next().unwrap_or_default();
        let body = definition.find("stages").and_then(|stages| {
            let defined = stages.find(&name).or_else(|| stages.find(group))?;
            Some(defined.find("do").unwrap_or(defined))
        });
        // What was removed from the pipeline is not tracked any more.
        let Some(body) = body else { continue };
        let wdir = match body.find("wdir") {
            Some(wdir) if interpolates(wdir) => match wdirs.get(&name) {
                Some(wdir) => wdir.as_str(),
                // Nor is what was made by a member that its group does not have any more.
                None => continue,
            },
            wdir => wdir.and_then(Node::as_str).unwrap_or("."),
        };
        let folder = file.parent().unwrap_or(Path::new("/")).join(wdir);
        let place = |item: &Node| Some(normal_path(&folder.join(item.find("path")?.as_str()?)));
        let deps: Vec<PathBuf> = items(entry, "deps").iter().filter_map(place).collect();
        for item in items(entry, "outs") {
            let Some(path) = item.find("path").and_then(Node::as_str) else {
                continue;
            };
            // What lies behind a URL is nothing that the cache or the workspace could hold.
            if !crate::external::is_path(path) {
                continue;
            }
            let options = options_of(body, path);
            let flag = |key: &str| {
                let value = options
                    .and_then(|options| options.find(key))
                    .map(|node| &node.value);
                !matches!(value, Some(Value::Bool(false)))
            };
            let remote = options.and_then(|options| options.find("remote")?.as_str().map(str::to_owned));
            found.push(Tracked {
                at: normal_path(&folder.join(path)),
                file: file.to_owned(),
                stage: Some(name.clone()),
                // Data that is taken for unrecorded would be collected as garbage.
                recorded: recorded(item).map_err(|problem| Error::Format {
                    file: file.with_file_name("dvc.lock").display().to_string(),
                    problem: format!("the output `{path}` of `{name}`: {problem}"),
                })?,
                is_cached: flag("cache") && item.find("files").is_none(),
                is_versioned: flag("cache") && item.find("files").is_some(),
                is_pushed: flag("push"),
                remote,
                deps: deps.clone(),
                kind: kind_of(body, path),
                origin: None,
            });
        }
    }
    Ok(found)
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match node.find(key).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Which list of a stage names an output.
fn kind_of(body: &Node, path: &str) -> DataKind {
    let lists = |key: &str| {
        items(body, key).iter().any(|item| match item.as_map() {
            Some(entries) => entries
                .iter()
                .any(|(written, _)| written.as_str().is_some_and(|written| may_be(written, path))),
            None => item.as_str().is_some_and(|written| may_be(written, path)),
        })
    };
    match (lists("metrics"), lists("plots")) {
        (true, _) => DataKind::Metric,
        (false, true) => DataKind::Plot,
        (false, false) => DataKind::Plain,
    }
}

/// The options of an output: `{path: {cache: false}}`.
fn options_of<'a>(body: &'a Node, path: &str) -> Option<&'a Node> {
    let lists = ["outs", "metrics", "plots"]
        .iter()
        .flat_map(|key| items(body, key));
    let entries = lists.filter_map(Node::as_map).flatten();
    entries
        .filter(|(written, _)| written.as_str().is_some_and(|written| may_be(written, path)))
        .map(|(_, options)| options)
        .next()
}

/// Whether a path with `${…}` in it may have become this one.
fn may_be(written: &str, path: &str) -> bool {
    let Some((before, rest)) = written.split_once("${") else {
        return normal_path(Path::new(written)) == normal_path(Path::new(path));
    };
    let after = rest.rsplit_once('}').map_or("", |(_, after)| after);
    before.len() + after.len() <= path.len() && path.starts_with(before) && path.ends_with(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outs_of(definition: &str, lock: &str) -> Result<Vec<Tracked>> {
        let root = Path::new("/r");
        locked_outs(
            root,
            &root.join("dvc.yaml"),
            definition,
            lock,
            &ParamFiles::new(root),
        )
    }

    #[test]
    fn a_templated_folder_is_resolved_or_refused_and_never_taken_for_the_files_own() {
        let definition = "vars: [{base: work}]
stages:
  one: {wdir: '${base}', cmd: x, outs: [a]}
  many: {foreach: [p, q], do: {wdir: '${base}/${item}', cmd: x, outs: [b]}}
";
        let lock = "schema: '2.0'
stages:
  one: {cmd: x, outs: [{path: a, md5: d751713988987e9331980363e24189ce}]}
  many@q: {cmd: x, outs: [{path: b, md5: d751713988987e9331980363e24189ce}]}
  many@gone: {cmd: x, outs: [{path: b, md5: d751713988987e9331980363e24189ce}]}
";
        let outs = outs_of(definition, lock).unwrap();
        let places: Vec<_> = outs.iter().map(|out| out.at.to_str().unwrap()).collect();
        assert_eq!(places, ["/r/work/a", "/r/work/q/b"]);
        let error = outs_of(&definition.replace("{base: work}", "{other: 1}"), lock).unwrap_err();
        assert!(error.to_string().contains("wdir"), "{error}");
    }

    #[test]
    fn outputs_are_listed_with_what_decides_over_their_data() {
        let definition = "stages:
  train:
    foreach: [a, b]
    do:
      wdir: work
      cmd: x
      outs: [../model]
      metrics:
      - m/${item}.json: {cache: false}
";
        let lock = "schema: '2.0'
stages:
  train@a:
    cmd: x
    deps:
    - {path: in.csv, hash: md5, md5: d751713988987e9331980363e24189ce}
    outs:
    - {path: ../model, hash: md5, md5: d751713988987e9331980363e24189ce, size: 3}
    - {path: m/a.json, hash: md5, md5: d751713988987e9331980363e24189ce, size: 3}
  gone: {cmd: y, outs: [{path: z, md5: d751713988987e9331980363e24189ce}]}
";
        let outs = outs_of(definition, lock).unwrap();
        let listed: Vec<_> = outs
            .iter()
            .map(|out| (out.at.to_str().unwrap(), out.is_cached))
            .collect();
        assert_eq!(listed, [("/r/model", true), ("/r/work/m/a.json", false)]);
        assert_eq!(outs[0].deps, [PathBuf::from("/r/work/in.csv")]);
        assert_eq!(outs[0].address(Path::new("/r")), "train@a");
    }

    #[test]
    fn an_output_whose_hash_cannot_be_read_is_told_and_not_taken_for_unrecorded() {
        let definition = "stages: {train: {cmd: x, outs: [model]}}";
        for item in [
            "md5: short",
            "md5: [1]",
            "md5: d751713988987e9331980363e24189ce, hash: blake3",
        ] {
            let lock =
                format!("schema: '2.0'\nstages: {{train: {{cmd: x, outs: [{{path: model, {item}}}]}}}}");
            let error = outs_of(definition, &lock).unwrap_err();
            assert!(error.to_string().contains("`model` of `train`"), "{error}");
        }
    }
}
