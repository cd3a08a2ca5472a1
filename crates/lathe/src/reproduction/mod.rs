//! Rebuilds a run from nothing but the repository, its cache and the records, and compares: resolve what is wanted
//! (`target.rs`), build it again in a clean folder (`rebuild.rs`), compare every output (`compare.rs`), say what came of
//! it (`report.rs`). How files differ is known by `lathe-diff`.

mod compare;
mod rebuild;
mod report;
mod target;

use lathe_types::executions::HashedPath;
use lathe_types::steps::StepFile;

pub use compare::{compare, compare_rebuilds};
pub use rebuild::{Built, Interrupted, Rebuilding};
pub use report::{Nondeterminism, Report, Verdict};
pub use target::Target;

/// As something that caches and remotes are asked for.
fn by_hash(path: &HashedPath) -> StepFile {
    StepFile {
        path: path.path.clone(),
        md5: path.md5.clone(),
        size: path.size,
        nfiles: None,
        is_exec: false,
        is_data: true,
    }
}
