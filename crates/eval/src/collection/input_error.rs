//! The error of a collection, with its file and place.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// A file of a collection that cannot be used. The reason is one sentence that quotes neither a query nor a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionError {
    file: PathBuf,
    place: FilePosition,
    reason: String,
}

/// The place of an error in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilePosition {
    /// The file as a whole.
    Whole,
    /// A line of text, counted from 1.
    Line(usize),
    /// A row of a table, counted from 1.
    Row(usize),
}

impl CollectionError {
    pub(super) fn new(file: &Path, place: FilePosition, reason: impl Display) -> Self {
        Self { file: file.to_owned(), place, reason: reason.to_string() }
    }

    pub(super) fn whole(file: &Path, reason: impl Display) -> Self {
        Self::new(file, FilePosition::Whole, reason)
    }
}

impl Display for CollectionError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        match self.place {
            FilePosition::Whole => write!(out, ": {}", self.reason),
            FilePosition::Line(line) => write!(out, ", line {line}: {}", self.reason),
            FilePosition::Row(row) => write!(out, ", row {row}: {}", self.reason),
        }
    }
}

impl std::error::Error for CollectionError {}
