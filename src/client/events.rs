//! `events`: what has happened, and what happens from now on.

use std::process::ExitCode;
use std::time::Duration;

use dispatch_core::time::{Timestamp, since};
use serde_json::{Map, Value};

use super::explain::{moment, plain};
use super::failure::Failure;
use super::http::Client;
use super::screen::{self, Screen};
use crate::cli::service::Events;
use crate::cli::{self, Options};

/// Where they are told.
pub(super) const PATH: &str = "/arvados/v1/dispatch/events";
/// How many are shown if nothing is said.
const LAST: u64 = 50;
/// How long after a broken connection it is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What has been seen of a process's events.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    boot: String,
    seq: String,
}

impl Seen {
    /// Up to this event.
    pub fn of(event: &Map<String, Value>) -> Self {
        let of = |key: &str| event.get(key).map(plain).unwrap_or_default();
        Self { boot: of("boot"), seq: of("seq") }
    }

    /// Asks for what came after.
    pub fn parameters(&self) -> [(&'static str, &str); 2] {
        [("since", &self.seq), ("boot", &self.boot)]
    }
}

/// Shows them.
pub(super) async fn show(options: &Options, wanted: &Events, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &wanted.at)?;
    let (mut seen, mut has_begun) = (None, false);
    let last = wanted.last.or_else(|| wanted.since.is_none().then_some(LAST)).map(|last| last.to_string());
    loop {
        match follow(&mut client, wanted, last.as_deref(), (&mut seen, &mut has_begun), screen).await {
            Ok(()) if !wanted.follow => return Ok(ExitCode::SUCCESS),
            // Whoever follows goes on following: through restarts of the service, and of what is between.
            Ok(()) => {}
            Err(failure) if !wanted.follow || !has_begun || !failure.may_pass() => {
                return Err(failure);
            }
            Err(failure) => cli::complain(format!("{failure}; trying again")),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow(
    client: &mut Client,
    wanted: &Events,
    last: Option<&str>,
    (seen, has_begun): (&mut Option<Seen>, &mut bool),
    screen: &Screen,
) -> Result<(), Failure> {
    let at = seen.clone().unwrap_or_default();
    let about =
        [("container_uuid", wanted.container.as_deref()), ("instance_id", wanted.instance.as_deref())];
    let mut parameters: Vec<_> = about.into_iter().filter_map(|(name, id)| Some((name, id?))).collect();
    match (seen.is_some(), last) {
        (true, _) => parameters.extend(at.parameters()),
        (false, Some(last)) => parameters.push(("last", last)),
        (false, None) => {}
    }
    if wanted.follow {
        parameters.push(("follow", "1"));
    }
    let now = now();
    client
        .objects(
            PATH,
            &parameters,
            || *has_begun = true,
            |line, event| {
                *seen = Some(Seen::of(event));
                if is_too_old(event, wanted.since, now) {
                    return Ok(());
                }
                Ok(screen.print(&if wanted.json { line.to_owned() } else { text(event) })?)
            },
        )
        .await
}

#[expect(clippy::disallowed_methods, reason = "the events have the wall clock's dates")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn is_too_old(event: &Map<String, Value>, within: Option<Duration>, now: Timestamp) -> bool {
    let at = event.get("time").and_then(Value::as_str).and_then(|text| text.parse().ok());
    matches!((within, at), (Some(within), Some(at)) if since(now, at) > within)
}

/// The facts that a message comes with, each with its name.
pub(super) fn facts(event: &Map<String, Value>) -> impl Iterator<Item = String> {
    const HEAD: [&str; 5] = ["time", "level", "msg", "seq", "boot"];
    event.iter().filter_map(|(key, value)| {
        let is_fact = !HEAD.contains(&key.as_str()) && !matches!(value.as_str(), Some(""));
        is_fact.then(|| format!("{}={}", screen::tidy(key), shown(value)))
    })
}

/// When, how bad, what, and the facts.
fn text(event: &Map<String, Value>) -> String {
    let of = |key: &str| event.get(key).cloned().unwrap_or(Value::Null);
    let facts: Vec<_> = facts(event).collect();
    let head = format!("{}  {:<7}  {}", moment(&of("time")), plain(&of("level")), plain(&of("msg")));
    let head = screen::tidy(&head);
    [head].into_iter().chain(facts).collect::<Vec<_>>().join("  ")
}

/// In quotes if it has blanks; nothing of it moves the cursor.
fn shown(value: &Value) -> String {
    let text = screen::tidy(&plain(value));
    if text.contains([' ', '=', '"']) { format!("{text:?}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_event_is_a_line_that_begins_with_when_how_bad_and_what() {
        let line = text(&event(json!({
            "seq": 7, "boot": "x", "time": "2026-11-30T09:00:00.000001Z", "level": "info",
            "msg": "set idle behavior", "Instance": "i-1", "By": "", "Reason": "disk is \u{1b}[2J full", "error": "\u{1b}]0;x\u{7}", "N": 3,
        })));
        assert!(line.contains("  info     set idle behavior  "), "{line}");
        assert!(line.contains("Instance=i-1") && line.contains("N=3") && !line.contains("By="), "{line}");
        assert!(line.contains("Reason=\"disk is ") && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn what_is_older_than_was_asked_for_is_left_out() {
        let now: Timestamp = "2026-11-30T09:10:00Z".parse().unwrap();
        let of = |time: &str| event(json!({ "time": time }));
        let ten = Some(Duration::from_secs(600));
        assert!(is_too_old(&of("2026-11-30T08:59:59Z"), ten, now));
        assert!(!is_too_old(&of("2026-11-30T09:00:00Z"), ten, now));
        assert!(!is_too_old(&of("2026-11-30T08:00:00Z"), None, now));
        assert!(!is_too_old(&event(json!({ "msg": "events are missing" })), ten, now));
    }
}
