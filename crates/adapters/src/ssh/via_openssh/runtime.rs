//! Owns the private directory: the key, and a directory for each connection.
//!
//! ```text
//!   RUNTIME_DIR/                     shared with other dispatchers; flocked while one of them starts
//!     ssh-XXXXXX/  0700              one for each `SshExecutors`
//!       lock                         flocked while its dispatcher lives; otherwise the directory is abandoned
//!       key        0600
//!       7/         0700              one for each connection: config known_hosts log master
//! ```
//! Whatever of it has gone (a cleaner of old files, somebody's `rm`) is made again when the next connection is opened.
//! The connections whose sockets went with it end, and are opened anew.

use std::cell::{Cell, RefCell};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::secret::Secret;
use rustix::fs::{FlockOperation, OFlags, flock};
use tempfile::TempDir;

use crate::private_directory;
use crate::ssh::SetupError;

/// The control socket is first made under a name with 17 more characters, beside its final name. That name
/// must fit into the 108 bytes of a socket address.
const LONGEST_CONNECTION_DIR: usize = 60;
const PREFIX: &str = "ssh-";
/// How often a start tries again because the shared directory was removed meanwhile.
const TRIES: u32 = 100;

/// Everything on disk for one `SshExecutors`. It is removed when dropped.
pub(super) struct Runtime {
    dir: TempDir,
    key_file: PathBuf,
    /// To write the file again, should it be removed.
    key: Secret,
    next: Cell<u64>,
    /// The file is kept open for its lock.
    lock: RefCell<File>,
    /// This must be the last field after `dir`, because fields are dropped in their order.
    parent: Parent,
}

/// Removes the shared directory with the last dispatcher that uses it, if its name shows that it is ours.
struct Parent(PathBuf);

impl Drop for Parent {
    fn drop(&mut self) {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("arvados-dispatch-") {
            // This fails while another dispatcher uses the directory, as it should.
            let _ = std::fs::remove_dir(&self.0);
        }
    }
}

impl Runtime {
    /// Makes the directory under `parent`, and removes those of dispatchers that were killed.
    pub(super) fn new(parent: &Path, key: &Secret) -> Result<Self, SetupError> {
        check_path(parent)?;
        let mut tries = 1..TRIES;
        loop {
            match Self::enter(parent, key) {
                // A dispatcher that stopped, and was the last user, has removed the shared directory
                // meanwhile.
                Err(error) if may_come_from_a_removal(&error) && tries.next().is_some() => {}
                result => {
                    let failed = |source| SetupError::RuntimeDirectory { path: parent.to_owned(), source };
                    return result.map_err(failed);
                }
            }
        }
    }

    fn enter(parent: &Path, key: &Secret) -> io::Result<Self> {
        if !parent.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        private_directory::check(parent)?;
        // A dispatcher that starts at the same time must not take our new directory for an abandoned one.
        let parent_lock = File::open(parent)?;
        lock_within_deadline(&parent_lock)?;
        // This is the directory that was opened, even if another one has its name by now.
        sweep(&PathBuf::from(format!("/proc/self/fd/{}", parent_lock.as_raw_fd())));
        let made = Self::make(parent, key)?;
        // Once our directory is in it, no other dispatcher removes it.
        check_in_place(&parent_lock, parent)?;
        Ok(made)
    }

    fn make(parent: &Path, key: &Secret) -> io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(parent)?;
        let lock = RefCell::new(make_lock(dir.path())?);
        let key_file = dir.path().join("key");
        write_key(&key_file, key)?;
        let (key, parent) = (key.clone(), Parent(parent.to_owned()));
        Ok(Self { dir, key_file, key, next: Cell::new(1), lock, parent })
    }

    /// Makes again what has gone. The shared directory's lock is not waited for: another attempt follows.
    fn restore(&self) -> io::Result<()> {
        let (parent, dir) = (&self.parent.0, self.dir.path());
        if !dir.is_dir() {
            if !parent.is_dir() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            private_directory::check(parent)?;
            // A dispatcher that starts now must not take the new directory for an abandoned one.
            let parent_lock = File::open(parent)?;
            flock(&parent_lock, FlockOperation::NonBlockingLockExclusive)?;
            DirBuilder::new().mode(0o700).create(dir)?;
            self.lock.replace(make_lock(dir)?);
        }
        if !self.key_file.is_file() {
            write_key(&self.key_file, &self.key)?;
        }
        Ok(())
    }

    /// The file with our private key.
    pub(super) fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// Makes a new directory for one connection, and whatever has gone of what it needs.
    pub(super) fn connection_dir(self: &Rc<Self>) -> io::Result<ConnectionDir> {
        self.restore()?;
        let number = self.next.replace(self.next.get() + 1);
        let path = self.dir.path().join(number.to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(ConnectionDir { path, _runtime: Rc::clone(self) })
    }
}

/// A connection's directory. It is removed when dropped.
pub(super) struct ConnectionDir {
    path: PathBuf,
    /// Keeps the key file in place for as long as any client may read it.
    _runtime: Rc<Runtime>,
}

impl ConnectionDir {
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        create_private(&self.file(name))?.write_all(text.as_bytes())
    }

    /// The text of a file, at most its last 64 KiB; empty if there is no such file.
    pub(super) fn read(&self, name: &str) -> String {
        let bytes = read_end(&self.file(name), 64 << 10).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for ConnectionDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed together with the runtime directory, or by the next start.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The last bytes of a file, at most so many. What is before them is not read.
fn read_end(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file whose lock says that the directory's dispatcher lives.
fn make_lock(dir: &Path) -> io::Result<File> {
    let lock = create_private(&dir.join("lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    Ok(lock)
}

/// Leaves the whole key there, or no file: half a key would be refused by every VM, and would stay.
fn write_key(path: &Path, key: &Secret) -> io::Result<()> {
    let written = create_private(path)?.write_all(key.expose().as_bytes());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}

fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Refuses a path that the client's configuration file or its socket cannot hold.
fn check_path(parent: &Path) -> Result<(), SetupError> {
    let longest = LONGEST_CONNECTION_DIR - "/ssh-XXXXXX/9999999".len();
    let text = parent.to_str().unwrap_or("\n");
    if text.chars().any(|c| c.is_control() || "\"\\%$".contains(c)) {
        return Err(SetupError::RuntimeDirectoryName { path: parent.to_owned() });
    }
    if text.len() > longest {
        return Err(SetupError::RuntimeDirectoryTooLong { path: parent.to_owned(), longest });
    }
    Ok(())
}

/// Whether the error may come from a shared directory that another dispatcher has removed or made again.
fn may_come_from_a_removal(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::NotFound => true,
        // The directory to be made existed, and was removed before it was looked at.
        io::ErrorKind::AlreadyExists => true,
        // The lock file of our new directory is locked: we hold the lock of a removed shared directory, and
        // the dispatcher that holds the new one's lock is removing abandoned directories.
        io::ErrorKind::WouldBlock => true,
        _ => false,
    }
}

/// Fails with `NotFound` if the opened directory no longer has that name. Its lock then protects nothing.
fn check_in_place(opened: &File, parent: &Path) -> io::Result<()> {
    let (opened, named) = (opened.metadata()?, std::fs::symlink_metadata(parent)?);
    if (opened.dev(), opened.ino()) == (named.dev(), named.ino()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "it was replaced while it was opened"))
}

/// Takes the lock, and waits at most 5 s. Another dispatcher that starts holds it for milliseconds only.
fn lock_within_deadline(parent_lock: &File) -> io::Result<()> {
    for _ in 0..100 {
        match flock(parent_lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "at start, before anything runs that could wait for us"
                )]
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::Error::other("another process holds its lock for more than 5 s"))
}

/// Removes the directories of dispatchers that were killed and could not remove them.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left_behind(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left_behind(dir: &Path) -> bool {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
    let lock = OpenOptions::new().write(true).custom_flags(flags).open(dir.join("lock"));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(dir: &Path) -> Vec<String> {
        std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn everything_is_private_and_gone_after_a_drop() {
        let parent = tempfile::tempdir().unwrap();
        let runtime = Rc::new(Runtime::new(parent.path(), &Secret::new("k")).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(runtime.key_file()), 0o600);
        assert_eq!(mode(runtime.key_file().parent().unwrap()), 0o700);
        let connection = runtime.connection_dir().unwrap();
        assert_eq!(mode(&connection.path), 0o700);
        drop((connection, runtime));
        assert_eq!(entries(parent.path()), Vec::<String>::new());
    }

    #[test]
    fn whatever_of_it_has_gone_is_made_again_for_the_next_connection() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("arvados-dispatch-0");
        let runtime = Rc::new(Runtime::new(&parent, &Secret::new("k")).unwrap());
        let own = runtime.dir.path().to_owned();
        for gone in [runtime.key_file(), &own, &parent] {
            if gone.is_dir() { std::fs::remove_dir_all(gone) } else { std::fs::remove_file(gone) }.unwrap();
            let connection = runtime.connection_dir().unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&parent), mode(&own), mode(&connection.path)), (0o700, 0o700, 0o700));
            assert_eq!(std::fs::read_to_string(runtime.key_file()).unwrap(), "k");
            assert_eq!(mode(runtime.key_file()), 0o600);
            // Another one that starts leaves it alone.
            drop(Runtime::new(&parent, &Secret::new("k")).unwrap());
            assert!(runtime.key_file().exists(), "{}", gone.display());
        }
        drop(runtime);
        assert_eq!(entries(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn directories_of_killed_dispatchers_are_removed_and_those_of_living_ones_kept() {
        let parent = tempfile::tempdir().unwrap();
        let living = Runtime::new(parent.path(), &Secret::new("k")).unwrap();
        let dead = parent.path().join("ssh-dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("lock"), "").unwrap();
        std::fs::write(dead.join("key"), "").unwrap();
        let other = Runtime::new(parent.path(), &Secret::new("k")).unwrap();
        assert!(!dead.exists());
        assert!(living.key_file().exists() && other.key_file().exists());
    }

    #[test]
    fn a_start_during_another_ones_end_finds_or_makes_the_shared_directory() {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("arvados-dispatch-0");
        let start_and_end = || {
            for _ in 0..200 {
                let runtime = Runtime::new(&shared, &Secret::new("k")).unwrap();
                assert!(runtime.key_file().exists());
            }
        };
        std::thread::scope(|scope| {
            let beside = [(); 3].map(|()| scope.spawn(start_and_end));
            for thread in beside {
                thread.join().unwrap();
            }
        });
        assert!(!shared.exists(), "the last dispatcher has removed it");
    }

    #[test]
    fn a_path_that_a_socket_cannot_have_is_refused_at_once() {
        let long = format!("/tmp/{}", "x".repeat(60));
        let error = Runtime::new(Path::new(&long), &Secret::new("k")).err().unwrap();
        assert!(error.to_string().contains("at most 41"), "{error}");
        let error = Runtime::new(Path::new("/tmp/a\"b"), &Secret::new("k")).err().unwrap();
        assert!(matches!(error, SetupError::RuntimeDirectoryName { .. }));
    }
}
