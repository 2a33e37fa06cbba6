//! What a story does to the dispatcher's own process and machine, and to the lock that it acts under.

use std::rc::Rc;
use std::time::Duration;

use dispatch_actors::messages::pool::GetPool;
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::{Timestamp, after, since};
use serde_json::json;

use super::{Note, World};
use crate::clock;
use crate::controller::state::Changes;

/// A server gives up a session from which nothing came for that long.
const SESSIONS_DROPPED_AFTER: Duration = Duration::from_secs(15);
/// A shorter pause may go unnoticed: signs of life come every 2 s, and may be 5 s late.
const SHORT_PAUSE: Duration = Duration::from_secs(7);

impl World {
    /// Stops the dispatcher's process for that long, as a signal, a frozen container or a suspended machine does. The
    /// world goes on meanwhile, and servers give up sessions from which nothing comes.
    pub async fn pause_dispatcher(&mut self, length: Duration) {
        let Some(plight) = self.dispatcher.as_ref().map(|it| Rc::clone(&it.plight)) else { return };
        plight.stop_for(length);
        let until = after(clock::now(), length);
        self.run_for(length.min(SESSIONS_DROPPED_AFTER)).await;
        if length > SESSIONS_DROPPED_AFTER {
            let mut vms = self.vms.borrow_mut();
            self.own_vms().iter().for_each(|id| vms.cut_connection(id));
        }
        self.run_for(since(until, clock::now())).await;
        if length > SHORT_PAUSE {
            self.note(Note::CouldNotAsk);
        }
        plight.wake();
    }

    /// For that long the dispatcher's own machine can open no connection.
    pub fn fail_own_side(&mut self, length: Duration) {
        let Some(dispatcher) = &self.dispatcher else { return };
        dispatcher.plight.fail_own_side_for(length);
        let from = self.own_side_fails_since();
        let Some(dispatcher) = &self.dispatcher else { return };
        let (journal, plight) = (Rc::clone(&self.journal), Rc::clone(&dispatcher.plight));
        self.set.spawn_local(async move {
            tokio::time::sleep(length).await;
            // Another incarnation has had no part in it, and this one may have more of it.
            if !plight.is_over() && !plight.own_side_fails() {
                let now = clock::now();
                journal.borrow_mut().note(now, Note::OwnSideFailed(from.unwrap_or(now)));
            }
        });
    }

    /// Since when the dispatcher's own machine fails, if it does.
    pub(super) fn own_side_fails_since(&self) -> Option<Timestamp> {
        self.dispatcher.as_ref().and_then(|it| it.plight.own_side_fails_since())
    }

    /// Whether the dispatcher believes that most VMs are silent by its own fault.
    pub(super) async fn is_in_outage(&self) -> bool {
        self.handles().pool.send(GetPool).await.is_ok_and(|view| view.snapshot.fleet.outage)
    }

    /// For that long the database does not answer whether the lock is still the dispatcher's.
    pub fn silence_database(&mut self, length: Duration) {
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.plight.silence_database_for(length);
        }
    }

    /// The cloud tells the process of that container that it will take its VM.
    pub fn announce_end(&mut self, uuid: ContainerUuid) {
        let notice = json!({ "runtime_status": { "preemptionNotice": "spot interruption in two minutes" } });
        let told = Changes::from_json(&notice).expect("a constant");
        let mut arvados = self.arvados.borrow_mut();
        let process = arvados.process_with(None);
        // Refused unless it is Running: then no process of it has been told anything.
        let _ = arvados.update(uuid, &told, process, clock::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{WorldKnobs, simulate};

    fn notes_of_a_failure(world: &World) -> usize {
        let journal = world.journal.borrow();
        journal.notes().iter().filter(|(_, note)| matches!(note, Note::OwnSideFailed(_))).count()
    }

    /// The next one has a machine of its own, however long the calls of the first still hang.
    #[test]
    fn a_machine_that_failed_under_an_earlier_dispatcher_excuses_nothing_of_the_next() {
        for is_restarted in [false, true] {
            simulate(WorldKnobs::new(1), async |world| {
                world.fail_own_side(Duration::from_secs(60));
                world.run_for(Duration::from_secs(10)).await;
                if is_restarted {
                    world.restart().await;
                }
                world.run_for(Duration::from_secs(120)).await;
                assert_eq!(notes_of_a_failure(world), usize::from(!is_restarted));
            });
        }
    }
}
