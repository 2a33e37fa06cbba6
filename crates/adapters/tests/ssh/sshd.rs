//! Debian's sshd, started as the current user on a free loopback port.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{PATIENCE, Reserved, random_key, script, until};

const SSHD: &str = "/usr/sbin/sshd";

/// A running sshd. When it is dropped, it is killed with all its sessions.
pub struct Sshd {
    dir: tempfile::TempDir,
    /// The port stays reserved between a stop and the next start.
    reserved: Reserved,
    pub port: u16,
    /// More lines for its configuration.
    lines: String,
    child: Option<Child>,
}

impl Sshd {
    /// Starts sshd on 127.0.0.1; the key with that public part may log in.
    pub fn start(authorized: &str) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), authorized)
    }

    pub fn start_on(ip: IpAddr, authorized: &str) -> Self {
        Self::begin(ip, authorized, String::new())
    }

    /// Starts an sshd that allows that many sessions on a connection.
    pub fn start_with(ip: IpAddr, authorized: &str, max_sessions: u32) -> Self {
        Self::begin(ip, authorized, format!("MaxSessions {max_sessions}\n"))
    }

    /// Starts an sshd with these lines more in its configuration.
    pub fn start_with_lines(authorized: &str, lines: &str) -> Self {
        Self::begin(Ipv4Addr::LOCALHOST.into(), authorized, lines.to_owned())
    }

    fn begin(ip: IpAddr, authorized: &str, lines: String) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: install the package openssh-server for this test"
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("authorized_keys"), format!("{authorized}\n")).unwrap();
        let reserved = Reserved::on(ip);
        let port = reserved.address.port();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let mut sshd = Self { dir, reserved, port, lines, child: None };
        // A test user who is not root may not be allowed to use sudo here.
        sshd.replace_command("sudo", "exec \"$@\"");
        sshd.change_host_key();
        sshd
    }

    /// Replaces the command of that name in all sessions from now on.
    pub fn replace_command(&self, name: &str, shell: &str) {
        script(&self.dir.path().join("bin").join(name), shell);
    }

    pub fn address(&self) -> String {
        self.reserved.address.to_string()
    }

    /// Stops sshd and starts it again on the same port with a new host key.
    pub fn change_host_key(&mut self) {
        self.stop();
        let (private, public) = random_key();
        let key_file = self.dir.path().join("host_key");
        write_private(&key_file, &private);
        std::fs::write(self.dir.path().join("host_key.pub"), public).unwrap();
        self.run();
    }

    /// The host key as text of `known_hosts`, without a name.
    pub fn host_key(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("host_key.pub")).unwrap().trim().to_owned()
    }

    fn run(&mut self) {
        if rustix::process::geteuid().is_root() {
            // Debian's init script makes this directory, and sshd requires it when it runs as root.
            let _ = std::fs::create_dir_all("/run/sshd");
        }
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let config = format!(
            "Port {}\nListenAddress {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n\
             LogLevel ERROR\nSetEnv PATH={}:/usr/bin:/bin\n{}",
            self.port,
            self.reserved.address.ip(),
            path("host_key"),
            path("authorized_keys"),
            path("bin"),
            self.lines,
        );
        std::fs::write(path("config"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new(SSHD);
        command
            .args(["-D", "-e", "-f", &path("config")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
        let started = Instant::now();
        let mut connection = loop {
            if let Ok(connection) = TcpStream::connect(self.reserved.address) {
                break connection;
            }
            let log = std::fs::read_to_string(path("log")).unwrap();
            assert!(started.elapsed() < PATIENCE, "sshd does not listen: {log}");
            std::thread::yield_now();
        };
        // The first byte comes from the process of the connection, which is counted until it has ended.
        connection.read_exact(&mut [0]).unwrap();
        drop(connection);
        until("that connection is over", || self.connections() == 0);
    }

    /// How many connections there are. Each has a process.
    pub fn connections(&self) -> usize {
        self.child.as_ref().map_or(0, |child| children(child.id()).len())
    }

    /// Stops the processes of all connections, without ending them.
    pub fn freeze_connections(&self) {
        for pid in self.child.as_ref().map_or(Vec::new(), |child| children(child.id())) {
            for pid in children(pid).into_iter().chain([pid]) {
                signal(pid, rustix::process::Signal::STOP);
            }
        }
    }

    /// Stops the server and all its sessions.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id();
        for session in children(pid) {
            for process in children(session) {
                kill(process);
            }
            kill(session);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        until("the port is free", || TcpStream::connect(self.reserved.address).is_err());
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|it| it.parse().unwrap()).collect()
}

fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    // An error means that it has ended.
    let _ = rustix::process::kill_process(pid, signal);
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
