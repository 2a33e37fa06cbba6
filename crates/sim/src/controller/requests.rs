//! Users' requests as a dispatcher asks for them: which of them wait for these containers.

use dispatch_core::id::{ContainerRequestUuid, ContainerUuid};
use serde_json::{Value, json};

use super::FakeArvados;
use super::errors::Refusal;

/// What a list of requests is filtered by; other filters are refused.
#[derive(Debug, Default)]
struct Wanted {
    containers: Option<Vec<String>>,
    states: Option<Vec<String>>,
}

impl Wanted {
    fn read(filters: &str) -> Result<Self, Refusal> {
        let filters: Vec<(String, String, Value)> = serde_json::from_str(filters)
            .map_err(|_| Refusal::argument("filters is not a list of triples"))?;
        let mut wanted = Self::default();
        for (attr, op, operand) in filters {
            let texts = match (op.as_str(), &operand) {
                ("=", Value::String(text)) => vec![text.clone()],
                ("in", Value::Array(_)) => serde_json::from_value(operand)
                    .map_err(|_| Refusal::argument(format!("Invalid operand in filter for '{attr}'")))?,
                _ => {
                    return Err(Refusal::argument(format!("Invalid operator '{op}' in filter for '{attr}'")));
                }
            };
            match attr.as_str() {
                "container_uuid" => wanted.containers = Some(texts),
                "state" => wanted.states = Some(texts),
                _ => return Err(Refusal::argument(format!("Invalid attribute '{attr}' in filter"))),
            }
        }
        Ok(wanted)
    }

    fn has(&self, container: &str, state: &str) -> bool {
        let matches = |wanted: &Option<Vec<String>>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|it| it == text))
        };
        matches(&self.containers, container) && matches(&self.states, state)
    }
}

impl FakeArvados {
    /// The requests that wait for these containers, a pair each.
    pub fn requests_of(&self, uuids: &[ContainerUuid]) -> Vec<(ContainerUuid, ContainerRequestUuid)> {
        let open =
            uuids.iter().filter_map(|uuid| self.containers.get(uuid)).filter(|it| !it.state.is_final());
        open.flat_map(|it| self.requests_waiting_for(it.uuid).map(|request| (it.uuid, request))).collect()
    }

    /// Its own, and those that share it.
    fn requests_waiting_for(&self, uuid: ContainerUuid) -> impl Iterator<Item = ContainerRequestUuid> + '_ {
        let name = self.containers.get(&uuid).map(|it| &it.request);
        let is_latest = move |name: &&String| {
            self.requests.get(*name).is_some_and(|it| it.attempts.last() == Some(&uuid))
        };
        name.filter(is_latest).and_then(|name| name.parse().ok()).into_iter()
    }

    /// The answer to a list of requests: their uuids, and those of their containers.
    pub(super) fn requests_json(&self, filters: &str, limit: usize) -> Result<Value, Refusal> {
        let wanted = Wanted::read(filters)?;
        let shown = self.requests.iter().filter_map(|(name, request)| {
            let container = request.attempts.last().and_then(|uuid| self.containers.get(uuid))?;
            let state = if container.state.is_final() { "Final" } else { "Committed" };
            let is_wanted = wanted.has(container.uuid.as_str(), state);
            is_wanted.then(|| json!({"uuid": name, "container_uuid": container.uuid}))
        });
        let items: Vec<_> = shown.take(limit).collect();
        Ok(
            json!({"kind": "arvados#containerRequestList", "etag": "", "self_link": "", "offset": 0, "limit": limit,
            "items": items}),
        )
    }
}
