//! For whom something is read or written. The server says it once for a whole request; from there it goes along by
//! itself, so that searches leave out what the caller must not see, what is created belongs to its creator, and every
//! change is written into the audit log in its own transaction, without any of them being told.

use std::sync::{Arc, Mutex};

use lathe_types::Millis;
use lathe_types::access::{Permission, Resource};

use crate::{Result, Tx, audit, roles};

tokio::task_local! {
    static CALLER: Caller;
}

/// For whom something happens.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The user's number; none where nobody logs in.
    pub user: Option<i64>,
    /// What it may see.
    pub sees: Sees,
    /// The change that is to be written into the audit log.
    pub act: Option<Arc<Act>>,
}

impl Caller {
    /// Nobody in particular: sees everything, owns nothing.
    pub(crate) const NOBODY: Self = Self {
        user: None,
        sees: Sees {
            experiments: Reach::Everything,
            runs: None,
            logged_models: None,
            traces: None,
            models: Reach::Everything,
            prompts: Reach::Everything,
        },
        act: None,
    };
}

/// How much of a kind somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// All.
    #[default]
    Everything,
    /// None.
    Nothing,
    /// All that no grant denies.
    AllButDenied,
    /// What a grant allows and none denies.
    OnlyGranted,
}

/// How much of each kind somebody may see. What belongs to an experiment is seen as far as the experiment is, unless
/// grants on all of its kind say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sees {
    /// Experiments, and what belongs to them.
    pub experiments: Reach,
    /// Runs, if they are not seen as their experiments are.
    pub runs: Option<Reach>,
    /// Logged models, likewise.
    pub logged_models: Option<Reach>,
    /// Traces, likewise.
    pub traces: Option<Reach>,
    /// Registered models and their versions.
    pub models: Reach,
    /// Prompts and their versions.
    pub prompts: Reach,
}

/// A change on its way into the audit log.
#[derive(Debug)]
pub struct Act {
    /// Who, or `anonymous`.
    pub who: String,
    /// Method and path.
    pub action: String,
    /// From which address.
    pub source: String,
    /// The request's id.
    pub request_id: String,
    /// When.
    pub at: Millis,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    subject: String,
    written: bool,
}

impl Act {
    /// A change of `subject`; empty if it is not known yet.
    pub fn new(
        who: String,
        action: String,
        subject: String,
        source: String,
        request_id: String,
        at: Millis,
    ) -> Self {
        Self {
            who,
            action,
            source,
            request_id,
            at,
            told: Mutex::new(Told {
                subject,
                written: false,
            }),
        }
    }

    /// What it is about.
    pub fn subject(&self) -> String {
        self.told().subject.clone()
    }

    /// Whether it stands in the log.
    pub fn is_written(&self) -> bool {
        self.told().written
    }

    fn name(&self, resource: Resource, id: &str) {
        let mut told = self.told();
        if told.subject.is_empty() {
            told.subject = format!("{}/{id}", resource.as_str());
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // Nothing panics while it is held.
        self.told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Does something on behalf of somebody.
pub async fn on_behalf_of<F: Future>(caller: Caller, work: F) -> F::Output {
    CALLER.scope(caller, work).await
}

/// Who is behind the present task; somebody who may see everything if nobody was named.
pub fn current() -> Caller {
    CALLER.try_with(Caller::clone).unwrap_or_default()
}

/// What was just created belongs to whoever created it.
pub(crate) fn owns(tx: &Tx<'_>, resource: Resource, id: &str) -> Result<()> {
    let caller = tx.caller();
    if let Some(act) = &caller.act {
        act.name(resource, id);
    }
    match caller.user {
        Some(user) => roles::set_direct(tx, user, resource.as_str(), id, Permission::Manage),
        None => Ok(()),
    }
}

/// Writes the change into the audit log; once for all transactions of one request.
pub(crate) fn record(tx: &Tx<'_>) -> Result<()> {
    let Some(act) = &tx.caller().act else {
        return Ok(());
    };
    if act.is_written() {
        return Ok(());
    }
    audit::append(tx, act, "done")?;
    act.told().written = true;
    Ok(())
}
