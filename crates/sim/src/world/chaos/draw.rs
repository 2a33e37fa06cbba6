//! Draws the knobs and troubles of one seed. Each kind of fault is present in some worlds and absent from
//! others: one fault alone may show what several together would hide.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use dispatch_core::id::ProviderType;
use dispatch_core::instance::{Catalog, InstanceType, Market, Offering};
use dispatch_core::policy::{Pieces, Policy};
use dispatch_core::ports::{CapacityScope, HostKeyVerdict};
use dispatch_core::reserve::{Calendar, IdleReserve, ReserveRule, Spares};
use dispatch_core::time::after;

use super::lasting::Lasting;
use super::{TROUBLE, Trouble, supervising};
use crate::chance::{Chance, Span};
use crate::clock::epoch;
use crate::cloud::knobs::{CloudBurst, CloudCall, CloudFault, CloudKnobs};
use crate::controller::Submission;
use crate::controller::faults::{Burst, Fault, Faults};
use crate::samples::{instance_type, spot_type};
use crate::vm::knobs::{JobKnobs, Ssh, VmKnobs, WatchKnobs};
use crate::world::{World, WorldKnobs, feed, job};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// Five types: on-demand ones of 2 and 8 CPUs, one of 4 CPUs of another family, and two spot types of 2. Those have one
/// price: which of them is chosen depends on what the market takes.
pub(super) fn catalog() -> Catalog {
    let types =
        [instance_type("small", 2), instance_type("large", 8), spot_type("spot", 2), spot_type("twin", 2)];
    let other = InstanceType {
        provider_type: ProviderType::new("other.medium").expect("a constant"),
        ..InstanceType::clone(&instance_type("medium", 4))
    };
    Catalog::new(types.map(|it| InstanceType::clone(&it)).into_iter().chain([other]))
}

pub(super) fn knobs(seed: u64, chance: &mut Chance) -> (WorldKnobs, Lasting) {
    let mut knobs = WorldKnobs::new(seed);
    knobs.policy.catalog = catalog();
    policy(&mut knobs.policy, chance);
    let count = 10 + chance.below(40);
    knobs.containers = (0..count).map(|_| submission(chance)).collect();
    knobs.settings.page_items = chance.hits(0.3).then(|| 1 + chance.below(20));
    knobs.api_latency = Span::between_millis(10, 10 + chance.below(500) as u64);
    knobs.restart_after = SECONDS(1) + chance.draw(Span::between_millis(0, 60_000));
    knobs.faults = faults(chance);
    knobs.cloud = cloud(chance);
    knobs.vms = vms(chance);
    knobs.vms.watch = watch(&mut Chance::new(seed, 21));
    let lasting = Lasting::draw(&mut knobs, chance);
    knobs.groups_fall_silent = chance.hits(0.15);
    let attempts = pick(chance, &[2, 3, 10, 10]);
    knobs.settings.max_dispatch_attempts = attempts;
    knobs.policy.max_dispatch_attempts = attempts;
    if knobs.vms_may_fall_silent() || chance.hits(0.25) {
        knobs.network_fails = chance.hits(0.25);
        // If a VM is silent and two listings in a row omit it, the dispatcher cannot know that it still
        // exists.
        knobs.cloud.most_omissions = 1;
    }
    if chance.hits(0.3) {
        knobs.runner = String::new();
    }
    if chance.hits(0.1) && !knobs.vms.lasting.silences_some() {
        omit_what_answers(&mut knobs);
    }
    // A fleet's containers would be run one after another for days by the one VM that is left.
    if chance.hits(0.007) && !lasting.spoils_types {
        make_a_fleet(&mut knobs, chance);
    }
    // From a stream of its own: the world is the same with and without a feed.
    knobs.feed = feed::draw(&mut Chance::new(seed, feed::KNOBS_STREAM));
    knobs.replica_lag = replica_lag(&mut Chance::new(seed, 22));
    knobs.policy.pieces = pieces(&mut Chance::new(seed, 23));
    knobs.planning = planning(&mut Chance::new(seed, 24));
    renewals(&mut knobs.policy, &mut Chance::new(seed, 25));
    knobs.policy.backfill_patience = backfill_patience(&mut Chance::new(seed, 26));
    knobs.policy.idle_reserve = idle_reserve(&mut Chance::new(seed, 27));
    knobs.policy.pack_containers = Chance::new(seed, 28).hits(0.4);
    knobs.policy.sizing.spot_retries = spot_retries(&mut Chance::new(seed, 29));
    knobs.vms.announced_rate = pick(&mut Chance::new(seed, 30), &[0.0, 0.5, 1.0]);
    (knobs, lasting)
}

/// Listings omit VMs for minutes that answer all the time: only those that a probe does not reach may be given up.
fn omit_what_answers(knobs: &mut WorldKnobs) {
    let vms = &mut knobs.vms;
    vms.ssh_rates.clear();
    (vms.hang_rate, vms.cut_before_rate, vms.cut_after_rate) = (0.0, 0.0, 0.0);
    (knobs.network_fails, knobs.groups_fall_silent) = (false, false);
    knobs.cloud.most_omissions = 40;
    knobs.cloud.omit_rate = 0.03;
}

/// More VMs than can be probed in the time from one probe of a VM to the next.
fn make_a_fleet(knobs: &mut WorldKnobs, chance: &mut Chance) {
    const VMS: u32 = 300;
    let policy = &mut knobs.policy;
    (policy.max_instances, policy.max_concurrent_creates) = (VMS, 0);
    (policy.max_cloud_ops_per_second, policy.max_containers_per_instance) = (0, 1);
    policy.max_probes_per_second = Some(10);
    policy.initial_quota_estimate = 0;
    knobs.cloud.quota_all = None;
    knobs.cloud.quota_group.clear();
    knobs.containers = (0..VMS).map(|_| job(2, 600 + chance.below(1200) as u64)).collect();
}

pub(super) fn pick<T: Clone>(chance: &mut Chance, of: &[T]) -> T {
    of[chance.below(of.len())].clone()
}

fn policy(policy: &mut Policy, chance: &mut Chance) {
    policy.max_instances = 2 + chance.below(10) as u32;
    policy.max_concurrent_creates = pick(chance, &[0, 1, 1, 3]);
    policy.max_containers_per_instance = pick(chance, &[0, 0, 1, 3]);
    policy.max_cloud_ops_per_second = pick(chance, &[0, 3, 10]);
    policy.poll_interval = SECONDS(pick(chance, &[5, 10]));
    policy.sync_interval = SECONDS(pick(chance, &[20, 60]));
    policy.probe_interval = SECONDS(pick(chance, &[5, 10]));
    policy.timeout_idle = SECONDS(pick(chance, &[20, 60, 180]));
    policy.timeout_booting = SECONDS(pick(chance, &[180, 600]));
    policy.timeout_probe = SECONDS(pick(chance, &[120, 600]));
    policy.stale_lock_timeout = SECONDS(pick(chance, &[20, 60]));
    policy.initial_quota_estimate = pick(chance, &[0, 0, 3, 20]);
    policy.supervisor_fraction = pick(chance, &[0.3, 0.5]);
    policy.sizing.maximum_price_factor = pick(chance, &[1.5, 5.0]);
}

/// Half of the sites let the market take what it likes.
pub(super) fn spot_retries(chance: &mut Chance) -> Option<NonZeroU32> {
    NonZeroU32::new(pick(chance, &[0, 0, 0, 1, 1, 2]))
}

/// Half of the sites let nobody past.
fn backfill_patience(chance: &mut Chance) -> Duration {
    SECONDS(pick(chance, &[0, 0, 0, 30, 300, 1800]))
}

pub(super) fn submission(chance: &mut Chance) -> Submission {
    let vcpus = pick(chance, &[0, 1, 1, 1, 2, 2, 4, 8]);
    let longest = pick(chance, &[10, 120, 600]);
    let seconds = 1 + chance.below(longest) as u64;
    let mut submission = job(vcpus, seconds);
    submission.priority = 1 + chance.below(1000) as i64;
    submission.max_attempts = 1 + chance.below(4) as u32;
    if chance.hits(0.1) && vcpus <= 2 {
        submission.spec.scheduling.preemptible = true;
    }
    if chance.hits(0.03) {
        submission.spec.runtime_constraints.vcpus = 1000;
    }
    submission
}

/// Submits a few supervisors with their steps, or none, and returns how many.
pub(super) fn supervisors(world: &mut World, chance: &mut Chance) -> usize {
    let count = if chance.hits(0.4) { 0 } else { 1 + chance.below(5) };
    for _ in 0..count {
        let children = (0..1 + chance.below(4)).map(|_| job(1, 30)).collect();
        let mut supervisor = job(1, 10);
        supervisor.spec.scheduling.supervisor = true;
        let uuid = world.submit(supervisor);
        world.vms.borrow_mut().knobs.job_of.insert(uuid, supervising(children));
    }
    count
}

pub(super) fn network_outages(world: &mut World, chance: &mut Chance) {
    if world.knobs.network_fails {
        let from = after(epoch(), chance.draw(Span::between_millis(60_000, 3_000_000)));
        let until = after(from, chance.draw(Span::between_millis(10_000, 1_800_000)));
        world.vms.borrow_mut().cut_network(from, until);
    }
}

/// Draws which kinds of trouble there are. Restarts are nearly always among them.
pub(super) fn kinds_of_trouble(chance: &mut Chance) -> Vec<Trouble> {
    Trouble::ALL.into_iter().filter(|it| chance.hits(it.rate())).collect()
}

/// A span from `least` to one of these upper bounds, in milliseconds.
fn up_to(chance: &mut Chance, least: u64, most: &[u64]) -> Span {
    Span::between_millis(least, pick(chance, most))
}

/// A probability up to `most`, and usually 0.
fn rate(chance: &mut Chance, most: f64) -> f64 {
    if chance.hits(0.35) { most * (1 + chance.below(10)) as f64 / 10.0 } else { 0.0 }
}

fn faults(chance: &mut Chance) -> Faults {
    let kinds = [
        (Fault::Overloaded, 0.1),
        (Fault::BadGateway, 0.05),
        (Fault::ServerError, 0.05),
        (Fault::LostCall, 0.05),
        (Fault::LostAnswer, 0.05),
        (Fault::WrongUuid, 0.02),
    ];
    let rates = kinds.into_iter().map(|(fault, most)| (fault, rate(chance, most))).collect();
    let bursts = (0..chance.below(4)).map(|_| burst(chance)).collect();
    let slow_rate = rate(chance, 0.1);
    let slow_by = Some(Span::between_millis(1_000, 60_000));
    let served_running = chance.hits(0.15).then(|| 3 + chance.below(10));
    Faults { rates, bursts, slow_rate, slow_by, served_running, ..Faults::default() }
}

/// How watches fare. It is drawn from a stream of its own, so that a seed has the same troubles without any.
fn watch(chance: &mut Chance) -> WatchKnobs {
    WatchKnobs {
        supported: !chance.hits(0.15),
        lost_rate: rate(chance, 1.0),
        late_rate: rate(chance, 1.0),
        repeated_rate: rate(chance, 1.0),
        false_rate: rate(chance, 1.0),
        garbage_rate: rate(chance, 1.0),
        floods_rate: rate(chance, 0.3),
        hangs_rate: rate(chance, 0.5),
        dies_rate: rate(chance, 0.8),
        refused_rate: rate(chance, 0.5),
        one_session_rate: rate(chance, 0.5),
        within: up_to(chance, 0, &[1_000, 10_000, 120_000]),
    }
}

/// So small that even what a small site has is cut, so that messages come between the pieces.
fn pieces(chance: &mut Chance) -> Pieces {
    let mut piece = |usual| if chance.hits(0.4) { pick(chance, &[1, 2, 5, 20]) } else { usual };
    let usual = Pieces::default();
    Pieces { entries: piece(usual.entries), actions: piece(usual.actions), news: piece(usual.news) }
}

/// Mostly at once; else so long that much happens between the snapshots and what is done.
fn planning(chance: &mut Chance) -> Duration {
    if chance.hits(0.4) { Duration::from_millis(pick(chance, &[1, 50, 500, 3_000])) } else { Duration::ZERO }
}

/// Mostly nothing is renewed; else what has drifted is, and in most of these worlds what is old, too.
fn renewals(policy: &mut Policy, chance: &mut Chance) {
    if chance.hits(0.35) {
        policy.drift_budget = pick(chance, &[1, 1, 2, 5]);
        policy.max_instance_age = SECONDS(pick(chance, &[0, 120, 600, 1800]));
    }
}

/// Mostly nothing is kept without work; else some of one or two types, in half of these worlds for some hours of the day
/// only.
pub(super) fn idle_reserve(chance: &mut Chance) -> IdleReserve {
    if !chance.hits(0.3) {
        return IdleReserve::default();
    }
    let all = catalog();
    let types = (0..1 + chance.below(2)).map(|_| {
        let it = &all.types()[chance.below(all.types().len())];
        let spares =
            Spares { instances: pick(chance, &[0, 1, 1, 2]), percent_of_busy: pick(chance, &[0, 10, 60]) };
        let begin = chance.below(24);
        let hours = format!("{begin:02}:00-{:02}:30", (begin + 1 + chance.below(12)) % 24);
        let hours = if chance.hits(0.5) { hours } else { String::new() };
        let calendar = Calendar { hours: hours.parse().expect("two times of day"), ..Calendar::default() };
        (it.name.clone(), vec![ReserveRule { spares, calendar }])
    });
    IdleReserve::new(types.collect())
}

/// Mostly the controller reads what it has written.
fn replica_lag(chance: &mut Chance) -> Duration {
    if chance.hits(0.3) { Duration::from_millis(pick(chance, &[100, 500, 950])) } else { Duration::ZERO }
}

fn burst(chance: &mut Chance) -> Burst {
    let from = after(epoch(), chance.draw(Span { least: Duration::ZERO, most: TROUBLE }));
    let until = after(from, chance.draw(Span::between_millis(1_000, 900_000)));
    let fault = pick(chance, &[Fault::Unauthorized, Fault::Overloaded, Fault::LostAnswer, Fault::BadGateway]);
    Burst { from, until, only: None, fault, rate: pick(chance, &[0.2, 0.5, 1.0]) }
}

fn cloud(chance: &mut Chance) -> CloudKnobs {
    let mut knobs = CloudKnobs::default();
    knobs.takes.insert(CloudCall::Create, up_to(chance, 500, &[2_000, 30_000]));
    for call in [CloudCall::List, CloudCall::Destroy, CloudCall::SetTags] {
        knobs.takes.insert(call, up_to(chance, 100, &[100, 100, 3_000, 20_000]));
    }
    knobs.listed_after = up_to(chance, 0, &[0, 10_000, 50_000]);
    knobs.address_after = up_to(chance, 0, &[3_000, 60_000]);
    knobs.ends_after = up_to(chance, 100, &[3_000, 60_000]);
    knobs.unlisted_after = up_to(chance, 0, &[2_000, 60_000]);
    knobs.hides_ending = chance.hits(0.3);
    knobs.tags_lag = up_to(chance, 0, &[0, 20_000]);
    knobs.omit_rate = rate(chance, 0.03);
    knobs.spot_taken_rate = rate(chance, 0.8);
    knobs.ends_booting_rate = if chance.hits(0.1) { 0.3 } else { 0.0 };
    if chance.hits(0.3) {
        knobs.quota_all = Some(1 + chance.below(6));
    }
    if chance.hits(0.2) {
        knobs.quota_market.insert(Market::Spot, 1);
    }
    if chance.hits(0.2) {
        knobs.quota_group.insert(("std".to_owned(), Market::OnDemand), 1 + chance.below(3));
    }
    if chance.hits(0.3) {
        knobs.host_keys = HostKeyVerdict::Genuine;
    }
    if chance.hits(0.3) {
        let provider_type = ProviderType::new("std.small").expect("a constant");
        let offering = Offering { provider_type, market: Market::OnDemand };
        knobs.capacity.insert(offering, chance.below(3));
    }
    if chance.hits(0.1) {
        // The largest type is left out, so that each container still has a type that fits.
        let name = pick(chance, &["std.small", "other.medium", "std.spot"]);
        let market = if name == "std.spot" { Market::Spot } else { Market::OnDemand };
        let provider_type = ProviderType::new(name).expect("a constant");
        knobs.refused.insert(Offering { provider_type, market });
    }
    let kinds = [
        (CloudCall::Create, CloudFault::Other, 0.2),
        (CloudCall::Create, CloudFault::LostCall, 0.1),
        (CloudCall::Create, CloudFault::LostAnswer, 0.2),
        (CloudCall::Create, CloudFault::RateLimited(SECONDS(30)), 0.2),
        (CloudCall::Create, CloudFault::Capacity(CapacityScope::Offering), 0.2),
        (CloudCall::Create, CloudFault::Capacity(CapacityScope::QuotaGroup), 0.1),
        (CloudCall::Create, CloudFault::Capacity(CapacityScope::All), 0.05),
        (CloudCall::Create, CloudFault::QuotaAll, 0.1),
        (CloudCall::VerifyHostKey, CloudFault::LostCall, 0.2),
        (CloudCall::VerifyHostKey, CloudFault::Other, 0.2),
        (CloudCall::Destroy, CloudFault::LostCall, 0.3),
        (CloudCall::Destroy, CloudFault::LostAnswer, 0.3),
        (CloudCall::Destroy, CloudFault::IgnoredSilently, 0.2),
        (CloudCall::List, CloudFault::Other, 0.2),
        (CloudCall::List, CloudFault::RateLimited(SECONDS(60)), 0.05),
        (CloudCall::SetTags, CloudFault::Other, 0.3),
    ];
    knobs.rates = kinds.into_iter().map(|(call, fault, most)| (call, fault, rate(chance, most))).collect();
    knobs.bursts = (0..chance.below(3)).map(|_| cloud_burst(chance)).collect();
    knobs
}

fn cloud_burst(chance: &mut Chance) -> CloudBurst {
    let from = after(epoch(), chance.draw(Span { least: Duration::ZERO, most: TROUBLE }));
    let until = after(from, chance.draw(Span::between_millis(1_000, 900_000)));
    let fault = pick(chance, &[CloudFault::Unauthorized, CloudFault::LostCall, CloudFault::QuotaAll]);
    CloudBurst { from, until, only: None, fault, rate: pick(chance, &[0.5, 1.0]) }
}

fn vms(chance: &mut Chance) -> VmKnobs {
    let ssh = [Ssh::Refused, Ssh::Hanging, Ssh::NoEntry, Ssh::Impostor, Ssh::CommandsHang];
    let ssh_rates: Vec<_> = ssh.into_iter().map(|it| (it, rate(chance, 0.1))).collect();
    VmKnobs {
        boots_after: up_to(chance, 10_000, &[20_000, 120_000]),
        never_boots_rate: rate(chance, 0.3),
        bad_images: bad_images(chance),
        runner_missing_rate: rate(chance, 0.1),
        full_disk_rate: rate(chance, 0.1),
        broken_rate: rate(chance, 0.1),
        dies_rate: rate(chance, 0.3),
        dies_after: Span::between_millis(1_000, 900_000),
        breaks_rate: rate(chance, 0.2),
        disk_fills_rate: rate(chance, 0.2),
        runners_removed_rate: rate(chance, 0.2),
        secret_lost_rate: rate(chance, 0.3),
        ssh_rates: ssh_rates.into_iter().filter(|(_, rate)| *rate > 0.0).collect(),
        ssh_bad_for: chance.hits(0.7).then_some(Span::between_millis(1_000, 900_000)),
        latency: up_to(chance, 2, &[20, 1_000]),
        detach: up_to(chance, 50, &[200, 200, 5_000, 5_000, 50_000]),
        cut_before_rate: rate(chance, 0.03),
        cut_after_rate: rate(chance, 0.03),
        hang_rate: rate(chance, 0.01),
        silent_break_rate: pick(chance, &[0.0, 0.3, 1.0]),
        strange_list_rate: rate(chance, 0.3),
        cut_list_rate: rate(chance, 0.1),
        late_rate: rate(chance, 0.05),
        no_fence_rate: rate(chance, 0.1),
        jobs: jobs(chance),
        ..VmKnobs::default()
    }
}

fn bad_images(chance: &mut Chance) -> BTreeSet<ProviderType> {
    let some = chance.hits(0.1);
    some.then(|| ProviderType::new("std.small").expect("a constant")).into_iter().collect()
}

fn jobs(chance: &mut Chance) -> JobKnobs {
    JobKnobs {
        running_after: up_to(chance, 200, &[2_000, 30_000, 150_000]),
        crash_before_running_rate: rate(chance, 0.1),
        crash_after_running_rate: rate(chance, 0.1),
        stale_rate: rate(chance, 1.0),
        stale_for: chance.hits(0.7).then_some(Span::between_millis(1_000, 600_000)),
        ends_after_term: up_to(chance, 100, &[1_000, 30_000]),
        ignores_term_rate: rate(chance, 0.2),
        ..JobKnobs::default()
    }
}
