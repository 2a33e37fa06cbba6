//! Tests of the executor against Debian's sshd, and against servers that misbehave.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests; real time, because ssh is real")]

mod commands;
mod connecting;
mod deadlines;
mod fence;
mod fence_vm;
mod hostile;
mod journal;
mod leftovers;
mod own_side;
mod runners;
mod setup;
mod shortage;
mod sshd;
mod support;
mod verification;
mod watch;
