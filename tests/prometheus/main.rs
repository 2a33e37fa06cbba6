//! What operators put into Prometheus and Grafana: it is right by the tools' own judgement, and has data from a real
//! dispatcher.
//!
//! ```text
//!   rules    promtool judges `config/prometheus`; each alert has cases, and a section of the runbook
//!   live     demo --scenario quota ◀─ scrapes ─ prometheus ◀─ queries of rules, dashboard, dashboards in use ─ test
//!   paging   each scenario raises its alert and no other, with rules that wait for seconds (minutes: not by default)
//!   support  the children, ended with the test; expressions and the names in them
//! ```
//! `promtool` and `prometheus` are Debian's (package `prometheus`); `scripts/test` installs them.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

mod live;
mod paging;
mod rules;
mod support;
