//! Why a history cannot be used.

use std::io;

/// What is wrong with a history.
#[derive(Debug, thiserror::Error)]
pub(super) enum HistoryError {
    /// The file is not there, or cannot be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file as it was named.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The first line of a table does not name the columns that there may be.
    #[error("{name}:1: {what}: the first line names the columns, in any order: {}", super::csv::COLUMNS)]
    Header {
        /// The file as it was named.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A row has more or fewer values than there are columns.
    #[error("{name}:{line}: {found} values where the first line names {wanted} columns")]
    Width {
        /// The file as it was named.
        name: String,
        /// Its line, from 1.
        line: usize,
        /// How many values there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A value cannot be understood.
    #[error("{name}:{line}: column {number} ({column}): `{value}` is not {accepted}")]
    Value {
        /// The file as it was named.
        name: String,
        /// Its line, from 1.
        line: usize,
        /// The number of the column, from 1.
        number: usize,
        /// The name of the column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What may stand there.
        accepted: String,
    },
    /// There is nothing to play.
    #[error("there is no job to play{0}")]
    Empty(String),
}
