//! The one table: every route with what it needs. A route without a line here is refused where people log in, and a
//! test walks the router to find such routes. `/ajax-api/…` is `/api/…`.

use lathe_types::access::Permission;
use lathe_types::users::{Role, Scope};

use super::lines::TABLE;

/// A route and what it needs.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) method: &'static str,
    /// As the router has it.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    /// What a token must be for.
    pub(crate) scope: Scope,
    /// The audit log tells of these once in a while per thing, not each time: what a run logs while it runs.
    pub(crate) is_data: bool,
}

/// What a route needs of whoever asks.
#[derive(Debug)]
pub(crate) enum Need {
    /// Nothing: it is open, or checks who asks by itself.
    Open,
    /// To be somebody; what is found is filtered, or the handler looks at who it is.
    User,
    /// A role in Lathe's own API, and permissions.
    Role(Role, &'static [Check]),
    /// Permissions on the things that the request names.
    On(&'static [Check]),
}

/// A permission on the things under a name.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) level: Permission,
    pub(crate) kind: Kind,
    /// Where the request names them; more than one name is one field with several spellings.
    pub(crate) names: &'static [&'static str],
    pub(crate) absent: Absent,
}

/// What it means that a request does not name the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It is wrong.
    Wrong,
    /// It is fine.
    Fine,
    /// It means this one.
    Means(&'static str),
}

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Experiment,
    ExperimentName,
    Run,
    LoggedModel,
    Trace,
    Model,
    Version,
    /// A path in the artifact store.
    Artifact,
    /// A flag that asks for more: this role.
    Raises(Role),
    /// A place of artifacts, by any URI: what it names is what is judged.
    Location,
}

/// The line for a route; `path` as [`normal_path`] gives it.
pub(crate) fn rule_of(method: &str, path: &str) -> Option<&'static Rule> {
    // HEAD is answered by what answers GET.
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE
        .iter()
        .flat_map(|rules| rules.iter())
        .find(|rule| rule.method == method && rule.path == path)
}

/// The path by which a route is known: without the prefix under which everything lies once more.
pub(crate) fn normal_path(path: &str, prefix: &str) -> String {
    let path = match path.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() && rest.starts_with('/') => rest,
        _ => path,
    };
    match path.strip_prefix("/ajax-api/") {
        Some(rest) => format!("/api/{rest}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_route_has_two_lines() {
        let mut seen = HashSet::new();
        for rule in TABLE.iter().flat_map(|rules| rules.iter()) {
            assert!(
                seen.insert((rule.method, rule.path)),
                "{} {}",
                rule.method,
                rule.path
            );
        }
    }
}
