//! The API of the HTTP server, without HTTP: method, path and parameters go in; status and JSON come out.

use std::time::Duration;

use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::errors::Refusal;
use super::facts::Origin;
use super::faults::{CallKind, Fault};
use super::filters::{ListQuery, read_select};
use super::records::{STANDING_FIELDS, View};
use super::state::{Changes, Container};
use super::{Caller, FakeArvados, Listed};

/// A request whose method override has been applied already.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// GET, POST, PUT and so on.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The text after `Bearer `.
    pub token: Option<String>,
    /// The client's `X-Request-Id`, if it sent one.
    pub request_id: Option<String>,
    /// The parameters of query and body.
    pub params: Vec<(String, String)>,
}

/// What the client receives.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// An answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// The JSON; `None` = an empty body.
        body: Option<Value>,
    },
    /// The connection is cut, and no answer is sent.
    Cut,
}

/// A reply, and when it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What the client receives.
    pub outcome: Outcome,
    /// For how long it is held back.
    pub delay: Duration,
    /// The id of the request.
    pub request_id: String,
}

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Current,
    List,
    Requests,
    Show(ContainerUuid),
    Update(ContainerUuid),
    Lock(ContainerUuid),
    Unlock(ContainerUuid),
    Nowhere,
}

impl Route {
    fn of(method: &str, path: &str) -> Self {
        let Some(path) = path.strip_prefix("/arvados/v1/") else { return Self::Nowhere };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["api_client_authorizations", "current"]) => Self::Current,
            ("GET", ["containers"]) => Self::List,
            ("GET", ["container_requests"]) => Self::Requests,
            ("GET", ["containers", uuid]) => Self::with(uuid, Self::Show),
            ("PUT" | "PATCH", ["containers", uuid]) => Self::with(uuid, Self::Update),
            ("POST", ["containers", uuid, "lock"]) => Self::with(uuid, Self::Lock),
            ("POST", ["containers", uuid, "unlock"]) => Self::with(uuid, Self::Unlock),
            _ => Self::Nowhere,
        }
    }

    /// A malformed uuid is treated like an unknown one.
    fn with(uuid: &str, route: fn(ContainerUuid) -> Self) -> Self {
        uuid.parse().map_or(Self::Nowhere, route)
    }

    fn kind(self) -> CallKind {
        match self {
            Self::Current => CallKind::Current,
            Self::List => CallKind::List,
            Self::Requests => CallKind::Requests,
            Self::Show(_) => CallKind::Show,
            Self::Update(_) => CallKind::Update,
            Self::Lock(_) => CallKind::Lock,
            Self::Unlock(_) => CallKind::Unlock,
            Self::Nowhere => CallKind::Other,
        }
    }
}

impl Request {
    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The parameters of a JSON body. A value that is not a plain string becomes JSON text, as in a form.
pub fn params_of_json(body: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let given = body.iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.clone(), text(value))).collect()
}

impl FakeArvados {
    /// Answers one HTTP request that arrives now.
    pub fn handle(&mut self, request: &Request, origin: Origin, now: Timestamp) -> Reply {
        let request_id = request.request_id.clone().unwrap_or_else(|| self.make_request_id());
        let route = Route::of(&request.method, &request.path);
        let admitted = self.admit(route.kind(), now);
        let outcome = match admitted.fault {
            Some(fault) if !fault.executes() => self.unexecuted(fault, &request_id, now),
            fault => {
                let executed = self.execute(route, request, origin, now);
                self.after_execution(fault, executed, &request_id, now)
            }
        };
        let status = match &outcome {
            Outcome::Answer { status, .. } => *status,
            Outcome::Cut => 0,
        };
        self.count_call(route.kind(), status);
        Reply { outcome, delay: admitted.delay, request_id }
    }

    fn make_request_id(&mut self) -> String {
        format!("req-{}{}", self.chance.uuid_tail(), &self.chance.uuid_tail()[..5])
    }

    fn unexecuted(&mut self, fault: Fault, request_id: &str, now: Timestamp) -> Outcome {
        match fault {
            Fault::Unauthorized => self.error(401, "Not logged in", request_id, now),
            Fault::BadGateway => {
                self.error(502, "request failed: dial tcp: connection refused", request_id, now)
            }
            Fault::Overloaded => Outcome::Answer { status: 503, body: None },
            Fault::LostCall | Fault::ServerError | Fault::LostAnswer | Fault::WrongUuid => Outcome::Cut,
        }
    }

    fn after_execution(
        &mut self,
        fault: Option<Fault>,
        executed: Result<Value, Refusal>,
        request_id: &str,
        now: Timestamp,
    ) -> Outcome {
        match (fault, executed) {
            (Some(Fault::LostAnswer), _) => Outcome::Cut,
            (Some(Fault::ServerError), _) => self.error(
                500,
                "#<PG::ConnectionBad: PQsocket() can't get socket descriptor>",
                request_id,
                now,
            ),
            (Some(Fault::WrongUuid), Ok(body)) => {
                Outcome::Answer { status: 200, body: Some(self.about_another(body)) }
            }
            (_, Ok(body)) => Outcome::Answer { status: 200, body: Some(body) },
            (_, Err(refusal)) => self.error(refusal.status(), &refusal.to_string(), request_id, now),
        }
    }

    /// An error in the server's format: its text has the request id in parentheses.
    fn error(&mut self, status: u16, text: &str, request_id: &str, now: Timestamp) -> Outcome {
        let token = format!("{}+{:08x}", now.as_second(), self.chance.below(1 << 32));
        let body = json!({ "errors": [format!("{text} ({request_id})")], "error_token": token });
        Outcome::Answer { status, body: Some(body) }
    }

    /// Replaces the uuid in the answer by one that no container has; in a list, that of the first item.
    fn about_another(&mut self, mut body: Value) -> Value {
        let other = format!("{}-dz642-{}", self.settings.cluster, self.chance.uuid_tail());
        let place = match body.get("items") {
            Some(_) => body.pointer_mut("/items/0/uuid"),
            None => body.get_mut("uuid"),
        };
        if let Some(uuid) = place {
            *uuid = other.into();
        }
        body
    }

    fn execute(
        &mut self,
        route: Route,
        request: &Request,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let caller = self.authenticate(request.token.as_deref().unwrap_or_default(), origin)?;
        match route {
            Route::Current => Ok(current(caller)),
            Route::List => self.list_json(request),
            Route::Requests => {
                let limit = request.param("limit").and_then(|it| it.parse().ok()).unwrap_or(100);
                self.requests_json(request.param("filters").unwrap_or("[]"), limit)
            }
            Route::Show(uuid) => {
                self.examine(uuid, CallKind::Show, origin)?;
                let select = read_select(request.param("select").unwrap_or_default())?;
                Ok(self.render_one(self.show(uuid)?, select.as_deref()))
            }
            Route::Update(uuid) => self.update_json(uuid, request, caller, now),
            Route::Lock(uuid) => {
                self.lock(uuid, caller, now)?;
                self.standing(uuid)
            }
            Route::Unlock(uuid) => {
                self.unlock(uuid, caller, now)?;
                self.standing(uuid)
            }
            Route::Nowhere => Err(Refusal::NotFound),
        }
    }

    fn list_json(&self, request: &Request) -> Result<Value, Refusal> {
        let query = ListQuery::from_params(request.pairs())?;
        let Listed { items, available, limit } = self.list(&query);
        let view = View { select: query.select.as_deref(), in_list: true, nulls: self.settings.nulls };
        let items: Vec<Value> = items.into_iter().map(|item| view.render(item)).collect();
        let mut body = json!({
            "kind": "arvados#containerList",
            "etag": "",
            "self_link": "",
            "offset": query.offset,
            "limit": limit,
            "items": items,
        });
        if query.count {
            body["items_available"] = available.into();
        }
        Ok(body)
    }

    fn update_json(
        &mut self,
        uuid: ContainerUuid,
        request: &Request,
        caller: Caller,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let select = read_select(request.param("select").unwrap_or_default())?;
        let text = request.param("container").unwrap_or("{}");
        let container =
            serde_json::from_str(text).map_err(|_| Refusal::argument("container is not valid JSON"))?;
        self.update(uuid, &Changes::from_json(&container)?, caller, now)?;
        Ok(self.render_one(self.show(uuid)?, select.as_deref()))
    }

    fn render_one(&self, container: &Container, select: Option<&[String]>) -> Value {
        View { select, in_list: false, nulls: self.settings.nulls }.render(container)
    }

    fn standing(&self, uuid: ContainerUuid) -> Result<Value, Refusal> {
        Ok(self.render_one(self.show(uuid)?, Some(&STANDING_FIELDS.map(str::to_owned))))
    }
}

/// The record of the caller's token; the secret is not shown.
fn current(caller: Caller) -> Value {
    json!({
        "kind": "arvados#apiClientAuthorization",
        "etag": "298576zz10zrpled7kbiir3fn",
        "uuid": caller.token,
        "owner_uuid": format!("{}-tpzed-000000000000000", caller.token.cluster()),
        "created_at": null,
        "modified_by_user_uuid": null,
        "modified_at": null,
        "api_token": "SECRET",
        "created_by_ip_address": null,
        "expires_at": null,
        "last_used_at": null,
        "last_used_by_ip_address": null,
        "scopes": ["all"],
    })
}
