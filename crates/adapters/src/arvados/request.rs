//! The calls as data: method, path and parameters. Nothing is sent here.

use awc::http::Method;
use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::ListQuestion;
use serde_json::{Value, json};

/// A GET whose parameters are longer than this is sent as a POST with `X-Http-Method-Override`.
const LONGEST_QUERY: usize = 1000;
const PAGE: &str = "1000";
const COLUMNS: [&str; 9] = [
    "uuid",
    "state",
    "priority",
    "locked_by_uuid",
    "runtime_constraints",
    "container_image",
    "scheduling_parameters",
    "created_at",
    "runtime_status",
];

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub method: Method,
    /// The path below `/arvados/v1/`.
    pub path: String,
    pub parameters: Vec<(&'static str, String)>,
}

/// A call in the form in which it is sent.
pub(super) struct Encoded {
    pub method: Method,
    pub path_and_query: String,
    /// `None` = no body.
    pub form: Option<String>,
    /// Whether this is a GET that is sent as a POST.
    pub is_get_sent_as_post: bool,
}

impl Request {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), parameters: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.parameters.push((name, value.to_string()));
        self
    }

    pub(super) fn current_token() -> Self {
        Self::new(Method::GET, "api_client_authorizations/current")
    }

    pub(super) fn list(question: &ListQuestion) -> Self {
        let list = Self::new(Method::GET, "containers").with("select", json!(COLUMNS)).with("count", "none");
        match question {
            ListQuestion::Mine { me, after } => {
                let mut filters = vec![json!(["locked_by_uuid", "=", me])];
                filters.extend(after.map(|last| json!(["uuid", ">", last])));
                list.with("order", "uuid").with("limit", PAGE).with("filters", Value::Array(filters))
            }
            ListQuestion::Available { offset } => {
                let filters = json!([["state", "=", "Queued"], ["priority", ">", "0"]]);
                let list = list.with("order", "priority desc").with("limit", PAGE).with("filters", filters);
                if *offset > 0 { list.with("offset", offset) } else { list }
            }
            ListQuestion::Known { uuids } => {
                list.with("order", "uuid").with("filters", json!([["uuid", "in", uuids]]))
            }
        }
    }

    pub(super) fn mounts(uuids: &[ContainerUuid]) -> Self {
        Self::new(Method::GET, "containers")
            .with("select", json!(["uuid", "mounts"]))
            .with("count", "none")
            .with("filters", json!([["uuid", "in", uuids]]))
    }

    /// Those that are not over. In the order of their uuids, so that the same ones are shown if there are too many.
    pub(super) fn requests_of(uuids: &[ContainerUuid]) -> Self {
        let filters = json!([["container_uuid", "in", uuids], ["state", "=", "Committed"]]);
        Self::new(Method::GET, "container_requests")
            .with("select", json!(["uuid", "container_uuid"]))
            .with("count", "none")
            .with("order", "uuid")
            .with("limit", PAGE)
            .with("filters", filters)
    }

    pub(super) fn get(uuid: ContainerUuid) -> Self {
        // Only a single record has the number of locks. It is read before an optional unlock, and never
        // polled.
        let columns: Vec<_> = COLUMNS.into_iter().chain(["lock_count"]).collect();
        Self::new(Method::GET, format!("containers/{uuid}")).with("select", json!(columns))
    }

    pub(super) fn lock(uuid: ContainerUuid) -> Self {
        Self::new(Method::POST, format!("containers/{uuid}/lock"))
    }

    pub(super) fn unlock(uuid: ContainerUuid) -> Self {
        Self::new(Method::POST, format!("containers/{uuid}/unlock"))
    }

    pub(super) fn cancel(uuid: ContainerUuid, error: Option<&str>) -> Self {
        let state = ContainerState::Cancelled.as_str();
        let container = match error {
            Some(error) => json!({"state": state, "runtime_status": {"error": error}}),
            None => json!({"state": state}),
        };
        Self::new(Method::PUT, format!("containers/{uuid}"))
            .with("container", container)
            .with("select", json!(["uuid", "state", "priority", "locked_by_uuid"]))
    }

    /// The call in the form in which it is sent. `prefix` is the path of the base URL, without a slash at its
    /// end.
    pub(super) fn encode(&self, prefix: &str) -> Encoded {
        let path = format!("{prefix}/arvados/v1/{}", self.path);
        let parameters =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
        if self.method != Method::GET {
            let method = self.method.clone();
            return Encoded {
                method,
                path_and_query: path,
                form: Some(parameters),
                is_get_sent_as_post: false,
            };
        }
        if parameters.len() >= LONGEST_QUERY {
            let form = Some(parameters);
            return Encoded { method: Method::POST, path_and_query: path, form, is_get_sent_as_post: true };
        }
        let query = if parameters.is_empty() { String::new() } else { format!("?{parameters}") };
        let path_and_query = format!("{path}{query}");
        Encoded { method: Method::GET, path_and_query, form: None, is_get_sent_as_post: false }
    }
}
