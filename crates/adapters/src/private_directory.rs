//! Makes sure that a directory with secrets is our own user's alone.
//!
//! It owns that decision for the ssh runtime directory and for the loopback cloud's state. Never does: changing the
//! owner or the mode of what it refuses, because that is somebody's.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

const STICKY: u32 = 0o1000;

/// No other user may be able to put files there, or to hold its lock.
///
/// # Errors
/// If it is a link or no directory, another user's, or can be written by others.
pub(crate) fn check(directory: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(directory)?;
    let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other("it must be a directory of ours that nobody else can write to"))
}

/// Makes it (0700), with those above it, unless it is there, and checks it and those above it: whoever can rename one
/// of them can put another directory in its place.
///
/// # Errors
/// If it cannot be made, or others can change what lies under that path.
pub(crate) fn make(directory: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(directory).is_err() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    check(directory)?;
    let root = std::fs::metadata("/")?.uid();
    for above in directory.canonicalize()?.ancestors().skip(1) {
        if !is_trusted(&std::fs::metadata(above)?, root) {
            let what = format!("others can rename what lies in {} above it", above.display());
            return Err(io::Error::other(what));
        }
    }
    Ok(())
}

/// Whether only we and the owner of `/` can rename what others have in that directory.
fn is_trusted(above: &Metadata, root: u32) -> bool {
    let owner = above.uid();
    let closed = above.mode() & 0o002 == 0 || above.mode() & STICKY != 0;
    closed && (owner == root || owner == rustix::process::geteuid().as_raw())
}
