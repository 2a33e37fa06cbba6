//! The runner that is deployed to VMs: a file on this host, read at start, looked for again while it cannot be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::policy;
use dispatch_core::worker::runner::{Binary, Commands};
use md5::{Digest, Md5};

use crate::settings::RunnerBinary;

/// How long until an unreadable file is tried again.
pub const RETRY: Duration = Duration::from_secs(10);

/// Which file is deployed; `None`: nothing is.
pub fn path(setting: &RunnerBinary) -> Option<PathBuf> {
    match setting {
        RunnerBinary::None => None,
        RunnerBinary::File(path) => Some(path.clone()),
        RunnerBinary::ThisProgram => Some(PathBuf::from("/proc/self/exe")),
    }
}

/// The runner's commands, with the binary if one is deployed.
///
/// # Errors
/// If the file cannot be read: one line.
pub fn commands(setting: &RunnerBinary, policy: &policy::Runner) -> Result<Arc<Commands>, String> {
    let binary = match path(setting) {
        None => None,
        Some(path) => Some(read(&path)?),
    };
    Ok(Arc::new(Commands::new(policy.clone(), binary)))
}

fn read(path: &PathBuf) -> Result<Binary, String> {
    let content = std::fs::read(path)
        .map_err(|error| format!("cannot read the runner binary {}: {error}", path.display()))?;
    let md5 = hex::encode(Md5::digest(&content));
    Ok(Binary { md5, content: content.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_core::policy::Policy;

    #[test]
    fn the_runner_is_named_by_the_md5_of_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("crunch-run");
        std::fs::write(&file, "hello").unwrap();
        let commands = commands(&RunnerBinary::File(file), &Policy::with_defaults().runner).unwrap();
        assert!(commands.list(None).shell.contains("crunch-run~5d41402abc4b2a76b9719d911017c592"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let missing = RunnerBinary::File("/nonexistent/crunch-run".into());
        let error = commands(&missing, &Policy::with_defaults().runner).unwrap_err();
        assert!(error.contains("/nonexistent/crunch-run"), "{error}");
    }
}
