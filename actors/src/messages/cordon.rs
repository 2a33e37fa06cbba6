//! What operators forbid to be created, and allow again.

use actix::Message;
use dispatch_core::id::TypeName;
use dispatch_core::note::Note;
use dispatch_core::pool::{CordonScope, Pause, PoolRefusal};

/// Whether a restart of the dispatcher forgets what was ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It does not.
    Yes,
    /// It does, for this reason.
    No(String),
}

/// Nothing of that scope is created until then.
#[derive(Debug, Message)]
#[rtype(result = "Result<Kept, PoolRefusal>")]
pub struct PauseCreates(pub Pause);

/// The pause of that scope ends now.
#[derive(Debug, Message)]
#[rtype(result = "Result<Kept, PoolRefusal>")]
pub struct ResumeCreates(pub CordonScope);

/// Nothing of that type is created any more, and its instances are drained.
#[derive(Debug, Message)]
#[rtype(result = "Result<Kept, PoolRefusal>")]
pub struct DrainType {
    /// The type.
    pub name: TypeName,
    /// Who asks, and why.
    pub note: Note,
}

/// That type is used again.
#[derive(Debug, Message)]
#[rtype(result = "Result<Kept, PoolRefusal>")]
pub struct RunType {
    /// The type.
    pub name: TypeName,
    /// Who asks, and why.
    pub note: Note,
}
