//! The fleet, in a process of its own: EC2's API with N running VMs, and an SSH server for each.
//!
//! The VMs run nothing. They answer what a dispatcher asks of a VM that is idle: it is booted, it has the secret, its
//! fence is claimed, its runner has no process.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The argument by which this program becomes a fleet.
pub const SERVE: &str = "--serve-vms";
/// Whose VMs they are: the middle of the root token.
pub const SET: &str = "zzzzz-gj3su-000000000000000";
/// What every VM proves itself with.
const SECRET: &str = "the secret of a VM that is none";
/// What the dispatcher's type of instance is at EC2.
pub const TYPE: &str = "m5.large";

/// A running fleet. It ends when this is dropped, or this process ends.
pub struct Fleet {
    child: Child,
    /// Its end is the fleet's.
    _stdin: ChildStdin,
    pub ssh_port: u16,
    pub api_port: u16,
    pub size: usize,
}

impl Fleet {
    pub fn start(size: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([SERVE, &size.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut ports = line.split_ascii_whitespace().map(|word| word.parse().unwrap());
        let (ssh_port, api_port) = (ports.next().unwrap(), ports.next().unwrap());
        Self { child, _stdin: stdin, ssh_port, api_port, size }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 77, (number / 250) as u8, (number % 250 + 1) as u8)
}

/// Serves until stdin ends.
pub fn serve(size: usize) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    actix_rt::System::new().block_on(async {
        let (first, port) = listen(address(0), 0).await;
        let mut listeners = vec![first];
        for number in 1..size {
            listeners.push(listen(address(number), port).await.0);
        }
        for listener in listeners {
            actix_rt::spawn(vm(listener));
        }
        let (api, api_port) = listen(Ipv4Addr::LOCALHOST, 0).await;
        println!("{port} {api_port}");
        let listing = Arc::new(listing(size));
        loop {
            let Ok((stream, _)) = api.accept().await else { continue };
            actix_rt::spawn(answer(stream, Arc::clone(&listing)));
        }
    });
}

async fn listen(ip: Ipv4Addr, port: u16) -> (TcpListener, u16) {
    let listener = TcpListener::bind((ip, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

// ---------------------------------------------------------------- EC2

/// The answer to `DescribeInstances`.
fn listing(size: usize) -> String {
    let tags = [
        ("ArvadosInstanceSetID", SET),
        ("ArvadosInstanceType", "any"),
        ("ArvadosIdleBehavior", "run"),
        ("ArvadosInstanceSecret", SECRET),
    ];
    let tags: String = tags
        .iter()
        .map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"))
        .collect();
    let instance = |number: usize| {
        format!(
            "<item><instanceId>i-{number:017x}</instanceId><instanceState><code>16</code><name>running</name>\
             </instanceState><instanceType>{TYPE}</instanceType><subnetId>subnet-1</subnetId>\
             <privateIpAddress>{}</privateIpAddress><tagSet>{tags}</tagSet></item>",
            address(number)
        )
    };
    let instances: String = (0..size).map(instance).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item><instancesSet>{instances}\
         </instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
}

async fn answer(mut stream: TcpStream, listing: Arc<String>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..length]);
    }
    let refusal = "<Response><Errors><Error><Code>UnsupportedOperation</Code><Message>not here</Message></Error>\
                   </Errors></Response>";
    let lists = String::from_utf8_lossy(&request).contains("Action=DescribeInstances");
    let (status, body) = if lists { ("200 OK", listing.as_str()) } else { ("400 Bad Request", refusal) };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

/// Whether head and body are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

// ---------------------------------------------------------------- a VM

async fn vm(listener: TcpListener) {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let config = Config { keys: vec![key], auth_rejection_time: Duration::ZERO, ..Config::default() };
    let config = Arc::new(Config { inactivity_timeout: None, ..config });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // With this a command takes 2 ms instead of 44.
        let _ = stream.set_nodelay(true);
        let config = Arc::clone(&config);
        actix_rt::spawn(async move {
            let Ok(session) = run_stream(config, stream, Idle).await else { return };
            // Whatever the result, the connection has ended.
            let _ = session.await;
        });
    }
}

/// A VM on which nothing runs.
struct Idle;

/// What it prints for a command.
fn said(command: &str) -> String {
    if command.contains("fence-claimed") {
        // At the end of the text: …/set-ID NUMBER OWNER WINDOW.
        let mut numbers = command.rsplit(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
        let number = numbers.find(|word| word.len() > 9).unwrap_or("1");
        return format!("fence-claimed {number} 0 settled\n");
    }
    if command.contains("instance-secret") { SECRET.to_owned() } else { String::new() }
}

impl Handler for Idle {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        session.data(id, said(&String::from_utf8_lossy(command)))?;
        session.exit_status_request(id, 0)?;
        session.eof(id)?;
        session.close(id)
    }
}
