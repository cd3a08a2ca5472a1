//! What takes chance out of common libraries: the same settings for a run that asks for them and for its rebuilding.

/// Environment variables with their values: hash seed, time zone, locale, one thread for every numeric library, the
/// time that build tools write (<https://reproducible-builds.org/specs/source-date-epoch/>), deterministic kernels.
pub fn variables(commit_time_s: Option<&str>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = FIXED
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if let Some(time) = commit_time_s {
        variables.push(("SOURCE_DATE_EPOCH".into(), time.to_owned()));
    }
    variables
}

const FIXED: &[(&str, &str)] = &[
    ("PYTHONHASHSEED", "0"),
    ("TZ", "UTC"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("NUMEXPR_NUM_THREADS", "1"),
    ("VECLIB_MAXIMUM_THREADS", "1"),
    ("RAYON_NUM_THREADS", "1"),
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
    ("TF_DETERMINISTIC_OPS", "1"),
    ("TF_CUDNN_DETERMINISTIC", "1"),
];

/// Something that should not matter, changed to see whether it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variation {
    /// The seed of Python's hashes, which orders sets.
    HashSeed,
    /// How many threads numeric libraries use, which orders sums.
    Threads,
    /// Time zone and locale, which write dates and numbers.
    Locale,
    /// The folder's name and depth.
    Folder,
}

impl Variation {
    /// All, in the order they are tried.
    pub const ALL: [Self; 4] = [Self::HashSeed, Self::Threads, Self::Locale, Self::Folder];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::HashSeed => "the hash seed",
            Self::Threads => "the number of threads",
            Self::Locale => "time zone and locale",
            Self::Folder => "the folder",
        }
    }

    /// What it sets otherwise than [`variables`].
    pub fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::HashSeed => &[("PYTHONHASHSEED", "4711")],
            Self::Threads => &[
                ("OMP_NUM_THREADS", "2"),
                ("OPENBLAS_NUM_THREADS", "2"),
                ("MKL_NUM_THREADS", "2"),
                ("NUMEXPR_NUM_THREADS", "2"),
                ("RAYON_NUM_THREADS", "2"),
            ],
            Self::Locale => &[("TZ", "Asia/Kathmandu"), ("LANG", "POSIX"), ("LC_ALL", "POSIX")],
            Self::Folder => &[],
        }
    }
}
