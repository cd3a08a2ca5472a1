use crate::InputError;

/// Where a version may have been registered from: its run and its logged model, by id and artifact root.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The run that made it.
    pub run: Option<(&'a str, &'a str)>,
    /// The logged model that it is.
    pub model: Option<(&'a str, &'a str)>,
}

/// A source may only be a place that belongs to the version's run or logged model, another version, or storage that
/// this server does not keep: whoever reads the version later reads there in the server's name.
///
/// A local place comes back without the steps in it that lead nowhere (`model/..`).
pub fn check_source(source: &str, origin: &Origin<'_>) -> Result<String, InputError> {
    let refuse = |reason: &str| {
        Err(InputError::Request(format!(
            "Invalid model version source: '{source}'. {reason}"
        )))
    };
    let tidy = local_without_steps(source);
    let source = tidy.as_deref().unwrap_or(source);
    let decoded = source
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "\\");
    // A `%25` would only decode to one of these in a second pass.
    if decoded.split(['/', '\\']).any(|part| matches!(part, "." | ".."))
        || decoded.contains("%25")
        || decoded.contains("%00")
        || source.contains(['?', '#'])
        || source.chars().any(char::is_control)
    {
        return refuse(
            "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, it must be absolute and hold no `.` or `..`, no query, no fragment and no control characters.",
        );
    }
    let (scheme, path) = source.split_once(':').unwrap_or(("", source));
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let roots = [origin.run, origin.model];
    let inside = || roots.iter().flatten().any(|(_, root)| is_inside(source, root));
    match scheme.to_ascii_lowercase().as_str() {
        "runs" if origin.run.is_none_or(|(id, _)| id != first) => {
            refuse("The run_id request parameter must identify the run that the source names.")
        }
        "models" if first.starts_with("m-") && origin.model.is_none_or(|(id, _)| id != first) => {
            refuse("The model_id request parameter must identify the logged model that the source names.")
        }
        "mlflow-artifacts" if !inside() => {
            refuse("The run_id or model_id request parameter must identify whose artifacts hold the source.")
        }
        "" | "file" if !inside() => refuse(
            "To use a local path as a model version source, the run_id request parameter has to be specified and the local path has to be contained within the artifact directory of the run specified by the run_id.",
        ),
        _ => Ok(source.to_owned()),
    }
}

/// A local path or `file:` URI with every `.` and `..` taken at its word, if it has any; none that leads out of its root.
fn local_without_steps(source: &str) -> Option<String> {
    let path = local_path(source)?;
    if !path.starts_with('/') || !path.split('/').any(|part| matches!(part, "." | "..")) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let scheme = source.strip_suffix(path)?;
    Some(format!("{scheme}/{}", parts.join("/")))
}

/// The path that a `file:` URI without a host or a text without a scheme names.
fn local_path(place: &str) -> Option<&str> {
    match place.split_once(':') {
        None => Some(place),
        Some(("file", path)) => match path.strip_prefix("//") {
            Some(path) => path.starts_with('/').then_some(path),
            None => Some(path),
        },
        Some(_) => None,
    }
}

fn is_inside(source: &str, root: &str) -> bool {
    // The same folder may be told as a path and as a URI.
    let (source, root) = match (local_path(source), local_path(root)) {
        (Some(source), Some(root)) => (source, root),
        _ => (source, root),
    };
    let root = root.trim_end_matches('/');
    !root.is_empty()
        && source
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_lies_where_its_version_may_read() {
        let origin = Origin {
            run: Some(("r1", "mlflow-artifacts:/0/r1/artifacts")),
            model: Some(("m-1", "mlflow-artifacts:/0/models/m-1/artifacts")),
        };
        for source in [
            "mlflow-artifacts:/0/r1/artifacts/model",
            "mlflow-artifacts:/0/models/m-1/artifacts",
            "runs:/r1/model",
            "models:/m-1",
            "models:/other/3",
            "s3://bucket/model",
        ] {
            assert_eq!(check_source(source, &origin).as_deref(), Ok(source), "{source}");
        }
        for source in [
            "mlflow-artifacts:/0/r1/artifacts2/model",
            "mlflow-artifacts:/0/r1/artifacts/../../r2",
            "mlflow-artifacts:/0/r1/artifacts/%2E%2e/x",
            "mlflow-artifacts:/0/r1/artifacts/%252e%252e/x",
            "mlflow-artifacts:/0/r2/artifacts/model",
            "runs:/r2/model",
            "models:/m-2",
            "/etc/passwd",
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "mlflow-artifacts:/0/r1/artifacts/.",
            "s3://bucket/a%00",
            "relative",
            "s3://bucket/a?b",
        ] {
            assert!(check_source(source, &origin).is_err(), "{source}");
        }
        assert!(check_source("runs:/r1/model", &Origin::default()).is_err());
    }

    #[test]
    fn a_folder_may_be_told_as_path_or_uri_and_with_steps() {
        let origin = Origin {
            run: Some(("r1", "file:///shared/0/r1/artifacts")),
            model: None,
        };
        for (source, kept) in [
            ("/shared/0/r1/artifacts", "/shared/0/r1/artifacts"),
            (
                "file:///shared/0/r1/artifacts/model",
                "file:///shared/0/r1/artifacts/model",
            ),
            ("file:///shared/0/r1/artifacts/.", "file:///shared/0/r1/artifacts"),
            (
                "file:///shared/0/r1/artifacts/model/..",
                "file:///shared/0/r1/artifacts",
            ),
            ("/shared/0/r1/./artifacts//a/../b", "/shared/0/r1/artifacts/b"),
        ] {
            assert_eq!(check_source(source, &origin).as_deref(), Ok(kept), "{source}");
        }
        for source in [
            "/shared/0/r1",
            "/shared/0/r1/artifacts/..",
            "/shared/0/r1/artifacts/../../r2/artifacts",
            "file:///shared/0/r1/artifacts/../artifacts2",
            "file:///../../shared/0/r1/artifacts",
            "file://host/shared/0/r1/artifacts",
            "shared/0/r1/artifacts",
        ] {
            assert!(check_source(source, &origin).is_err(), "{source}");
        }
    }
}
