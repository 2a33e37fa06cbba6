//! The site's configuration: read once, checked completely, passed on as values.
//!
//! ```text
//!   config.yml ─ yaml ─> tree (text, quoting, place) ─ merge ─> tree with defaults ─┬─ decode ──> Settings {policy, …} ── dump
//!                         │                             ↑                           │     ↑                                 ↑
//!                       known (warnings)             template <── own defaults ─────│── table: one row a key ───────────────┘
//!                                                                                   └─ cluster ─> cluster_json()
//!                                                                                                     │
//!                                                                                 start: stdin of start commands
//! ```
//! Between the tree and its merge, `old_names` gives today's names to what older releases called otherwise.
//! The file serves the whole site: what is not ours is passed through as it is (to the VMs, with every start),
//! what is ours is typed, checked and told about with its place. Nothing below reads the environment. Which drivers
//! there are is a list in `drivers`; what their parameters are, each driver says itself.

mod authentication;
mod changes;
mod cluster;
mod decode;
mod drivers;
mod dump;
mod host;
mod instance_types;
mod key;
mod known;
mod listen;
mod load;
mod merge;
mod model;
mod old_names;
mod overrides;
mod pem;
mod postgresql;
mod report;
mod reserve;
mod rules;
mod section;
mod start;
mod table;
mod template;
mod tls;
mod units;
mod websocket;
pub mod yaml;

pub use authentication::AuthMethod;
pub use changes::Change;
pub use drivers::{DRIVERS, Driver};
pub use host::{Environment, Host};
pub use key::{KeyError, PrivateKey};
pub use listen::{Listener, parse_web_url};
pub use load::{Loaded, Source, load, parse};
pub use model::{CloudVms, ClusterJson, Containers, Controller, LogFormat, Logs, RunnerBinary, Settings};
pub use overrides::Override;
pub use postgresql::{
    Authorities, BadKeyword, Connection, DatabaseAddress, DatabaseServer, DatabaseTls, Keepalives,
};
pub use report::{Finding, FindingKind, SettingsError};
pub use rules::{PLAN_KEYS, PlanKey, rules_with};
pub use start::StartConfig;
pub use table::{GPU, INSTANCE_TYPE, Key, TABLES, Table};
pub use tls::{PemSource, Tls, TlsError};
pub(crate) use units::SIZE;
pub use units::{format_duration, parse_duration, parse_size};
pub use websocket::Websocket;

/// Every key that we read, its default, and a line about it.
pub const DEFAULTS: &str = include_str!("../../config/default.yml");
