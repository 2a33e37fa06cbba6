//! The calls of the fake cloud's API: which method a path is, and what it does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operations::Deed;
use super::resources::{Vm, bad_items, bad_labels, objection};
use super::state::{FakeGce, SeenCall, good, refusal};
use crate::stub::{Reply, header};

/// A call of the API, by what its path says.
enum Method {
    Insert { zone: String },
    Get { zone: String, vm: String },
    Delete { zone: String, vm: String },
    SetMetadata { zone: String, vm: String },
    SetLabels { zone: String, vm: String },
    GuestAttributes { zone: String, vm: String },
    AggregatedList,
    Operation { zone: String, name: String, waits: bool },
}

impl Method {
    fn of(verb: &str, parts: &[&str]) -> Option<Self> {
        let own = |text: &&str| (*text).to_owned();
        Some(match (verb, parts) {
            ("POST", ["zones", zone, "instances"]) => Self::Insert { zone: own(zone) },
            ("GET", ["zones", zone, "instances", vm]) => Self::Get { zone: own(zone), vm: own(vm) },
            ("DELETE", ["zones", zone, "instances", vm]) => Self::Delete { zone: own(zone), vm: own(vm) },
            ("POST", ["zones", zone, "instances", vm, "setMetadata"]) => {
                Self::SetMetadata { zone: own(zone), vm: own(vm) }
            }
            ("POST", ["zones", zone, "instances", vm, "setLabels"]) => {
                Self::SetLabels { zone: own(zone), vm: own(vm) }
            }
            ("GET", ["zones", zone, "instances", vm, "getGuestAttributes"]) => {
                Self::GuestAttributes { zone: own(zone), vm: own(vm) }
            }
            ("GET", ["aggregated", "instances"]) => Self::AggregatedList,
            ("POST", ["zones", zone, "operations", name, "wait"]) => {
                Self::Operation { zone: own(zone), name: own(name), waits: true }
            }
            ("GET", ["zones", zone, "operations", name]) => {
                Self::Operation { zone: own(zone), name: own(name), waits: false }
            }
            _ => return None,
        })
    }

    /// As Google calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "instances.insert",
            Self::Get { .. } => "instances.get",
            Self::Delete { .. } => "instances.delete",
            Self::SetMetadata { .. } => "instances.setMetadata",
            Self::SetLabels { .. } => "instances.setLabels",
            Self::GuestAttributes { .. } => "instances.getGuestAttributes",
            Self::AggregatedList => "instances.aggregatedList",
            Self::Operation { waits: true, .. } => "zoneOperations.wait",
            Self::Operation { waits: false, .. } => "zoneOperations.get",
        }
    }

    fn zone(&self) -> Option<&str> {
        match self {
            Self::AggregatedList => None,
            Self::Insert { zone }
            | Self::Get { zone, .. }
            | Self::Delete { zone, .. }
            | Self::SetMetadata { zone, .. }
            | Self::SetLabels { zone, .. }
            | Self::GuestAttributes { zone, .. }
            | Self::Operation { zone, .. } => Some(zone),
        }
    }
}

impl FakeGce {
    /// Answers a call of any kind.
    pub(super) fn answer(&mut self, head: &str, body: &[u8]) -> Reply {
        let line = head.lines().next().unwrap_or_default();
        let (verb, target) = line.split_once(' ').unwrap_or_default();
        let target = target.rsplit_once(' ').map_or(target, |(target, _)| target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(path) = path.strip_prefix("/computeMetadata/v1/") {
            return self.metadata(head, path);
        }
        if (verb, path) == ("POST", "/token") {
            return self.token(body);
        }
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let method = match &parts[..] {
            ["compute", "v1", "projects", project, rest @ ..] if *project == self.project => {
                Method::of(verb, rest)
            }
            _ => None,
        };
        let token =
            header(head, "authorization").and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default();
        let seen = SeenCall {
            name: method.as_ref().map_or("", Method::name).to_owned(),
            verb: verb.to_owned(),
            path: target.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            body: serde_json::from_slice(body).unwrap_or(Value::Null),
            token: token.to_owned(),
        };
        self.saw(seen.clone());
        let Some(method) = method else {
            // As Google does, it names a project that is not there, and nothing in it.
            let what = parts.get(2..4).filter(|it| it[0] == "projects" && it[1] != self.project);
            let what = what.map_or_else(|| path.to_owned(), |it| it.join("/"));
            return refusal(404, "notFound", &format!("The resource '{what}' was not found"));
        };
        if let Some(fault) = self.fault(method.name()) {
            return fault;
        }
        let is_let_in = self.tokens.is_valid(token) || (self.knobs.serves_anybody && token.is_empty());
        if !is_let_in {
            return Self::unauthenticated();
        }
        if let Some(zone) = method.zone().filter(|zone| !self.zones.iter().any(|it| it == zone)) {
            return refusal(
                400,
                "invalid",
                &format!("Invalid value for field 'zone': '{zone}'. Unknown zone."),
            );
        }
        self.perform_call(method, &seen)
    }

    fn perform_call(&mut self, method: Method, seen: &SeenCall) -> Reply {
        match method {
            Method::Insert { zone } => self.insert(&zone, seen),
            Method::AggregatedList => self.aggregated_list(&seen.query),
            Method::Operation { zone, name, .. } => match self.look(&zone, &name) {
                Some(operation) => good(&self.shown_operation(&operation)),
                None => refusal(404, "notFound", &format!("The resource 'operations/{name}' was not found")),
            },
            Method::Get { zone, vm } => {
                self.on(&zone, &vm, |fake, it| Self::shown(&it.shown(|path| fake.link(path))))
            }
            Method::GuestAttributes { zone, vm } => self.on(&zone, &vm, |_, it| guest_attributes(it)),
            Method::Delete { zone, vm } => self.change(&zone, &vm, "delete", |it| {
                it.status = "STOPPING".to_owned();
                Ok(Deed::Delete)
            }),
            Method::SetMetadata { zone, vm } => self.change(&zone, &vm, "setMetadata", |it| {
                is_current(&seen.body["fingerprint"], &it.metadata_fingerprint())?;
                bad_items(&seen.body["items"]).map_or(Ok(()), |text| Err(refusal(400, "invalid", &text)))?;
                it.set_metadata(&seen.body["items"]);
                Ok(Deed::Nothing)
            }),
            Method::SetLabels { zone, vm } => self.change(&zone, &vm, "setLabels", |it| {
                is_current(&seen.body["labelFingerprint"], &it.label_fingerprint())?;
                bad_labels(&seen.body["labels"])
                    .map_or(Ok(()), |text| Err(refusal(400, "invalid", &text)))?;
                it.set_labels(&seen.body["labels"]);
                Ok(Deed::Nothing)
            }),
        }
    }

    fn on(&self, zone: &str, vm: &str, answer: impl FnOnce(&Self, &Vm) -> Reply) -> Reply {
        match self.vms.get(&(zone.to_owned(), vm.to_owned())) {
            Some(it) => answer(self, it),
            None => self.no_vm(zone, vm),
        }
    }

    fn no_vm(&self, zone: &str, vm: &str) -> Reply {
        let path = format!("projects/{}/zones/{zone}/instances/{vm}", self.project);
        refusal(404, "notFound", &format!("The resource '{path}' was not found"))
    }

    fn change(
        &mut self,
        zone: &str,
        vm: &str,
        kind: &'static str,
        deed: impl FnOnce(&mut Vm) -> Result<Deed, Reply>,
    ) -> Reply {
        let Some(it) = self.vms.get_mut(&(zone.to_owned(), vm.to_owned())) else {
            return self.no_vm(zone, vm);
        };
        match deed(it) {
            Ok(deed) => {
                let operation = self.begin(kind, zone, vm, deed);
                good(&self.shown_operation(&operation))
            }
            Err(refusal) => refusal,
        }
    }

    /// An order. Under the id of a request that was taken before it is that one again.
    fn insert(&mut self, zone: &str, seen: &SeenCall) -> Reply {
        let request = seen.query.get("requestId").cloned().unwrap_or_default();
        if let Some(operation) = self.requests.get(&request).and_then(|name| self.operations.get(name)) {
            return good(&self.shown_operation(&operation.clone()));
        }
        if !request.is_empty() && request.split('-').map(str::len).ne([8, 4, 4, 4, 12]) {
            return refusal(400, "invalid", "Invalid value for field 'requestId': it is no UUID.");
        }
        let instance = &seen.body;
        if let Some(text) = objection(instance, zone) {
            return refusal(400, "invalid", &text);
        }
        let name = instance["name"].as_str().unwrap_or_default().to_owned();
        let machine_type = instance["machineType"].as_str().unwrap_or_default();
        let machine_type = machine_type.rsplit('/').next().unwrap_or_default();
        if self.knobs.absent.contains(&(zone.to_owned(), machine_type.to_owned())) {
            let text = format!(
                "Invalid value for field 'resource.machineType': 'zones/{zone}/machineTypes/{machine_type}'. Machine type \
                 with name '{machine_type}' does not exist in zone '{zone}'."
            );
            return refusal(400, "invalid", &text);
        }
        let image = instance["disks"][0]["initializeParams"]["sourceImage"].as_str().unwrap_or_default();
        if !self.knobs.images.is_empty() && !self.knobs.images.contains(image) {
            return refusal(404, "notFound", &format!("The resource '{image}' was not found"));
        }
        if self.vms.contains_key(&(zone.to_owned(), name.clone())) {
            let path = format!("projects/{}/zones/{zone}/instances/{name}", self.project);
            return refusal(409, "alreadyExists", &format!("The resource '{path}' already exists"));
        }
        let deed = self.failure_of(zone, machine_type).map_or(Deed::Boot, Deed::Fail);
        self.put(zone, instance);
        let operation = self.begin("insert", zone, &name, deed);
        if !request.is_empty() {
            self.requests.insert(request, operation.name.clone());
        }
        good(&self.shown_operation(&operation))
    }

    /// All zones, each with its VMs on this page, or with a warning.
    fn aggregated_list(&mut self, query: &BTreeMap<String, String>) -> Reply {
        self.step();
        let label = match query.get("filter").map(|it| label_of(it)) {
            Some(None) => return refusal(400, "invalid", "Invalid value for field 'filter'."),
            Some(label) => label,
            None => None,
        };
        let asked = query.get("maxResults").and_then(|it| it.parse().ok()).unwrap_or(500).min(500);
        let page = if self.knobs.page == 0 { asked } else { self.knobs.page.min(asked) };
        let token = query.get("pageToken").map(String::as_str).unwrap_or_default();
        let is_first = token.is_empty();
        let from =
            if is_first { Some(0) } else { token.strip_prefix("from/").and_then(|it| it.parse().ok()) };
        let Some(from) = from else {
            return refusal(400, "invalid", "Invalid value for field 'pageToken'.");
        };
        let page = if is_first && self.knobs.empty_first_page { 0 } else { page };
        let reached = |vm: &&Vm| !self.knobs.unreachable.contains(&vm.zone);
        let wanted =
            |vm: &&Vm| label.as_ref().is_none_or(|(name, value)| vm.instance["labels"][name] == **value);
        let all: Vec<_> = self.vms.values().filter(reached).filter(wanted).collect();
        let shown = all.iter().skip(from).take(page);
        let mut items = Map::new();
        for vm in shown {
            let scope = items.entry(format!("zones/{}", vm.zone)).or_insert_with(|| json!({"instances": []}));
            if let Some(instances) = scope["instances"].as_array_mut() {
                instances.push(vm.shown(|path| self.link(path)));
            }
        }
        for zone in &self.zones {
            let code =
                if self.knobs.unreachable.contains(zone) { "UNREACHABLE" } else { "NO_RESULTS_ON_PAGE" };
            let warning = json!({"code": code, "message": format!("There are no results for scope 'zones/{zone}' on this page.")});
            items.entry(format!("zones/{zone}")).or_insert_with(|| json!({"warning": warning}));
        }
        let mut answer = json!({
            "kind": "compute#instanceAggregatedList",
            "id": format!("projects/{}/aggregated/instances", self.project),
            "items": items,
            "selfLink": self.link("aggregated/instances"),
        });
        if from + page < all.len() || (is_first && self.knobs.empty_first_page) {
            answer["nextPageToken"] = json!(format!("from/{}", from + page));
        }
        good(&answer)
    }
}

/// `labels.NAME="VALUE"`
fn label_of(filter: &str) -> Option<(String, String)> {
    let (name, value) = filter.strip_prefix("labels.")?.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    Some((name.to_owned(), value.to_owned()))
}

fn is_current(shown: &Value, fingerprint: &str) -> Result<(), Reply> {
    match shown == fingerprint {
        true => Ok(()),
        false => {
            Err(refusal(412, "conditionNotMet", "Supplied fingerprint does not match current fingerprint."))
        }
    }
}

fn guest_attributes(vm: &Vm) -> Reply {
    if vm.metadata("enable-guest-attributes") != "TRUE" || vm.host_keys.is_empty() {
        return refusal(404, "notFound", "The resource 'hostkeys/' of type 'Guest Attribute' was not found.");
    }
    let items =
        vm.host_keys.iter().map(|(key, value)| json!({"namespace": "hostkeys", "key": key, "value": value}));
    good(&json!({
        "kind": "compute#guestAttributes",
        "queryPath": "hostkeys/",
        "queryValue": {"items": items.collect::<Vec<_>>()},
    }))
}
