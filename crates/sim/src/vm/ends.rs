//! How VMs end: at once, at a time, or because the cloud takes them back, which it may announce.
//!
//! ```text
//!   taken back ─ announced ─► 2 min before: processes are told ─► 30 s before: told to end (SIGTERM) ─► ended
//!        └ not announced ───────────────────────────────────────────────────────────────────────────────► ended
//! ```

use std::time::Duration;

use dispatch_core::id::InstanceId;
use dispatch_core::time::{Timestamp, after};
use serde_json::json;

use super::facts::VmFact;
use super::process::Step;
use super::{Event, FakeVms};
use crate::chance::Span;

impl FakeVms {
    /// Ends a VM and the processes on it. Does nothing if it has ended already.
    pub fn end(&mut self, id: &InstanceId, now: Timestamp) {
        if !self.hosts.contains_key(id) {
            return;
        }
        self.end_processes_on(id, now);
        self.hosts.remove(id);
        self.cut_connection(id);
        self.connections.remove(id);
        self.history.record(now, VmFact::Gone { vm: id.clone() });
    }

    /// Ends a VM at that time, as [`FakeVms::end`] does.
    pub fn end_at(&mut self, id: InstanceId, at: Timestamp) {
        self.schedule(at, Event::HostEnds(id));
    }

    /// The cloud takes a VM back at that time. If it announces that, processes are told two minutes ahead, and are told to
    /// end half a minute ahead.
    pub fn take_at(&mut self, id: InstanceId, at: Timestamp, now: Timestamp) {
        if self.chance.hits(self.knobs.announced_rate) {
            let ahead = |seconds| at.checked_sub(Duration::from_secs(seconds)).map_or(now, |it| it.max(now));
            self.schedule(ahead(120), Event::EndAnnounced(id.clone()));
            self.schedule(ahead(30), Event::HostShutsDown(id.clone()));
        }
        self.end_at(id, at);
    }

    /// The cloud tells the processes on that VM, and they tell the controller, that it will be taken back.
    pub(super) fn announce_end(&mut self, vm: &InstanceId, now: Timestamp) {
        for pid in self.processes_on(vm) {
            // Whether that arrives is of no interest to the process.
            let notice = json!({ "preemptionNotice": "spot interruption in two minutes" });
            let _ = self.report(pid, json!({ "runtime_status": notice }), now);
        }
    }

    /// The processes on that VM are told to end, because it is shut down.
    pub(super) fn shut_down(&mut self, vm: &InstanceId, now: Timestamp) {
        for pid in self.processes_on(vm) {
            let takes = self.chance.draw(Span::between_millis(10, 15_000));
            self.schedule(after(now, takes), Event::Process(pid, Step::Terminate));
        }
    }
}
