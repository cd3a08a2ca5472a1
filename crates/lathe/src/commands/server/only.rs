//! Which modules a process runs.

use lathe_server::Modules;

use crate::exit::hinted;

/// A part of the server that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    Tracking,
    Registry,
    Artifacts,
    Inference,
    /// Watches samples: windows, drift, alerts.
    Monitoring,
    /// Moves rollouts, fires triggers, works on jobs.
    Automation,
    Ui,
}

/// Reads the name of a module.
pub fn parse(text: &str) -> Result<Module, String> {
    Ok(match text.trim() {
        "tracking" => Module::Tracking,
        "registry" => Module::Registry,
        "artifacts" => Module::Artifacts,
        "inference" | "serving" => Module::Inference,
        "monitoring" => Module::Monitoring,
        "automation" => Module::Automation,
        "ui" => Module::Ui,
        _ => {
            return Err(
                "the modules are tracking, registry, artifacts, inference, monitoring, automation and ui"
                    .into(),
            );
        }
    })
}

/// What a process runs.
pub struct Running {
    /// The faces it has.
    pub modules: Modules,
    /// Whether it watches samples.
    pub monitoring: bool,
    /// Whether it acts.
    pub automation: bool,
}

impl Running {
    /// By `--only`, `--artifacts-only` and `--no-serve-artifacts`. Tracking and registry bring the artifact proxy along,
    /// since what they name lies there.
    pub fn choose(only: &[Module], serves_artifacts: bool, artifacts_only: bool) -> anyhow::Result<Self> {
        if artifacts_only && (!only.is_empty() || !serves_artifacts) {
            return Err(hinted(
                "`--artifacts-only` says what runs, and something else was said too",
                "leave `--only` and `--no-serve-artifacts` out",
            ));
        }
        if artifacts_only {
            let mut running = Self::choose(&[Module::Artifacts], true, false)?;
            running.modules.reason = "--artifacts-only";
            return Ok(running);
        }
        let has = |module: Module| only.is_empty() || only.contains(&module);
        let proxied = has(Module::Artifacts) || has(Module::Tracking) || has(Module::Registry);
        Ok(Self {
            modules: Modules {
                tracking: has(Module::Tracking),
                registry: has(Module::Registry),
                artifacts: serves_artifacts && proxied,
                inference: has(Module::Inference),
                ui: has(Module::Ui),
                api: only != [Module::Artifacts],
                reason: match only.is_empty() {
                    true => "--no-serve-artifacts",
                    false => "--only",
                },
            },
            monitoring: has(Module::Monitoring),
            automation: has(Module::Automation),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_alone_is_alone() {
        let of = |only: &[Module]| Running::choose(only, true, false).unwrap();
        let all = of(&[]);
        assert!(all.modules.tracking && all.modules.inference && all.monitoring && all.automation);
        let tracking = of(&[Module::Tracking, Module::Ui]);
        assert!(tracking.modules.tracking && tracking.modules.artifacts && tracking.modules.ui);
        assert!(!tracking.modules.registry && !tracking.modules.inference && !tracking.automation);
        let artifacts = Running::choose(&[], true, true).unwrap();
        assert!(artifacts.modules.artifacts && !artifacts.modules.tracking && !artifacts.modules.api);
        assert!(!Running::choose(&[], false, false).unwrap().modules.artifacts);
        assert!(Running::choose(&[Module::Ui], true, true).is_err());
    }
}
