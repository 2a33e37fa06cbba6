//! Tests of the real runner, in lock directories of its own, with a controller on the loopback address.

#![expect(clippy::unwrap_used, reason = "what helps tests may fail as tests do")]
#![expect(clippy::disallowed_methods, reason = "deadlines in real time: the runner is a real process")]

mod controller;
mod detach;
mod engine;
mod kill;
mod list;
mod other_engines;
mod site;
