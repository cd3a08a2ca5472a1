//! Whether what was imported from other git repositories is newer there. Only names of commits are asked for.

use std::path::Path;

use lathe_data::{DvcFile, Origin};

use crate::exit::hint;
use crate::process;

/// What is newer elsewhere, as DVC names it: the path, and the repository in brackets.
pub fn available(file: &DvcFile, folder: &Path) -> anyhow::Result<Option<String>> {
    let Some(Origin::Repo {
        url,
        rev,
        rev_lock: Some(known),
        path,
    }) = file.origin()
    else {
        return Ok(None);
    };
    let wanted = rev.as_deref().unwrap_or("HEAD");
    let listed = process::output_of(
        "git",
        &["ls-remote", "--", &url, wanted, &format!("{wanted}^{{}}")],
        folder,
    )
    .map_err(|error| {
        error.context(hint(
            format!("whether `{url}` has something newer cannot be learned"),
            "leave it out with `lathe status --no-updates`",
        ))
    })?;
    Ok(match newest(&listed, wanted) {
        Some(newest) if newest != known => Some(format!("{path} ({url})")),
        // A commit stays what it is.
        _ => None,
    })
}

/// The commit of a branch or tag; of a tag with a message what it points to.
fn newest<'a>(listed: &'a str, wanted: &str) -> Option<&'a str> {
    let named = |name: &str| {
        let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, found)| *found == name).map(|(commit, _)| commit)
    };
    // As `git rev-parse` would choose in a clone, in which branches come first.
    named(&format!("refs/heads/{wanted}"))
        .or_else(|| named(&format!("refs/tags/{wanted}^{{}}")))
        .or_else(|| named(&format!("refs/tags/{wanted}")))
        .or_else(|| named(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_first_and_a_tag_means_its_commit() {
        let listed = "1\trefs/heads/x/v1\n2\trefs/tags/v1\n3\trefs/tags/v1^{}\n4\tHEAD\n";
        assert_eq!(newest(listed, "v1"), Some("3"));
        assert_eq!(newest(listed, "x/v1"), Some("1"));
        assert_eq!(newest(listed, "HEAD"), Some("4"));
        assert_eq!(newest(listed, "0f3d"), None);
    }
}
