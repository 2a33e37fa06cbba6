//! Why the controller says no: a status, and a text that nobody may branch on.

use dispatch_core::container::ContainerState;
use dispatch_core::ports::ApiErrorKind;

/// A refused call. Its text is what the real server says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, a wrong one, or an expired one; also what a database outage looks like.
    #[error("Not logged in")]
    NotLoggedIn,
    /// The token is not an administrator's.
    #[error("#<ArvadosModel::PermissionDeniedError: ArvadosModel::PermissionDeniedError>")]
    NotAdmin,
    /// An unlock by somebody else than the holder.
    #[error("#<ArvadosModel::PermissionDeniedError: locked by a different token>")]
    LockedByAnother,
    /// No such record, or no such path.
    #[error("Path not found")]
    NotFound,
    /// A lock of what is not Queued.
    #[error("#<ArvadosModel::LockFailedError: cannot lock when {0}>")]
    CannotLock(ContainerState),
    /// A lock of what nobody wants to run.
    #[error("#<ArvadosModel::LockFailedError: cannot lock when priority<=0>")]
    CannotLockPriority,
    /// An unlock of what is not Locked.
    #[error("#<ArvadosModel::InvalidStateTransitionError: cannot unlock when {0}>")]
    CannotUnlock(ContainerState),
    /// An update to a state that cannot follow.
    #[error("State cannot change from {0} to {1}")]
    IllegalTransition(ContainerState, ContainerState),
    /// Anything else that an update or a list may not ask for.
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
            Self::CannotLock(_)
            | Self::CannotLockPriority
            | Self::CannotUnlock(_)
            | Self::IllegalTransition(..)
            | Self::Invalid(_) => 422,
        }
    }

    /// What a client makes of it.
    pub fn kind(&self) -> ApiErrorKind {
        match self {
            Self::NotLoggedIn => ApiErrorKind::Unauthorized,
            Self::NotAdmin | Self::LockedByAnother => ApiErrorKind::Forbidden,
            Self::NotFound => ApiErrorKind::NotFound,
            Self::CannotLock(_)
            | Self::CannotLockPriority
            | Self::CannotUnlock(_)
            | Self::IllegalTransition(..)
            | Self::Invalid(_) => ApiErrorKind::Refused,
        }
    }

    /// A bad parameter, as the real server words it.
    pub(super) fn argument(text: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("#<ArgumentError: {text}>"))
    }
}
