//! The model with keys and news of a test, and what a terminal would show of it.
//!
//! Screens are in `snapshots`. Look at them when they change: `INSTA_UPDATE=always` writes them anew.

mod keys;
mod panics;
mod screens;
mod sites;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dispatch_core::time::{Timestamp, after};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use serde_json::{Value, json};
use std::time::Duration;

use super::data::{Answers, Data};
use super::draw::{self, Theme};
use super::model::{Effect, Message, Model};

/// What a shell over ssh has.
const SMALL: Size = Size { width: 80, height: 24 };

fn start() -> Timestamp {
    "2026-11-30T10:00:00Z".parse().unwrap()
}

/// A model, its time, and what it wanted done.
struct Top {
    model: Model,
    now: Timestamp,
    effects: Vec<Effect>,
}

impl Top {
    fn of(answers: &Answers, size: Size) -> Self {
        let model =
            Model::new("http://127.0.0.1:9006/".to_owned(), size, Data::of(answers).unwrap(), start());
        Self { model, now: start(), effects: Vec::new() }
    }

    fn tell(&mut self, message: Message) {
        let effects = self.model.update(message, self.now);
        self.effects.extend(effects);
    }

    fn wait(&mut self, seconds: u64) {
        self.now = after(self.now, Duration::from_secs(seconds));
        self.tell(Message::Ticked);
    }

    /// Letters as they are; others by their name in angle brackets.
    fn press(&mut self, keys: &str) {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let (code, length) = match rest.strip_prefix('<').and_then(|name| name.split_once('>')) {
                Some((name, _)) => (named(name), name.len() + 2),
                None => (KeyCode::Char(first), first.len_utf8()),
            };
            self.tell(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)));
            rest = &rest[length..];
        }
    }

    fn screen(&self) -> String {
        let backend = self.drawn(Theme { has_colour: false });
        let text = backend.to_string();
        // In quotes, line for line.
        text.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
    }

    fn drawn(&self, theme: Theme) -> TestBackend {
        let Size { width, height } = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw::all(frame, &self.model, theme)).unwrap();
        terminal.backend().clone()
    }
}

fn named(name: &str) -> KeyCode {
    match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "down" => KeyCode::Down,
        "up" => KeyCode::Up,
        "end" => KeyCode::End,
        "home" => KeyCode::Home,
        "pgdn" => KeyCode::PageDown,
        "pgup" => KeyCode::PageUp,
        other => panic!("no such key: {other}"),
    }
}

fn container(number: usize, state: &str, explain: Value) -> Value {
    json!({
        "container": {
            "uuid": format!("zzzzz-dz642-{number:015}"), "state": state, "priority": 500,
            "created_at": "2026-11-30T09:48:00.5Z",
        },
        "instance_resources": {
            "VCPUs": 2, "RAM": 998_244_352, "Scratch": 268_435_456, "GPUs": 0, "GPUVRAM": 0
        },
        "instance_types": [{ "Name": "small" }, { "Name": "large" }],
        "explain": explain,
    })
}

fn instance(id: &str, name: &str, state: &str, behavior: &str, running: &[usize]) -> Value {
    let running: Vec<_> = running.iter().map(|number| format!("zzzzz-dz642-{number:015}")).collect();
    json!({
        "instance": id, "address": "10.0.0.4:22", "price": 0.1, "arvados_instance_type": name,
        "provider_instance_type": "m4.large", "worker_state": state, "idle_behavior": behavior,
        "running_container_uuids": running, "appeared_at": "2026-11-30T07:55:00Z",
    })
}

fn offer(name: &str, creates: Value) -> Value {
    json!({
        "instance_type": name, "provider_type": "m4.large", "price": 0.1, "vcpus": 4, "ram": 4_294_967_296_u64,
        "preemptible": false, "instances": 2, "running": 1, "creates": creates,
    })
}

/// A few of everything.
fn answers() -> Answers {
    let mut held = instance("i-0a1b2c", "small", "running", "hold", &[4]);
    held["idle_behavior_by"] = "erin".into();
    held["idle_behavior_reason"] = "looking at its disk".into();
    let at_quota = json!({ "state": "at_quota", "cause": "account", "because": "the account may not have more instances" });
    let checks = json!({ "lock_held": { "ok": true }, "event_feed": { "connected": true } });
    Answers {
        containers: vec![
            container(
                1,
                "Locked",
                json!({ "reason": "booting", "position": 1, "evidence": { "instance_type": "large" } }),
            ),
            container(2, "Queued", json!({ "reason": "account_quota", "position": 2 })),
            container(
                3,
                "Queued",
                json!({
                    "reason": "set_back", "position": 3,
                    "evidence": { "cause": "lock", "failures": 3, "error": "503 \u{1b}[2Jslow down" }
                }),
            ),
            container(4, "Running", json!({ "reason": "running", "instances": ["i-0a1b2c"] })),
        ],
        instances: vec![
            instance("", "small", "booting", "run", &[]),
            held,
            instance("i-0a1b2d", "small", "idle", "run", &[]),
            instance("i-0d9e8f", "large", "booting", "run", &[]),
        ],
        creates: json!({
            "pauses": [{ "scope": "spot", "until": "2026-11-30T12:05:00Z", "by": "erin", "reason": "new image" }],
            "drained": [], "items": [offer("large", json!({ "state": "open" })), offer("small", at_quota)],
        }),
        cost: json!({ "at": "2026-11-30T10:00:00Z", "per_hour": 0.4, "wasted": { "per_hour": 0.1 } }),
        health: json!({ "ready": true, "errors": [], "checks": checks }),
    }
}

fn event(seq: u64, message: &str, facts: Value) -> Message {
    let mut event = json!({
        "seq": seq, "boot": "b", "time": format!("2026-11-30T09:59:{:02}.5Z", seq % 60), "level": "info", "msg": message
    });
    let facts = facts.as_object().unwrap().clone();
    event.as_object_mut().unwrap().extend(facts);
    Message::Happened(event.as_object().unwrap().clone())
}

/// The model with a few events.
fn top(size: Size) -> Top {
    let mut top = Top::of(&answers(), size);
    let uuid = format!("zzzzz-dz642-{:015}", 4);
    top.tell(event(
        1,
        "instance appeared in cloud",
        json!({ "Instance": "i-0a1b2c", "InstanceType": "small" }),
    ));
    top.tell(event(
        2,
        "crunch-run process started",
        json!({ "ContainerUUID": uuid, "Instance": "i-0a1b2c" }),
    ));
    let held = json!({ "IdleBehavior": "hold", "Instance": "i-0a1b2c", "By": "erin", "Reason": "looking at\u{1b}]0;x\u{7} its disk" });
    top.tell(event(3, "set idle behavior", held));
    top
}
