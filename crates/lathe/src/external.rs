//! What stages read and write behind URLs, reached as imports are.

use std::sync::Arc;

use lathe_data::Repo;
use lathe_pipeline::{External, Failure, Reach, Seen};

use crate::commands::data::places::Place;

struct Urls {
    repo: Repo,
}

/// What reaches URLs for a repository, with the settings of its remotes.
pub fn reach(repo: &Repo) -> Reach {
    Reach(Arc::new(Urls { repo: repo.clone() }))
}

impl Urls {
    fn place(&self, url: &str) -> anyhow::Result<Place> {
        Place::find(url, self.repo.root(), Some(&self.repo))
    }
}

impl External for Urls {
    fn look(&self, url: &str) -> Result<Option<Seen>, Failure> {
        Ok(self.place(url)?.seen(&self.repo)?)
    }

    fn remove(&self, url: &str) -> Result<(), Failure> {
        Ok(self.place(url)?.remove()?)
    }
}
