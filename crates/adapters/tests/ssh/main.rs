//! Tests of the executors against Debian's sshd, and against servers that misbehave: most of them with both ssh clients.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests; real time, because ssh is real")]

#[macro_use]
#[path = "../suite/both_clients.rs"]
mod both_clients;

mod commands;
mod connecting;
mod deadlines;
mod fence;
mod fence_vm;
mod hostile;
mod journal;
mod leftovers;
mod own_side;
mod peers;
mod runners;
mod setup;
mod shortage;
mod sshd;
mod support;
mod verification;
mod watch;
