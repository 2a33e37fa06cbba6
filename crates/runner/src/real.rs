//! Engines other than `process` belong to the real crunch-run, which gets our arguments and our stdin
//! unchanged.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::RunnerError;

/// Executes the crunch-run of `PATH`. It returns only if that fails.
pub(crate) fn exec(args: &[OsString]) -> RunnerError {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match find(&path) {
        None => RunnerError::NoRealRunner(path.to_string_lossy().into_owned()),
        Some(program) => {
            let error = Command::new(&program).arg0("crunch-run").args(args).exec();
            RunnerError::io(format!("execute {}", program.display()))(error)
        }
    }
}

/// The first executable crunch-run in the path that is not this program. This program may be installed under
/// that name, and would then execute itself for ever.
fn find(path: &OsString) -> Option<PathBuf> {
    let ourselves = std::fs::metadata("/proc/self/exe").ok()?;
    std::env::split_paths(path).map(|directory| directory.join("crunch-run")).find(|candidate| {
        is_executable(candidate)
            && std::fs::metadata(candidate)
                .is_ok_and(|it| (it.dev(), it.ino()) != (ourselves.dev(), ourselves.ino()))
    })
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
