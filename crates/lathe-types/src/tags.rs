//! Tags and what else several nouns of tracking share.

use crate::InputError;

/// A key and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Unique among the tags of one record.
    pub key: String,
    /// Any text.
    pub value: String,
}

/// Whether a record is in use or waits to be restored or purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// In use.
    Active,
    /// Deleted, and can be restored.
    Deleted,
}

impl Lifecycle {
    /// `active` or `deleted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }
}

/// Which records a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewType {
    /// Those in use.
    #[default]
    ActiveOnly,
    /// Those deleted.
    DeletedOnly,
    /// All.
    All,
}

impl ViewType {
    /// Reads the name that clients send in the field `parameter`.
    pub fn parse(parameter: &str, name: &str) -> Result<Self, InputError> {
        match name {
            "ACTIVE_ONLY" => Ok(Self::ActiveOnly),
            "DELETED_ONLY" => Ok(Self::DeletedOnly),
            "ALL" => Ok(Self::All),
            _ => Err(InputError::invalid(
                parameter,
                name,
                "it must be `ACTIVE_ONLY`, `DELETED_ONLY` or `ALL`",
            )),
        }
    }
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In the order asked for.
    pub items: Vec<T>,
    /// Where the next page starts; none: this was the last.
    pub next: Option<u64>,
}

/// Which part of a search is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// How many results come before it.
    pub offset: u64,
    /// How many results it may hold.
    pub limit: usize,
}
