use std::io;
use std::path::{Path, PathBuf};

use lathe_types::ErrorKind;

use crate::yaml::SyntaxError;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a pipeline could not be read, planned or executed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Hashing, the cache or the repository.
    #[error(transparent)]
    Data(#[from] lathe_data::Error),
    /// The repository defines no pipeline.
    #[error("there is no `dvc.yaml` in `{root}`")]
    NoPipeline {
        /// The repository.
        root: PathBuf,
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
    /// A file that is not YAML.
    #[error("`{file}` is not YAML")]
    Syntax {
        /// The file.
        file: String,
        /// Where and why.
        source: SyntaxError,
    },
    /// A file in the middle of a merge.
    #[error("`{file}` line {line}: a merge left its conflict marks here")]
    Conflict {
        /// The file.
        file: String,
        /// Of the first mark, counted from 1.
        line: usize,
    },
    /// A pipeline file inside an output: executing the stage would remove it.
    #[error("`{file}` is inside `{out}`, an output of stage `{stage}`")]
    FileInOutput {
        /// The pipeline file.
        file: String,
        /// The output around it.
        out: String,
        /// Its stage.
        stage: String,
    },
    /// A file that is not what its name says.
    #[error("`{file}` cannot be read: {problem}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// Something in `dvc.yaml` that is wrong or that Lathe does not offer.
    #[error("{place}: {problem}")]
    Definition {
        /// File, line, stage and key.
        place: Box<Place>,
        /// What is wrong.
        problem: String,
        /// What to try.
        hint: Option<String>,
    },
    /// Stages that wait for one another.
    #[error("{}", circle(stages))]
    Cycle {
        /// Each depends on the next, the last on the first.
        stages: Vec<String>,
    },
    /// Two stages that write the same file or folder, or one inside the other's.
    #[error("`{path}` of stage `{stage}` overlaps `{other_path}` of stage `{other}`")]
    OverlappingOutputs {
        /// An output.
        path: String,
        /// Its stage.
        stage: String,
        /// Another output, the same or one around or inside it.
        other_path: String,
        /// Its stage.
        other: String,
    },
    /// The folder that is looked at has no pipeline, but others may.
    #[error("there is no pipeline `{path}`")]
    NoPipelineFile {
        /// Where it would be.
        path: String,
        /// One that is there.
        other: Option<String>,
    },
    /// Limits of a stage that is none.
    #[error("`[stage.{stage}]` of lathe.toml names no stage")]
    UnknownLimits {
        /// The name.
        stage: String,
        /// A name like it.
        similar: Option<String>,
    },
    /// A stage that asks for more than there is.
    #[error("stage `{stage}` needs {asked} of `{resource}`, {}", match there {
        Some(there) => format!("of which there are {there}"),
        None => "which `[resources]` of lathe.toml does not have".to_owned(),
    })]
    Resources {
        /// The stage.
        stage: String,
        /// What it asks for.
        resource: String,
        /// How much.
        asked: u32,
        /// How much there is.
        there: Option<u32>,
    },
    /// An output of a frozen stage, which nothing makes.
    #[error("stage `{stage}` is frozen, and its output `{path}` does not exist")]
    FrozenOutMissing {
        /// The stage.
        stage: String,
        /// The output.
        path: String,
    },
    /// A target that no stage is called.
    #[error("there is no stage `{target}`")]
    UnknownTarget {
        /// The target.
        target: String,
        /// A name like it.
        similar: Option<String>,
    },
    /// An input that nothing makes.
    #[error("stage `{stage}`: the dep `{path}` does not exist")]
    MissingDep {
        /// The stage.
        stage: String,
        /// The input.
        path: String,
    },
    /// What lies behind a URL cannot be reached.
    #[error("`{url}` cannot be reached")]
    External {
        /// The URL.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A dataset that no pipeline file lists.
    #[error("stage `{stage}`: there is no dataset `{name}`")]
    UnknownDataset {
        /// The stage.
        stage: String,
        /// Its name.
        name: String,
        /// A name like it.
        similar: Option<String>,
    },
    /// A parameter that its file does not have.
    #[error("stage `{stage}`: the param `{key}` is not in `{file}`")]
    MissingParam {
        /// The stage.
        stage: String,
        /// The file.
        file: String,
        /// The parameter.
        key: String,
    },
    /// An output that its stage did not write.
    #[error("stage `{stage}`: its commands did not write the output `{path}`")]
    MissingOut {
        /// The stage.
        stage: String,
        /// The output.
        path: String,
    },
    /// An output that is to be taken as it is, and is not there.
    #[error("stage `{stage}`: its output `{path}` does not exist")]
    CommitOutMissing {
        /// The stage.
        stage: String,
        /// The output.
        path: String,
    },
    /// A command could not be started.
    #[error("stage `{stage}`: failed to start a shell in `{folder}`")]
    Start {
        /// The stage.
        stage: String,
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A command that failed.
    #[error("stage `{stage}`: `{command}` {ending}")]
    CommandFailed {
        /// The stage.
        stage: String,
        /// The command.
        command: String,
        /// "exited with code 1", "was ended by signal 9".
        ending: String,
    },
    /// What executes stages could not do its part.
    #[error("stage `{stage}` could not be executed by a worker")]
    Elsewhere {
        /// The stage.
        stage: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What a stage reads and writes cannot be watched here.
    #[error("what stages read and write cannot be watched here")]
    Trace {
        /// Why.
        source: io::Error,
    },
    /// A stage that read or wrote what it does not declare, where that counts as a failure.
    #[error("stage `{stage}` does not declare {}", files.join(", "))]
    Undeclared {
        /// The stage.
        stage: String,
        /// The files, in quotes.
        files: Vec<String>,
    },
    /// Ctrl-C or a request to terminate.
    #[error("stage `{stage}` was interrupted")]
    Interrupted {
        /// The stage.
        stage: String,
    },
    /// Another process executes the pipeline.
    #[error("another process executes the pipeline of `{root}`")]
    Busy {
        /// The repository.
        root: PathBuf,
    },
    /// A pipeline file that cannot be changed as asked.
    #[error("`{file}` cannot be changed: {problem}")]
    Edit {
        /// The file.
        file: String,
        /// Why not.
        problem: String,
    },
    /// A parameter that cannot be set.
    #[error("`{key}` cannot be set in `{file}`: {problem}")]
    SetParam {
        /// The file.
        file: String,
        /// The parameter.
        key: String,
        /// Why not.
        problem: String,
    },
    /// A value that is not YAML.
    #[error("`{text}` is not a value")]
    ParamValue {
        /// What was given.
        text: String,
        /// Why not.
        source: SyntaxError,
    },
}

/// Where in a pipeline file something is.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// `dvc.yaml`.
    pub file: String,
    /// Counted from 1; 0 if unknown.
    pub line: usize,
    /// The stage, if it is in one.
    pub stage: Option<String>,
    /// The key, if it is at one.
    pub key: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.file)?;
        if 0 < self.line {
            write!(f, " line {}", self.line)?;
        }
        if let Some(stage) = &self.stage {
            write!(f, ", stage `{stage}`")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key `{key}`")?;
        }
        Ok(())
    }
}

/// The name most like this one, if one is like it.
pub fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| 0.8 < *likeness)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

/// The line with the first mark that git leaves where two versions could not be merged.
fn conflict_line(text: &str) -> Option<usize> {
    let marks = ["<<<<<<< ", ">>>>>>> ", "||||||| "];
    let is_mark = |line: &str| marks.iter().any(|mark| line.starts_with(mark)) || line == "=======";
    text.lines().position(is_mark).map(|index| index + 1)
}

fn circle(stages: &[String]) -> String {
    let quoted: Vec<_> = stages.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [only] => format!("stage {only} depends on its own output"),
        _ => format!(
            "the stages {} depend on one another in a circle",
            quoted.join(", ")
        ),
    }
}

impl Error {
    /// Text that is not YAML: because of a merge, or for a reason of its own.
    pub(crate) fn syntax(file: &str, text: &str, source: SyntaxError) -> Self {
        let file = file.to_owned();
        match conflict_line(text) {
            Some(line) => Self::Conflict { file, line },
            None => Self::Syntax { file, source },
        }
    }

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
            Self::Data(error) => error.kind(),
            Self::NoPipeline { .. } | Self::NoPipelineFile { .. } | Self::UnknownTarget { .. } => {
                ErrorKind::NotFound
            }
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Start { .. }
            | Self::Elsewhere { .. }
            | Self::External { .. }
            | Self::Trace { .. } => ErrorKind::Internal,
            Self::Busy { .. } | Self::Interrupted { .. } => ErrorKind::Unavailable,
            Self::Syntax { .. }
            | Self::Conflict { .. }
            | Self::FileInOutput { .. }
            | Self::Format { .. }
            | Self::Definition { .. }
            | Self::Cycle { .. }
            | Self::OverlappingOutputs { .. }
            | Self::UnknownLimits { .. }
            | Self::Resources { .. }
            | Self::FrozenOutMissing { .. }
            | Self::MissingDep { .. }
            | Self::UnknownDataset { .. }
            | Self::MissingParam { .. }
            | Self::MissingOut { .. }
            | Self::CommitOutMissing { .. }
            | Self::CommandFailed { .. }
            | Self::Edit { .. }
            | Self::Undeclared { .. }
            | Self::SetParam { .. }
            | Self::ParamValue { .. } => ErrorKind::InvalidInput,
        }
    }

    /// What to try.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Data(error) => error.hint()?,
            Self::NoPipeline { .. } => "write one: `stages:` with a `cmd`, `deps` and `outs` for each",
            Self::Syntax { .. } => "tabs and missing quotes are the usual causes",
            Self::Conflict { .. } => {
                "finish the merge: keep one of the two versions, or both where they fit together"
            }
            Self::FileInOutput { .. } => "move the file, or narrow the output",
            Self::Definition { hint, .. } => return hint.clone(),
            Self::Cycle { .. } => "take one of the deps out: a stage cannot come before itself",
            Self::OverlappingOutputs { .. } => "let each file be written by one stage",
            Self::NoPipelineFile { other, .. } => {
                return Some(match other {
                    Some(other) => {
                        format!("there is `{other}`: go to its folder, name it, or take `--all-pipelines`")
                    }
                    None => "write one: `stages:` with a `cmd`, `deps` and `outs` for each".to_owned(),
                });
            }
            Self::FrozenOutMissing { .. } => {
                "fetch it with `lathe pull`, or thaw the stage with `lathe unfreeze`"
            }
            Self::Resources { .. } => "ask for less, or write how much there is under `[resources]`",
            Self::UnknownLimits { similar, .. } | Self::UnknownTarget { similar, .. } => {
                return Some(match similar {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "`lathe status` lists the stages".to_owned(),
                });
            }
            Self::UnknownDataset { name, similar, .. } => {
                return Some(match similar {
                    Some(name) => format!("did you mean `ds://{name}`?"),
                    None => format!("add it: lathe dataset add {name} --dvc URL --path PATH"),
                });
            }
            Self::MissingDep { path, .. } if path.starts_with("ds://") => {
                return Some(format!(
                    "dvc.lock does not say what it is: lathe dataset update {}",
                    &path["ds://".len()..]
                ));
            }
            Self::MissingDep { path, .. } if path.contains("://") => {
                "nothing lies there: check the URL, and whether you may read it"
            }
            Self::External { .. } => "check the URL, the settings of its remote, and the network",
            Self::MissingDep { .. } => {
                "fetch it with `dvc pull`, or name it in the `outs` of the stage that makes it"
            }
            Self::MissingParam { .. } => "write it there, or take it out of the stage's `params`",
            Self::CommitOutMissing { .. } => {
                "bring it back with `lathe checkout`, or make it with `lathe run`"
            }
            Self::MissingOut { .. } => "take it out of `outs`, or look why the commands do not write it",
            Self::CommandFailed { .. } => "its output is above; stages finished before it are kept",
            Self::Trace { .. } => {
                "it needs Linux's inotify; many folders need a higher `fs.inotify.max_user_watches`"
            }
            Self::Undeclared { .. } => "name them in `deps` and `outs`, or let `--fix` do it",
            Self::Interrupted { .. } => "run it again: stages finished before it are kept",
            Self::Busy { .. } => "wait until it ends",
            Self::ParamValue { .. } => "write a value as in params.yaml, as `200`, `0.1`, `text` or `[1, 2]`",
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Format { .. }
            | Self::Start { .. }
            | Self::Elsewhere { .. }
            | Self::Edit { .. }
            | Self::SetParam { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
