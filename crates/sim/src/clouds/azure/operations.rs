//! Operations: what was accepted, and takes some questions until it has ended.

use serde_json::json;

use super::arm::Arm;
use super::call::Call;
use super::resources::State;
use super::{Given, SUBSCRIPTION};

/// What goes on.
#[derive(Debug, Clone)]
pub(super) struct Ongoing {
    pub(super) left: u32,
    /// The VM's name in lower case; `None` = it changes nothing at its end.
    pub(super) machine: Option<String>,
    pub(super) is_delete: bool,
    pub(super) failure: Option<(String, String)>,
}

impl Arm {
    pub(super) fn begin(&mut self, call: &Call, provider: &str, ongoing: Ongoing, given: Given) -> Given {
        let number = self.count();
        self.ongoing.insert(number, ongoing);
        let place = format!("/subscriptions/{SUBSCRIPTION}/providers/{provider}/locations/centralus");
        let version = call.query.get("api-version").map_or("", String::as_str);
        let url = |kind: &str| format!("{}{place}/{kind}/{number}?api-version={version}", call.host());
        let given = given.with("Azure-AsyncOperation", url("operations"));
        match self.knobs.retry_after {
            Some(seconds) => given.with("Retry-After", seconds.to_string()),
            None => given,
        }
    }

    pub(super) fn operation(&mut self, number: &str) -> Given {
        self.go_on();
        let Some(it) = number.parse().ok().and_then(|it: usize| self.ongoing.get(&it)) else {
            return Given::refusal(404, "NotFound", "There is no such operation.");
        };
        let mut answer = json!({"name": number, "startTime": self.knobs.now.to_string()});
        answer["status"] = match (it.left, &it.failure) {
            (1.., _) => "InProgress",
            (0, None) => "Succeeded",
            (0, Some(_)) => "Failed",
        }
        .into();
        if let (0, Some((code, message))) = (it.left, &it.failure) {
            answer["error"] = json!({"code": code, "message": message});
        }
        let given = Given::json(200, &answer);
        match self.knobs.retry_after {
            Some(seconds) => given.with("Retry-After", seconds.to_string()),
            None => given,
        }
    }

    /// A question has been asked: everything is one step further.
    pub(super) fn go_on(&mut self) {
        let mut ended = Vec::new();
        for it in self.ongoing.values_mut() {
            if it.left > 0 {
                it.left -= 1;
            }
            if it.left == 0 {
                ended.extend(it.machine.take().map(|machine| (machine, it.is_delete, it.failure.is_some())));
            }
        }
        for (name, is_delete, has_failed) in ended {
            if is_delete {
                self.gone(&name);
            } else if let Some(machine) = self.machines.get_mut(&name) {
                // One that is being deleted meanwhile stays so.
                if machine.state == State::Creating {
                    machine.state = if has_failed { State::Failed } else { State::Succeeded };
                }
            }
        }
    }
}
