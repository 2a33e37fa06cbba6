//! Shell text that makes sure that nobody but the user that commands run as (root, where VMs have one) can have put
//! the deployed runner where it lies, or can put another file in its place.
//!
//! ```text
//!   before it is trusted or copied: the directory (its owner, its mode, no link) and every directory above it ─┐ no: a
//!   before each call:               the directory and the file                                                 ┘ refusal
//! ```
//! Any user of a VM may make the directory beforehand, or again after a cleaner of old files has removed it, because
//! it lies in `/tmp` by default. Without these checks root would run the file that lies in it.
//!
//! It owns the texts. Never does: removing or changing what it refuses, because that is somebody's.

use super::runner::quote;

/// What `find` prints only of what belongs to us, is no link, and can be written by nobody else.
const OURS: &str = "-prune ! -type l -user \"$(id -u)\" ! -perm -020 ! -perm -002";

/// `$1` = the directory; any others are files in it. A directory above it may belong to the owner of `/`, too, and
/// others may write it if it is sticky, as `/tmp` is. The path is looked at as it is written, and as it is without its
/// links.
const CHECK: &str = "us=$(id -u) top=$(stat -c %u /); \
    refuse() { echo \"runner directory is refused: others than user $us can put files in the place of $1 \
    ($(stat -c '%F, mode %a, of user %U' \"$1\"))\" >&2; exit 1; }; \
    above() { p=$1; while [ \"$p\" != / ] && [ \"$p\" != . ]; do p=$(dirname \"$p\"); \
    [ -n \"$(find \"$p\" -prune \\( -user \"$us\" -o -user \"$top\" \\) \\( -type l -o ! -perm -002 -o -perm -1000 \\))\" ] \
    || refuse \"$p\"; done; }; \
    [ -n \"$(find \"$1\" -prune -type d -user \"$us\" ! -perm -020 ! -perm -002)\" ] || refuse \"$1\"; \
    above \"$1\"; above \"$(cd -P \"$1\" && pwd -P)\"; shift; \
    for f; do [ -n \"$(find \"$f\" -prune -type f -user \"$us\" ! -perm -020 ! -perm -002)\" ] || refuse \"$f\"; done";

/// A command that succeeds if only we can put files into that directory, and have put those files there. Otherwise it
/// says why on stderr.
pub(super) fn check(directory: &str, files: &[&str]) -> String {
    let words = [CHECK, "sh", directory].into_iter().chain(files.iter().copied()).map(quote);
    words.fold("sh -c".to_owned(), |text, word| format!("{text} {word}"))
}

/// What stands before each call of a runner. It ends the shell with the status of a command that is not there, unless
/// directory and runner are ours: the next probe then looks for the runner, copies it if it may, and says what is
/// wrong.
pub(super) fn before_call(directory: &str, path: &str) -> String {
    let (directory, path) = (quote(directory), quote(path));
    format!(
        "case $(find {directory} {path} {OURS} | wc -l) in 2) ;; \
         *) echo \"runner is not there, or others may write to it or its directory\" >&2; exit 127;; esac; "
    )
}
