//! Requests to our own HTTP server, counted and timed by its threads: atomics only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dispatch_core::time::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::{CounterVec, Gauge, IntCounterVec, Opts, proto};

use super::Register;
use super::summary::family;
use crate::clock;

/// How many requests at a time have their age watched; more are served all the same.
const WATCHED: usize = 1024;

/// What HTTP threads report to. Cheap to clone, and may go to any thread.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    /// `request_duration_seconds{code, method}`: until the last byte was handed over.
    duration: Timings,
    /// `time_to_status_seconds{code, method}`: until the status was known.
    time_to_status: Timings,
    /// `arvados_max_active_request_age_seconds`.
    active: ActiveRequests,
}

impl RequestMetrics {
    pub(super) fn new(register: &Register<'_>) -> Self {
        let abandoned = Gauge::with_opts(Opts::new(
            "arvados_max_abandoned_request_age_seconds",
            "Age of the oldest request whose client has gone: 0, they end with their client.",
        ));
        register.add(abandoned);
        Self {
            duration: register.add(Timings::new("request_duration_seconds", "Duration of requests.")),
            time_to_status: register.add(Timings::new("time_to_status_seconds", "Time until the status.")),
            active: register.add(ActiveRequests::new()),
        }
    }

    /// A request has come. It counts as active until what is returned is dropped.
    pub fn begin(&self) -> ActiveRequest {
        self.active.begin()
    }

    /// Its status is known.
    pub fn status_known(&self, code: u16, method: &str, after: Duration) {
        self.time_to_status.observe(code, method, after);
    }

    /// It is answered.
    pub fn finished(&self, code: u16, method: &str, after: Duration) {
        self.duration.observe(code, method, after);
    }
}

/// A summary without quantiles: a sum and a count. Series appear with their first request.
#[derive(Debug, Clone)]
struct Timings {
    desc: Desc,
    sum: CounterVec,
    count: IntCounterVec,
}

impl Timings {
    fn new(name: &str, help: &str) -> prometheus::Result<Self> {
        let labels = ["code", "method"];
        let owned = labels.iter().map(|label| (*label).to_owned()).collect();
        Ok(Self {
            desc: Desc::new(name.to_owned(), help.to_owned(), owned, Default::default())?,
            sum: CounterVec::new(Opts::new(format!("{name}_sum"), help), &labels)?,
            count: IntCounterVec::new(Opts::new(format!("{name}_count"), help), &labels)?,
        })
    }

    fn observe(&self, code: u16, method: &str, took: Duration) {
        let labels = [code.to_string(), method.to_ascii_lowercase()];
        self.sum.with_label_values(&labels).inc_by(took.as_secs_f64());
        self.count.with_label_values(&labels).inc();
    }
}

impl Collector for Timings {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let sums = self.sum.collect();
        let sums: Vec<&proto::Metric> = sums.iter().flat_map(proto::MetricFamily::get_metric).collect();
        let counts = self.count.collect();
        let metrics = counts.iter().flat_map(proto::MetricFamily::get_metric).map(|count| {
            let sum = sums.iter().find(|sum| sum.get_label() == count.get_label());
            let mut summary = proto::Summary::default();
            summary.set_sample_sum(sum.map_or(0.0, |sum| sum.get_counter().get_value()));
            summary.set_sample_count(count.get_counter().get_value() as u64);
            let mut metric = proto::Metric::from_label(count.get_label().to_vec());
            metric.set_summary(summary);
            metric
        });
        vec![family(&self.desc, metrics.collect())]
    }
}

/// When each request in work began, in microseconds since 1970; 0 = free.
#[derive(Debug, Clone)]
struct ActiveRequests {
    began: Arc<[AtomicU64]>,
    oldest: Gauge,
}

impl ActiveRequests {
    fn new() -> prometheus::Result<Self> {
        let oldest = Gauge::with_opts(Opts::new(
            "arvados_max_active_request_age_seconds",
            "Age of the oldest request in work.",
        ))?;
        Ok(Self { began: (0..WATCHED).map(|_| AtomicU64::new(0)).collect(), oldest })
    }

    fn begin(&self) -> ActiveRequest {
        let now = micros(clock::now());
        let free =
            |slot: &AtomicU64| slot.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        ActiveRequest { slot: self.began.iter().position(free), began: self.began.clone() }
    }
}

impl Collector for ActiveRequests {
    fn desc(&self) -> Vec<&Desc> {
        self.oldest.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let now = micros(clock::now());
        let began = self.began.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|began| *began != 0);
        self.oldest.set(began.min().map_or(0.0, |began| now.saturating_sub(began) as f64 / 1e6));
        self.oldest.collect()
    }
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0).max(1)
}

/// A request in work.
#[derive(Debug)]
pub struct ActiveRequest {
    began: Arc<[AtomicU64]>,
    slot: Option<usize>,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.began[slot].store(0, Ordering::Relaxed);
        }
    }
}
