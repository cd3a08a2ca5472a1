//! Pipelines with all their templates: a `dvc.yaml` and the files of parameters that it names are resolved or refused.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use lathe_data::Repo;
use lathe_pipeline::{Files, ParamFiles, State};

/// Between the texts of the files, which are these in turn.
const BREAK: &str = "\n%%%\n";
const NAMES: [&str; 6] = ["dvc.yaml", "params.yaml", "p.py", "p.toml", "p.json", "dvc.lock"];

struct Texts(BTreeMap<&'static str, Vec<u8>>);

impl Files for Texts {
    fn read(&self, at: &str) -> lathe_pipeline::Result<Option<Vec<u8>>> {
        Ok(self.0.get(at).cloned())
    }

    fn pipelines(&self) -> lathe_pipeline::Result<Vec<String>> {
        Ok(vec!["dvc.yaml".to_owned()])
    }

    fn list(&self, _folder: &str) -> lathe_pipeline::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// An empty repository: settings and a cache are looked for in one.
fn repo() -> &'static Repo {
    static REPO: OnceLock<(tempfile::TempDir, Repo)> = OnceLock::new();
    let (_, repo) = REPO.get_or_init(|| {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let repo = Repo::init(folder.path()).expect("an empty folder becomes a repository");
        (folder, repo)
    });
    repo
}

/// Reads it; panics if what comes out breaks a promise.
pub fn check(text: &str) {
    let parts = text.split(BREAK).map(|part| part.as_bytes().to_vec());
    let texts: BTreeMap<_, _> = NAMES.into_iter().zip(parts).collect();
    let lock = String::from_utf8_lossy(texts.get("dvc.lock").map_or(&[][..], Vec::as_slice)).into_owned();
    let pipeline = String::from_utf8_lossy(&texts["dvc.yaml"]).into_owned();
    let at = repo().root().join("dvc.yaml");
    let texts: Arc<dyn Files> = Arc::new(Texts(texts));
    let params = ParamFiles::of(texts.clone());
    let _ = lathe_pipeline::locked_outs(repo().root(), &at, &pipeline, &lock, &params);
    match State::open(repo(), texts) {
        Ok(state) => {
            let _ = state.params(&[], false);
            let _ = state.metrics(&[]);
            let _ = state.artifacts();
        }
        // Messages are for people.
        Err(error) => assert!(error.to_string().len() <= 10 * text.len() + 10_000),
    }
    let _ = lathe_pipeline::parse_param(text);
}
