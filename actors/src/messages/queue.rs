//! What Queue is asked and told: by Scheduler, and by the API.

use std::sync::Arc;

use actix::Message;
use dispatch_core::container::{Record, Standing};
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::ApiError;
use dispatch_core::queue::exchange::FeedStanding;
use dispatch_core::queue::{CancelReason, Openings, QueueRefusal, QueueSnapshot, UnlockReason};
use dispatch_core::time::Timestamp;

/// Which containers are there, and how do they stand?
#[derive(Debug, Message)]
#[rtype(result = "QueueView")]
pub struct GetQueue;

/// The answer to [`GetQueue`]: immutable, and cheap to pass on.
#[derive(Debug, Clone, Default)]
pub struct QueueView {
    /// The containers.
    pub snapshot: Arc<QueueSnapshot>,
    /// When the controller last answered 503.
    pub last_overload: Option<Timestamp>,
    /// Operations and polls in flight.
    pub in_flight: usize,
    /// When the last poll succeeded, by our clock at its end.
    pub last_success: Option<Timestamp>,
    /// How the event feed stands, if there is one.
    pub feed: Option<FeedStanding>,
}

/// What does the controller know of a container that is not in the queue? For an operator who asks: nothing is decided by
/// it, and the queue stays as it is.
#[derive(Debug, Message)]
#[rtype(result = "Result<Record, ApiError>")]
pub struct LookUpContainer(pub ContainerUuid);

/// Queued → Locked. The answer says whether it was begun; how it ended is news of the queue.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), QueueRefusal>")]
pub struct LockContainer {
    /// The container.
    pub uuid: ContainerUuid,
}

/// Locked → Queued.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), QueueRefusal>")]
pub struct UnlockContainer {
    /// The container.
    pub uuid: ContainerUuid,
    /// Why; counted.
    pub reason: UnlockReason,
}

/// Locked → Queued after an attempt that came to nothing; → Cancelled with the error if it was the last one.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), QueueRefusal>")]
pub struct RequeueContainer {
    /// The container.
    pub uuid: ContainerUuid,
    /// How the attempt failed, for its user.
    pub error: String,
}

/// What could be placed after the last plan: it decides how far the next poll looks.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetOpenings(pub Option<Arc<Openings>>);

/// → Cancelled, if the record still stands as the decision was made from.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), QueueRefusal>")]
pub struct CancelContainer {
    /// The container.
    pub uuid: ContainerUuid,
    /// The reason.
    pub reason: CancelReason,
    /// How the record stood when that was decided.
    pub expected: Standing,
}

/// The spot market has taken the instance on which these containers had a process.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct NoteMarketLosses {
    /// The containers.
    pub containers: Vec<ContainerUuid>,
}

/// It is final, or on hold: no longer of interest.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ForgetContainer {
    /// The container.
    pub uuid: ContainerUuid,
}

/// A process shows that this container concerns us although it is not in the queue: read its record.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReadOrphanRecord {
    /// The container.
    pub uuid: ContainerUuid,
}
