//! Draws what never heals in a world: poisoned containers, types and subnets that are of no use, and VMs that
//! stay for ever.
//!
//! ```text
//!   knobs ── a third: containers to poison ── a tenth each: a type, a market, a subnet, VMs that stay
//!     └→ before the story: types, markets, subnets     └→ poison: as soon as the containers have uuids
//!                                                      └→ burden: in the middle of the trouble
//! ```
//! The world itself knows whom this excuses ([`World::containers_that_may_wait`]).

use std::time::Duration;

use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::Market;
use serde_json::json;

use super::draw::pick;
use crate::chance::Chance;
use crate::clock;
use crate::cloud::knobs::CloudFault;
use crate::controller::faults::CallKind;
use crate::group::Group;
use crate::vm::knobs::{Crash, Job};
use crate::vm::lasting::StartFailure;
use crate::world::{World, WorldKnobs};

/// What was drawn for one world.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lasting {
    /// Whether a type, a market or a subnet is of no use.
    pub spoils_types: bool,
    /// How many containers are to be poisoned.
    pub poisoned: usize,
    /// Whether a VM may become immortal.
    pub immortal: bool,
    /// Whether the operator may forget a hold.
    pub forgotten: bool,
    /// Whether a VM may list what it does not run.
    pub lying: bool,
}

impl Lasting {
    /// Draws it, and turns those knobs that concern no single container or VM.
    pub(super) fn draw(knobs: &mut WorldKnobs, chance: &mut Chance) -> Self {
        let lasting = Self {
            spoils_types: spoil_types(knobs, chance),
            poisoned: if chance.hits(0.33) { 1 + chance.below(2) } else { 0 },
            immortal: chance.hits(0.1),
            forgotten: chance.hits(0.1),
            lying: chance.hits(0.05),
        };
        knobs.policy.max_instances += lasting.burdens();
        lasting
    }

    /// How many VMs may stay for ever: limits must leave room for others.
    pub(super) fn burdens(self) -> u32 {
        u32::from(self.immortal) + u32::from(self.forgotten) + u32::from(self.lying)
    }
}

fn spoil_types(knobs: &mut WorldKnobs, chance: &mut Chance) -> bool {
    let group = |chance: &mut Chance| match chance.below(3) {
        0 => Group::Market(Market::Spot),
        1 => Group::sample("large"),
        _ => Group::sample("small"),
    };
    let mut any = false;
    for kind in 0..5 {
        if !chance.hits(0.1) {
            continue;
        }
        any = true;
        let lasting = &mut knobs.vms.lasting;
        match kind {
            0 => lasting.never_boot.push(group(chance)),
            1 => lasting.never_answer.push(group(chance)),
            2 => lasting.one_unreachable_in = 3 + chance.below(3) as u64,
            3 => knobs.cloud.close(
                group(chance),
                pick(chance, &[CloudFault::Other, CloudFault::QuotaMarket(Market::Spot)]),
                None,
            ),
            _ => knobs.cloud.always_ends_booting.push(group(chance)),
        }
    }
    any
}

/// Poisons some of the containers that there are at the beginning.
pub(super) fn poison(world: &mut World, count: usize, chance: &mut Chance) {
    for _ in 0..count {
        let all = world.containers();
        let Some(uuid) = all.get(chance.below(all.len())).copied() else { return };
        poison_one(world, uuid, chance);
    }
}

fn poison_one(world: &mut World, uuid: ContainerUuid, chance: &mut Chance) {
    let status = pick(chance, &[403, 404, 422, 500, 502]);
    let mut arvados = world.arvados.borrow_mut();
    let mut vms = world.vms.borrow_mut();
    match chance.below(12) {
        0 | 1 => arvados.ailments.answer(uuid, CallKind::Lock, status),
        2 => arvados.ailments.answer(uuid, CallKind::List, status),
        3 => arvados.ailments.record(uuid, "runtime_constraints", json!("nonsense"), chance.hits(0.5)),
        4 => arvados.ailments.record(uuid, "mounts", json!([1]), chance.hits(0.5)),
        5 => arvados.ailments.answer(uuid, CallKind::Unlock, status),
        6 => arvados.ailments.answer(uuid, CallKind::Update, status),
        // Listed, although it is not what was asked for.
        7 => arvados.ailments.record(uuid, "priority", json!(0), false),
        8 => arvados.ailments.hide(uuid, status),
        9 => arvados.ailments.answer(uuid, CallKind::Requests, status),
        10 => {
            let failure = match chance.hits(0.5) {
                true => StartFailure::Silent,
                false => StartFailure::Says("crunch-run: no such image".to_owned()),
            };
            vms.knobs.lasting.start_failures.insert(uuid, failure);
        }
        _ => {
            let running_after = Duration::from_millis(10 + chance.below(2000) as u64);
            let job = Job { running_after, crash: Crash::BeforeRunning, ..Job::default() };
            vms.knobs.job_of.insert(uuid, job);
        }
    }
}

/// A VM that answers, if there is one: a silent one that stays for ever would keep what was Locked before a
/// restart from ever being started elsewhere.
pub(super) fn some_sound_vm(world: &World, chance: &mut Chance) -> Option<InstanceId> {
    let vms = world.vms.borrow();
    let is_sound = |id: &InstanceId| {
        vms.host(id).is_some_and(|host| {
            host.has_booted(clock::now()) && !host.behaviour.never_answers && !host.behaviour.runner_missing
        })
    };
    let sound: Vec<_> = world.own_vms().into_iter().filter(is_sound).collect();
    sound.get(chance.below(sound.len())).cloned()
}
