//! What the fake cloud has: VMs, operations, tokens; and what tests may set.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::operations::Operation;
use super::resources::Vm;
use super::tokens::Tokens;
use crate::stub::Reply;

/// What tests may set.
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// How many looks at an operation it takes until it is done.
    pub looks: u32,
    /// The most VMs on a page; 0 = as asked for.
    pub page: usize,
    /// Whether each list begins with a page on which nothing is.
    pub empty_first_page: bool,
    /// Zones that listings cannot reach.
    pub unreachable: BTreeSet<String>,
    /// Zone and machine type of what there is no more of: told in the operation.
    pub exhausted: BTreeSet<(String, String)>,
    /// Zone and machine type of what does not exist there: told at once.
    pub absent: BTreeSet<(String, String)>,
    /// How many VMs the project may have: told in the operation.
    pub most_instances: Option<usize>,
    /// Names of quotas that are used up, such as `N2_CPUS`: told in the operation of whatever is ordered.
    pub used_up: Option<String>,
    /// Whether calls without a token are served: Google's client with anonymous credentials.
    pub serves_anybody: bool,
    /// Images that exist, by path; empty = all.
    pub images: BTreeSet<String>,
}

/// A call of Compute Engine's API that was answered.
#[derive(Debug, Clone)]
pub struct SeenCall {
    /// Google's name of the method, such as `instances.insert`; empty if there is none.
    pub name: String,
    /// Such as `POST`.
    pub verb: String,
    /// With its query.
    pub path: String,
    /// The query's parameters.
    pub query: BTreeMap<String, String>,
    /// The body; null if there was none.
    pub body: Value,
    /// The token that it had; empty if none.
    pub token: String,
}

/// The fake cloud.
pub struct FakeGce {
    /// What tests may set.
    pub knobs: Knobs,
    /// The one project.
    pub project: String,
    /// Its zones.
    pub zones: Vec<String>,
    /// Who may call.
    pub tokens: Tokens,
    pub(super) vms: BTreeMap<(String, String), Vm>,
    pub(super) operations: BTreeMap<String, Operation>,
    /// The operation of each request's id.
    pub(super) requests: BTreeMap<String, String>,
    pub(super) number: u64,
    seen: Vec<SeenCall>,
    faults: BTreeMap<String, VecDeque<Reply>>,
    url: String,
}

impl FakeGce {
    pub(super) fn new(url: &str) -> Self {
        Self {
            knobs: Knobs::default(),
            project: "lab".to_owned(),
            zones: ["a", "b", "c"].map(|letter| format!("us-central1-{letter}")).into(),
            tokens: Tokens::default(),
            vms: BTreeMap::new(),
            operations: BTreeMap::new(),
            requests: BTreeMap::new(),
            number: 0,
            seen: Vec::new(),
            faults: BTreeMap::new(),
            url: url.to_owned(),
        }
    }

    /// The next call of that method, such as `instances.insert`, is answered so instead; several in their order.
    pub fn strike(&mut self, method: &str, reply: Reply) {
        self.faults.entry(method.to_owned()).or_default().push_back(reply);
    }

    pub(super) fn fault(&mut self, method: &str) -> Option<Reply> {
        self.faults.get_mut(method)?.pop_front()
    }

    /// The calls since the last call of this function, in order.
    pub fn calls(&mut self) -> Vec<SeenCall> {
        std::mem::take(&mut self.seen)
    }

    pub(super) fn saw(&mut self, call: SeenCall) {
        self.seen.push(call);
    }

    /// All VMs that exist, by zone and name.
    pub fn vms(&self) -> Vec<Vm> {
        self.vms.values().cloned().collect()
    }

    /// A VM that is there.
    ///
    /// # Panics
    /// If it is not.
    pub fn vm(&mut self, zone: &str, name: &str) -> &mut Vm {
        self.vms.get_mut(&(zone.to_owned(), name.to_owned())).expect("there is such a VM")
    }

    /// Puts a VM there, as somebody else might: the body of an insert.
    pub fn put(&mut self, zone: &str, instance: &Value) {
        let number = self.next();
        let vm = Vm::new(zone, instance, number);
        self.vms.insert((zone.to_owned(), vm.name.clone()), vm);
    }

    /// It does not remember the ids of requests any more.
    pub fn forget_requests(&mut self) {
        self.requests.clear();
    }

    pub(super) fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Where a resource of the project is.
    pub(super) fn link(&self, path: &str) -> String {
        format!("{}/compute/v1/projects/{}/{path}", self.url, self.project)
    }
}

/// A refusal at once, as Google words it.
pub(super) fn refusal(status: u16, reason: &str, message: &str) -> Reply {
    let kind = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        412 => "FAILED_PRECONDITION",
        429 => "RESOURCE_EXHAUSTED",
        _ => "UNAVAILABLE",
    };
    let errors = json!([{"message": message, "domain": "global", "reason": reason}]);
    let error = json!({"code": status, "message": message, "errors": errors, "status": kind});
    Reply::Other(status, "application/json; charset=UTF-8", json!({"error": error}).to_string())
}

impl FakeGce {
    /// A refusal at once, as Google words it, for [`FakeGce::strike`].
    pub fn refusal(status: u16, reason: &str, message: &str) -> Reply {
        refusal(status, reason, message)
    }
}

/// A good answer.
pub(super) fn good(value: &Value) -> Reply {
    Reply::Other(200, "application/json; charset=UTF-8", value.to_string())
}
