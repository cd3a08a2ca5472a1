//! What a process may that answers for a model: our own program gives up everything else before it loads the model, or
//! before it becomes the program that does.

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, setrlimit};

/// As `lathe-serving` asks for it.
#[derive(Debug, clap::Args)]
pub struct ConfinementArgs {
    /// The address space that it may take, in bytes.
    #[arg(long)]
    memory: Option<u64>,
    /// Leave it the network.
    #[arg(long)]
    network: bool,
}

impl ConfinementArgs {
    /// Holds this process to it, and whatever it becomes or starts. It must have one thread only.
    pub fn apply(&self) -> anyhow::Result<()> {
        let limit = |bytes| Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        setrlimit(Resource::Core, limit(0)).context("core files cannot be turned off")?;
        #[cfg(target_os = "linux")]
        linux::confine(self.network)?;
        #[cfg(not(target_os = "linux"))]
        if !self.network {
            warn_of_network();
        }
        if let Some(bytes) = self.memory {
            setrlimit(Resource::As, limit(bytes)).context("the memory cannot be limited")?;
        }
        Ok(())
    }
}

fn warn_of_network() {
    tracing::warn!("this system does not let the model be cut off from the network");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::Context as _;
    use rustix::process::{Signal, getgid, getuid, set_parent_process_death_signal};
    use rustix::thread::{
        CapabilitySet, CapabilitySets, UnshareFlags, capabilities, set_capabilities, set_no_new_privs,
    };

    pub(super) fn confine(network: bool) -> anyhow::Result<()> {
        // No model outlives the server, busy as it may be.
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("the end of the server cannot be heard")?;
        if !network && !cut_off()? {
            super::warn_of_network();
        }
        drop_privileges().context("privileges cannot be given up")
    }

    /// Leaves the system's network, and its shared memory and queues; false where that is not allowed.
    fn cut_off() -> anyhow::Result<bool> {
        let apart = UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
        if unshare(apart) {
            return Ok(true);
        }
        let (user, group) = (getuid().as_raw(), getgid().as_raw());
        if !unshare(UnshareFlags::NEWUSER | apart) {
            return Ok(false);
        }
        // Files are read and written as the same user as before.
        for (name, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{user} {user} 1")),
            ("gid_map", format!("{group} {group} 1")),
        ] {
            let path = format!("/proc/self/{name}");
            std::fs::write(&path, text).with_context(|| format!("failed to write `{path}`"))?;
        }
        Ok(true)
    }

    #[expect(
        deprecated,
        reason = "what makes it unsafe is to part threads from their files, which is not asked for"
    )]
    fn unshare(flags: UnshareFlags) -> bool {
        rustix::thread::unshare(flags).is_ok()
    }

    /// Root too then has no way back, nor into the server: it reads and writes files, and no more.
    fn drop_privileges() -> rustix::io::Result<()> {
        set_no_new_privs(true)?;
        let kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        let now = capabilities(None)?;
        set_capabilities(
            None,
            CapabilitySets {
                effective: now.effective & kept,
                permitted: now.permitted & kept,
                inheritable: CapabilitySet::empty(),
            },
        )
    }
}
