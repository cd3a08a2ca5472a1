//! What grants on resources come to. Pure: what is decided here is loaded elsewhere.

use crate::InputError;

/// What a grant allows on a resource; each level includes those before it. `Deny` is no level but a veto.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// A veto: wins over every other grant of its kind.
    Deny,
    /// Nothing is allowed.
    None,
    /// May be looked at.
    Read,
    /// May be used: loaded, asked for predictions.
    Use,
    /// May be changed.
    Edit,
    /// May be deleted and handed on.
    Manage,
}

impl Permission {
    const ALL: [Self; 6] = [
        Self::Deny,
        Self::None,
        Self::Read,
        Self::Use,
        Self::Edit,
        Self::Manage,
    ];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "DENY",
            Self::None => "NO_PERMISSIONS",
            Self::Read => "READ",
            Self::Use => "USE",
            Self::Edit => "EDIT",
            Self::Manage => "MANAGE",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| {
            InputError::invalid(
                "permission",
                text,
                "it is one of READ, USE, EDIT, MANAGE, DENY, NO_PERMISSIONS",
            )
        })
    }
}

/// What permissions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Everything at once: `USE` makes a member, `MANAGE` an administrator of it.
    Workspace,
    /// An experiment with what it holds.
    Experiment,
    /// A registered model with its versions.
    RegisteredModel,
    /// A prompt with its versions.
    Prompt,
    /// A scorer, `EXPERIMENT/NAME`.
    Scorer,
    /// The runs of all experiments; likewise the next ones. They are granted as a whole only.
    Run,
    /// Traces.
    Trace,
    /// Assessments of traces.
    Assessment,
    /// Logged models.
    LoggedModel,
    /// Versions of registered models.
    RegisteredModelVersion,
    /// Versions of prompts.
    PromptVersion,
    /// Kinds that MLflow's server has and this one does not: grants are kept, and decide nothing.
    Other(&'static str),
}

/// Kinds whose grants are kept for clients that make them.
const OTHERS: [&str; 7] = [
    "gateway_secret",
    "gateway_endpoint",
    "gateway_model_definition",
    "mcp_server",
    "review_queue",
    "scorer_version",
    "mcp_server_version",
];

impl Resource {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Experiment => "experiment",
            Self::RegisteredModel => "registered_model",
            Self::Prompt => "prompt",
            Self::Scorer => "scorer",
            Self::Run => "run",
            Self::Trace => "trace",
            Self::Assessment => "assessment",
            Self::LoggedModel => "logged_model",
            Self::RegisteredModelVersion => "registered_model_version",
            Self::PromptVersion => "prompt_version",
            Self::Other(word) => word,
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        let known = [
            Self::Workspace,
            Self::Experiment,
            Self::RegisteredModel,
            Self::Prompt,
            Self::Scorer,
            Self::Run,
            Self::Trace,
            Self::Assessment,
            Self::LoggedModel,
            Self::RegisteredModelVersion,
            Self::PromptVersion,
        ];
        let other = OTHERS.into_iter().map(Self::Other);
        let found = known.into_iter().chain(other).find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            InputError::invalid(
                "resource_type",
                text,
                "it is a kind like `experiment`, `registered_model` or `prompt`",
            )
        })
    }

    /// Whether grants name one resource, and not only `*`.
    fn by_id(self) -> bool {
        match self {
            Self::Experiment | Self::RegisteredModel | Self::Prompt | Self::Scorer => true,
            Self::Other(word) => !word.ends_with("_version") && word != "review_queue",
            _ => false,
        }
    }
}

/// One permission that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// On which kind of thing.
    pub resource: Resource,
    /// Which of them: an id, a name, or `*`.
    pub pattern: String,
    /// What is allowed.
    pub permission: Permission,
}

impl Grant {
    /// A grant as clients write it.
    pub fn new(resource: &str, pattern: &str, permission: &str) -> Result<Self, InputError> {
        let resource = Resource::parse(resource)?;
        let permission = Permission::parse(permission)?;
        check_pattern(resource, pattern)?;
        let allowed = match resource {
            Resource::Workspace => matches!(permission, Permission::Use | Permission::Manage),
            _ => permission != Permission::None,
        };
        if !allowed {
            return Err(InputError::invalid(
                "permission",
                permission.as_str(),
                match resource {
                    Resource::Workspace => "a workspace takes USE or MANAGE",
                    _ => "a resource takes READ, USE, EDIT, MANAGE or DENY",
                },
            ));
        }
        Ok(Self {
            resource,
            pattern: pattern.to_owned(),
            permission,
        })
    }
}

/// Whether a kind of resource can be named like this in a grant.
pub fn check_pattern(resource: Resource, pattern: &str) -> Result<(), InputError> {
    if pattern.is_empty() || 512 < pattern.len() {
        return Err(InputError::invalid(
            "resource_pattern",
            pattern,
            "it is an id, a name, or `*`",
        ));
    }
    if pattern != "*" && !resource.by_id() {
        return Err(InputError::invalid(
            "resource_pattern",
            pattern,
            "this kind of resource is only granted as a whole, with `*`",
        ));
    }
    Ok(())
}

/// What the grants on one resource come to: a veto, the highest level, or nothing if there are none.
pub fn fold<'a>(
    grants: impl IntoIterator<Item = &'a Grant>,
    resource: Resource,
    id: &str,
) -> Option<Permission> {
    let matching = grants
        .into_iter()
        .filter(|grant| grant.resource == resource && (grant.pattern == "*" || grant.pattern == id))
        .map(|grant| grant.permission);
    let mut best = None;
    for permission in matching {
        if permission == Permission::Deny {
            return Some(Permission::Deny);
        }
        best = best.max(Some(permission));
    }
    best
}

/// Whether the grants make their holder an administrator of everything but users.
pub fn manages_everything<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> bool {
    fold(grants, Resource::Workspace, "*") == Some(Permission::Manage)
}

/// What somebody may do with a resource: what the first kind in `kinds` says that has a grant at all, else `default`.
/// A positive grant is never less than the default.
pub fn effective(grants: &[Grant], kinds: &[(Resource, &str)], default: Permission) -> Permission {
    if manages_everything(grants) {
        return Permission::Manage;
    }
    let governing = kinds
        .iter()
        .find_map(|(resource, id)| fold(grants, *resource, id));
    match governing {
        Some(Permission::Deny) => Permission::Deny,
        Some(permission) => permission.max(default),
        None => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(list: &[(&str, &str, &str)]) -> Vec<Grant> {
        list.iter()
            .map(|(resource, pattern, permission)| Grant::new(resource, pattern, permission).unwrap())
            .collect()
    }

    #[test]
    fn the_highest_grant_counts_and_a_veto_beats_all() {
        let default = Permission::Read;
        let of =
            |list: &[(&str, &str, &str)]| effective(&grants(list), &[(Resource::Experiment, "1")], default);
        assert_eq!(of(&[]), Permission::Read);
        assert_eq!(of(&[("experiment", "1", "EDIT")]), Permission::Edit);
        assert_eq!(of(&[("experiment", "2", "EDIT")]), Permission::Read);
        assert_eq!(
            of(&[("experiment", "*", "MANAGE"), ("experiment", "1", "READ")]),
            Permission::Manage
        );
        assert_eq!(
            of(&[("experiment", "*", "MANAGE"), ("experiment", "1", "DENY")]),
            Permission::Deny
        );
        assert_eq!(
            of(&[("workspace", "*", "MANAGE"), ("experiment", "1", "DENY")]),
            Permission::Manage
        );
        assert_eq!(of(&[("workspace", "*", "USE")]), Permission::Read);
    }

    #[test]
    fn a_grant_on_all_runs_speaks_before_the_experiments() {
        let kinds = [(Resource::Run, "*"), (Resource::Experiment, "1")];
        let of = |list: &[(&str, &str, &str)]| effective(&grants(list), &kinds, Permission::None);
        assert_eq!(of(&[("experiment", "1", "EDIT")]), Permission::Edit);
        assert_eq!(
            of(&[("experiment", "1", "EDIT"), ("run", "*", "DENY")]),
            Permission::Deny
        );
        assert_eq!(
            of(&[("experiment", "1", "EDIT"), ("run", "*", "READ")]),
            Permission::Read
        );
    }

    #[test]
    fn grants_that_could_not_be_kept_are_refused() {
        for (resource, pattern, permission) in [
            ("experiments", "1", "READ"),
            ("experiment", "1", "read"),
            ("experiment", "", "READ"),
            ("experiment", "1", "NO_PERMISSIONS"),
            ("run", "abc", "READ"),
            ("workspace", "*", "READ"),
        ] {
            assert!(
                Grant::new(resource, pattern, permission).is_err(),
                "{resource} {pattern} {permission}"
            );
        }
    }
}
