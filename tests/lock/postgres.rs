//! Debian's PostgreSQL, in a directory of its own, for one test.
//!
//! PostgreSQL refuses to be run by root: there it is run by `postgres`, whom Debian's package made. It ends with
//! the test's thread, however that ends, and at the latest when dropped.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::support::{SOON, until};

/// Nobody else's, and looked for in all logs.
pub const PASSWORD: &str = "a-password-that-nobody-may-see";
/// May do anything.
const SUPERUSER: &str = "postgres";
/// As a site's services log in.
pub const USER: &str = "arvados";
/// What the lock is in.
pub const DATABASE: &str = "arvados_production";

/// A server; stopped when dropped.
pub struct Postgres {
    directory: TempDir,
    programs: PathBuf,
    /// Whose the files are, if not ours.
    owner: Option<(u32, u32)>,
    server: Option<Child>,
    pub port: u16,
}

impl Postgres {
    /// A server with the site's database and user.
    pub async fn start() -> Self {
        Self::start_with_files(&[], &[]).await
    }

    /// The same with files and settings of its own, `name=value`.
    pub async fn start_with_files(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let owner = geteuid().is_root().then(|| (id("-u"), id("-g")));
        let mut postgres = Self { directory, programs: programs(), owner, server: None, port: 0 };
        postgres.initialise();
        for (name, content) in files {
            postgres.give(name, content);
        }
        // Whoever takes the port between its choice and its use, takes it: with another one it will do.
        for _ in 0..5 {
            postgres.port = free_port();
            postgres.launch(settings);
            if postgres.answers().await {
                postgres.make_site().await;
                return postgres;
            }
        }
        panic!("the server does not start:\n{}", postgres.log());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where its socket is.
    pub fn socket_directory(&self) -> PathBuf {
        self.path("socket")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Gives a file to the server's user alone.
    pub fn give(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = self.owner {
            chown(&path, Some(user), Some(group)).unwrap();
        }
        path
    }

    /// `PostgreSQL.Connection` by network.
    pub fn connection(&self) -> serde_json::Value {
        serde_json::json!({
            "host": "127.0.0.1", "port": self.port.to_string(), "user": USER, "password": PASSWORD,
            "dbname": DATABASE,
        })
    }

    /// Stops it as an administrator in a hurry would: sessions are cut.
    pub async fn stop(&mut self) {
        self.signal(Signal::INT);
        let server = self.server.as_mut().unwrap();
        until("the server has stopped", SOON, async || server.try_wait().unwrap()).await;
        self.server = None;
    }

    /// Starts it again, at the same port.
    pub async fn start_again(&mut self) {
        self.launch(&[]);
        assert!(self.answers().await, "{}", self.log());
    }

    /// A session as the superuser.
    pub async fn superuser(&self) -> Client {
        self.session(SUPERUSER, DATABASE, "test").await.unwrap()
    }

    /// A session of some other program, with the site's credentials.
    pub async fn other_program(&self, name: &str) -> Client {
        self.session(USER, DATABASE, name).await.unwrap()
    }

    async fn session(&self, user: &str, database: &str, name: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(PASSWORD).dbname(database);
        let (client, connection) = config.application_name(name).connect(NoTls).await?;
        actix_rt::spawn(connection);
        Ok(client)
    }

    /// Makes the data directory.
    fn initialise(&self) {
        for name in ["data", "socket"] {
            let path = self.path(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            if let Some((user, group)) = self.owner {
                chown(&path, Some(user), Some(group)).unwrap();
            }
        }
        let password = self.give("password", PASSWORD);
        let mut initdb = self.command("initdb");
        initdb.args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        initdb
            .arg("--username")
            .arg(SUPERUSER)
            .arg("--pwfile")
            .arg(password)
            .arg("-D")
            .arg(self.path("data"));
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        // Where a test gives it another address, it is one of the test's own network.
        let mut access = File::options().append(true).open(self.path("data/pg_hba.conf")).unwrap();
        writeln!(access, "host all all 10.2.0.0/24 scram-sha-256").unwrap();
    }

    fn launch(&mut self, settings: &[&str]) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.path("data")).arg("-p").arg(self.port.to_string());
        postgres.arg("-k").arg(self.socket_directory());
        let own = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=20", "logging_collector=off"];
        for setting in own.iter().chain(settings) {
            postgres.arg("-c").arg(setting);
        }
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(postgres.spawn().unwrap());
    }

    /// A program of the server's, as its user, that is ended in a hurry when this thread ends.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig").arg("QUIT");
        if let Some((user, group)) = self.owner {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        }
        command.arg(self.programs.join(program));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.directory.path());
        command
    }

    /// Whether it answers; false if it has ended instead.
    async fn answers(&mut self) -> bool {
        let mut server = self.server.take().unwrap();
        let answers = until("the server answers or ends", SOON, async || {
            if server.try_wait().unwrap().is_some() {
                return Some(false);
            }
            self.session(SUPERUSER, "postgres", "test").await.is_ok().then_some(true)
        })
        .await;
        self.server = Some(server);
        answers
    }

    /// From now on its clients see how long it has really been up. Until then they see a day: nobody in a test waits
    /// because it is young.
    pub async fn show_its_age(&self) {
        let superuser = self.superuser().await;
        superuser.simple_query(&format!("ALTER ROLE {USER} RESET search_path")).await.unwrap();
    }

    async fn hide_its_age(&self) {
        let superuser = self.superuser().await;
        let statements = [
            "CREATE SCHEMA elder".to_owned(),
            "CREATE FUNCTION elder.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql \
             AS $$ SELECT clock_timestamp() - interval '1 day' $$"
                .to_owned(),
            format!("GRANT USAGE ON SCHEMA elder TO {USER}"),
            format!("ALTER ROLE {USER} SET search_path = elder, pg_catalog, public"),
        ];
        superuser.batch_execute(&statements.join(";")).await.unwrap();
    }

    async fn make_site(&self) {
        let first = self.session(SUPERUSER, "postgres", "test").await.unwrap();
        first.simple_query(&format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
        first.simple_query(&format!("CREATE DATABASE {DATABASE} OWNER {USER}")).await.unwrap();
        self.hide_its_age().await;
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.server.as_ref().unwrap());
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

impl Drop for Postgres {
    /// In a hurry: nothing of it is kept.
    fn drop(&mut self) {
        if self.server.is_some() {
            self.signal(Signal::QUIT);
        }
        if let Some(mut server) = self.server.take() {
            let _ = server.wait();
        }
    }
}

/// The first column of the first row.
pub async fn value(client: &Client, question: &str) -> Option<String> {
    let messages = client.simple_query(question).await.unwrap();
    messages.iter().find_map(|it| match it {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// The server's process for the session that has the lock, if any has it.
pub async fn holder(client: &Client) -> Option<i32> {
    let question = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 10005 AND granted";
    value(client, question).await?.parse().ok()
}

/// Debian has them beside each other, a directory a version.
fn programs() -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").map(|it| it.flatten().collect()).unwrap_or(vec![]);
    let found = versions.into_iter().map(|it| it.path().join("bin")).filter(|it| it.join("initdb").exists());
    found.max().expect("PostgreSQL's server is installed: apt-get install postgresql (scripts/test does)")
}

fn id(option: &str) -> u32 {
    let output = Command::new("id").arg(option).arg("postgres").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().expect("there is a user `postgres`: Debian's package makes it")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
