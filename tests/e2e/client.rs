//! `instance` and `container`: the binary as an operator's client of the running service.

use std::process::Stdio;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use rcgen::generate_simple_self_signed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::service::{command, finish};
use crate::support::{Ended, SOON, Service, Site, until};

const TOKEN: &str = "ARVADOS_MANAGEMENT_TOKEN";

/// As on the service's own host: URL and token are the configuration's.
async fn client(site: &Site, arguments: &[&str]) -> Ended {
    finish(&mut command(site, arguments, &[]), SOON).await
}

/// It did what was asked, and complained of nothing.
#[track_caller]
fn output(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    &ended.stdout
}

/// A running service whose configuration names its address.
pub async fn serving(site: &mut Site) -> Service {
    serving_in(site, &[]).await
}

async fn serving_in(site: &mut Site, environment: &[(&str, &str)]) -> Service {
    site.write_config();
    let mut service = Service::start(site, &["run"], environment).await;
    service.logged("ready", SOON).await;
    let urls = json!({ service.url.as_str(): {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
    service
}

/// The only instance there is, once it runs something.
pub async fn busy_instance(site: &Site) -> String {
    until("an instance is busy", SOON, async || {
        let listed = client(site, &["instance", "list"]).await;
        let line = output(&listed).lines().find(|line| line.contains("\trunning\t"))?.to_owned();
        line.split('\t').next().map(str::to_owned)
    })
    .await
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first container, which runs, and its instance.
async fn one_that_runs(site: &Site) -> (String, String) {
    site.submit(1).await;
    site.begun(1).await;
    let uuid = site.records().await[0].uuid.to_string();
    (uuid, busy_instance(site).await)
}

/// What a statement has in it is tested beside the API and the client: here, that it comes from a service at work.
#[actix_rt::test]
async fn what_was_spent_is_told_by_type_and_by_container() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let (uuid, id) = one_that_runs(&site).await;
    let cost = client(&site, &["cost", "--by", "type", "--header"]).await;
    assert!(output(&cost).starts_with("type\tamount\tpercent\twasted\tper-hour\nshared\t"), "{cost:?}");
    let cost = client(&site, &["cost", "--by", "container", "--since", "1h"]).await;
    assert!(output(&cost).contains(&format!("{uuid}\t{id}\tshared\t")), "{cost:?}");
    let by_category = client(&site, &["cost"]).await;
    assert!(output(&by_category).lines().any(|line| line.starts_with("inuse\t")), "{by_category:?}");
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn an_operator_sees_from_a_shell() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    assert_eq!(output(&client(&site, &["instance", "list"]).await), "");
    assert_eq!(output(&client(&site, &["container", "list"]).await), "");
    let (uuid, id) = one_that_runs(&site).await;

    // The columns that scripts know.
    let listed = client(&site, &["instance", "list", "--header"]).await;
    let lines: Vec<Vec<&str>> = output(&listed).lines().map(|line| line.split('\t').collect()).collect();
    let columns =
        "instance address state idle-behavior config-type provider-type price running-containers renewal";
    assert_eq!(lines[0], columns.split(' ').collect::<Vec<_>>());
    let [name, _, "running", "run", "shared", _, "0.1", running, "-"] = lines[1][..] else {
        panic!("{lines:?}")
    };
    assert_eq!((name, running), (id.as_str(), uuid.as_str()));
    let items = json_lines(output(&client(&site, &["instance", "list", "--json"]).await));
    assert_eq!((&items[0]["instance"], &items[0]["worker_state"]), (&json!(id), &json!("running")));
    let shown = client(&site, &["instance", "show", &id]).await;
    assert!(output(&shown).contains(&format!("running         {uuid}")), "{shown:?}");

    // The same of the container.
    until("the container is shown as running", SOON, async || {
        let listed = client(&site, &["container", "list"]).await;
        let cells: Vec<_> = output(&listed).trim_end().split('\t').collect();
        assert_eq!((cells[0], cells[7]), (uuid.as_str(), id.as_str()));
        (cells[1] == "Running").then_some(())
    })
    .await;
    let explained = client(&site, &["container", "explain", &uuid]).await;
    for words in [
        "it does not wait: it runs (running)",
        "shared at 0.1 an hour",
        &format!("{id} (running, run, shared)"),
    ] {
        assert!(output(&explained).contains(words), "{words} is not in {explained:?}");
    }
    let shown = json_lines(output(&client(&site, &["container", "show", "--json", &uuid]).await));
    assert_eq!(shown[0]["explain"]["reason"], "running");

    // By its URL, without a configuration; the token is in the environment.
    let environment = [(TOKEN, site.management_token.as_str()), ("ARVADOS_CONFIG", "/nonexistent")];
    let arguments = ["instance", "list", "--url", &service.url, "--config", "/nonexistent"];
    let elsewhere = finish(&mut command(&site, &arguments, &environment), SOON).await;
    assert!(output(&elsewhere).starts_with(&id), "{elsewhere:?}");

    let wrong = [(TOKEN, "wrongwrongwrong")];
    let refused = finish(&mut command(&site, &["instance", "list", "--json"], &wrong), SOON).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    let told =
        "refuses the token (authorization error): compare the ManagementToken in ARVADOS_MANAGEMENT_TOKEN";
    assert!(refused.stderr.contains(told) && !refused.stderr.contains(wrong[0].1), "{refused:?}");
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn an_operator_orders_from_a_shell() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let (uuid, id) = one_that_runs(&site).await;

    // Each id is answered by its own line; one that is not there does not keep the others from it.
    let ordered = client(&site, &["instance", "hold", "i-unknown", &id, "--reason", "-look at it"]).await;
    assert_eq!(ordered.code, Some(1), "{ordered:?}");
    assert_eq!(ordered.stdout, format!("{id}: on hold: gets nothing new, and is kept\n"));
    assert_eq!(
        ordered.stderr,
        "arvados-dispatch-cloud: i-unknown: instance not found; instance list has those that there are\n"
    );
    let line = service.logged("ordered by an operator", SOON).await;
    assert_eq!((&line["Action"], &line["Reason"]), (&json!("hold"), &json!("-look at it")));
    let refused = client(&site, &["instance", "drain", &id]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("is on hold: force=1 drains it all the same (409 Conflict); here: --force")
    );
    for (arguments, behavior) in [(&["drain", "--force", &id][..], "drain"), (&["run", &id], "run")] {
        output(&client(&site, &[&["instance"], arguments].concat()).await);
        let verb = behavior;
        until(verb, SOON, async || {
            let items = json_lines(output(&client(&site, &["instance", "show", "--json", &id]).await));
            (items[0]["idle_behavior"] == behavior).then_some(())
        })
        .await;
    }

    let killed = client(&site, &["container", "kill", &uuid, "--reason", "enough"]).await;
    assert_eq!(output(&killed), format!("{uuid}: its processes are being ended\n"));
    site.reached(1, ContainerState::Cancelled, SOON).await;
    let killed = client(&site, &["instance", "kill", &id, "--reason", "enough"]).await;
    assert_eq!(output(&killed), format!("{id}: shutting down\n"));
    assert!(!service.log_text().contains(&site.management_token));
    assert_eq!(service.stop().await, 0);
}

/// Who has put a VM on hold, and why, is known after a restart, too; and so is what may not be created.
#[actix_rt::test]
async fn what_operators_have_ordered_outlives_the_service() {
    let mut site = Site::new();
    let state = site.path("state");
    std::fs::create_dir(&state).unwrap();
    let state = state.to_str().unwrap().to_owned();
    let environment = [("STATE_DIRECTORY", state.as_str())];
    let mut service = serving_in(&mut site, &environment).await;
    site.submit(1).await;
    site.begun(1).await;
    let id = busy_instance(&site).await;
    output(
        &client(&site, &["instance", "hold", &id, "--by", "erin", "--reason", "looking at its disk"]).await,
    );
    let paused =
        client(&site, &["creates", "pause", "--for", "2h", "--by", "erin", "--reason", "new image"]).await;
    assert!(output(&paused).starts_with("all: nothing is created until "), "{paused:?}");
    output(&client(&site, &["type", "drain", "shared", "--by", "erin"]).await);
    service.logged("set idle behavior", SOON).await;
    until("the tag is saved", SOON, async || {
        let saved = std::fs::read_dir(site.state_directory()).unwrap().flatten();
        let states: Vec<_> =
            saved.flat_map(|it| std::fs::read_to_string(it.path().join("state.json"))).collect();
        states.iter().any(|it| it.contains("erin: looking at its disk")).then_some(())
    })
    .await;
    service.kill().await;

    let mut service = serving_in(&mut site, &environment).await;
    let shown = client(&site, &["instance", "show", &id]).await;
    for line in ["idle-behavior   hold", "asked by        erin", "reason          looking at its disk"] {
        assert!(output(&shown).lines().any(|it| it == line), "{line:?} is not in {shown:?}");
    }
    let status = client(&site, &["creates", "status"]).await;
    for words in
        ["creates of all are paused until ", ", by erin: new image", "type shared is drained; since "]
    {
        assert!(output(&status).contains(words), "{words} is not in {status:?}");
    }
    // Its process is known to the new service as soon as the VM has been asked.
    until("the type is listed with what it runs", SOON, async || {
        let types = client(&site, &["type", "list"]).await;
        let line = output(&types).lines().find(|it| it.starts_with("shared\t"))?.to_owned();
        assert!(line.contains("\ton-demand\tdrained\t1\t"), "{types:?}");
        line.contains("\tdrained\t1\t1\tan operator has drained this type").then_some(())
    })
    .await;
    assert!(output(&client(&site, &["creates", "resume"]).await).starts_with("all: created again"));
    output(&client(&site, &["type", "run", "shared"]).await);
    let again = client(&site, &["creates", "resume"]).await;
    assert!(again.stderr.contains("pause of this scope not found") && again.code == Some(1), "{again:?}");
    let wrong = client(&site, &["type", "drain", "huge"]).await;
    assert!(wrong.stderr.contains("huge: instance type not found; type list has those"), "{wrong:?}");
    site.runs.open_gate();
    site.reached(1, ContainerState::Complete, SOON).await;
    output(&client(&site, &["instance", "run", &id]).await);
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn events_are_shown_as_they_happen_over_a_restart_of_the_service() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let mut child = command(&site, &["events", "--follow", "--json"], &[]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async |message: &str| loop {
        let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("an event comes in time");
        let event: Value = serde_json::from_str(&line.unwrap().expect("it goes on")).unwrap();
        if event["msg"] == message {
            return event;
        }
    };
    next("ready").await;
    site.submit(1).await;
    let started = next("crunch-run process started").await;
    let uuid = started["ContainerUUID"].as_str().unwrap().to_owned();
    let id = busy_instance(&site).await;
    output(&client(&site, &["instance", "hold", &id, "--by", "frank", "--reason", "to look"]).await);
    let held = next("set idle behavior").await;
    assert_eq!((&held["By"], &held["Reason"]), (&json!("frank"), &json!("to look")));

    let shown = client(&site, &["events", "--container", &uuid]).await;
    let told = output(&shown);
    assert!(
        told.lines().all(|line| line.contains(&uuid)) && told.contains("info     crunch-run process started"),
        "{told}"
    );
    let shown = client(&site, &["events", "--since", "10m", "--json"]).await;
    let (all, last) = (json_lines(output(&shown)), client(&site, &["events", "--last", "1", "--json"]).await);
    assert!(all.len() > 5 && all[0]["seq"] == 1, "{all:?}");
    assert_eq!(json_lines(output(&last)).len(), 1);

    service.kill().await;
    let mut service = serving(&mut site).await;
    // The client asks the address that the configuration had when it began: it is told where the service is now.
    let missing = client(&site, &["events", "--last", "1000", "--json"]).await;
    let boot = json_lines(output(&missing))[0]["boot"].clone();
    assert_ne!(boot, started["boot"]);
    child.kill().await.unwrap();
    site.runs.open_gate();
    output(&client(&site, &["instance", "run", &id]).await);
    site.reached(1, ContainerState::Complete, SOON).await;
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn a_watched_list_is_a_block_for_each_change_in_a_pipe() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let arguments = ["instance", "list", "--watch", "--interval", "200ms"];
    let mut child = command(&site, &arguments, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(next().await, "", "an empty list is an empty block");
    site.submit(1).await;
    while !next().await.contains("\trunning\t") {}
    // A signal ends it. Not Ctrl-C's: who runs the tests in the background has it ignored.
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::TERM).unwrap();
    let status = tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), None, "{status}");
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn over_https_the_sites_certificate_is_trusted_and_another_is_not() {
    let mut site = Site::new();
    let certify = |site: &Site| {
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(site.path("cert.pem"), made.cert.pem()).unwrap();
    };
    certify(&site);
    let file = |name: &str| format!("file://{}", site.path(name).display());
    let tls = json!({ "Certificate": file("cert.pem"), "Key": file("key.pem") });
    site.cluster()["TLS"] = tls;
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = json!({ "https://127.0.0.1:0": {} });
    let mut service = serving(&mut site).await;
    assert_eq!(output(&client(&site, &["instance", "list"]).await), "");

    // Nobody vouches for it where the site's configuration is not.
    let environment = [(TOKEN, site.management_token.as_str())];
    let arguments = ["instance", "list", "--url", &service.url];
    let ended = finish(&mut command(&site, &arguments, &environment), SOON).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("certificate") && ended.stderr.lines().count() == 1, "{ended:?}");
    let own = site.path("cert.pem").display().to_string();
    let trusting = [environment[0], ("SSL_CERT_FILE", own.as_str())];
    assert_eq!(output(&finish(&mut command(&site, &arguments, &trusting), SOON).await), "");

    certify(&site);
    let ended = client(&site, &["instance", "list"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("certificate") && ended.stderr.lines().count() == 1, "{ended:?}");
    let plain = service.url.replacen("https", "http", 1);
    let ended = finish(&mut command(&site, &["instance", "list", "--url", &plain], &environment), SOON).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    assert_eq!(service.stop().await, 0);
}

/// Long enough for a loaded machine to connect, and no longer.
const HANG: Duration = Duration::from_millis(500);

#[actix_rt::test]
async fn a_service_that_does_not_answer_in_time_is_told_and_a_stopped_one_cannot_be_reached() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    // Frozen, its sockets still take connections.
    service.signal(Signal::STOP);
    let timeout = format!("{}ms", HANG.as_millis());
    let orders = client(&site, &["instance", "hold", "i-1", "i-2", "--timeout", &timeout]).await;
    service.signal(Signal::CONT);
    assert_eq!((orders.code, orders.stdout.as_str()), (Some(1), ""), "{orders:?}");
    let [first, second] = orders.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{orders:?}") };
    assert!(
        first.contains("i-1: the service at") && first.contains("has not answered within 500ms"),
        "{first}"
    );
    assert!(second.ends_with("i-2: not tried"), "{second}");
    assert_eq!(service.stop().await, 0);

    for arguments in [["instance", "list", "--json"], ["container", "list", "--header"]] {
        let ended = client(&site, &arguments).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(
            ended.stderr.contains("cannot reach the service at") && ended.stderr.contains(&service.url),
            "{ended:?}"
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}
