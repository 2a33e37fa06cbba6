//! The kinds of trouble, and how each is caused. Which of them a world has is drawn ([`super::draw`]).

use std::time::Duration;

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{IdleBehavior, Market};
use dispatch_core::pool::CordonScope;
use dispatch_core::ports::CapacityScope;

use super::{change_configuration, draw, restart_at_an_event, some_container, some_group, some_vm};
use crate::chance::{Chance, Span};
use crate::clock;
use crate::cloud::knobs::CloudFault;
use crate::world::{Note, World};

/// What may happen to a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Restart,
    RestartAtAnEvent,
    ConfigurationChange,
    ConfigurationReload,
    UserCancels,
    UserReprioritises,
    RecordDeleted,
    RecordPoisoned,
    RecordsHidden,
    Submission,
    OperatorHolds,
    OperatorDrains,
    OperatorRuns,
    OperatorKills,
    ConnectionCut,
    VmTakenAway,
    Omitted,
    EndTogether,
    BootsSpoiledTogether,
    SilentTogether,
    RefusedTogether,
    OmittedTogether,
    Paused,
    OwnSideFails,
    DatabaseSilent,
    SpotNotice,
    CreatesPaused,
    TypeDrained,
}

impl Trouble {
    pub(super) const ALL: [Self; 28] = [
        Self::Restart,
        Self::RestartAtAnEvent,
        Self::ConfigurationChange,
        Self::ConfigurationReload,
        Self::UserCancels,
        Self::UserReprioritises,
        Self::RecordDeleted,
        Self::RecordPoisoned,
        Self::RecordsHidden,
        Self::Submission,
        Self::OperatorHolds,
        Self::OperatorDrains,
        Self::OperatorRuns,
        Self::OperatorKills,
        Self::ConnectionCut,
        Self::VmTakenAway,
        Self::Omitted,
        Self::EndTogether,
        Self::BootsSpoiledTogether,
        Self::SilentTogether,
        Self::RefusedTogether,
        Self::OmittedTogether,
        Self::Paused,
        Self::OwnSideFails,
        Self::DatabaseSilent,
        Self::SpotNotice,
        Self::CreatesPaused,
        Self::TypeDrained,
    ];

    /// In how many worlds it happens.
    pub(super) fn rate(self) -> f64 {
        match self {
            Self::Restart => 0.9,
            Self::RestartAtAnEvent
            | Self::ConfigurationChange
            | Self::UserCancels
            | Self::UserReprioritises
            | Self::RecordDeleted
            | Self::RecordPoisoned
            | Self::RecordsHidden
            | Self::Submission
            | Self::OperatorHolds
            | Self::OperatorDrains
            | Self::OperatorRuns
            | Self::OperatorKills
            | Self::ConnectionCut
            | Self::VmTakenAway
            | Self::Omitted => 0.4,
            Self::EndTogether
            | Self::BootsSpoiledTogether
            | Self::RefusedTogether
            | Self::OmittedTogether => 0.1,
            Self::Paused
            | Self::ConfigurationReload
            | Self::OwnSideFails
            | Self::DatabaseSilent
            | Self::SpotNotice
            | Self::CreatesPaused
            | Self::TypeDrained => 0.2,
            // It is left out of most worlds besides, because in them VMs do not fall silent.
            Self::SilentTogether => 0.7,
        }
    }
}

/// Causes one kind of trouble, wherever chance says.
pub(super) async fn cause(world: &mut World, trouble: Trouble, burdens: u32, chance: &mut Chance) {
    world.note(Note::Text(format!("trouble {trouble:?}")));
    let (uuid, vm) = (some_container(world, chance), some_vm(world, chance));
    let now = clock::now();
    match (trouble, uuid, vm) {
        (Trouble::Restart, ..) => world.restart().await,
        (Trouble::RestartAtAnEvent, ..) => restart_at_an_event(world, chance).await,
        (Trouble::ConfigurationChange, ..) => {
            let change = change_configuration(world, burdens, chance);
            world.configure(change);
            world.restart().await;
        }
        (Trouble::ConfigurationReload, ..) => {
            let change = change_configuration(world, burdens, chance);
            world.reload(change);
        }
        (Trouble::Submission, ..) => {
            let submission = draw::submission(chance);
            world.submit(submission);
        }
        (Trouble::UserCancels, Some(uuid), _) => world.arvados.borrow_mut().cancel_by_user(uuid, now),
        (Trouble::UserReprioritises, Some(uuid), _) => {
            let priority = 1 + chance.below(1000) as i64;
            world.arvados.borrow_mut().set_priority(uuid, priority, now);
        }
        (Trouble::RecordDeleted, Some(uuid), _) => world.arvados.borrow_mut().delete(uuid, now),
        (Trouble::RecordPoisoned, Some(uuid), _) => {
            world.arvados.borrow_mut().poison(uuid, "runtime_constraints", "nonsense".into());
        }
        (Trouble::RecordsHidden, Some(uuid), _) => world.hide_records(uuid, chance),
        (Trouble::OperatorHolds, _, Some(vm)) => drop(world.operator_sets(&vm, IdleBehavior::Hold).await),
        (Trouble::OperatorDrains, _, Some(vm)) => drop(world.operator_sets(&vm, IdleBehavior::Drain).await),
        (Trouble::OperatorRuns, _, Some(vm)) => drop(world.operator_sets(&vm, IdleBehavior::Run).await),
        (Trouble::OperatorKills, _, Some(vm)) => drop(world.operator_kills(&vm).await),
        (Trouble::ConnectionCut, _, Some(vm)) => world.vms.borrow_mut().cut_connection(&vm),
        (Trouble::VmTakenAway, _, Some(vm)) => world.cloud.borrow_mut().take_away(&vm, now),
        (Trouble::Omitted, _, Some(vm)) => omit(world, &vm),
        (Trouble::EndTogether, ..) => world.end_together(&some_group(chance)),
        (Trouble::BootsSpoiledTogether, ..) => world.spoil_boots_together(&some_group(chance)),
        (Trouble::SilentTogether, ..) => {
            let lasting = chance.draw(Span::between_millis(10_000, 1_200_000));
            world.silence_together(&some_group(chance), lasting);
        }
        (Trouble::RefusedTogether, ..) => refuse_together(world, chance),
        (Trouble::OmittedTogether, ..) => world.omit_together(&some_group(chance)),
        (Trouble::Paused, ..) => world.pause_dispatcher(some_seconds(180, chance)).await,
        (Trouble::OwnSideFails, ..) => world.fail_own_side(some_seconds(900, chance)),
        (Trouble::DatabaseSilent, ..) => world.silence_database(some_seconds(60, chance)),
        (Trouble::SpotNotice, Some(uuid), _) => world.announce_end(uuid),
        (Trouble::CreatesPaused, ..) => pause_creates(world, chance).await,
        (Trouble::TypeDrained, ..) => {
            let types = world.knobs.policy.catalog.types();
            let name = types[chance.below(types.len())].name.clone();
            world.operator_drains_type(&name).await;
        }
        // There is no container or no VM to which it could happen.
        (_, None, _) | (_, _, None) => {}
    }
}

/// The next listings omit that VM.
fn omit(world: &World, vm: &InstanceId) {
    let mut cloud = world.cloud.borrow_mut();
    let times = cloud.knobs.most_omissions;
    cloud.omit_next(vm, times);
}

/// The operator pauses creates of everything, of a market, or of a type, for up to twenty minutes.
async fn pause_creates(world: &mut World, chance: &mut Chance) {
    let types = world.knobs.policy.catalog.types();
    let one = CordonScope::Type(types[chance.below(types.len())].name.clone());
    let scopes =
        [CordonScope::All, CordonScope::Market(Market::Spot), CordonScope::Market(Market::OnDemand), one];
    let scope = draw::pick(chance, &scopes);
    let lasting = some_seconds(1_200, chance);
    world.operator_pauses(scope, lasting).await;
}

fn refuse_together(world: &mut World, chance: &mut Chance) {
    let lasting = chance.draw(Span::between_millis(10_000, 900_000));
    let faults = [CloudFault::Other, CloudFault::QuotaAll, CloudFault::Capacity(CapacityScope::All)];
    let fault = draw::pick(chance, &faults);
    world.refuse_together(some_group(chance), fault, lasting);
}

/// From one second to that many.
fn some_seconds(most: u64, chance: &mut Chance) -> Duration {
    chance.draw(Span::between_millis(1_000, most * 1_000))
}
