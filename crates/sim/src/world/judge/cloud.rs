//! What the cloud has done: I5 in numbers of instances, and whether the tags say what operators want.

use dispatch_core::id::InstanceId;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::time::after;

use super::{Judge, OMISSION_MATTERS, SURELY_LISTED_AFTER, Verdict};
use crate::cloud::CloudEntry;
use crate::cloud::knobs::CloudCall;
use crate::world::World;

impl Judge {
    pub(super) fn cloud(&mut self, entry: &CloudEntry, world: &World) -> Verdict {
        match entry.call {
            CloudCall::Create => self.created(entry, world),
            CloudCall::SetTags => {
                self.tagged(entry, world);
                Ok(())
            }
            CloudCall::List | CloudCall::Destroy | CloudCall::VerifyHostKey => Ok(()),
        }
    }

    /// I5: there are never more instances than `MaxInstances`, apart from those that a dead dispatcher had
    /// ordered.
    fn created(&mut self, entry: &CloudEntry, world: &World) -> Verdict {
        // An answer does not say which dispatcher sent the call. As long as creates of the dead dispatcher
        // may be on their way, a failure is counted as an answer to the living one, and a new VM as one of
        // the dead one.
        let may_be_an_orphan = entry.vm.is_some() || self.creates_in_flight == 0;
        let on_their_way = self.orphans_in_flight > 0 && entry.at < after(self.began, SURELY_LISTED_AFTER);
        if on_their_way && may_be_an_orphan {
            self.orphans_in_flight -= 1;
            self.orphans.extend(entry.vm.clone());
            return Ok(());
        }
        self.creates_in_flight = self.creates_in_flight.saturating_sub(1);
        let now = world.knobs.policy.max_instances;
        let most = self.before_reload.as_ref().map_or(now, |before| before.most(now, entry.at));
        let ours = world.own_vms_at(entry.at, self.began);
        let cloud = world.cloud.borrow();
        let exists = |id: &&InstanceId| cloud.vm(id).is_some_and(|vm| vm.exists(entry.at));
        let orphans = self.orphans.iter().filter(exists).count();
        // The dispatcher cannot count VMs that listings conceal.
        let concealed = cloud.omitted_lately(entry.at, OMISSION_MATTERS);
        if entry.vm.is_some() && most > 0 && ours > most as usize + orphans + concealed {
            return Err(format!(
                "I5: {ours} instances exist, {most} allowed ({orphans} orphans, {concealed} concealed)"
            ));
        }
        Ok(())
    }

    fn tagged(&mut self, entry: &CloudEntry, world: &World) {
        let Some(id) = &entry.vm else { return };
        let cloud = world.cloud.borrow();
        let shown = cloud.vm(id).and_then(|vm| vm.tags.get(&world.knobs.policy.tag_keys.idle_behavior));
        let behavior = shown.and_then(IdleBehavior::from_name);
        if let Some(wish) = self.wishes.get_mut(id) {
            let same = behavior == Some(wish.behavior);
            wish.saved = if same { wish.saved.or(Some(entry.at)) } else { None };
        }
    }
}
