//! Which crate may depend on which, and which crate alone knows a technology. Both are read from the manifests: what
//! is not declared there cannot be used.

use std::collections::BTreeSet;

use anyhow::Context;

use crate::tidy::Finding;

/// Each crate with the crates of this workspace that it may use. `lathe` joins them and may use all.
const EDGES: &[(&str, &[&str])] = &[
    ("lathe-types", &[]),
    ("lathe-api", &["lathe-types"]),
    ("lathe-store", &["lathe-types"]),
    ("lathe-blob", &["lathe-types"]),
    ("lathe-yaml", &[]),
    ("lathe-data", &["lathe-types", "lathe-blob", "lathe-yaml"]),
    ("lathe-pipeline", &["lathe-types", "lathe-data", "lathe-yaml"]),
    ("lathe-serving", &["lathe-types"]),
    ("lathe-monitor", &["lathe-types"]),
    ("lathe-parquet", &[]),
    ("lathe-rules", &["lathe-types"]),
    ("lathe-diff", &["lathe-parquet"]),
    (
        "lathe-automation",
        &["lathe-types", "lathe-store", "lathe-monitor", "lathe-rules"],
    ),
    (
        "lathe-server",
        &[
            "lathe-types",
            "lathe-api",
            "lathe-store",
            "lathe-blob",
            "lathe-rules",
            "lathe-serving",
        ],
    ),
];

/// The crate that joins all others.
const BINARY: &str = "lathe";

/// Technologies with the only crates that know them, also in tests.
const TECHNOLOGIES: &[(&str, &[&str])] = &[
    ("anyhow", &["lathe"]),
    ("axum", &["lathe-server", "lathe"]),
    ("cel", &["lathe-rules"]),
    ("clap", &["lathe"]),
    ("ignore", &["lathe-data"]),
    ("md-5", &["lathe-data"]),
    ("object_store", &["lathe-blob"]),
    ("ort", &["lathe-serving"]),
    ("parquet", &["lathe-parquet"]),
    ("postgres", &["lathe-store"]),
    ("prost", &["lathe-api"]),
    ("rusqlite", &["lathe-store"]),
    ("saphyr-parser", &["lathe-yaml"]),
    ("serde-saphyr", &["lathe-serving"]),
    ("statrs", &["lathe-monitor"]),
    ("ureq", &["lathe", "lathe-server"]),
    ("zip", &["lathe-serving", "lathe-diff"]),
];

/// What a crate declares.
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// What it depends on, in tests or builds too.
    pub uses: BTreeSet<String>,
}

impl Manifest {
    /// Reads a `Cargo.toml`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let manifest: toml::Table = text.parse().context("it is not TOML")?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .context("it names no package")?;
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let declared = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
        Ok(Self {
            name: name.to_owned(),
            uses: declared.flat_map(|table| table.keys().cloned()).collect(),
        })
    }
}

/// Faults every edge that the tables do not have.
pub fn check(manifests: &[Manifest]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let workspace: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    for Manifest { name, uses } in manifests {
        for (technology, rooms) in TECHNOLOGIES {
            if uses.contains(*technology) && !rooms.contains(&name.as_str()) {
                let rooms = rooms.join("` and `");
                findings.push(Finding::Fault(format!(
                    "`{name}` uses `{technology}`, which only `{rooms}` may know"
                )));
            }
        }
        if name == BINARY {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| known == name) else {
            findings.push(Finding::Fault(format!(
                "`{name}` is a new crate: say in `xtask/src/edges.rs` what it may use"
            )));
            continue;
        };
        for used in uses.iter().filter(|used| workspace.contains(used.as_str())) {
            if !allowed.contains(&used.as_str()) {
                findings.push(Finding::Fault(format!(
                    "`{name}` uses `{used}`, which it may not"
                )));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(manifests: &[&str]) -> Vec<Finding> {
        let manifests: Vec<Manifest> = manifests
            .iter()
            .map(|text| Manifest::parse(text).unwrap())
            .collect();
        check(&manifests)
    }

    const STORE: &str = "[package]\nname = 'lathe-store'\n[dependencies]\nrusqlite.workspace = true\n";

    #[test]
    fn an_edge_that_the_table_has_is_fine_and_the_binary_may_use_all() {
        let automation =
            "[package]\nname = 'lathe-automation'\n[dependencies]\nlathe-store.workspace = true\n";
        let binary = "[package]\nname = 'lathe'\n[dependencies]\nlathe-store = {}\nlathe-automation = {}\nanyhow = '1'\n";
        assert_eq!(faults(&[STORE, automation, binary]), []);
    }

    #[test]
    fn an_edge_that_it_does_not_have_is_a_fault_in_tests_too() {
        let monitor = "[package]\nname = 'lathe-monitor'\n[dev-dependencies]\nlathe-store.workspace = true\n";
        let told = "`lathe-monitor` uses `lathe-store`, which it may not";
        assert_eq!(faults(&[STORE, monitor]), [Finding::Fault(told.into())]);
    }

    #[test]
    fn a_technology_has_its_room() {
        let server = "[package]\nname = 'lathe-server'\n[dependencies]\nrusqlite = '1'\naxum = '1'\n";
        let told = "`lathe-server` uses `rusqlite`, which only `lathe-store` may know";
        assert_eq!(faults(&[server]), [Finding::Fault(told.into())]);
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        let found = faults(&["[package]\nname = 'lathe-helper'\n"]);
        assert!(matches!(&found[..], [Finding::Fault(text)] if text.contains("new crate")));
    }
}
