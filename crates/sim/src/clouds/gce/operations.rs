//! Operations of the fake cloud: what a call that changes something answers, and when it takes effect.

use serde_json::{Value, json};

use super::state::FakeGce;

/// What an operation does at its end.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Boot,
    /// The order has come to nothing: no VM is left.
    Fail(Value),
    Delete,
    /// It was done at once.
    Nothing,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub name: String,
    kind: &'static str,
    zone: String,
    vm: String,
    deed: Deed,
    /// How many looks it takes until it is done.
    left: u32,
    is_done: bool,
}

impl FakeGce {
    /// Begins an operation, and answers with it as it is now.
    pub(super) fn begin(&mut self, kind: &'static str, zone: &str, vm: &str, deed: Deed) -> Operation {
        let number = self.next();
        let name = format!("operation-1795381792512-{number:013x}-0a1b2c3d-4e5f6071");
        let operation = Operation {
            name: name.clone(),
            kind,
            zone: zone.to_owned(),
            vm: vm.to_owned(),
            deed,
            left: self.knobs.looks,
            is_done: false,
        };
        self.operations.insert(name, operation.clone());
        operation
    }

    /// Looks at an operation of that zone: a step.
    pub(super) fn look(&mut self, zone: &str, name: &str) -> Option<Operation> {
        let operation = self.operations.get_mut(name).filter(|it| it.zone == zone)?;
        if operation.is_done {
            return Some(operation.clone());
        }
        if operation.left > 0 {
            operation.left -= 1;
            return Some(operation.clone());
        }
        operation.is_done = true;
        let operation = operation.clone();
        self.perform(&operation);
        Some(operation)
    }

    /// Time passes for all operations.
    pub(super) fn step(&mut self) {
        let running = self.operations.values().filter(|it| !it.is_done);
        let names: Vec<_> = running.map(|it| (it.zone.clone(), it.name.clone())).collect();
        for (zone, name) in names {
            self.look(&zone, &name);
        }
    }

    fn perform(&mut self, operation: &Operation) {
        let id = (operation.zone.clone(), operation.vm.clone());
        match operation.deed {
            Deed::Boot => {
                // It may have been deleted meanwhile.
                if let Some(vm) = self.vms.get_mut(&id).filter(|it| it.status == "PROVISIONING") {
                    vm.boot();
                }
            }
            Deed::Fail(_) | Deed::Delete => drop(self.vms.remove(&id)),
            Deed::Nothing => {}
        }
    }

    pub(super) fn shown_operation(&self, operation: &Operation) -> Value {
        let Operation { name, kind, zone, vm, deed, is_done, .. } = operation;
        let (status, progress) = if *is_done { ("DONE", 100) } else { ("RUNNING", 0) };
        let mut shown = json!({
            "kind": "compute#operation",
            "id": "5036531165588500991",
            "name": name,
            "operationType": kind,
            "status": status,
            "progress": progress,
            "insertTime": "2026-11-22T13:09:52.512-08:00",
            "zone": self.link(&format!("zones/{zone}")),
            "targetLink": self.link(&format!("zones/{zone}/instances/{vm}")),
            "selfLink": self.link(&format!("zones/{zone}/operations/{name}")),
        });
        if let (Deed::Fail(error), true) = (deed, is_done) {
            shown["error"] = json!({"errors": [error]});
            shown["httpErrorStatusCode"] = json!(403);
            shown["httpErrorMessage"] = json!("FORBIDDEN");
        }
        shown
    }

    /// Why an order will come to nothing, as an operation's error has it.
    pub(super) fn failure_of(&self, zone: &str, machine_type: &str) -> Option<Value> {
        let of = (zone.to_owned(), machine_type.to_owned());
        if self.knobs.exhausted.contains(&of) {
            let message = format!(
                "The zone 'projects/{}/zones/{zone}' does not have enough resources available to fulfill the request. \
                 Try a different zone, or try again later.",
                self.project
            );
            return Some(json!({"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": message}));
        }
        let is_full = self.knobs.most_instances.is_some_and(|most| self.vms.len() >= most);
        let quota = self.knobs.used_up.clone().or_else(|| is_full.then(|| "INSTANCES".to_owned()))?;
        let info = json!({
            "metricName": format!("compute.googleapis.com/{}", quota.to_ascii_lowercase()),
            "limitName": format!("{}-per-project-region", quota.replace('_', "-")),
            "dimensions": {"region": "us-central1"},
            "limit": 24.0,
        });
        let message = format!("Quota '{quota}' exceeded.  Limit: 24.0 in region us-central1.");
        Some(json!({"code": "QUOTA_EXCEEDED", "message": message, "errorDetails": [{"quotaInfo": info}]}))
    }
}
