//! Judges what the dispatcher was seen to send, and what the operator asked for, at the moment when it
//! happened.

use std::time::Duration;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::{Timestamp, after, since};

use super::reload::Before;
use super::{Judge, SURELY_LISTED_AFTER, Verdict, Wish};
use crate::cloud::knobs::CloudCall;
use crate::world::{Note, World};

/// The dispatcher's last good probe began at most this long before the runner's list that it read.
const LONGEST_PROBE: Duration = Duration::from_secs(60);

impl Judge {
    pub(super) fn note(&mut self, at: Timestamp, note: &Note, world: &World) -> Verdict {
        match note {
            // Questions about host keys take no slot: after a restart the dispatcher asks about all VMs at
            // once.
            Note::Sent(CloudCall::VerifyHostKey) => Ok(()),
            Note::Sent(call) => {
                self.creates_in_flight += u32::from(*call == CloudCall::Create);
                self.creates_unanswered += u32::from(*call == CloudCall::Create);
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
            Note::CreateSent(it) => self.cordons.create_sent(it, at),
            Note::RenewalSent(vm) => self.renewal_sent(vm, at, world),
            Note::ActedWithoutLease(what) => Err(format!("I9: {what} was handed over without a lease")),
            _ => {
                self.remember(at, note, world);
                Ok(())
            }
        }
    }

    /// What forbids nothing, and matters for what is judged later.
    fn remember(&mut self, at: Timestamp, note: &Note, world: &World) {
        match note {
            Note::Up(_) | Note::Down(_) => {
                self.is_down = matches!(note, Note::Down(_));
                self.turn_over(at, world);
            }
            Note::Answered(call) => {
                let answered = u32::from(*call == CloudCall::Create);
                self.creates_unanswered = self.creates_unanswered.saturating_sub(answered);
            }
            Note::CouldNotAsk => self.could_not_ask_until = at,
            Note::Reloaded(before) => self.before_reload = Some(Before::new(before, at)),
            Note::OwnSideFailed(from) => self.own_side_failed.push((*from, at)),
            Note::OperatorAsks(vm) => {
                self.wishes.remove(vm);
                self.renewals.asked(vm);
            }
            // A hold that was asked for after the destroy comes too late.
            Note::Operator(vm, _) if self.destroyed.contains_key(vm) => {}
            Note::Operator(vm, behavior) => {
                self.wishes.insert(vm.clone(), Wish { behavior: *behavior, saved: None });
            }
            Note::OperatorKills(vm) => {
                self.killed_by_operator.insert(vm.clone());
            }
            Note::Cordoned { scope, until, under_way } => self.cordons.forbid(scope, *until, *under_way),
            Note::Uncordoned(name) => self.cordons.use_again(name),
            Note::Sent(_)
            | Note::StartSent(..)
            | Note::DestroySent(_)
            | Note::CreateSent(_)
            | Note::RenewalSent(_)
            | Note::ActedWithoutLease(_)
            | Note::FaultsStop
            | Note::Text(_) => {}
        }
    }

    /// A dispatcher has ended, or the next one begins.
    fn turn_over(&mut self, at: Timestamp, world: &World) {
        // A new dispatcher learns the operator's wishes from the tags, once the cloud shows them as they are.
        let lag = world.knobs.cloud.tags_lag.most;
        self.wishes.retain(|_, wish| wish.saved.is_some_and(|saved| after(saved, lag) <= at));
        // Nobody is spared by a dispatcher that has known no other configuration.
        self.before_reload = None;
        self.renewals.turn_over(world);
        self.sent.clear();
        self.destroyed.clear();
        let is_new = |uuid: &&ContainerUuid| after(self.began_at[*uuid], SURELY_LISTED_AFTER) > at;
        let unseen: Vec<_> =
            self.live.keys().filter(is_new).map(|uuid| (*uuid, after(at, SURELY_LISTED_AFTER))).collect();
        self.unseen.extend(unseen);
        self.began = at;
        self.creates_unanswered = 0;
        let left = std::mem::take(&mut self.creates_in_flight);
        self.orphans_in_flight += left;
    }

    /// I8, and: no VM is destroyed under a process while it answers, and no VM that the operator holds.
    fn destroy_sent(&mut self, vm: &InstanceId, at: Timestamp, world: &World) -> Verdict {
        let was_silent = self.was_silent(vm, at, world);
        let first = !self.destroyed.contains_key(vm);
        // Calls that repeat it belong to the same decision.
        let was_silent = *self.destroyed.entry(vm.clone()).or_insert(was_silent);
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

    /// Whether a VM has not answered well for as long as this dispatcher waits. For a VM that has never
    /// answered, this dispatcher waits for `TimeoutBooting`, counted from its own start.
    fn was_silent(&self, vm: &InstanceId, at: Timestamp, world: &World) -> bool {
        // What fails from then on says nothing; what was decided before may only be sent now.
        let judged_at = world.own_side_fails_since().map_or(at, |from| from.min(at));
        let policy = &world.knobs.policy;
        let answered = world.vms.borrow().listed(vm, at).filter(|listed| *listed >= self.began);
        let (last, patience) = match answered {
            Some(listed) => (listed, policy.timeout_probe),
            None => (self.began, policy.timeout_booting),
        };
        let from = last.max(self.could_not_ask_until);
        let silent = since(judged_at, from).saturating_sub(self.own_side_failed_within(from, judged_at));
        silent >= patience.saturating_sub(LONGEST_PROBE)
    }

    /// For how long of that time the dispatcher's own machine has failed: what it could not ask then proves nothing, and
    /// what it has asked before and after does.
    fn own_side_failed_within(&self, from: Timestamp, to: Timestamp) -> Duration {
        self.own_side_failed.iter().map(|(begin, end)| since((*end).min(to), (*begin).max(from))).sum()
    }

    /// The operator's wish, from the time when every dispatcher must know it.
    pub(super) fn wish(&self, vm: &InstanceId, at: Timestamp, world: &World) -> Option<IdleBehavior> {
        let wish = self.wishes.get(vm)?;
        let known = after(wish.saved?, world.knobs.cloud.tags_lag.most);
        (known <= at).then_some(wish.behavior)
    }

    /// I5: no more creates are in flight than `MaxConcurrentInstanceCreateOps`. One that has made its VM is in
    /// flight until its answer has come, or the dispatcher has given it up.
    fn within_concurrency(&self, world: &World) -> Verdict {
        let (most, now) = (world.knobs.policy.max_concurrent_creates, self.creates_unanswered);
        match most > 0 && now > most {
            true => Err(format!("I5: {now} creates are in flight, {most} allowed")),
            false => Ok(()),
        }
    }

    /// I5: no more calls are sent in a second than `MaxCloudOpsPerSecond`.
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
