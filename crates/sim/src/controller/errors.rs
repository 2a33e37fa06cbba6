//! The controller's refusals: a status, and a text. Programs must not branch on the text.

use dispatch_core::container::ContainerState;
use dispatch_core::ports::ApiErrorKind;

/// A refused call. Its text is what the real server says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no token, or a wrong or expired one. A database outage gives the same answer.
    #[error("Not logged in")]
    NotLoggedIn,
    /// The token is not an administrator's.
    #[error("#<ArvadosModel::PermissionDeniedError: ArvadosModel::PermissionDeniedError>")]
    NotAdmin,
    /// An unlock by another token than the one that holds the lock.
    #[error("#<ArvadosModel::PermissionDeniedError: locked by a different token>")]
    LockedByAnother,
    /// There is no such record or no such path.
    #[error("Path not found")]
    NotFound,
    /// A lock of a container that is not Queued.
    #[error("#<ArvadosModel::LockFailedError: cannot lock when {0}>")]
    CannotLock(ContainerState),
    /// A lock of a container whose priority is not above 0.
    #[error("#<ArvadosModel::LockFailedError: cannot lock when priority<=0>")]
    CannotLockPriority,
    /// An unlock of a container that is not Locked.
    #[error("#<ArvadosModel::InvalidStateTransitionError: cannot unlock when {0}>")]
    CannotUnlock(ContainerState),
    /// An update to a state that cannot follow the present one.
    #[error("State cannot change from {0} to {1}")]
    IllegalTransition(ContainerState, ContainerState),
    /// The same answer for ever, because of an ailment of the container.
    #[error("the server cannot serve this container")]
    Ailing(u16),
    /// Any other refusal of an update or a list.
    #[error("{0}")]
    Invalid(String),
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotLoggedIn => 401,
            Self::NotAdmin | Self::LockedByAnother => 403,
            Self::NotFound => 404,
            Self::Ailing(status) => *status,
            Self::CannotLock(_)
            | Self::CannotLockPriority
            | Self::CannotUnlock(_)
            | Self::IllegalTransition(..)
            | Self::Invalid(_) => 422,
        }
    }

    /// The kind of error that a client makes of it.
    pub fn kind(&self) -> ApiErrorKind {
        match self {
            Self::NotLoggedIn => ApiErrorKind::Unauthorized,
            Self::NotAdmin | Self::LockedByAnother | Self::Ailing(403) => ApiErrorKind::Forbidden,
            Self::Ailing(503) => ApiErrorKind::Overloaded,
            Self::Ailing(500..) => ApiErrorKind::Server,
            Self::NotFound | Self::Ailing(404) => ApiErrorKind::NotFound,
            Self::CannotLock(_)
            | Self::CannotLockPriority
            | Self::CannotUnlock(_)
            | Self::IllegalTransition(..)
            | Self::Invalid(_)
            | Self::Ailing(_) => ApiErrorKind::Refused,
        }
    }

    /// A bad parameter, with the real server's text.
    pub(super) fn argument(text: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("#<ArgumentError: {text}>"))
    }
}
