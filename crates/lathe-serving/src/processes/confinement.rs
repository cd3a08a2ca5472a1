use std::ffi::OsString;
use std::path::PathBuf;

/// Our own program as it is started to hold itself to what the options after its arguments allow.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Where it lies.
    pub program: PathBuf,
    /// What makes it do so.
    pub arguments: Vec<String>,
}

/// What a process may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// Address space that it may take; no limit if none.
    pub(crate) memory_bytes_max: Option<u64>,
    pub(crate) network: bool,
}

/// What our own program is started with to do `what` and to be allowed no more.
pub(crate) fn confined(launcher: &Launcher, allowed: Allowed, what: Vec<OsString>) -> Vec<OsString> {
    let memory = allowed.memory_bytes_max.map(|bytes| format!("--memory={bytes}"));
    let network = allowed.network.then(|| "--network".to_owned());
    let options = memory.into_iter().chain(network).chain(["--".to_owned()]);
    let own = launcher.arguments.iter().cloned().chain(options);
    own.map(OsString::from).chain(what).collect()
}
