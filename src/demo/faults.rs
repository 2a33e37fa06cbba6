//! What goes wrong on the way, if asked for: the controller sheds load and loses answers, one VM dies, one
//! calls itself broken, one hangs.

use std::time::Duration;

use dispatch_adapters::loopback;
use dispatch_core::id::InstanceId;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::worker::State;
use dispatch_sim::controller::faults::Fault;

use super::world::{Tally, World};

/// How long the controller sheds every call.
const SHED: Duration = Duration::from_secs(1);
/// How long it has no database.
const OUTAGE: Duration = Duration::from_secs(2);

/// The next thing to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    ShedLoad,
    KillVm,
    BreakVm,
    HangVm,
    Outage,
    Nothing,
}

/// Causes one fault after another while the work goes on.
pub(super) struct Script {
    next: Next,
    cloud: Option<loopback::Faults>,
    used: Vec<InstanceId>,
    struck: Vec<&'static str>,
}

impl Script {
    pub(super) fn new(wanted: bool, cloud: Option<loopback::Faults>) -> Self {
        let next = if wanted { Next::ShedLoad } else { Next::Nothing };
        Self { next, cloud, used: Vec::new(), struck: Vec::new() }
    }

    /// What has gone wrong so far, in order.
    pub(super) fn struck(self) -> Vec<&'static str> {
        self.struck
    }

    /// The next fault, when about a tenth more of the containers has ended.
    pub(super) async fn strike(&mut self, tally: &Tally, pool: &PoolSnapshot, world: &World) {
        let ended = tally.containers.iter().filter(|container| container.state.is_final()).count();
        let tenths = 10 * ended / tally.containers.len().max(1);
        let busy = pool
            .workers
            .iter()
            .find(|worker| worker.view.state == State::Running && !self.used.contains(&worker.view.id));
        let busy = busy.map(|worker| worker.view.id.clone());
        let Some(cloud) = &self.cloud else { return };
        // An instance that is gone meanwhile cannot be struck: the work goes on all the same.
        match (self.next, busy) {
            (Next::ShedLoad, _) => {
                world
                    .controller(|arvados, now| {
                        arvados.faults.rates = vec![(Fault::LostAnswer, 0.03), (Fault::LostCall, 0.02)];
                        // In bursts, as a real one does: overload without end is another story.
                        arvados.faults.strike_all(Fault::Overloaded, now, SHED);
                    })
                    .await;
                self.turn(Next::KillVm, "controller sheds load and loses answers");
            }
            (Next::KillVm, Some(id)) if tenths >= 1 => {
                let _ = cloud.kill(&id).await;
                self.used.push(id);
                self.turn(Next::BreakVm, "instance dies");
            }
            (Next::BreakVm, Some(id)) if tenths >= 2 => {
                let _ = cloud.report_broken(&id).await;
                self.used.push(id);
                self.turn(Next::HangVm, "instance reports that it is broken");
            }
            (Next::HangVm, Some(id)) if tenths >= 3 => {
                let _ = cloud.hang_commands(&id, true).await;
                self.used.push(id);
                self.turn(Next::Outage, "instance hangs");
            }
            (Next::Outage, _) if tenths >= 4 => {
                world
                    .controller(|arvados, now| {
                        arvados.faults.strike_all(Fault::Unauthorized, now, OUTAGE);
                    })
                    .await;
                self.turn(Next::Nothing, "controller loses its database");
            }
            _ => {}
        }
    }

    fn turn(&mut self, next: Next, struck: &'static str) {
        self.struck.push(struck);
        self.next = next;
    }
}
