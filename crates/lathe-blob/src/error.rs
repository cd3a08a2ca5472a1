use std::io;
use std::path::PathBuf;

use lathe_types::ErrorKind;

use crate::ArtifactPath;

/// What can go wrong with bytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file or folder.
    #[error("No such artifact: '{path}'")]
    NotFound {
        /// The artifact.
        path: ArtifactPath,
    },
    /// A file where a folder is needed, or the other way round.
    #[error("'{path}' {what}")]
    WrongShape {
        /// The artifact.
        path: ArtifactPath,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The sender broke off.
    #[error("the upload of '{path}' broke off")]
    Upload {
        /// The artifact.
        path: ArtifactPath,
        /// How.
        source: io::Error,
    },
    /// A multipart upload that cannot go on as asked.
    #[error("the multipart upload of '{path}' {what}")]
    Parts {
        /// The artifact.
        path: ArtifactPath,
        /// What is wrong.
        what: String,
    },
    /// This kind of store has no such thing.
    #[error("{what}")]
    Unsupported {
        /// What is not offered, in words that clients look for.
        what: &'static str,
    },
    /// The disk is full.
    #[error("no space left to write '{path}'; free some and send it again")]
    Full {
        /// The artifact.
        path: ArtifactPath,
    },
    /// The disk refused.
    #[error("failed to {doing} `{path}`")]
    Disk {
        /// `read`, `write`, `list`, `delete`.
        doing: &'static str,
        /// The file on disk.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The object store said no, or nothing.
    #[error("failed to {doing} `{url}`: {}", .reason.told())]
    Remote {
        /// `read`, `write`, `list`, `delete`, `sign`.
        doing: &'static str,
        /// Bucket and key.
        url: String,
        /// What it comes down to.
        reason: Reason,
        /// What it said.
        source: Box<object_store::Error>,
    },
    /// A text that names no place for bytes.
    #[error("`{url}` cannot be used for artifacts: {what}")]
    Location {
        /// What was given.
        url: String,
        /// What is wrong with it, and what would be right.
        what: String,
    },
}

/// Why an object store did not do what was asked, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No such bucket.
    NoBucket,
    /// The credentials are not enough, or not known.
    Denied,
    /// No credentials at all, or none that can be read.
    NoCredentials,
    /// It cannot be reached, or keeps failing.
    Away,
    /// Something else: the cause says it.
    Refused,
}

impl Reason {
    fn told(self) -> &'static str {
        match self {
            Self::NoBucket => "there is no such bucket",
            Self::Denied => "the object store denies access",
            Self::NoCredentials => "no credentials were found",
            Self::Away => "the object store cannot be reached",
            Self::Refused => "the object store refused",
        }
    }
}

impl Error {
    /// What it means to whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::WrongShape { .. } | Self::Upload { .. } | Self::Parts { .. } | Self::Location { .. } => {
                ErrorKind::InvalidInput
            }
            Self::Unsupported { .. } => ErrorKind::NotImplemented,
            Self::Full { .. } => ErrorKind::Exhausted,
            Self::Disk { .. } => ErrorKind::Internal,
            Self::Remote { reason, .. } => match reason {
                Reason::Away => ErrorKind::Unavailable,
                Reason::Denied | Reason::NoCredentials => ErrorKind::PermissionDenied,
                Reason::NoBucket => ErrorKind::NotFound,
                Reason::Refused => ErrorKind::Internal,
            },
        }
    }

    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Remote { reason, .. } = self else {
            return None;
        };
        Some(match reason {
            Reason::NoBucket => "make the bucket, or correct its name in the URL",
            Reason::Denied => {
                "check `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` or `AWS_PROFILE`, and the policy of the bucket"
            }
            Reason::NoCredentials => {
                "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`, or `AWS_SKIP_SIGNATURE=true` \
                 for a public bucket"
            }
            Reason::Away => "check the network and `AWS_ENDPOINT_URL_S3`, and try again",
            Reason::Refused => {
                "the cause above is what the object store said; check `AWS_REGION` and the endpoint"
            }
        })
    }
}

/// An error of an object store, told as what was done to which key.
pub(crate) fn remote(
    doing: &'static str,
    url: String,
    path: &ArtifactPath,
    error: object_store::Error,
) -> Error {
    let said = everything_said(&error);
    let reason = match &error {
        object_store::Error::NotFound { .. } if !said.contains("NoSuchBucket") => {
            return Error::NotFound { path: path.clone() };
        }
        object_store::Error::NotFound { .. } => Reason::NoBucket,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Reason::Denied
        }
        _ if said.contains("NoSuchBucket") => Reason::NoBucket,
        _ if [
            "metadata",
            "credential",
            "security-credentials",
            "latest/api/token",
        ]
        .iter()
        .any(|word| said.contains(word)) =>
        {
            Reason::NoCredentials
        }
        _ if [
            "error sending request",
            "Connect",
            "timed out",
            "Timeout",
            "after",
            "503",
            "500",
        ]
        .iter()
        .any(|word| said.contains(word)) =>
        {
            Reason::Away
        }
        _ => Reason::Refused,
    };
    Error::Remote {
        doing,
        url,
        reason,
        source: Box::new(error),
    }
}

fn everything_said(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}
