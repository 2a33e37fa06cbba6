//! Resource Manager: which call is what, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::call::Call;
use super::knobs::Knobs;
use super::operations::Ongoing;
use super::resources::{Disk, Interface, Machine, State};
use super::rules::{api_version, lower};
use super::{Given, SUBSCRIPTION, login};
use crate::stub::Reply;

/// Resource Manager.
#[derive(Default)]
pub struct Arm {
    /// How it behaves.
    pub knobs: Knobs,
    /// VMs by their names in lower case.
    pub machines: BTreeMap<String, Machine>,
    /// NICs by their names in lower case.
    pub interfaces: BTreeMap<String, Interface>,
    /// Disks by their names in lower case.
    pub disks: BTreeMap<String, Disk>,
    calls: Vec<Call>,
    faults: Vec<(String, String, Reply)>,
    tokens: BTreeSet<String>,
    pub(super) ongoing: BTreeMap<usize, Ongoing>,
    counter: usize,
    addresses: u32,
}

impl Arm {
    /// Answers so the next call of that method whose path contains that text.
    pub fn next(&mut self, method: &str, path: &str, reply: Reply) {
        self.faults.push((method.to_owned(), path.to_owned(), reply));
    }

    /// Refuses the next such call.
    pub fn refuse(&mut self, method: &str, path: &str, status: u16, code: &str, message: &str) {
        self.next(method, path, Given::refusal(status, code, message).into_reply());
    }

    /// The calls since the last call of this function, in order.
    pub fn calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    /// None of the tokens that were given out is taken any more.
    pub fn revoke(&mut self) {
        self.tokens.clear();
    }

    /// A new token.
    pub fn issue(&mut self) -> String {
        let token = format!("token-{}", self.count());
        self.tokens.insert(token.clone());
        token
    }

    /// An address that nothing else has.
    pub fn address(&mut self) -> String {
        self.addresses += 1;
        format!("10.1.{}.{}", self.addresses / 250, self.addresses % 250 + 4)
    }

    pub(super) fn note(&mut self, call: Call) {
        self.calls.push(call);
    }

    pub(super) fn take_fault(&mut self, call: &Call) -> Option<Reply> {
        let is_meant =
            |(method, path, _): &(String, String, Reply)| *method == call.method && call.path.contains(path);
        let at = self.faults.iter().position(is_meant)?;
        Some(self.faults.remove(at).2)
    }

    pub(super) fn count(&mut self) -> usize {
        self.counter += 1;
        self.counter
    }

    pub(super) fn answer(&mut self, call: Call) -> Given {
        let given = login::answer(self, &call).unwrap_or_else(|| self.managed(&call));
        self.note(call);
        let left = self.knobs.calls_left.unwrap_or(11_999).to_string();
        given
            .with("x-ms-request-id", "ea966190-f9aa-478e-9ede-example00001")
            .with("x-ms-ratelimit-remaining-subscription-reads", left)
    }

    fn managed(&mut self, call: &Call) -> Given {
        let token = call.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        if !token.is_some_and(|it| self.tokens.contains(it)) {
            let text = "The access token is invalid.";
            return Given::refusal(401, "InvalidAuthenticationToken", text)
                .with("WWW-Authenticate", "Bearer");
        }
        if let Err(given) = api_version(call) {
            return given;
        }
        match &mut self.knobs.calls_left {
            Some(0) => {
                let text = "Number of requests for subscription exceeded the limit.";
                return Given::refusal(429, "SubscriptionRequestsThrottled", text).with("Retry-After", "30");
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let path = lower(&call.path);
        let segments: Vec<_> = path.trim_matches('/').split('/').collect();
        let ["subscriptions", subscription, rest @ ..] = segments.as_slice() else {
            return Given::refusal(404, "InvalidResourceType", "The resource type could not be found.");
        };
        if *subscription != SUBSCRIPTION {
            let text = format!("The subscription '{subscription}' could not be found.");
            return Given::refusal(404, "SubscriptionNotFound", &text);
        }
        match rest {
            ["providers", _, "locations", _, "operations", number] => self.operation(number),
            ["resourcegroups", group, "providers", provider, rest @ ..] => {
                if !self.knobs.groups.contains(*group) {
                    let text = format!("Resource group '{group}' could not be found.");
                    return Given::refusal(404, "ResourceGroupNotFound", &text);
                }
                self.resource(call, group, provider, rest)
            }
            _ => Given::refusal(404, "InvalidResourceType", "The resource type could not be found."),
        }
    }

    fn resource(&mut self, call: &Call, group: &str, provider: &str, rest: &[&str]) -> Given {
        match (call.method.as_str(), provider, rest) {
            ("GET", "microsoft.compute", ["virtualmachines"]) => self.list(call, "virtualMachines"),
            ("GET", "microsoft.network", ["networkinterfaces"]) => self.list(call, "networkInterfaces"),
            ("GET", "microsoft.compute", ["disks"]) => self.list(call, "disks"),
            ("GET", "microsoft.compute", ["virtualmachines", name]) => match self.machines.get(*name) {
                Some(machine) => Given::json(200, &machine.show(group)),
                None => not_found("Microsoft.Compute/virtualMachines", name),
            },
            ("GET", "microsoft.network", ["networkinterfaces", name]) => match self.interfaces.get(*name) {
                Some(interface) => Given::json(200, &interface.show(group)),
                None => not_found("Microsoft.Network/networkInterfaces", name),
            },
            ("PUT", "microsoft.network", ["networkinterfaces", name]) => {
                self.put_interface(call, group, name)
            }
            ("PUT", "microsoft.compute", ["virtualmachines", name]) => self.put_machine(call, group, name),
            (
                "PATCH",
                "microsoft.compute",
                ["virtualmachines", name, "providers", "microsoft.resources", "tags", "default"],
            ) => self.merge_tags(call, name),
            ("DELETE", "microsoft.compute", ["virtualmachines", name]) => self.delete_machine(call, name),
            ("DELETE", "microsoft.network", ["networkinterfaces", name]) => self.delete_interface(call, name),
            ("DELETE", "microsoft.compute", ["disks", name]) => self.delete_disk(call, name),
            _ => Given::refusal(405, "MethodNotAllowed", "The request is not supported."),
        }
    }

    // ------------------------------------------------------------ lists

    fn list(&mut self, call: &Call, kind: &str) -> Given {
        self.go_on();
        let group = "cluster";
        let all: Vec<Value> = match kind {
            "virtualMachines" => self.machines.values().map(|it| it.show(group)).collect(),
            "networkInterfaces" => self.interfaces.values().map(|it| it.show(group)).collect(),
            _ => self.disks.values().map(|it| it.show(group)).collect(),
        };
        let from: usize = call.query.get("$skiptoken").and_then(|it| it.parse().ok()).unwrap_or(0);
        let page: Vec<_> = all.iter().skip(from).take(self.knobs.page).cloned().collect();
        let mut answer = json!({"value": page});
        let next = from + page.len();
        if next < all.len() {
            let version = call.query.get("api-version").map_or("", String::as_str);
            answer["nextLink"] =
                format!("{}{}?api-version={version}&$skiptoken={next}", call.host(), call.path).into();
        }
        if self.knobs.shouts {
            shout(&mut answer["value"]);
        }
        Given::json(200, &answer)
    }

    // ------------------------------------------------------------ NICs

    fn put_interface(&mut self, call: &Call, group: &str, name: &str) -> Given {
        if let Err(given) = Interface::check(&call.body, &self.knobs.groups) {
            return given;
        }
        let address = match self.interfaces.get(name) {
            Some(there) => there.address.clone(),
            None => self.address(),
        };
        let is_new = !self.interfaces.contains_key(name);
        let user = self.interfaces.get(name).and_then(|it| it.user.clone());
        let interface = Interface::new(name_of(call), &call.body, address, user);
        let shown = interface.show(group);
        self.interfaces.insert(name.to_owned(), interface);
        Given::json(if is_new { 201 } else { 200 }, &shown)
    }

    fn delete_interface(&mut self, call: &Call, name: &str) -> Given {
        let Some(interface) = self.interfaces.get(name) else { return Given::empty(204) };
        if interface.user.is_some() {
            let text = format!("Network Interface {name} is used by an existing virtual machine.");
            return Given::refusal(400, "NicInUse", &text);
        }
        if interface.reserved_until.is_some_and(|until| until > self.knobs.now) {
            let text = "Nic(s) in request is reserved for another Virtual Machine for 180 seconds.";
            return Given::refusal(400, "NicReservedForAnotherVm", text);
        }
        self.interfaces.remove(name);
        let ongoing = Ongoing { left: self.knobs.questions, machine: None, is_delete: true, failure: None };
        self.begin(call, "Microsoft.Network", ongoing, Given::empty(202))
    }

    fn delete_disk(&mut self, call: &Call, name: &str) -> Given {
        match self.disks.get(name) {
            None => Given::empty(204),
            Some(disk) if disk.user.is_some() => {
                let text = format!("Disk {name} is attached to a VM and can not be deleted.");
                Given::refusal(409, "OperationNotAllowed", &text)
            }
            Some(_) => {
                self.disks.remove(name);
                let ongoing =
                    Ongoing { left: self.knobs.questions, machine: None, is_delete: true, failure: None };
                self.begin(call, "Microsoft.Compute", ongoing, Given::empty(202))
            }
        }
    }

    // ------------------------------------------------------------ VMs

    fn put_machine(&mut self, call: &Call, group: &str, name: &str) -> Given {
        if let Some(there) = self.machines.get_mut(name) {
            if call.header("if-none-match") == Some("*") {
                return Given::refusal(412, "PreconditionFailed", "The VM exists already.");
            }
            return there.put_again(&call.body).unwrap_or_else(|| Given::json(200, &there.show(group)));
        }
        if let Err(given) = self.check_machine(&call.body) {
            return given;
        }
        let failure = self.knobs.failures.pop_front().flatten();
        let machine = Machine::new(name_of(call), &call.body, self.knobs.now);
        for nic in &machine.interfaces {
            if let Some(interface) = self.interfaces.get_mut(nic) {
                interface.user = Some(name.to_owned());
            }
        }
        for disk in machine.disks(self.knobs.now) {
            self.disks.insert(lower(&disk.name), disk);
        }
        let shown = machine.show(group);
        self.machines.insert(name.to_owned(), machine);
        let ongoing =
            Ongoing { left: self.knobs.questions, machine: Some(name.to_owned()), is_delete: false, failure };
        self.begin(call, "Microsoft.Compute", ongoing, Given::json(201, &shown))
    }

    fn check_machine(&self, body: &Value) -> Result<(), Given> {
        Machine::check(body, &self.interfaces, &self.knobs.groups)?;
        self.knobs.limits.check(body, self.machines.values())
    }

    fn delete_machine(&mut self, call: &Call, name: &str) -> Given {
        let Some(machine) = self.machines.get_mut(name) else { return Given::empty(204) };
        machine.state = State::Deleting;
        let machine = Some(name.to_owned());
        let ongoing = Ongoing { left: self.knobs.questions, machine, is_delete: true, failure: None };
        self.begin(call, "Microsoft.Compute", ongoing, Given::empty(202))
    }

    /// The cloud takes a spot VM away.
    pub fn evict(&mut self, name: &str) {
        self.gone(&lower(name));
    }

    pub(super) fn gone(&mut self, name: &str) {
        let Some(machine) = self.machines.remove(name) else { return };
        let takes = machine.takes_along && !self.knobs.leaves;
        let until = self.knobs.now + jiff::SignedDuration::from_secs(180);
        for (_, interface) in self.interfaces.iter_mut().filter(|(_, it)| it.user.as_deref() == Some(name)) {
            interface.user = None;
            interface.reserved_until = Some(until);
        }
        let is_its = |it: &Disk| it.user.as_deref() == Some(name);
        match takes {
            true => {
                self.interfaces.retain(|nic, _| !machine.interfaces.contains(nic));
                self.disks.retain(|_, disk| !is_its(disk));
            }
            false => self.disks.values_mut().filter(|it| is_its(it)).for_each(|it| it.user = None),
        }
    }

    fn merge_tags(&mut self, call: &Call, name: &str) -> Given {
        let Some(machine) = self.machines.get_mut(name) else {
            return not_found("Microsoft.Compute/virtualMachines", name);
        };
        if call.body["operation"] != "Merge" {
            return Given::refusal(400, "InvalidTagsPatchOperation", "Merge, Replace or Delete is wanted.");
        }
        if let Err(given) = machine.merge_tags(&call.body["properties"]["tags"]) {
            return given;
        }
        Given::json(200, &json!({"properties": {"tags": machine.tags}}))
    }
}

fn name_of(call: &Call) -> &str {
    call.path.rsplit('/').next().unwrap_or_default()
}

fn not_found(kind: &str, name: &str) -> Given {
    let text = format!("The Resource '{kind}/{name}' under resource group 'cluster' was not found.");
    Given::refusal(404, "ResourceNotFound", &text)
}

/// Ids and names in capitals, as Azure does it when it likes.
fn shout(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shout),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text) if matches!(key.as_str(), "id" | "name") => {
                        *text = text.to_uppercase()
                    }
                    value => shout(value),
                }
            }
        }
        _ => {}
    }
}
