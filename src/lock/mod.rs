//! One dispatcher at a time: PostgreSQL's advisory lock 10005, on a session that is held open and watched.
//!
//! ```text
//!                ┌────────────── 5 s ◄───────────────┐
//!                ▼             no: who holds it      │
//!   start ─► connect ─► ask for the lock ────────────┤
//!                │ cannot                            │
//!                └── say why, once and each minute ──┘
//!                       │ yes
//!                       ▼
//!              Held ── every 2 s: is it still ours? ──► no · session ended · silent for 5 s ─► lost: exit 1
//!                       │ yes                    lease   for how long we may act after that
//!                       └──► the ports that hand actions over only meanwhile (`dispatch_actors::lease`)
//! ```
//! The number is the one that the site's other dispatchers use. The session ends with the process, however that
//! ends, and the lock with the session: nothing has to be cleaned up, nothing expires.
//!
//! Three clocks must fit together. We notice a lost session within [`NOTICED_WITHIN`]. The server is asked to
//! give us up only after that ([`session`]: 5 s + 3 × 3 s of silence), so that a dispatcher that cannot reach it
//! any more has stopped when the next one begins. And whoever gets the lock after it has lost a session or could
//! not have one, or from a server that has been up for less than that, because it was restarted or replaced, waits
//! until the other has noticed that too.
//!
//! Never does: acting for the dispatcher (that is [`crate::run`]'s), printing a password, giving up.

mod connect;
mod database;
mod error;
mod guard;
mod held;
mod session;
mod standby;
mod tls;

use std::time::Duration;

pub use database::Database;
pub use error::LockError;
pub use held::Held;
pub use session::Holder;
pub use standby::acquire;

/// How often the lock is asked for.
const TRY_EVERY: Duration = Duration::from_secs(5);
/// How often the holder asks whether it still has it.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// A server that is silent for longer counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// An answer may have come while the arbiter was busy with something else: time to read it, after the deadline.
const LATE_READER: Duration = Duration::from_millis(500);
/// A server that refuses the question, busy or told to by an operator, is asked again for that long ...
const REFUSED_FOR: Duration = Duration::from_secs(2);
/// ... at this distance.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The longest that a lost session can go unnoticed: 10 s.
pub const NOTICED_WITHIN: Duration = CHECK_EVERY
    .saturating_add(REFUSED_FOR)
    .saturating_add(ASK_AGAIN)
    .saturating_add(ANSWER_WITHIN)
    .saturating_add(LATE_READER);
