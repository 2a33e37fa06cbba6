//! What is behind the instances of an emulated cloud: Debian's sshd as all of them, told apart by their addresses.
//!
//! ```text
//!   sshd on port 22 of all addresses ─ the address that was called ─▶ enter ─▶ that VM's own /run
//! ```
//! An emulator boots nothing: who has one looks at its instances again and again, and boots what is new and ends what is
//! gone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use crate::support::Site;

/// The VMs, and the one server that lets in to them.
pub struct Vms {
    directory: PathBuf,
    sshd: Child,
    /// The host key of all of them, as a line of `known_hosts` has it: algorithm and key.
    pub host_key: String,
}

/// `enter ADDRESS TEXT`: the text, run in that VM, whose only own thing is /run.
const ENTER: &str = r#"#!/bin/sh
vm=$(dirname "$0")/vms/$1
[ -d "$vm" ] || exit 255
exec unshare --mount --propagation private sh -c 'mount --bind "$0/run" /run && exec sh -c "$1"' "$vm" "$2"
"#;

impl Vms {
    /// For that site's key, in a directory of its own there.
    pub fn start(site: &Site) -> Self {
        let directory = site.path("vms-of-a-cloud");
        std::fs::create_dir_all(directory.join("vms")).unwrap();
        // sshd as root insists on it.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let below = |name: &str| directory.join(name).display().to_string();
        let own = PrivateKey::from_openssh(&site.private_key).unwrap();
        write(&directory.join("authorized_keys"), &own.public_key().to_openssh().unwrap(), 0o600);
        let host_key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        write(&directory.join("host_key"), &host_key.to_openssh(LineEnding::LF).unwrap(), 0o600);
        write(&directory.join("enter"), ENTER, 0o755);
        let shell = format!(
            "#!/bin/sh\nset -- $SSH_CONNECTION\nexec {} \"$3\" \"$SSH_ORIGINAL_COMMAND\"\n",
            below("enter")
        );
        write(&directory.join("shell"), &shell, 0o755);
        let config = format!(
            "Port 22\nListenAddress 0.0.0.0\nHostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n\
             LogLevel ERROR\nSetEnv PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
            below("host_key"),
            below("authorized_keys"),
            below("shell"),
        );
        write(&directory.join("sshd_config"), &config, 0o600);
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f", &below("sshd_config")]);
        let sshd = sshd.stdin(Stdio::null()).spawn().expect("the package openssh-server is installed");
        let host_key = host_key.public_key().to_openssh().unwrap();
        Self { directory, sshd, host_key }
    }

    /// Where the VM of that address has its own things.
    pub fn vm(&self, address: &str) -> PathBuf {
        self.directory.join("vms").join(address)
    }

    /// Boots it, unless it is there: its script is run as at its first boot.
    pub fn boot(&self, id: &str, address: &str, script: impl FnOnce() -> String) {
        let vm = self.vm(address);
        if vm.exists() {
            return;
        }
        // Complete from the first moment on that it is there.
        let rising = self.directory.join("rising");
        std::fs::create_dir_all(rising.join("run/lock")).unwrap();
        std::fs::write(rising.join("id"), id).unwrap();
        std::fs::rename(&rising, &vm).unwrap();
        let script = script();
        let text = script.strip_prefix("#!/bin/sh\n").unwrap_or_else(|| panic!("it is no script"));
        let entered = Command::new(self.directory.join("enter")).args([address, text]).status();
        assert!(entered.unwrap().success(), "the script of {id} fails");
    }

    /// Ends it, if that address is still its own: it may be given to another instance later.
    pub fn end(&self, id: &str, address: &str) {
        let vm = self.vm(address);
        if std::fs::read_to_string(vm.join("id")).is_ok_and(|it| it == id) {
            std::fs::remove_dir_all(vm).unwrap();
        }
    }

    /// Address and id of each that is there.
    pub fn all(&self) -> Vec<(String, String)> {
        let there = std::fs::read_dir(self.directory.join("vms")).unwrap().flatten();
        let of = |it: std::fs::DirEntry| {
            let id = std::fs::read_to_string(it.path().join("id")).ok()?;
            Some((it.file_name().into_string().ok()?, id))
        };
        there.filter_map(of).collect()
    }
}

impl Drop for Vms {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// Writes a file with that mode.
pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
