//! What the dispatcher was seen to send, and what the operator said: judged at that moment.

use std::time::Duration;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::{Timestamp, after, since};

use super::{Judge, NEW, Verdict, Wish};
use crate::cloud::knobs::CloudCall;
use crate::world::{Note, World};

/// A dispatcher's last good probe began that much before the list of it, at most.
const PROBE: Duration = Duration::from_secs(60);

impl Judge {
    pub(super) fn note(&mut self, at: Timestamp, note: &Note, world: &World) -> Verdict {
        match note {
            Note::Up(_) | Note::Down(_) => {
                self.is_down = matches!(note, Note::Down(_));
                self.turn_over(at, world);
                Ok(())
            }
            // Questions about host keys take no slot: after a restart every VM's is asked for at once.
            Note::Sent(CloudCall::VerifyHostKey) => Ok(()),
            Note::Sent(call) => {
                self.creates_in_flight += u32::from(*call == CloudCall::Create);
                self.within_concurrency(world)?;
                self.within_rate(at, world)
            }
            Note::StartSent(vm, uuid) => {
                self.tried.insert(*uuid);
                match self.wish(vm, at, world) {
                    None | Some(IdleBehavior::Run) => Ok(()),
                    Some(behavior) => Err(format!("I6: {uuid} is started on {vm}, which is to {behavior}")),
                }
            }
            Note::DestroySent(vm) => self.destroy_sent(vm, at, world),
            Note::OperatorAsks(vm) => {
                self.wishes.remove(vm);
                Ok(())
            }
            Note::Operator(vm, behavior) => {
                let wish = Wish { behavior: *behavior, saved: None };
                // A hold that came after the destroy is too late.
                if !self.destroyed.contains_key(vm) {
                    self.wishes.insert(vm.clone(), wish);
                }
                Ok(())
            }
            Note::OperatorKills(vm) => {
                self.killed_by_operator.insert(vm.clone());
                Ok(())
            }
            Note::FaultsStop | Note::Text(_) => Ok(()),
        }
    }

    /// One dispatcher has ended, or the next begins.
    fn turn_over(&mut self, at: Timestamp, world: &World) {
        // The tags tell a new dispatcher, once the cloud shows them as they are.
        let lag = world.knobs.cloud.tags_lag.most;
        self.wishes.retain(|_, wish| wish.saved.is_some_and(|saved| after(saved, lag) <= at));
        self.sent.clear();
        self.destroyed.clear();
        let is_new = |uuid: &&ContainerUuid| after(self.began_at[*uuid], NEW) > at;
        let unseen: Vec<_> = self.live.keys().filter(is_new).map(|uuid| (*uuid, after(at, NEW))).collect();
        self.unseen.extend(unseen);
        self.began = at;
        let left = std::mem::take(&mut self.creates_in_flight);
        self.orphans_in_flight += left;
    }

    /// Nothing is destroyed under a process while it answers, and nothing that is held.
    fn destroy_sent(&mut self, vm: &InstanceId, at: Timestamp, world: &World) -> Verdict {
        let was_silent = self.was_silent(vm, at, world);
        let first = self.destroyed.insert(vm.clone(), was_silent).is_none();
        let held = self.wish(vm, at, world) == Some(IdleBehavior::Hold);
        if first && held && !self.killed_by_operator.contains(vm) {
            return Err(format!("I8: {vm} is destroyed, which is to be held"));
        }
        let here = self.live.iter().find(|(uuid, at)| *at == vm && !self.may_be_given_up(**uuid));
        match here {
            Some((uuid, _)) if !was_silent && !self.killed_by_operator.contains(vm) => {
                Err(format!("{vm} answers and is to be destroyed, while {uuid} runs on it"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a VM has not answered well for as long as this dispatcher waits for that: one that has never answered
    /// it waits for `TimeoutBooting` from its start on.
    fn was_silent(&self, vm: &InstanceId, at: Timestamp, world: &World) -> bool {
        let policy = &world.knobs.policy;
        let answered = world.vms.borrow().listed(vm, at).filter(|listed| *listed >= self.began);
        let (last, patience) = match answered {
            Some(listed) => (listed, policy.timeout_probe),
            None => (self.began, policy.timeout_booting),
        };
        since(at, last) >= patience.saturating_sub(PROBE)
    }

    /// The operator's wish, once any dispatcher must know it.
    fn wish(&self, vm: &InstanceId, at: Timestamp, world: &World) -> Option<IdleBehavior> {
        let wish = self.wishes.get(vm)?;
        let known = after(wish.saved?, world.knobs.cloud.tags_lag.most);
        (known <= at).then_some(wish.behavior)
    }

    /// I5: no more creates at a time than `MaxConcurrentInstanceCreateOps`.
    fn within_concurrency(&self, world: &World) -> Verdict {
        let (most, now) = (world.knobs.policy.max_concurrent_creates, self.creates_in_flight);
        match most > 0 && now > most {
            true => Err(format!("I5: {now} creates are in flight, {most} allowed")),
            false => Ok(()),
        }
    }

    /// I5: no more calls in a second than `MaxCloudOpsPerSecond`.
    fn within_rate(&mut self, at: Timestamp, world: &World) -> Verdict {
        let rate = world.knobs.policy.max_cloud_ops_per_second as usize;
        self.sent.push_back(at);
        while self.sent.front().is_some_and(|first| since(at, *first) > Duration::from_millis(990)) {
            self.sent.pop_front();
        }
        if rate > 0 && self.sent.len() > rate {
            return Err(format!(
                "I5: {} calls to the cloud within a second, {rate} allowed",
                self.sent.len()
            ));
        }
        Ok(())
    }
}
