//! A stage taken out of `dvc.yaml` and `dvc.lock`; the rest of both stays as it is.

use lathe_data::{Repo, ops, remove_path, write_atomically};

use crate::edit::{check, line_start, read_or_empty};
use crate::external::is_path;
use crate::lock::Lock;
use crate::set_params::{byte_of, end_of_block};
use crate::yaml::{Value, read};
use crate::{Error, Project, Result};

/// Takes a stage out of its pipeline. Its outputs stay, as files of their own that git may see, unless `outs` says
/// otherwise.
pub fn remove_stage(repo: &Repo, project: &Project, index: usize, outs: bool) -> Result<()> {
    let stage = &project.stages()[index];
    let path = repo.root().join(&*stage.file);
    let old = read_or_empty(&path)?;
    let text = without_stage(&stage.file, &old, &stage.name)?;
    if let Some(text) = &text {
        check(repo, &stage.file, text)?;
    }
    let mut lock = Lock::load(repo.root(), &stage.file)?;
    lock.remove(&stage.name);
    match &text {
        Some(text) => write_atomically(&path, text.as_bytes())?,
        None => remove_path(&path)?,
    }
    lock.write_or_remove()?;
    for out in stage.outs.iter().filter(|out| is_path(&out.at)) {
        let at = repo.root().join(&out.at);
        match outs {
            true => remove_path(&at)?,
            false if out.cache && at.exists() => ops::unprotect(repo, &at)?,
            false => {}
        }
        if out.cache {
            repo.let_into_git(&at)?;
        }
    }
    Ok(())
}

/// The text without the stage; nothing if nothing else is in it.
fn without_stage(file: &str, text: &str, name: &str) -> Result<Option<String>> {
    let refuse = |problem: String| Error::Edit {
        file: file.to_owned(),
        problem,
    };
    let document = read(text).map_err(|source| Error::syntax(file, text, source))?;
    let Some(stages) = document.find("stages") else {
        return Err(refuse(format!("it has no stage `{name}`")));
    };
    let entries = stages.as_map().unwrap_or_default();
    let Some(position) = entries.iter().position(|(key, _)| key.as_str() == Some(name)) else {
        return Err(refuse(format!(
            "`{name}` is one of a group; take it out of `foreach` or `matrix`"
        )));
    };
    if stages.span.flow {
        return Err(refuse(
            "its `stages` are written in braces; write them in lines first".to_owned(),
        ));
    }
    // The last stage takes the list along, and the list the file.
    let all = document.as_map().unwrap_or_default();
    let (block, has_more) = match entries.len() {
        1 => (all, 1 < all.len()),
        _ => (entries, true),
    };
    if !has_more {
        return Ok(None);
    }
    let at = match entries.len() {
        1 => block.iter().position(|(key, _)| key.as_str() == Some("stages")),
        _ => Some(position),
    };
    let Some(at) = at else { return Ok(None) };
    let entry = &block[at..=at];
    let start = line_start(text, byte_of(text, entry[0].0.span.start));
    let end = match &entry[0].1.value {
        Value::Null => end_of_block(text, &[(entry[0].0.clone(), entry[0].0.clone())]),
        _ => end_of_block(text, entry),
    };
    Ok(Some(format!("{}{}", &text[..start], &text[end..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_goes_and_the_rest_stays() {
        let text = "# mine\nstages:\n  a:   # first\n    cmd: one\n    deps:\n    - x\n  b: {cmd: two}\n# end\nmetrics:\n- m\n";
        let without = |text: &str, name: &str| without_stage("dvc.yaml", text, name).unwrap();
        assert_eq!(
            without(text, "a").unwrap(),
            "# mine\nstages:\n  b: {cmd: two}\n# end\nmetrics:\n- m\n"
        );
        let rest = without(text, "b").unwrap();
        assert_eq!(rest, text.replace("  b: {cmd: two}\n", ""));
        assert_eq!(without(&rest, "a").unwrap(), "# mine\n# end\nmetrics:\n- m\n");
        assert_eq!(without("stages:\n  a:\n    cmd: x\n", "a"), None);
        assert!(without_stage("dvc.yaml", text, "a@1").is_err());
    }
}
