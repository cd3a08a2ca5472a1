use std::io;
use std::path::{Path, PathBuf};

use lathe_types::ErrorKind;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why data could not be found, hashed, saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `.dvc` upwards.
    #[error("`{path}` is not in a DVC repository")]
    NoRepo {
        /// Where the search began.
        path: PathBuf,
    },
    /// `.dvc` is there already.
    #[error("`{path}` is a DVC repository already")]
    RepoExists {
        /// Its root.
        path: PathBuf,
    },
    /// A line of `.dvc/config` that is no setting.
    #[error("`{path}` line {line}: `{text}` is neither a section nor a setting")]
    Config {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is there.
        text: String,
    },
    /// Reading from the disk failed.
    #[error("failed to read `{path}`")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Writing to the disk failed.
    #[error("failed to write `{path}`")]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Sockets, pipes and devices have no content to version.
    #[error("`{path}` is neither a file nor a folder")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A link that leads nowhere.
    #[error("`{path}` is a link to nothing")]
    BrokenLink {
        /// The link.
        path: PathBuf,
        /// Why it could not be followed.
        source: io::Error,
    },
    /// A file that was written to while it was looked at.
    #[error("`{path}` changed while it was read")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// No kind of link of `cache.type` works here.
    #[error("`{path}` cannot be linked to the cache")]
    NoLink {
        /// What was to be made.
        path: PathBuf,
    },
    /// A setting with a value that it cannot have.
    #[error("the setting {name} is `{value}`, which is {what}")]
    Setting {
        /// `section.key`
        name: String,
        /// What it is.
        value: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A setting that DVC does not have.
    #[error("there is no setting `{name}`")]
    UnknownSetting {
        /// `section.key`
        name: String,
    },
    /// Settings of a project, outside of any.
    #[error("there is no project whose settings could be changed")]
    NoLevel,
    /// Another process holds the repository's lock.
    #[error("another process holds `{path}`")]
    Locked {
        /// The lock.
        path: PathBuf,
        /// Its process id.
        holder: String,
    },
    /// A running stage of DVC uses the path.
    #[error("`{path}` is in use by process {pid} (`{command}`)")]
    Busy {
        /// What it uses.
        path: PathBuf,
        /// Its id.
        pid: i32,
        /// What it does.
        command: String,
    },
    /// A `.dvc` file that is none.
    #[error("`{path}` is no `.dvc` file: {problem}")]
    DvcFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing tracked is meant by this name.
    #[error("`{target}` is not tracked")]
    UnknownTarget {
        /// What was asked for.
        target: String,
    },
    /// Nothing to track.
    #[error("`{path}` does not exist")]
    NothingThere {
        /// The path.
        path: PathBuf,
    },
    /// Two outputs that hold the same files.
    #[error("`{path}` overlaps `{other}`, which `{file}` tracks")]
    Overlap {
        /// What was to be tracked.
        path: PathBuf,
        /// What is.
        other: PathBuf,
        /// By which file.
        file: String,
    },
    /// Data that is made by a stage.
    #[error("`{path}` is an output of stage `{stage}`")]
    OutputOfStage {
        /// The path.
        path: PathBuf,
        /// The stage.
        stage: String,
    },
    /// What cannot be tracked at all.
    #[error("`{path}` cannot be tracked: {reason}")]
    NotTrackable {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Files of the workspace that would be lost.
    #[error("{} in the workspace are in no cache, as `{}`", counted(.paths.len(), "file"), .paths.first().map(|p| p.display().to_string()).unwrap_or_default())]
    Unsaved {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// No remote was named, and there is no default one.
    #[error("no remote is named, and there is no default one")]
    NoRemote,
    /// A name that no remote has.
    #[error("there is no remote `{name}`")]
    UnknownRemote {
        /// The name.
        name: String,
    },
    /// A remote that keeps versions of files under their own names.
    #[error("remote `{name}` keeps versions of files under their own names, which is not supported")]
    VersionedRemote {
        /// The remote.
        name: String,
    },
    /// Outputs whose files only such a remote keeps.
    #[error("{} of a `version_aware` or `worktree` remote, which is not supported: {}", counted(.paths.len(), "output"), .paths.join(", "))]
    VersionedOutputs {
        /// The outputs.
        paths: Vec<String>,
    },
    /// A remote that only gives what is asked for by name: a mere HTTP server.
    #[error("remote `{name}` cannot list what it has")]
    NotListable {
        /// The remote.
        name: String,
    },
    /// A remote could not be reached, or failed.
    #[error("remote `{name}` failed")]
    Remote {
        /// Its name or URL.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Data that could not be restored.
    #[error("{} cannot be restored: {}", counted(.paths.len(), "output"), .paths.join(", "))]
    NotRestored {
        /// The outputs.
        paths: Vec<String>,
    },
    /// DVC's formats hold paths as text.
    #[error("the name of `{path}` is not UTF-8")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The cache holds no such object.
    #[error("object {md5} is not in the cache")]
    MissingObject {
        /// md5 in hex, with `.dir` for a folder.
        md5: String,
    },
    /// An object of the cache that cannot be what its name says.
    #[error("object {md5} of the cache is damaged: {problem}")]
    DamagedObject {
        /// md5 in hex, with `.dir` for a folder.
        md5: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two versions of a `.dvc` file that people have to merge.
    #[error("they cannot be merged: {problem}")]
    NotMerged {
        /// Why not.
        problem: String,
    },
    /// A pattern that is none.
    #[error("`{pattern}` is no pattern")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// A pattern that gitignore syntax does not know.
    #[error("`{path}` holds a pattern that cannot be read")]
    Pattern {
        /// The ignore file.
        path: PathBuf,
        /// Which, and why.
        source: ignore::Error,
    },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }

    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRepo { .. }
            | Self::MissingObject { .. }
            | Self::UnknownTarget { .. }
            | Self::NothingThere { .. }
            | Self::NoRemote
            | Self::UnknownRemote { .. }
            | Self::NotRestored { .. } => ErrorKind::NotFound,
            Self::RepoExists { .. } => ErrorKind::AlreadyExists,
            Self::Config { .. }
            | Self::NotAFile { .. }
            | Self::BrokenLink { .. }
            | Self::Setting { .. }
            | Self::UnknownSetting { .. }
            | Self::NoLevel
            | Self::DvcFile { .. }
            | Self::Overlap { .. }
            | Self::OutputOfStage { .. }
            | Self::NotTrackable { .. }
            | Self::Unsaved { .. }
            | Self::NotUtf8 { .. }
            | Self::NotMerged { .. }
            | Self::Glob { .. }
            | Self::Pattern { .. } => ErrorKind::InvalidInput,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Changed { .. }
            | Self::NoLink { .. }
            | Self::Locked { .. }
            | Self::Busy { .. }
            | Self::VersionedRemote { .. }
            | Self::VersionedOutputs { .. }
            | Self::NotListable { .. }
            | Self::Remote { .. }
            | Self::DamagedObject { .. } => ErrorKind::Internal,
        }
    }

    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRepo { .. } => Some("make one with `lathe init` in the root of the git repository"),
            Self::RepoExists { .. } => Some("go on with it: nothing needs to be made"),
            Self::Config { .. } => Some("write `[section]` lines and `key = value` lines below them"),
            Self::NotAFile { .. } => Some("move it out of the tracked data, or name it in `.dvcignore`"),
            Self::BrokenLink { .. } => Some("remove the link, or name it in `.dvcignore` to leave it out"),
            Self::Changed { .. } => Some("wait until nobody writes to it, then try again"),
            Self::NoLink { .. } => Some("add `copy` to `cache.type`: `lathe config cache.type reflink,copy`"),
            Self::Setting { .. } => Some("change it with `lathe config`"),
            Self::UnknownSetting { .. } => {
                Some("see `lathe config --list` and DVC's documentation of settings")
            }
            Self::NoLevel => Some("go into a project, or use `--global`"),
            Self::Locked { .. } => Some("wait for it to end; its process id is in the file"),
            Self::Busy { .. } => Some("wait for it to end"),
            Self::DvcFile { .. } => Some("resolve a merge conflict in it, or restore it with git"),
            Self::UnknownTarget { .. } => Some(
                "name a `.dvc` file, an output, a path inside of one, or a stage; `lathe add` tracks a path",
            ),
            Self::NothingThere { .. } => None,
            Self::Overlap { .. } => Some("track the one or the other: `lathe remove` forgets a `.dvc` file"),
            Self::OutputOfStage { .. } => {
                Some("execute the pipeline, or use `lathe commit` to keep what is there")
            }
            Self::NotTrackable { .. } => None,
            Self::Unsaved { .. } => {
                Some("track them with `lathe add` or `lathe commit`, or use `--force` to lose them")
            }
            Self::NoRemote => {
                Some("name one with `--remote`, or make one: `lathe remote add --default NAME URL`")
            }
            Self::UnknownRemote { .. } => Some("`lathe remote list` shows all; `lathe remote add` makes one"),
            Self::NotListable { .. } => Some(
                "name what is wanted, or use a remote that can: a folder, an object store, WebDAV or SSH",
            ),
            Self::VersionedRemote { .. } => {
                Some("use `dvc` for it, or a remote without `version_aware` and `worktree`")
            }
            Self::Remote { .. } => Some("try again: what arrived is kept"),
            Self::VersionedOutputs { .. } => {
                Some("restore them with `dvc pull` and `dvc checkout`; other outputs can be named one by one")
            }
            Self::NotRestored { .. } => Some("fetch their data with `lathe fetch`, then try again"),
            Self::NotUtf8 { .. } => Some("rename it: DVC's formats hold paths as UTF-8 text"),
            Self::MissingObject { .. } => {
                Some("fetch it with `lathe pull`, or make it again by executing its stage")
            }
            Self::DamagedObject { .. } => Some("delete the object, then fetch or make it again"),
            Self::NotMerged { .. } => {
                Some("take one of the two, bring its data with `lathe checkout`, and add what is missing")
            }
            Self::Read { .. } | Self::Write { .. } | Self::Pattern { .. } | Self::Glob { .. } => None,
        }
    }
}

/// A number of things: "1 file", "3 files".
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
