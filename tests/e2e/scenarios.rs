//! `demo --scenario`: each is alive, shows its sign by the real API, and leaves nothing behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::demo::Place;
use crate::support::service::finish;
use crate::support::{SOON, processes, until};

/// A demo that lives, and what it has printed.
pub struct Living {
    place: Place,
    child: Child,
    lines: Vec<String>,
    pub url: String,
    pub token: String,
}

impl Living {
    /// Started with its stdout in a pipe; returns when it has told how to log in.
    pub async fn start(scenario: &str) -> Self {
        Self::with(scenario, 2).await
    }

    /// The same with room for that many instances.
    pub async fn with(scenario: &str, instances: u32) -> Self {
        let place = Place::new();
        let mut command = place.command(&["--scenario", scenario, "--instances", &instances.to_string()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines: Vec<String> = Vec::new();
        while lines.last().is_none_or(|line| line != "Ctrl-C ends it.") {
            let line =
                tokio::time::timeout(SOON, stdout.next_line()).await.expect("it comes at once").unwrap();
            lines.push(line.unwrap_or_else(|| panic!("it has ended: {lines:?}")));
        }
        let after = |words: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(words));
            line.unwrap_or_else(|| panic!("no `{words}` in {lines:?}")).trim().to_owned()
        };
        let (url, file) = (after("management API:"), after("token file:"));
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
        assert!(Path::new(&after("log:")).exists());
        let token = std::fs::read_to_string(file).unwrap().trim().to_owned();
        assert!(token.len() >= 32 && !lines.concat().contains(&token), "{lines:?}");
        Self { place, child, lines, url, token }
    }

    /// What is answered to that.
    pub async fn get(&self, path: &str) -> String {
        let request = awc::Client::builder().timeout(SOON).finish().get(format!("{}{path}", self.url));
        let mut answer = request.bearer_auth(&self.token).send().await.unwrap();
        let body = answer.body().limit(16 << 20).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Gives an order, with a form.
    pub async fn post(&self, path: &str, form: &str) {
        let request = awc::Client::builder().timeout(SOON).finish().post(format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.token).content_type("application/x-www-form-urlencoded");
        let status = request.send_body(form.to_owned()).await.unwrap().status();
        assert!(status.is_success(), "{path} {form}: {status}");
    }

    /// What the printed command that has these words prints, run as it stands by a shell.
    async fn printed(&self, words: &str) -> String {
        let line = self.lines.iter().find(|line| line.contains(words)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", line]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let ended = finish(command.stdin(Stdio::null()).kill_on_drop(true), SOON).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{line}");
        ended.stdout
    }

    /// Ends it: exit 0, and nothing is left.
    pub async fn end(mut self, signal: Signal) {
        let pid = self.child.id().unwrap().cast_signed();
        let own = processes::command_line(pid);
        assert!(!own.contains(&self.token), "{own}");
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let status = tokio::time::timeout(SOON, self.child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
        self.place.assert_empty();
    }
}

/// What `/metrics` says.
struct Series(String);

impl Series {
    /// The sum of all series with that name and these labels, as they are written.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let name = format!("arvados_dispatchcloud_{name}");
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (its, own) = series.split_once('{').unwrap_or((series, ""));
            let is_it = its == name && labels.iter().all(|label| own.contains(label));
            is_it.then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    fn has(&self, name: &str, labels: &[&str]) -> bool {
        self.sum(name, labels) > 0.0
    }
}

/// What is true of one scenario and of no other.
fn has_sign(scenario: &str, series: &Series) -> bool {
    let errors = |kind| series.has("cloud_errors_total", &[kind]);
    match scenario {
        "calm" => {
            series.has("containers_running", &[])
                && series.has("boot_outcomes", &["outcome=\"success\""])
                && series.has("event_feed_connected", &[])
                && !series.has("cloud_errors_total", &[])
                && !series.has("at_quota", &[])
        }
        "quota" => series.has("at_quota", &[]) && errors("kind=\"quota\""),
        "capacity" => errors("kind=\"capacity\"") && !series.has("at_quota", &[]),
        "spot" => {
            series.has("spot_notices_total", &[])
                && series.has("instances_disappeared", &["state=\"running\""])
        }
        "badboot" => series.has("boot_outcomes", &["outcome=\"failure\""]),
        "outage" => {
            series.has("controller_requests_total", &["status=\"502\""])
                && !series.has("event_feed_connected", &[])
        }
        "overload" => {
            series.has("controller_requests_total", &["status=\"503\""]) && series.has("last_503_time", &[])
        }
        other => panic!("{other}"),
    }
}

async fn shows_its_sign(scenario: &str, living: &Living) {
    until(&format!("the sign of {scenario}"), 2 * SOON, async || {
        let series = Series(living.get("/metrics").await);
        has_sign(scenario, &series).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn a_calm_cluster_is_alive_and_its_printed_commands_work() {
    let living = Living::start("calm").await;
    shows_its_sign("calm", &living).await;
    assert!(living.printed("instance list").await.contains("\tdemo.small\t"));
    until("jobs keep coming", SOON, async || {
        living.printed("container list").await.contains("-dz642-").then_some(())
    })
    .await;
    living.end(Signal::INT).await;
}

#[actix_rt::test]
async fn a_cluster_at_quota_says_so() {
    let living = Living::start("quota").await;
    shows_its_sign("quota", &living).await;
    until("the reason is told", SOON, async || {
        living.printed("container list").await.contains("\taccount_quota\t").then_some(())
    })
    .await;
    living.end(Signal::TERM).await;
}

#[actix_rt::test]
async fn a_cluster_without_capacity_says_so() {
    let living = Living::start("capacity").await;
    shows_its_sign("capacity", &living).await;
    until("the reason is told", SOON, async || {
        living.printed("container list").await.contains("\tat_capacity\t").then_some(())
    })
    .await;
    living.end(Signal::TERM).await;
}

#[actix_rt::test]
async fn spot_instances_are_taken_away_after_a_notice() {
    let living = Living::start("spot").await;
    shows_its_sign("spot", &living).await;
    living.end(Signal::TERM).await;
}

#[actix_rt::test]
async fn most_instances_do_not_boot_where_boots_are_bad() {
    let living = Living::start("badboot").await;
    shows_its_sign("badboot", &living).await;
    living.end(Signal::TERM).await;
}

#[actix_rt::test]
async fn an_outage_makes_the_service_unwell_until_it_is_over() {
    let living = Living::start("outage").await;
    shows_its_sign("outage", &living).await;
    for health in ["ERROR", "OK"] {
        until("health follows the outage", SOON, async || {
            living.get("/_health/ping").await.contains(&format!("{{\"health\":\"{health}\"")).then_some(())
        })
        .await;
    }
    living.end(Signal::TERM).await;
}

#[actix_rt::test]
async fn an_overloaded_controller_sheds_calls() {
    let living = Living::start("overload").await;
    shows_its_sign("overload", &living).await;
    living.end(Signal::TERM).await;
}

#[actix_rt::test]
async fn a_wrong_scenario_is_told_in_one_line_with_those_that_there_are() {
    let place = Place::new();
    for (arguments, word) in [
        (&["--scenario", "calmer"][..], "calm, quota, capacity, spot, badboot, outage, overload"),
        (&["--scenario"], "--scenario"),
        (&["--scenario", "calm", "--containers", "3"], "--containers"),
        (&["--scenario", "calm", "--json"], "--json"),
        (&["--scenario", "calm", "--faults"], "--faults"),
        (&["--scenario", "calm", "--keep-running"], "--keep-running"),
    ] {
        let ended = place.run(arguments, SOON).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(word), "{arguments:?}: {ended:?}");
    }
    place.assert_empty();
}
