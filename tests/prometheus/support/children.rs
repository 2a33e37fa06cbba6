//! A living demo and a Prometheus that scrapes it. Both are killed with the test, whatever becomes of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use awc::ClientResponse;
use dispatch_adapters::loopback::processes_below;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use url::Url;

use super::{SOON, file, yaml};

const LARGEST_ANSWER: usize = 64 << 20;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for `look` to find something, which must come soon.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until_within(SOON, what, look).await
}

/// Waits for `look` to find something.
pub async fn until_within<T>(
    within: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) => assert!(Instant::now() < deadline, "not within {within:?}: {what}: {missing}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A directory for all of one test's children.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        // Short: the ssh client's sockets are below it.
        Self(tempfile::Builder::new().prefix("prom-").tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Place {
    /// What a demo that was killed has left: processes of its instances.
    fn drop(&mut self) {
        for pid in processes_below(self.0.path()).into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// `demo --scenario NAME`.
pub struct Demo {
    child: Child,
    pub url: Url,
    pub token_file: PathBuf,
}

impl Demo {
    pub async fn start(place: &Place, scenario: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arvados-dispatch-cloud"));
        command.args(["demo", "--scenario", scenario, "--instances", "2"]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("TMPDIR", place.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let url = first_after(stdout, "management API: ").await;
        let directory = std::fs::read_dir(place.path()).unwrap().flatten();
        let directory =
            directory.map(|it| it.path()).find(|it| it.join("management-token").exists()).unwrap();
        Self { child, url: url.0.parse().unwrap(), token_file: directory.join("management-token") }
            .with_stdout(url.1)
    }

    /// A reader that goes would be no reason to end; it is kept all the same.
    fn with_stdout(self, stdout: impl tokio::io::AsyncRead + Unpin + 'static) -> Self {
        actix_rt::spawn(async move {
            let mut stdout = stdout;
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
        });
        self
    }

    fn request(&self, method: awc::http::Method, path: &str) -> awc::ClientRequest {
        let token = std::fs::read_to_string(&self.token_file).unwrap();
        let url = self.url.join(path).unwrap();
        awc::Client::builder().timeout(SOON).finish().request(method, url.as_str()).bearer_auth(token.trim())
    }

    /// What the management API answers.
    pub async fn get(&self, path: &str) -> String {
        body(self.request(awc::http::Method::GET, path).send().await.unwrap()).await
    }

    /// Tells it to do something.
    pub async fn post(&self, path: &str) {
        let answer = self.request(awc::http::Method::POST, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// SIGTERM, and exit 0.
    pub async fn stop(mut self) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = tokio::time::timeout(SOON, self.child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

/// What follows these words in the first line that has them, and the reader.
async fn first_after<R: tokio::io::AsyncRead + Unpin>(
    mut reader: BufReader<R>,
    words: &str,
) -> (String, BufReader<R>) {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let read = tokio::time::timeout(SOON, reader.read_line(&mut line)).await.expect("it comes").unwrap();
        assert!(read > 0, "it has ended without `{words}`: {seen}");
        if let Some((_, after)) = line.split_once(words) {
            return (after.split_whitespace().next().unwrap().to_owned(), reader);
        }
        seen.push_str(&line);
    }
}

async fn body<S>(mut answer: ClientResponse<S>) -> String
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>>,
{
    let bytes = answer.body().limit(LARGEST_ANSWER).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A Prometheus on a port of its own.
pub struct Prometheus {
    _child: Child,
    url: Url,
}

impl Prometheus {
    /// Scrapes that demo as the example of `config/prometheus` says, with these rules, only more often.
    pub async fn start(place: &Place, demo: &Demo, rules: &Path) -> Self {
        let mut config = yaml("config/prometheus/prometheus.example.yml");
        config["global"] = json!({ "scrape_interval": "500ms", "evaluation_interval": "500ms" });
        assert_eq!(config["rule_files"], json!(["alerts.yml"]));
        config["rule_files"] = json!([rules]);
        let job = &mut config["scrape_configs"][0];
        job["authorization"]["credentials_file"] = json!(demo.token_file);
        let target = format!("127.0.0.1:{}", demo.url.port().unwrap());
        job["static_configs"][0]["targets"] = json!([target]);
        let path = place.path().join("prometheus.yml");
        serde_json::to_writer(File::create(&path).unwrap(), &config).unwrap();

        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", place.path().join("tsdb").display()));
        command.arg("--web.listen-address=127.0.0.1:0").current_dir(place.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("prometheus runs: apt-get install prometheus");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (address, mut stderr) = first_after(stderr, "msg=\"Listening on\" address=").await;
        actix_rt::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
        let prometheus = Self { _child: child, url: format!("http://{address}/").parse().unwrap() };
        // It listens before it can answer.
        until("Prometheus is ready", async || {
            let url = prometheus.url.join("-/ready").unwrap();
            let request = awc::Client::builder().timeout(SOON).finish().get(url.as_str());
            let status = request.send().await.unwrap().status();
            if status.is_success() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        prometheus
    }

    async fn ask(&self, url: Url) -> Value {
        let request = awc::Client::builder().timeout(SOON).finish().get(url.as_str());
        let answer = match request.send().await {
            Ok(answer) => body(answer).await,
            Err(error) => panic!("{url}: {error}"),
        };
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{url}: {error}: {answer}"))
    }

    /// What an expression comes to: labels and value.
    pub async fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let mut url = self.url.join("api/v1/query").unwrap();
        url.query_pairs_mut().append_pair("query", expression);
        let answer = self.ask(url).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        assert_eq!(answer["data"]["resultType"], "vector", "{expression}");
        let samples = answer["data"]["result"].as_array().unwrap();
        let value = |sample: &Value| sample["value"][1].as_str().unwrap().parse().unwrap();
        samples.iter().map(|sample| (sample["metric"].clone(), value(sample))).collect()
    }

    /// All rules, with their state.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.ask(self.url.join("api/v1/rules").unwrap()).await;
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
    }
}

/// The rules as they are delivered.
pub fn delivered_rules() -> PathBuf {
    file("config/prometheus/alerts.yml")
}
