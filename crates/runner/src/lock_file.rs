//! Opens a file in a directory that other users may write to, and tells whether it is ours.
//!
//! No link is followed, and no open waits (for the other end of a FIFO). It owns that decision. Never does: locking,
//! reading or removing.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::RunnerError;

/// What was found under a name.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A regular file of our own user, with no other name.
    Own(File),
    /// Anything else. The text says what it is.
    Foreign(String),
}

impl Opened {
    /// The file, or an error that says what is in its place.
    pub fn own(self, path: &Path) -> Result<File, RunnerError> {
        match self {
            Self::Own(file) => Ok(file),
            Self::Foreign(what) => Err(RunnerError::ForeignFile { path: path.to_owned(), what }),
        }
    }
}

/// Opens it with these options. A file that is made can be read and written by us alone.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Opened> {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
    match options.mode(0o600).custom_flags(flags).open(path) {
        Ok(file) => Ok(foreign(&file.metadata()?).map_or(Opened::Own(file), Opened::Foreign)),
        // A link, a socket, a directory, or a file that the kernel protects us from cannot be opened at all.
        Err(error) => match std::fs::symlink_metadata(path).ok().and_then(|it| foreign(&it)) {
            Some(what) => Ok(Opened::Foreign(what)),
            None => Err(error),
        },
    }
}

/// Whether it is a regular file of ours that is empty.
pub(crate) fn is_own_and_empty(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| foreign(&file).is_none() && file.len() == 0)
}

/// What it is, unless it is a regular file of ours.
fn foreign(file: &Metadata) -> Option<String> {
    let kind = file.file_type();
    let name = match () {
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_dir() => "a directory",
        () if !kind.is_file() => "a device",
        () if file.nlink() > 1 => "a file with another name",
        () => "a file",
    };
    let is_ours = kind.is_file() && file.nlink() <= 1 && file.uid() == rustix::process::geteuid().as_raw();
    (!is_ours).then(|| format!("it is {name} of user {}", file.uid()))
}
