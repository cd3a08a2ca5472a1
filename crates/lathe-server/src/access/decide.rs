//! Whether somebody may: pure. Who asks, what the route needs, what is known of the things named.

use lathe_store::Facts;
use lathe_types::access::{Permission, Resource, effective};
use lathe_types::users::{Role, Scope};

use super::identity::Identity;
use super::table::{Kind, Need, Rule};

/// A permission wanted on a thing that was looked up.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) level: Permission,
    pub(super) kind: Kind,
    /// As people name it: `experiment/3`.
    pub(super) label: String,
    pub(super) facts: Facts,
}

/// Why not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nobody is known.
    Unknown,
    /// For this reason.
    Because(String),
}

/// What can be said before anything is looked up.
pub(super) fn may_ask(identity: Option<&Identity>, rule: Option<&Rule>) -> Result<(), Denied> {
    let Some(rule) = rule else {
        return match identity {
            None => Err(Denied::Unknown),
            Some(_) => Err(Denied::Because("nobody may use this route here".into())),
        };
    };
    if matches!(rule.need, Need::Open) {
        return Ok(());
    }
    let identity = identity.ok_or(Denied::Unknown)?;
    if !identity.has_scope(rule.scope) {
        let scope = match rule.scope {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Inference => "inference",
            Scope::Admin => "admin",
        };
        return Err(Denied::Because(format!(
            "the token of `{}` has not the scope `{scope}`",
            identity.name
        )));
    }
    match rule.need {
        Need::Role(role, _) => has_role(identity, role),
        Need::Open | Need::User | Need::On(_) => Ok(()),
    }
}

/// Whether its role is enough.
pub(super) fn has_role(identity: &Identity, role: Role) -> Result<(), Denied> {
    if role <= identity.role || identity.is_admin {
        return Ok(());
    }
    Err(Denied::Because(format!(
        "`{}` is {}, and this takes {role}; an administrator can say `lathe user set-role {} {role}`",
        identity.name, identity.role, identity.name
    )))
}

/// Whether every permission is there. A thing that does not exist is for its handler to tell, except that nobody puts
/// artifacts where no experiment keeps its own.
pub(super) fn may_touch(identity: &Identity, wanted: &[Wanted], default: Permission) -> Result<(), Denied> {
    if identity.is_admin {
        return Ok(());
    }
    for Wanted {
        level,
        kind,
        label,
        facts,
    } in wanted
    {
        if facts.kinds.is_empty() {
            match kind {
                Kind::Artifact => {
                    return Err(Denied::Because(format!("`{label}` belongs to no experiment")));
                }
                _ if facts.is_kept => {
                    return Err(Denied::Because(format!(
                        "`{label}` is where experiments keep their artifacts; name a place beside them"
                    )));
                }
                _ => continue,
            }
        }
        let mut grants = identity.grants.clone();
        grants.extend(facts.grants.iter().cloned());
        let kinds: Vec<(Resource, &str)> = facts
            .kinds
            .iter()
            .map(|(resource, id)| (*resource, id.as_str()))
            .collect();
        let has = effective(&grants, &kinds, default);
        if has < *level {
            return Err(Denied::Because(format!(
                "`{}` has {} on `{label}`, and this takes {}",
                identity.name,
                has.as_str(),
                level.as_str()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::identity::Via;
    use super::super::table::rule_of;
    use super::*;
    use lathe_types::access::Grant;

    fn ann(scopes: Option<Vec<Scope>>, grants: &[(&str, &str, &str)]) -> Identity {
        Identity {
            user: Some(1),
            name: "ann".into(),
            is_admin: false,
            role: Role::Viewer,
            scopes,
            grants: grants
                .iter()
                .map(|(resource, pattern, permission)| Grant::new(resource, pattern, permission).unwrap())
                .collect(),
            via: Via::Token,
        }
    }

    #[test]
    fn an_unlisted_route_is_for_nobody() {
        let admin = Identity::trusted("root");
        assert_eq!(may_ask(None, None), Err(Denied::Unknown));
        assert!(matches!(may_ask(Some(&admin), None), Err(Denied::Because(_))));
    }

    #[test]
    fn a_token_does_what_it_is_for_and_no_more() {
        let rule = |method, path| rule_of(method, path);
        let log = rule("POST", "/api/2.0/mlflow/runs/log-batch");
        let find = rule("POST", "/api/2.0/mlflow/runs/search");
        let infer = rule("POST", "/v2/models/{name}/infer");
        let users = rule("POST", "/api/2.0/mlflow/users/create");
        let may = |scopes: &[Scope]| {
            let identity = ann(Some(scopes.to_vec()), &[]);
            [log, find, infer, users].map(|rule| may_ask(Some(&identity), rule).is_ok())
        };
        assert_eq!(may(&[Scope::Read]), [false, true, false, false]);
        assert_eq!(may(&[Scope::Write]), [true, true, false, false]);
        assert_eq!(may(&[Scope::Inference]), [false, false, true, false]);
        assert_eq!(may(&[Scope::Admin]), [false, false, false, true]);
        assert!(may_ask(None, rule("GET", "/health")).is_ok());
        assert!(may_ask(None, rule("HEAD", "/health")).is_ok());
    }

    #[test]
    fn every_thing_that_is_named_must_be_allowed() {
        let wanted = |id: &str, grants: &[(&str, &str, &str)]| Wanted {
            level: Permission::Edit,
            kind: Kind::Run,
            label: format!("run/{id}"),
            facts: Facts {
                kinds: vec![(Resource::Run, "*".into()), (Resource::Experiment, id.into())],
                grants: grants
                    .iter()
                    .map(|(resource, pattern, permission)| Grant::new(resource, pattern, permission).unwrap())
                    .collect(),
                is_kept: false,
            },
        };
        let mine = || wanted("1", &[("experiment", "1", "EDIT")]);
        let ann = ann(None, &[]);
        assert_eq!(may_touch(&ann, &[mine()], Permission::Read), Ok(()));
        let Err(Denied::Because(reason)) = may_touch(&ann, &[mine(), wanted("2", &[])], Permission::Read)
        else {
            panic!("allowed");
        };
        assert_eq!(reason, "`ann` has READ on `run/2`, and this takes EDIT");
        let nowhere = Wanted {
            kind: Kind::Artifact,
            facts: Facts {
                kinds: Vec::new(),
                grants: Vec::new(),
                is_kept: false,
            },
            ..mine()
        };
        assert!(may_touch(&ann, &[nowhere], Permission::Manage).is_err());
    }
}
