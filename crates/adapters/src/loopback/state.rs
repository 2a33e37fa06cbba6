//! The saved state of an instance, on disk.
//!
//! ```text
//!   STATE_DIRECTORY/     ours, and nobody else can write to it
//!     vm-ID/  0700       an instance; commands run here
//!       state.json 0600  the `State` below; the file is replaced as a whole
//!       lock/            its runners' lock directory
//!     .new-*  .ended-*   half made or half removed; removed at start
//! ```

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::private_directory;

const STATE: &str = "state.json";
const VM: &str = "vm-";

/// An instance as it is saved. It holds secrets: it is never printed, and its file has mode 0600.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub id: String,
    pub provider_type: String,
    pub tags: BTreeMap<String, String>,
    pub port: u16,
    /// The private key, as OpenSSH PEM.
    pub host_key: String,
    /// The key that may log in: a line of `authorized_keys`, or empty for no key.
    pub authorized_key: String,
    pub init_command: String,
    /// The secret of the order, by which an order that is sent again is recognised. Older states have none.
    #[serde(default)]
    pub secret: String,
    /// Whether the init command was run.
    pub booted: bool,
    pub lock_directory: PathBuf,
}

/// The directory of an instance. An id that cannot be a file name is written in hexadecimal.
pub(super) fn directory(parent: &Path, id: &str) -> PathBuf {
    let plain = id.len() < 100 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    parent.join(if plain { format!("{VM}{id}") } else { format!("{VM}hex.{}", hex::encode(id)) })
}

impl State {
    pub(super) fn directory(&self, parent: &Path) -> PathBuf {
        directory(parent, &self.id)
    }

    /// Makes the directory with its content. It becomes visible only when it is complete.
    pub(super) fn create(&self, parent: &Path) -> io::Result<()> {
        let new = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        DirBuilder::new().mode(0o700).create(new.path().join("lock"))?;
        self.write(new.path())?;
        std::fs::rename(new.path(), self.directory(parent))
    }

    /// Replaces what was saved.
    pub(super) fn save(&self, parent: &Path) -> io::Result<()> {
        self.write(&self.directory(parent))
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        // A temporary file has mode 0600 from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.flush()?;
        file.persist(dir.join(STATE)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the directory. It disappears at once for all readers.
    pub(super) fn remove(&self, parent: &Path) -> io::Result<()> {
        let gone = tempfile::Builder::new().prefix(".ended-").tempdir_in(parent)?;
        match std::fs::rename(self.directory(parent), gone.path().join("vm")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => gone.close(),
        }
    }
}

/// Makes the directory if it is missing, and refuses one that others can change: whoever can write to it chooses the
/// host keys, and what is run at a first boot. Reads the saved instances, and removes directories that were half
/// made or half removed.
pub(super) fn load_all(parent: &Path) -> io::Result<Vec<State>> {
    private_directory::make(parent)?;
    let mut states = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".new-") || name.starts_with(".ended-") {
            std::fs::remove_dir_all(entry.path())?;
        } else if name.starts_with(VM) {
            let text = std::fs::read(entry.path().join(STATE))?;
            states.push(serde_json::from_slice(&text)?);
        }
    }
    Ok(states)
}
