use super::{Attribute, Kind};

macro_rules! attributes {
    ($(#[$doc:meta])* $name:ident, $entities:literal, {
        $($(#[$variant_doc:meta])* $variant:ident: $kind:ident = $first:literal $(| $more:literal)*,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl Attribute for $name {
            const ENTITIES: &'static str = $entities;
            const NAMES: &'static str = concat!($("`", $first, "` ",)*);

            fn named(name: &str) -> Option<Self> {
                match name {
                    $($first $(| $more)* => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                }
            }

            fn is_often_quoted(self) -> bool {
                Self::named("version_number") == Some(self)
            }
        }
    };
}

attributes!(
    /// Of a run.
    RunAttribute, "mptd", {
        /// Its id.
        Id: Text = "run_id",
        /// Its name.
        Name: Text = "run_name" | "run name" | "Run name" | "Run Name",
        /// Its status.
        Status: Text = "status",
        /// Who started it.
        UserId: Text = "user_id",
        /// Where its artifacts are.
        ArtifactUri: Text = "artifact_uri",
        /// When it started.
        StartTime: Number = "start_time" | "created" | "Created",
        /// When it ended.
        EndTime: Number = "end_time",
    }
);

attributes!(
    /// Of an experiment.
    ExperimentAttribute, "t", {
        /// Its name.
        Name: Text = "name",
        /// Its number.
        Id: Text = "experiment_id",
        /// When it was created.
        CreatedAt: Number = "creation_time",
        /// When it last changed.
        UpdatedAt: Number = "last_update_time",
    }
);

attributes!(
    /// Of a registered model.
    ModelAttribute, "t", {
        /// Its name.
        Name: Text = "name",
        /// When it was registered.
        CreatedAt: Number = "creation_timestamp",
        /// When it last changed.
        UpdatedAt: Number = "last_updated_timestamp" | "timestamp",
    }
);

attributes!(
    /// Of a model version.
    VersionAttribute, "t", {
        /// Its model.
        Name: Text = "name",
        /// Its number.
        Version: Number = "version_number" | "version",
        /// The run that made it.
        RunId: Text = "run_id",
        /// Where it was registered from.
        Source: Text = "source_path" | "source",
        /// When it was registered.
        CreatedAt: Number = "creation_timestamp",
        /// When it last changed.
        UpdatedAt: Number = "last_updated_timestamp",
    }
);

attributes!(
    /// Of a logged model.
    LoggedModelAttribute, "mpt", {
        /// Its id.
        Id: Text = "model_id",
        /// Its name.
        Name: Text = "name",
        /// Its kind.
        Type: Text = "model_type",
        /// Its status.
        Status: Text = "status",
        /// The run that made it.
        SourceRunId: Text = "source_run_id",
        /// Where it belongs.
        ExperimentId: Text = "experiment_id",
        /// Where its files are.
        ArtifactLocation: Text = "artifact_location" | "artifact_uri",
        /// When it was created.
        CreatedAt: Number = "creation_timestamp_ms" | "creation_timestamp" | "creation_time",
        /// When it last changed.
        UpdatedAt: Number = "last_updated_timestamp_ms" | "last_updated_timestamp",
    }
);

attributes!(
    /// Of an evaluation dataset.
    EvalDatasetAttribute, "t", {
        /// Its id.
        Id: Text = "dataset_id",
        /// Its name.
        Name: Text = "name",
        /// Who made it.
        CreatedBy: Text = "created_by",
        /// Who changed it last.
        UpdatedBy: Text = "last_updated_by",
        /// When it was made.
        CreatedAt: Number = "created_time",
        /// When it last changed.
        UpdatedAt: Number = "last_update_time",
    }
);
