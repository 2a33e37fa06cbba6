//! What happened to the queue, in the words of the catalogue.

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ApiError, ApiErrorKind};
use dispatch_core::queue::exchange::ExchangeFact;
use dispatch_core::queue::{
    CancelReason, DropReason, Entry, Finished, OperationKind, Outcome, QueueFact, UnlockReason,
};
use dispatch_core::time::{Timestamp, since};

use super::Queue;
use crate::catalogue::{self, Event};
use crate::clock;
use crate::event;

impl Queue {
    pub(super) fn report(&mut self, fact: ExchangeFact) {
        match fact {
            ExchangeFact::Queue(fact) => self.report_container(fact),
            ExchangeFact::Operation(finished) => self.report_operation(&finished),
            ExchangeFact::Overloaded { limit } => self.report_overloaded(limit),
            ExchangeFact::NoTypeSinceReload { containers, until } => {
                event!(self.log, catalogue::NO_TYPE_SINCE_RELOAD,
                    "Containers" => containers, "CancelledAt" => %clock::shown(until));
            }
            ExchangeFact::PollFailed { began, error, kind } => self.report_poll_failed(began, &error, kind),
            ExchangeFact::RequestsUnread { error, kind } => {
                if let Some(n) = self.repeats.note(&catalogue::REQUESTS_UNREAD, kind, clock::now()) {
                    event!(self.log, catalogue::REQUESTS_UNREAD, "error" => error, "Kind" => kind, "Repeated" => n);
                }
            }
            ExchangeFact::FeedConnected => {
                self.repeats.clear(&catalogue::FEED_LOST, "");
                event!(self.log, catalogue::FEED_CONNECTED);
            }
            ExchangeFact::FeedLost { reason } => {
                if let Some(n) = self.repeats.note(&catalogue::FEED_LOST, "", clock::now()) {
                    event!(self.log, catalogue::FEED_LOST, "error" => reason, "Repeated" => n);
                }
            }
            ExchangeFact::FeedSilent => event!(self.log, catalogue::FEED_SILENT),
            ExchangeFact::PollRecovered { lasted, kinds } => {
                for kind in kinds {
                    self.repeats.clear(&catalogue::UPDATE_FAILED, kind);
                }
                event!(self.log, catalogue::UPDATE_RECOVERED, "Duration" => lasted.as_secs_f64());
            }
        }
    }

    /// Faults that came too often, and have not come again.
    pub(super) fn report_left_out(&mut self) {
        for (message, n) in self.repeats.untold(clock::now()) {
            event!(self.log, catalogue::LEFT_OUT, "Message" => message, "Repeated" => n);
        }
    }

    fn report_container(&mut self, fact: QueueFact) {
        match fact {
            QueueFact::Added(entry) => self.report_added(&entry),
            QueueFact::StateChanged { .. } => {}
            QueueFact::Dropped { uuid, state, reason } => self.report_dropped(uuid, state, reason),
            QueueFact::Doubted { uuid } => {
                if let Some(n) = self.repeats.note(&catalogue::CONTAINER_DOUBTED, uuid.as_str(), clock::now())
                {
                    event!(self.log, catalogue::CONTAINER_DOUBTED, "ContainerUUID" => uuid.as_str(), "Repeated" => n);
                }
            }
            QueueFact::MostAreAbsent { absent, of } => {
                event!(self.log, catalogue::MOST_ABSENT, "Absent" => absent, "Of" => of);
            }
            QueueFact::MostAreShown => event!(self.log, catalogue::MOST_SHOWN),
            QueueFact::MountsUnreadable { uuid, reason } => {
                let uuid = uuid.to_string();
                if let Some(n) = self.repeats.note(&catalogue::MOUNTS_UNREADABLE, &uuid, clock::now()) {
                    event!(self.log, catalogue::MOUNTS_UNREADABLE,
                        "ContainerUUID" => &uuid, "error" => &reason, "Repeated" => n);
                }
            }
            QueueFact::LostToMarket { uuid, losses } => {
                self.metrics.containers_lost_to_market.inc();
                if let Some(n) = self.repeats.note(&catalogue::LOST_TO_MARKET, uuid.as_str(), clock::now()) {
                    event!(self.log, catalogue::LOST_TO_MARKET,
                        "ContainerUUID" => uuid.as_str(), "Losses" => losses, "Repeated" => n);
                }
            }
            QueueFact::MovedOnDemand { uuid, losses } => {
                self.metrics.containers_moved_on_demand.inc();
                event!(self.log, catalogue::MOVED_ON_DEMAND,
                    "ContainerUUID" => uuid.as_str(), "Losses" => losses);
            }
            QueueFact::Unreadable { uuid, reason } => {
                let subject = uuid.map_or_else(|| "unknown".to_owned(), |uuid| uuid.to_string());
                if let Some(n) = self.repeats.note(&catalogue::UNDECODABLE, &subject, clock::now()) {
                    event!(self.log, catalogue::UNDECODABLE,
                        "ContainerUUID" => &subject, "error" => &reason, "Repeated" => n);
                }
            }
        }
    }

    fn report_dropped(&self, uuid: ContainerUuid, state: ContainerState, reason: DropReason) {
        let uuid = uuid.as_str();
        match reason {
            DropReason::Deleted => {
                event!(self.log, catalogue::CONTAINER_NOT_FOUND, "ContainerUUID" => uuid, "State" => %state)
            }
            DropReason::Forgotten if state.is_final() => {
                event!(self.log, catalogue::CONTAINER_FINISHED, "ContainerUUID" => uuid, "State" => %state)
            }
            DropReason::Forgotten => {
                event!(self.log, catalogue::CONTAINER_ON_HOLD, "ContainerUUID" => uuid, "State" => %state)
            }
            DropReason::Foreign => event!(self.log, catalogue::CONTAINER_DROPPED,
                "ContainerUUID" => uuid, "State" => %state, "Reason" => "another owner"),
            DropReason::BeyondHorizon => event!(self.log, catalogue::CONTAINER_DROPPED,
                "ContainerUUID" => uuid, "State" => %state, "Reason" => "beyond horizon"),
        }
    }

    fn report_overloaded(&mut self, limit: u32) {
        if let Some(n) = self.repeats.note(&catalogue::OVERLOADED, "", clock::now()) {
            event!(self.log, catalogue::OVERLOADED, "Limit" => limit, "Repeated" => n);
        }
    }

    fn report_added(&self, entry: &Entry) {
        let types: Vec<_> = entry.types().iter().map(|it| it.name.as_str()).collect();
        event!(self.log, catalogue::CONTAINER_ADDED,
            "ContainerUUID" => entry.record.uuid.as_str(),
            "State" => %entry.record.state,
            "Priority" => entry.record.priority,
            "InstanceTypes" => types.join(","));
    }

    fn report_operation(&mut self, finished: &Finished) {
        let uuid = finished.uuid.as_str().to_owned();
        match (&finished.kind, &finished.outcome) {
            (OperationKind::Lock, Outcome::Done(_)) => {
                event!(self.log, catalogue::LOCK_SUCCEEDED, "ContainerUUID" => &uuid);
                if let Some(created) = self.exchange.created_at(finished.uuid) {
                    self.metrics.time_to_lock.observe(since(clock::wall_time(), created));
                }
            }
            (OperationKind::Unlock(reason), Outcome::Done(standing)) => {
                self.metrics.unlocks.with_label_values(&[reason.as_str()]).inc();
                let event = unlock_event(*reason);
                event!(self.log, *event,
                    "ContainerUUID" => &uuid, "Reason" => reason.as_str(), "State" => %standing.state);
            }
            (OperationKind::Requeue { error }, Outcome::Done(standing)) => {
                self.report_requeued(&uuid, error, standing.state);
            }
            (OperationKind::Cancel { reason, .. }, Outcome::Done(_)) => self.report_cancelled(&uuid, reason),
            (_, Outcome::Refused(_)) => {}
            (kind, Outcome::Failed(error) | Outcome::Uncertain(error)) => {
                // Another dispatcher was faster, or the user changed something: that is how it works.
                let is_ordinary = error.kind == ApiErrorKind::Refused && finished.picture_is_old;
                if !is_ordinary {
                    self.report_failed(&uuid, kind, error);
                }
            }
        }
    }

    fn report_requeued(&self, uuid: &str, error: &str, state: ContainerState) {
        if state == ContainerState::Cancelled {
            return event!(self.log, catalogue::CANCEL_AFTER_STARTS, "ContainerUUID" => uuid, "error" => error);
        }
        let reason = UnlockReason::ProcessEnded;
        self.metrics.unlocks.with_label_values(&[reason.as_str()]).inc();
        event!(self.log, catalogue::REQUEUEING, "ContainerUUID" => uuid, "Reason" => reason.as_str(),
            "State" => %state, "error" => error);
    }

    fn report_cancelled(&self, uuid: &str, reason: &CancelReason) {
        match reason {
            CancelReason::ProcessExited => {
                event!(self.log, catalogue::CANCEL_AFTER_EXIT, "ContainerUUID" => uuid)
            }
            CancelReason::NotOnAnyWorker => {
                event!(self.log, catalogue::CANCEL_NOT_RUNNING, "ContainerUUID" => uuid)
            }
            CancelReason::NoSuitableType(error) => {
                event!(self.log, catalogue::NO_SUITABLE_TYPE, "ContainerUUID" => uuid, "error" => error)
            }
        }
    }

    fn report_failed(&mut self, uuid: &str, kind: &OperationKind, error: &ApiError) {
        let event = match kind {
            OperationKind::Lock => catalogue::LOCK_FAILED,
            OperationKind::Unlock(_) | OperationKind::Requeue { .. } => catalogue::UNLOCK_FAILED,
            OperationKind::Cancel { .. } => catalogue::CANCEL_FAILED,
        };
        if let Some(n) = self.repeats.note(&event, uuid, clock::now()) {
            event!(self.log, event, "ContainerUUID" => uuid, "error" => %error,
                "Kind" => error.kind.as_str(), "RequestID" => &error.request_id, "Repeated" => n);
        }
    }

    fn report_poll_failed(&mut self, began: Timestamp, error: &str, kind: &'static str) {
        if let Some(n) = self.repeats.note(&catalogue::UPDATE_FAILED, kind, clock::now()) {
            let took = since(clock::now(), began).as_secs_f64();
            event!(self.log, catalogue::UPDATE_FAILED, "error" => error, "Kind" => kind,
                "Duration" => took, "Repeated" => n);
        }
    }
}

/// An unlock for the sake of others, or because of the container itself.
fn unlock_event(reason: UnlockReason) -> &'static Event {
    match reason {
        UnlockReason::OverQuota | UnlockReason::OverSupervisors => &catalogue::UNLOCK_FOR_CAPACITY,
        UnlockReason::ProcessEnded | UnlockReason::PriorityZero => &catalogue::REQUEUEING,
    }
}
