use std::path::Path;

use lathe_pipeline::Selection;

use super::Call;

/// Which stages a command is about.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StageSelection {
    /// Stages, groups, `FOLDER/dvc.yaml` or `FOLDER/dvc.yaml:STAGE`; all of this folder's dvc.yaml if absent.
    pub targets: Vec<String>,
    /// Nothing but the targets, whatever they need.
    #[arg(short, long)]
    single_item: bool,
    /// Also all that is connected with the targets.
    #[arg(short, long)]
    pipeline: bool,
    /// Every pipeline of the repository.
    #[arg(short = 'P', long)]
    all_pipelines: bool,
    /// Targets may be folders, which stand for every stage in them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The targets and what needs them, in the place of what they need.
    #[arg(long)]
    downstream: bool,
    /// Names of stages may hold `*`, `?` and `[…]`.
    #[arg(long)]
    glob: bool,
}

impl StageSelection {
    /// Whether folders stand for what is in them.
    pub fn is_recursive(&self) -> bool {
        self.recursive
    }

    /// Means every pipeline of the repository unless targets are named.
    pub fn take_all_if_none_is_named(&mut self) {
        self.all_pipelines |= self.targets.is_empty();
    }

    /// The same for another process in the project's folder.
    pub fn to_arguments(&self) -> Vec<String> {
        let flags = [
            (self.single_item, "--single-item"),
            (self.pipeline, "--pipeline"),
            (self.all_pipelines, "--all-pipelines"),
            (self.recursive, "--recursive"),
            (self.downstream, "--downstream"),
            (self.glob, "--glob"),
        ];
        let given = flags.into_iter().filter(|(is_given, _)| *is_given);
        let mut arguments: Vec<String> = given.map(|(_, flag)| flag.to_owned()).collect();
        arguments.extend(self.targets.iter().cloned());
        arguments
    }

    /// Seen from the folder of the call.
    pub fn select(&self, call: &Call, root: &Path) -> Selection {
        Selection {
            folder: folder_of_pipeline(call, root, &self.targets),
            targets: self.targets.clone(),
            all: self.all_pipelines,
            single: self.single_item,
            pipeline: self.pipeline,
            downstream: self.downstream,
            recursive: self.recursive,
            glob: self.glob,
        }
    }
}

/// The folder that targets are relative to, from the root of the repository: the call's own, or the nearest one above
/// it with a pipeline if it has none and no target is a path.
pub fn folder_of_pipeline(call: &Call, root: &Path, targets: &[String]) -> String {
    let folder = call.folder.as_path();
    let has_paths = targets.iter().any(|target| target.contains('/'));
    let nearest = folder
        .ancestors()
        .take_while(|at| at.starts_with(root))
        .find(|at| at.join("dvc.yaml").is_file());
    let folder = match nearest {
        Some(nearest) if !has_paths => nearest,
        _ => folder,
    };
    let inside = folder.strip_prefix(root).unwrap_or(Path::new(""));
    inside.to_string_lossy().into_owned()
}
