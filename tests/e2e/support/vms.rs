//! What is behind the instances of a cloud's emulator: Debian's sshd on port 22 of all addresses, which tells by the
//! address which VM is meant; each has a /run of its own. It needs a network namespace ([`super::network`]).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::Site;

/// The VMs, each a directory.
pub struct Vms {
    /// The host key of all of them, as a line of `known_hosts` has it: algorithm and key.
    pub host_key: String,
    directory: PathBuf,
    sshd: Child,
}

/// `enter ADDRESS TEXT`: the text, run in that VM, whose only own thing is /run.
const ENTER: &str = r#"#!/bin/sh
vm=$(dirname "$0")/vms/$1
[ -d "$vm" ] || exit 255
exec unshare --mount --propagation private sh -c 'mount --bind "$0/run" /run && exec sh -c "$1"' "$vm" "$2"
"#;

impl Vms {
    /// Starts sshd; there is no VM yet.
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
        Self { host_key, directory, sshd }
    }

    /// The directory of the VM at that address.
    pub fn vm(&self, address: &str) -> PathBuf {
        self.directory.join("vms").join(address)
    }

    /// Boots a VM, unless there is one at that address: it runs the text that it is told at first boot (a shell script), as
    /// cloud-init would.
    pub fn boot(&self, address: &str, id: &str, told: impl FnOnce() -> String) {
        if self.vm(address).exists() {
            return;
        }
        // Complete from the first moment on that it is there.
        let rising = self.directory.join("rising");
        std::fs::create_dir_all(rising.join("run/lock")).unwrap();
        std::fs::write(rising.join("id"), id).unwrap();
        std::fs::rename(&rising, self.vm(address)).unwrap();
        let told = told();
        let text = told.strip_prefix("#!/bin/sh\n").unwrap_or_else(|| panic!("what it is told is no script"));
        let entered = Command::new(self.directory.join("enter")).args([address, text]).status();
        assert!(entered.unwrap().success(), "what {id} is told fails");
    }

    /// Takes a VM down, unless its address is another's by now.
    pub fn take_down(&self, address: &str, id: &str) {
        let vm = self.vm(address);
        if std::fs::read_to_string(vm.join("id")).is_ok_and(|it| it == id) {
            std::fs::remove_dir_all(vm).unwrap();
        }
    }

    /// The addresses and ids of all.
    pub fn all(&self) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(self.directory.join("vms")).unwrap().flatten();
        let address = |it: &std::fs::DirEntry| it.file_name().into_string().ok();
        let id = |it: &std::fs::DirEntry| std::fs::read_to_string(it.path().join("id")).ok();
        entries.filter_map(|it| Some((address(&it)?, id(&it)?))).collect()
    }
}

/// Lets the VMs follow the instances of an emulated cloud, for as long as there are both: an emulator boots nothing.
pub fn follow<C: 'static>(vms: &Rc<Vms>, cloud: &Rc<C>, furnish: impl Fn(&Vms, &C) + 'static) {
    const EVERY: Duration = Duration::from_millis(100);
    let (cloud, vms) = (Rc::downgrade(cloud), Rc::downgrade(vms));
    actix_rt::spawn(async move {
        while let (Some(cloud), Some(vms)) = (cloud.upgrade(), vms.upgrade()) {
            furnish(&vms, &cloud);
            drop((cloud, vms));
            tokio::time::sleep(EVERY).await;
        }
    });
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
