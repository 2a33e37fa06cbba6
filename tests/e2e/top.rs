//! `top`, on a pseudo-terminal, against a service that runs.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use rustix::process::Signal;
use serde_json::Value;

use crate::client::{busy_instance, serving};
use crate::support::service::{command, finish};
use crate::support::tmux::Terminal;
use crate::support::{DISPATCHER, SOON, Service, Site, until};

const SSH: (u16, u16) = (80, 24);
/// Events tell what has changed at once; without them it would be seen five seconds after the change before.
const AT_ONCE: Duration = Duration::from_secs(4);

/// The command line, for a shell.
fn top(site: &Site, more: &str) -> String {
    format!("{DISPATCHER} --config {} top --by tester {more}", site.path("config.yml").display())
}

/// A terminal on which it is shown.
async fn shown(site: &Site, environment: &[(&str, &str)]) -> Terminal {
    let terminal = Terminal::start(site, SSH, environment).await;
    terminal.write(&top(site, ""));
    terminal.press(&["Enter"]);
    terminal.shows("[1 line:", SOON).await;
    terminal
}

async fn instance(service: &Service, site: &Site, id: &str) -> Value {
    let (_, listed) = service.get(site, "/arvados/v1/dispatch/instances").await;
    let items = listed["items"].as_array().unwrap();
    items.iter().find(|it| it["instance"] == id).cloned().unwrap_or_default()
}

async fn one_that_runs(site: &Site) -> (String, String) {
    site.submit(1).await;
    site.begun(1).await;
    (site.records().await[0].uuid.to_string(), busy_instance(site).await)
}

#[actix_rt::test]
async fn it_shows_the_cluster_and_gives_orders_with_their_reasons() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let (uuid, id) = one_that_runs(&site).await;
    let terminal = shown(&site, &[]).await;
    let screen = terminal.shows("1 running, 1 instance", SOON).await;
    assert!(screen.contains("in service, lock held") && screen.contains("no container waits"), "{screen}");

    // What runs is explained in a pane.
    terminal.press(&["a"]);
    terminal.shows(&format!("runs on {id}"), SOON).await;
    terminal.press(&["Enter"]);
    let screen = terminal.shows("it does not wait: it runs (running)", SOON).await;
    assert!(
        screen.contains(&format!("container {uuid}")) && screen.contains("shared at 0.1 an hour"),
        "{screen}"
    );
    terminal.press(&["Escape"]);

    // The instance is put on hold, with a reason that others read.
    terminal.press(&["2", "Down"]);
    let screen = terminal.shows("[2 fleet: 1]", SOON).await;
    assert!(screen.contains("shared: 1 instance, 0.10/h; creates: open"), "{screen}");
    terminal.press(&["h"]);
    terminal.write("its disk is full, q");
    terminal.shows("Reason: its disk is full, q", SOON).await;
    terminal.press(&["Enter"]);
    terminal.shows("running, hold", SOON).await;
    let held = instance(&service, &site, &id).await;
    assert_eq!(held["idle_behavior"], "hold");
    assert_eq!(
        (&held["idle_behavior_by"], &held["idle_behavior_reason"]),
        (&"tester".into(), &"its disk is full, q".into())
    );
    terminal.press(&["Enter"]);
    terminal.shows("reason          its disk is full, q", SOON).await;
    terminal.press(&["3"]);
    terminal.shows("ordered by an operator", SOON).await;

    // Nothing is killed without a y.
    terminal.press(&["1", "Home", "x"]);
    terminal.write("wrong input");
    terminal.press(&["Enter"]);
    terminal.shows("Sure?", SOON).await;
    terminal.press(&["n"]);
    terminal.shows("nothing was ordered", SOON).await;
    assert_eq!(site.records().await[0].state, ContainerState::Running);
    terminal.press(&["x"]);
    terminal.write("wrong input");
    terminal.press(&["Enter"]);
    terminal.shows("Sure?", SOON).await;
    terminal.press(&["y"]);
    terminal.shows("its processes are being ended", SOON).await;
    site.reached(1, ContainerState::Cancelled, SOON).await;
    assert!(service.log_text().contains("wrong input"));
    assert_eq!(service.stop().await, 0);
}

/// A service with one busy instance, and a terminal that shows the fleet.
async fn the_fleet(site: &mut Site) -> (Service, String, Terminal) {
    let service = serving(site).await;
    let (_, id) = one_that_runs(site).await;
    let terminal = shown(site, &[]).await;
    terminal.press(&["2"]);
    terminal.shows(&id, SOON).await;
    (service, id, terminal)
}

#[actix_rt::test]
async fn a_change_is_seen_at_once() {
    let mut site = Site::new();
    let (mut service, id, terminal) = the_fleet(&mut site).await;
    for _ in 0..4 {
        for verb in ["hold", "run"] {
            let (status, _) =
                service.post(&site, &format!("/arvados/v1/dispatch/instances/{verb}?instance_id={id}")).await;
            assert_eq!(status, 200);
            match verb {
                "hold" => terminal.shows("running, hold", AT_ONCE).await,
                _ => terminal.hides("running, hold", AT_ONCE).await,
            };
        }
    }
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn it_says_that_data_is_old_and_finds_the_service_again() {
    let mut site = Site::new();
    let (mut service, id, terminal) = the_fleet(&mut site).await;
    // Frozen, it takes connections and says nothing.
    service.signal(Signal::STOP);
    terminal.shows(" s ago: no answer has come yet", SOON).await;
    service.signal(Signal::CONT);
    terminal.hides("shows data from ", SOON).await;

    service.kill().await;
    let screen = terminal.shows("shows data from ", SOON).await;
    assert!(screen.contains(" s ago: cannot reach the service at ") && screen.contains(&id), "{screen}");

    let mut service = Service::start(&site, &["run"], &[]).await;
    terminal.hides("shows data from ", SOON).await;
    terminal.press(&["3"]);
    terminal.shows("events are missing", SOON).await;
    let boot = service.get(&site, "/arvados/v1/dispatch/instances").await;
    assert_eq!(boot.0, 200);
    // What happens in the new process is told, too.
    service.logged("ready", SOON).await;
    site.submit(1).await;
    site.begun(2).await;
    terminal.shows("crunch-run process started", SOON).await;
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn the_terminal_is_given_back_as_it_was() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let terminal = Terminal::start(&site, SSH, &[]).await;
    let modes = |name: &str| std::fs::read_to_string(site.path(name)).ok().filter(|it| it.ends_with('\n'));
    let note_modes = async |name: &str| {
        terminal.write(&format!("stty -a > {}", site.path(name).display()));
        terminal.press(&["Enter"]);
        until("the shell works", SOON, async || modes(name)).await
    };
    let before = note_modes("before").await;
    assert!(before.contains(" icanon "), "{before}");
    for (number, end) in ["q", "C-c", "TERM", "INT", "HUP"].into_iter().enumerate() {
        terminal.write(&format!("{}; echo ended=$?", top(&site, "")));
        terminal.press(&["Enter"]);
        terminal.shows("[1 line:", SOON).await;
        assert!(terminal.has_other_screen());
        match end {
            "TERM" => terminal.signal(Signal::TERM),
            "INT" => terminal.signal(Signal::INT),
            "HUP" => terminal.signal(Signal::HUP),
            key => terminal.press(&[key]),
        }
        let screen = terminal.is_left(SOON).await;
        assert!(screen.contains("ended=0"), "{end}: {screen}");
        assert_eq!(note_modes(&format!("after-{number}")).await, before, "{end}");
        terminal.write("clear");
        terminal.press(&["Enter"]);
        terminal.hides("ended=", SOON).await;
    }
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn colours_are_there_unless_they_are_not_wanted() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    one_that_runs(&site).await;
    let coloured = shown(&site, &[]).await;
    let plain = shown(&site, &[("NO_COLOR", "1")]).await;
    for (terminal, has_colour) in [(coloured, true), (plain, false)] {
        terminal.press(&["2"]);
        terminal.shows("[2 fleet: 1]", SOON).await;
        let looks = terminal.screen_with_looks();
        assert!(looks.contains("running"), "{looks}");
        assert_eq!(has_colours(&looks), has_colour, "{looks:?}");
    }
    assert_eq!(service.stop().await, 0);
}

/// Whether a sequence sets a colour: 30 to 49 and 90 to 107, among others of one sequence.
fn has_colours(looks: &str) -> bool {
    let sequences = looks.split("\u{1b}[").skip(1).filter_map(|rest| rest.split_once('m'));
    let mut codes = sequences.flat_map(|(codes, _)| codes.split(';').filter_map(|it| it.parse::<u8>().ok()));
    codes.any(|code| matches!(code, 30..=49 | 90..=107) && code != 39 && code != 49)
}

#[actix_rt::test]
async fn what_is_wrong_at_the_start_is_one_line() {
    let mut site = Site::new();
    let mut service = serving(&mut site).await;
    let piped = finish(&mut command(&site, &["top"], &[]), SOON).await;
    assert_eq!(
        (piped.code, piped.stdout.as_str(), piped.stderr.lines().count()),
        (Some(2), "", 1),
        "{piped:?}"
    );
    assert!(piped.stderr.contains("top shows its screen on a terminal, and stdout is none"), "{piped:?}");

    let said = async |token: &str, more: &str, words: &str| {
        let terminal = Terminal::start(&site, (200, 24), &[("ARVADOS_MANAGEMENT_TOKEN", token)]).await;
        terminal.write(&format!("{}; echo ended=$?", top(&site, more)));
        terminal.press(&["Enter"]);
        let screen = terminal.shows("ended=1", SOON).await;
        assert!(screen.contains(words) && !screen.contains(token), "{screen}");
        assert!(!terminal.has_other_screen());
    };
    said("wrongwrongwrong", "", "refuses the token (authorization error)").await;
    assert_eq!(service.stop().await, 0);
    let token = site.management_token.clone();
    said(&token, "", "cannot reach the service at").await;
}
