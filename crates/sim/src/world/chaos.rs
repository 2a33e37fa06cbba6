//! Chaos: a world whose knobs and troubles are drawn from one seed.
//!
//! For an hour of virtual time anything may go wrong, and the dispatcher is killed again and again. Then the
//! faults stop, and every container and VM that can end must end.

mod draw;
mod lasting;
mod trouble;

use std::num::NonZeroU32;
use std::time::Duration;

use dispatch_core::blueprint::Blueprint;
use dispatch_core::id::{ContainerUuid, InstanceId, ProviderType};
use dispatch_core::instance::{Catalog, IdleBehavior, InstanceType, Market};
use dispatch_core::policy::Policy;
use dispatch_core::reserve::IdleReserve;
use dispatch_core::time::after;
use slog::Level;

use self::lasting::Lasting;
use self::trouble::{Trouble, cause};
use super::{Note, Summary, World, WorldKnobs, simulate};
use crate::chance::{Chance, Span};
use crate::clock;
use crate::group::Group;
use crate::vm::knobs::Job;

/// For how long things go wrong.
const TROUBLE: Duration = Duration::from_secs(3600);
/// How often the dispatcher is paused meanwhile.
const MOST_PAUSES: usize = 3;
/// How long it may take until everything has ended, once nothing goes wrong any more.
const RECOVERY: Duration = Duration::from_secs(6 * 3600);
/// The same for worlds whose limits stay as low as they are.
const RECOVERY_WITHIN_LIMITS: Duration = Duration::from_secs(48 * 3600);

/// Runs the chaos of one seed and returns its figures and its history, with the dispatcher's log if `trace`
/// is set.
///
/// # Panics
/// If an invariant is violated.
pub fn chaos(seed: u64, trace: bool) -> (Summary, String) {
    chaos_with(seed, trace, |_| {}, summary_and_history)
}

/// The first planning rounds of the chaos of one seed, each as `run --record` writes it.
///
/// # Panics
/// If an invariant is violated.
pub fn rounds_of_chaos(seed: u64, most: usize) -> Vec<String> {
    chaos_with(seed, false, |knobs| knobs.kept_rounds = most, World::rounds)
}

fn summary_and_history(world: &World) -> (Summary, String) {
    (world.summary(), world.history())
}

/// The same world with the same troubles, but without any hint: what it is told by itself, it has to ask for.
///
/// # Panics
/// If an invariant is violated.
pub fn chaos_without_hints(seed: u64, trace: bool) -> (Summary, String) {
    let change = |knobs: &mut WorldKnobs| {
        knobs.feed = None;
        knobs.vms.watch.supported = false;
    };
    chaos_with(seed, trace, change, summary_and_history)
}

fn chaos_with<T>(
    seed: u64,
    trace: bool,
    change: impl FnOnce(&mut WorldKnobs),
    told: impl FnOnce(&World) -> T,
) -> T {
    let mut chance = Chance::new(seed, 20);
    let (mut knobs, lasting) = draw::knobs(seed, &mut chance);
    change(&mut knobs);
    knobs.log = trace.then_some(Level::Debug);
    knobs.step = Duration::from_millis(500);
    let spec = knobs.clone();
    simulate(knobs, async |world| {
        // A supervisor waits for its steps, and where a type is of no use these may wait for ever.
        let has_supervisors = !lasting.spoils_types && !lasting.lying;
        let supervisors = if has_supervisors { draw::supervisors(world, &mut chance) } else { 0 };
        lasting::poison(world, lasting.poisoned, &mut chance);
        // Some worlds end with the dispatcher that ran through the trouble, under the limits that it knew: a
        // restart would repair whatever is stuck in its memory. This is not done with supervisors, because
        // they may fill a cluster of one VM for good.
        let stays_as_it_is = supervisors == 0 && chance.hits(0.7);
        draw::network_outages(world, &mut chance);
        trouble(world, lasting, &mut chance).await;
        world.stop_faults();
        cure_records(world);
        // Pauses end by themselves.
        world.operator_uses_all_types().await;
        if stays_as_it_is {
            ease_limits(world, lasting);
            free_the_held(world).await;
            end_the_dead(world).await;
            end_the_reserve(world);
            world.drain(RECOVERY_WITHIN_LIMITS).await;
        } else {
            lift_limits(world);
            restore_configuration(world, &spec).await;
            free_the_held(world).await;
            end_the_dead(world).await;
            end_the_reserve(world);
            world.drain(RECOVERY).await;
        }
        world.judge_costs();
        told(world)
    })
}

/// Lets one kind of trouble after another happen, with pauses between them.
async fn trouble(world: &mut World, mut lasting: Lasting, chance: &mut Chance) {
    let end = after(clock::epoch(), TROUBLE);
    let burdens = lasting.burdens();
    let (mut kinds, mut pauses) = (draw::kinds_of_trouble(chance), 0);
    kinds.retain(|kind| *kind != Trouble::SilentTogether || world.knobs.groups_fall_silent);
    while clock::now() < end {
        let pause = chance.draw(Span::between_millis(100, 120_000));
        world.run_for(pause).await;
        burden(world, &mut lasting, chance).await;
        let Some(kind) = kinds.get(chance.below(kinds.len())) else { continue };
        let kind = *kind;
        // More of them are not taken into account: a process that is paused all the time must end what is dead.
        pauses += usize::from(kind == Trouble::Paused);
        if pauses >= MOST_PAUSES {
            kinds.retain(|kind| *kind != Trouble::Paused);
        }
        cause(world, kind, burdens, chance).await;
    }
}

/// Lets a VM stay for ever now and then, as often as the world was drawn to have it.
async fn burden(world: &mut World, lasting: &mut Lasting, chance: &mut Chance) {
    if !chance.hits(0.1) {
        return;
    }
    let Some(vm) = lasting::some_sound_vm(world, chance) else { return };
    if std::mem::take(&mut lasting.immortal) {
        world.note(Note::Text(format!("lasting immortal {vm}")));
        world.cloud.borrow_mut().make_immortal(&vm);
    } else if lasting.forgotten {
        world.note(Note::Text(format!("lasting hold {vm}")));
        lasting.forgotten = !world.operator_forgets(&vm).await;
    } else if std::mem::take(&mut lasting.lying) {
        let uuid = some_container(world, chance);
        world.note(Note::Text(format!("lasting lie {vm}")));
        uuid.into_iter().for_each(|uuid| world.lists_falsely(&vm, uuid));
    }
}

/// Kills the dispatcher as soon as something happens anywhere, or some milliseconds later.
async fn restart_at_an_event(world: &mut World, chance: &mut Chance) {
    let seen = world.events();
    let until = after(clock::now(), Duration::from_secs(60));
    while world.events() == seen && clock::now() < until {
        world.run_for(Duration::from_millis(5)).await;
    }
    world.run_for(chance.draw(Span::between_millis(0, 300))).await;
    world.restart().await;
}

/// All VMs, those of a market, or those of a type.
fn some_group(chance: &mut Chance) -> Group {
    match chance.below(4) {
        0 | 1 => Group::Everything,
        2 => Group::Market(Market::OnDemand),
        _ => Group::sample("small"),
    }
}

fn some_container(world: &World, chance: &mut Chance) -> Option<ContainerUuid> {
    let all = world.containers();
    all.get(chance.below(all.len())).copied()
}

fn some_vm(world: &World, chance: &mut Chance) -> Option<InstanceId> {
    let all = world.own_vms();
    all.get(chance.below(all.len())).cloned()
}

/// Lowers or raises limits, removes or adds a type, or gives a type's name to another one of the cloud's; now and then
/// others are let past for another time, VMs are renewed otherwise, or the spot market may take more. The next dispatcher that starts uses the new
/// configuration. Many containers need some instances to get done within the time that they are given.
fn change_configuration(
    world: &World,
    burdens: u32,
    chance: &mut Chance,
) -> impl FnOnce(&mut Policy) + use<> {
    let most = 1 + burdens + containers(world) / 30 + chance.below(10) as u32;
    let all = draw::catalog();
    let gone = chance.hits(0.4).then(|| chance.below(all.types().len()));
    let kept = all.types().iter().enumerate().filter(|(n, _)| Some(*n) != gone).map(|(_, it)| it);
    let mut kept: Vec<_> = kept.map(|it| InstanceType::clone(it)).collect();
    if chance.hits(0.2) {
        let redefined = chance.below(kept.len());
        kept[redefined].provider_type = ProviderType::new("std.redefined").expect("a constant");
    }
    let catalog = Catalog::new(kept);
    // What is drawn anyway says which image it is, too, and the rest.
    let image = Blueprint::new(&format!("img-{most}"), "");
    let turn = most % 4;
    let reserve = draw::idle_reserve(chance);
    move |policy| {
        policy.blueprint = image;
        if turn == 0 {
            policy.backfill_patience = Duration::from_secs(u64::from(most % 3) * 60);
            (policy.drift_budget, policy.max_instance_age) = (most % 3, Duration::from_secs(900));
        }
        if turn == 2 {
            policy.sizing.spot_retries = NonZeroU32::new(most % 3);
        }
        if turn == 1 {
            policy.idle_reserve = reserve;
        }
        policy.max_instances = most;
        policy.catalog = catalog;
    }
}

/// What is kept without work stays as long as the site wants it.
fn end_the_reserve(world: &mut World) {
    if world.knobs.policy.idle_reserve != IdleReserve::default() {
        world.reload(|policy| policy.idle_reserve = IdleReserve::default());
    }
}

fn containers(world: &World) -> u32 {
    world.containers().len() as u32
}

/// Makes every record readable again.
fn cure_records(world: &mut World) {
    let mut arvados = world.arvados.borrow_mut();
    let all: Vec<_> = arvados.containers().map(|it| it.uuid).collect();
    for uuid in all {
        arvados.cure(uuid);
    }
}

/// Keeps the limits, apart from those that would let a container wait for ever: VMs that stay leave room for
/// another one, and many containers get done within the time that they are given.
fn ease_limits(world: &mut World, lasting: Lasting) {
    let least = (1 + lasting.burdens() + containers(world) / 30) as usize;
    let mut cloud = world.cloud.borrow_mut();
    let knobs = &mut cloud.knobs;
    knobs.refused.clear();
    knobs.quota_all = knobs.quota_all.map(|most| most.max(least));
    let counts = knobs.quota_market.values_mut().chain(knobs.quota_group.values_mut());
    counts.chain(knobs.capacity.values_mut()).for_each(|most| *most = (*most).max(least));
}

/// Removes all quotas and capacity limits.
fn lift_limits(world: &mut World) {
    let mut cloud = world.cloud.borrow_mut();
    cloud.knobs.quota_all = None;
    cloud.knobs.quota_market.clear();
    cloud.knobs.quota_group.clear();
    cloud.knobs.capacity.clear();
    cloud.knobs.refused.clear();
}

/// Brings back the types that were removed, so that every container that is left can run.
async fn restore_configuration(world: &mut World, before: &WorldKnobs) {
    let least = 20.max(containers(world) / 10);
    world.configure(|policy| {
        policy.catalog = before.policy.catalog.clone();
        // This is enough for all supervisors that run already, and for their steps.
        policy.max_instances = policy.max_instances.max(least);
    });
    world.restart().await;
}

/// The operator sets held VMs to run, several times: a new dispatcher may have read stale tags, and writes
/// what they said back later.
async fn free_the_held(world: &mut World) {
    for _ in 0..10 {
        world.run_for(Duration::from_secs(60)).await;
        for vm in held(world) {
            world.operator_sets(&vm, IdleBehavior::Run).await;
        }
    }
}

/// While most instances are silent none is destroyed for it, and if they leave no room for another, only the operator can
/// tell that they are dead. He reads the error for two hours, and ends them.
async fn end_the_dead(world: &mut World) {
    for _ in 0..12 {
        world.run_for(Duration::from_secs(600)).await;
        if world.settled() && world.all_vms_are_gone() {
            return;
        }
    }
    let silent = world.silent_vms();
    // An outage that began with three of them goes on when the cloud has taken one.
    let are_most = silent.len() >= 3 && 2 * silent.len() > world.own_vms().len();
    if are_most || world.is_in_outage().await {
        let may_stay = world.vms_that_may_stay();
        for vm in silent.into_iter().filter(|vm| !may_stay.contains(vm)) {
            world.operator_kills(&vm).await;
        }
    }
}

fn held(world: &World) -> Vec<InstanceId> {
    let key = &world.knobs.policy.tag_keys.idle_behavior;
    let cloud = world.cloud.borrow();
    let is_held = |id: &InstanceId| {
        let behavior = cloud.vm(id).and_then(|vm| vm.tags.get(key)).and_then(IdleBehavior::from_name);
        behavior == Some(IdleBehavior::Hold)
    };
    let kept = world.vms_that_may_stay();
    world.own_vms().into_iter().filter(|id| is_held(id) && !kept.contains(id)).collect()
}

/// A supervisor that submits these children and waits for them.
fn supervising(children: Vec<crate::controller::Submission>) -> Job {
    Job { lasts: Duration::from_secs(10), children, ..Job::default() }
}
