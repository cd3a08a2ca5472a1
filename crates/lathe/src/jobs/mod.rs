//! What each kind of job does. Deciding is `lathe-automation`'s; here the rooms are asked and the outcome recorded.

mod deploy;
mod gate;
mod retrain;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use lathe_automation::jobs::{Handler, JobDone, JobError};
use lathe_blob::Artifacts;
use lathe_serving::Runtimes;
use lathe_store::Store;
use lathe_types::jobs::Job;

/// What a job may use.
#[derive(Clone)]
pub struct Context {
    /// The records.
    pub store: Store,
    /// The bytes.
    pub artifacts: Artifacts,
    /// This server's own address, for child processes; none without a socket.
    pub url: Option<String>,
    /// The token that opens it to them, where people log in.
    pub token: Option<String>,
    /// What may answer for the models that a gate compares; whatever is found if nobody says.
    pub runtimes: Option<Runtimes>,
}

/// The handler of every kind of job.
pub fn handlers(context: &Context) -> BTreeMap<&'static str, Handler> {
    BTreeMap::from([
        ("retrain", handler(context, retrain::execute)),
        ("gate", handler(context, gate::execute)),
        ("deploy", handler(context, deploy::execute)),
    ])
}

fn handler<F>(context: &Context, execute: fn(Context, Job) -> F) -> Handler
where
    F: Future<Output = anyhow::Result<JobDone>> + Send + 'static,
{
    let context = context.clone();
    Arc::new(move |job| {
        let work = execute(context.clone(), job);
        Box::pin(async move {
            work.await.map_err(|error| JobError {
                message: format!("{error:#}"),
                retry: true,
            })
        })
    })
}
