//! What can go wrong with the database, whose fault it is, and what to do.

use rusqlite::ErrorCode;
use std::fmt;

/// Why the database cannot be opened, or a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The directory, or a file in it, cannot be used.
    Directory {
        /// The path.
        path: String,
        /// The system's own words.
        problem: String,
    },
    /// Another server has it open.
    InUse(String),
    /// The file is damaged.
    Damaged {
        /// The file.
        path: String,
        /// SQLite's own words.
        problem: String,
    },
    /// A newer version of the server wrote the file.
    Newer {
        /// The file.
        path: String,
        /// Its schema's version.
        version: u32,
    },
    /// The disk is full, or the file has reached its limit.
    Full,
    /// Too many requests wait.
    Busy,
    /// The server is ending.
    Closed,
    /// Anything else, in SQLite's words.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, problem } => {
                write!(out, "{path} cannot be used: {problem}")
            }
            Self::InUse(path) => {
                write!(out, "{path} is in use by another server; choose another directory")
            }
            Self::Damaged { path, problem } => write!(
                out,
                "{path} is damaged ({problem}); restore a backup, recover what is left with \
                 `sqlite3 {path} .recover`, or move the file away to start afresh"
            ),
            Self::Newer { path, version } => write!(
                out,
                "{path} was written by a later version (schema {version}); use that one"
            ),
            Self::Full => {
                write!(out, "the database cannot grow; make room on its disk, or raise data-bytes")
            }
            Self::Busy => write!(out, "the database is busy; try again later"),
            Self::Closed => write!(out, "the server is ending"),
            Self::Failed(problem) => write!(out, "the database failed: {problem}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Whether the file is to blame.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
