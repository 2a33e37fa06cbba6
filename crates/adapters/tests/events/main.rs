//! The event feed over real connections: a service that is well, and many that are not.
#![expect(clippy::unwrap_used, reason = "tests")]

mod ill;
mod peer;
mod well;
