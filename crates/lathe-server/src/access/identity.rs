use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use lathe_store::caller::{Reach, Sees};
use lathe_types::access::{Grant, Permission, Resource, fold, manages_everything};
use lathe_types::users::{Role, Scope};

use crate::telemetry::RequestId;

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// They did not have to.
    Nothing,
    /// Name and password.
    Password,
    /// A token of theirs.
    Token,
    /// The cookie of the page.
    Session,
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    /// The user's number; none where nobody logs in, and for the server's own jobs.
    pub(crate) user: Option<i64>,
    pub(crate) name: String,
    pub(crate) is_admin: bool,
    pub(crate) role: Role,
    /// What the token is for; none: whatever its user may do.
    pub(crate) scopes: Option<Vec<Scope>>,
    /// Grants on all of a kind.
    pub(crate) grants: Vec<Grant>,
    pub(crate) via: Via,
}

impl Identity {
    /// Somebody who may do everything: commands on the repository's own records, the server's own jobs.
    pub(crate) fn trusted(name: &str) -> Self {
        Self {
            user: None,
            name: name.to_owned(),
            is_admin: true,
            role: Role::Admin,
            scopes: None,
            grants: Vec::new(),
            via: Via::Nothing,
        }
    }

    /// Whether it may use what needs this scope.
    pub(crate) fn has_scope(&self, wanted: Scope) -> bool {
        let Some(scopes) = &self.scopes else {
            return true;
        };
        scopes.contains(&wanted) || wanted == Scope::Read && scopes.contains(&Scope::Write)
    }

    /// How much of each kind it may see, where the default is `default`.
    pub(crate) fn sees(&self, default: Permission) -> Sees {
        if self.is_admin || manages_everything(&self.grants) {
            return Sees::default();
        }
        let own = |resource| match fold(&self.grants, resource, "*") {
            Some(Permission::Deny) => Reach::Nothing,
            Some(_) => Reach::AllButDenied,
            None if Permission::Read <= default => Reach::AllButDenied,
            None => Reach::OnlyGranted,
        };
        let whole = |resource| {
            fold(&self.grants, resource, "*").map(|permission| match permission {
                Permission::Deny => Reach::Nothing,
                _ => Reach::Everything,
            })
        };
        Sees {
            experiments: own(Resource::Experiment),
            runs: whole(Resource::Run),
            logged_models: whole(Resource::LoggedModel),
            traces: whole(Resource::Trace),
            models: own(Resource::RegisteredModel),
            prompts: own(Resource::Prompt),
        }
    }
}

/// From where a request comes, for limits and for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The address at the other end, or `local` without a socket.
    pub(crate) address: String,
    /// With what a proxy says about it.
    pub(crate) told: String,
    pub(crate) request_id: String,
}

impl Source {
    pub(crate) fn of(request: &Request) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = peer.map_or_else(|| "local".to_owned(), |peer| peer.0.ip().to_string());
        let forwarded = request
            .headers()
            .get("x-forwarded-for")
            .and_then(|value| value.to_str().ok());
        let told = match forwarded {
            Some(forwarded) => {
                let forwarded: String = forwarded.chars().filter(|c| !c.is_control()).take(100).collect();
                format!("{address} (says it is for {forwarded})")
            }
            None => address.clone(),
        };
        let request_id = request.extensions().get::<RequestId>();
        Self {
            address,
            told,
            request_id: request_id.map(|id| id.0.clone()).unwrap_or_default(),
        }
    }
}
