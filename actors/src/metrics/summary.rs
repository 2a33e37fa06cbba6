//! Summaries with quantiles over the last ten minutes: the prometheus library has none.
//!
//! ```text
//!   arbiter: observe ─▶ [ 2 min | 2 min | 2 min | 2 min | 2 min ]  + sum and count since the start
//!                                   publish ─▶ one immutable snapshot ─▶ collector (any thread)
//! ```
//! Two minutes fall out at a time, so the window is eight to ten minutes long. Quantiles are exact to 1 %.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dispatch_core::time::Timestamp;
use hdrhistogram::Histogram;
use prometheus::core::{Collector, Desc};
use prometheus::proto;

use crate::clock;

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
const SLOTS: usize = 5;
const SLOT_SECONDS: i64 = 120;
/// Microseconds: twelve days, more than any container waits to be told about.
const LONGEST: u64 = 1 << 40;

/// What a collector shows.
#[derive(Debug, Clone, PartialEq)]
struct Snapshot {
    count: u64,
    sum: f64,
    quantiles: [f64; QUANTILES.len()],
}

/// Observations of the last minutes, and the totals of all.
struct Window {
    /// The newest last.
    slots: VecDeque<Histogram<u32>>,
    /// The number of the newest slot since 1970.
    newest: i64,
    count: u64,
    sum: f64,
    /// Whether the last snapshot is out of date.
    changed: bool,
}

impl Window {
    fn new(now: Timestamp) -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST, 2).expect("constants, and valid");
        let slots = (0..SLOTS).map(|_| empty()).collect();
        Self { slots, newest: slot(now), count: 0, sum: 0.0, changed: false }
    }

    fn record(&mut self, took: Duration, now: Timestamp) {
        self.forget_until(now);
        self.changed = true;
        self.count += 1;
        self.sum += took.as_secs_f64();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.slots.back_mut().expect("five slots").saturating_record(micros.max(1));
    }

    fn forget_until(&mut self, now: Timestamp) {
        let passed = slot(now).saturating_sub(self.newest);
        for _ in 0..passed.clamp(0, SLOTS.cast_signed() as i64) {
            self.slots.rotate_left(1);
            self.slots.back_mut().expect("five slots").reset();
            self.changed = true;
        }
        self.newest = self.newest.max(slot(now));
    }

    fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        self.forget_until(now);
        self.changed = false;
        let mut all = self.slots[0].clone();
        for slot in self.slots.iter().skip(1) {
            all.add(slot).expect("all have the same bounds");
        }
        let seconds = |quantile| all.value_at_quantile(quantile) as f64 / 1e6;
        let quantiles = if all.is_empty() { [f64::NAN; QUANTILES.len()] } else { QUANTILES.map(seconds) };
        Snapshot { count: self.count, sum: self.sum, quantiles }
    }
}

fn slot(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SLOT_SECONDS)
}

/// One line of a summary: its window here, its last snapshot anywhere.
#[derive(Clone)]
pub(super) struct Published {
    window: Rc<RefCell<Window>>,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

impl Published {
    fn new() -> Self {
        let now = clock::now();
        let mut window = Window::new(now);
        let snapshot = Arc::new(ArcSwap::from_pointee(window.snapshot(now)));
        Self { window: Rc::new(RefCell::new(window)), snapshot }
    }

    /// Replaces the snapshot that collectors show, if it is out of date.
    pub fn publish(&self, now: Timestamp) {
        let mut window = self.window.borrow_mut();
        window.forget_until(now);
        if window.changed {
            self.snapshot.store(Arc::new(window.snapshot(now)));
        }
    }

    fn observe(&self, took: Duration) {
        self.window.borrow_mut().record(took, clock::now());
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot.load().fmt(f)
    }
}

/// A summary without labels.
#[derive(Debug)]
pub struct Summary(Published);

impl Summary {
    pub(super) fn new(name: &str, help: &str) -> (Self, SummaryCollector, Vec<Published>) {
        let line = Published::new();
        let collector = SummaryCollector::new(name, help, vec![(None, line.snapshot.clone())]);
        (Self(line.clone()), collector, vec![line])
    }

    /// Takes one duration in; shown after the next `publish`.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took);
    }
}

/// A summary with one label, all of whose values are known.
#[derive(Debug)]
pub struct LabelledSummary(Vec<(&'static str, Published)>);

impl LabelledSummary {
    pub(super) fn new(
        name: &str,
        help: &str,
        (label, values): (&'static str, &[&'static str]),
    ) -> (Self, SummaryCollector, Vec<Published>) {
        let lines: Vec<_> = values.iter().map(|value| (*value, Published::new())).collect();
        let snapshot =
            |(value, line): &(&'static str, Published)| (Some((label, *value)), line.snapshot.clone());
        let collector = SummaryCollector::new(name, help, lines.iter().map(snapshot).collect());
        let published = lines.iter().map(|(_, line)| line.clone()).collect();
        (Self(lines), collector, published)
    }

    /// Takes one duration in under that label value, which must be one of the known ones.
    pub fn observe(&self, value: &str, took: Duration) {
        let line = self.0.iter().find(|(known, _)| *known == value);
        debug_assert!(line.is_some(), "`{value}` is no value of this label");
        if let Some((_, line)) = line {
            line.observe(took);
        }
    }
}

type Line = (Option<(&'static str, &'static str)>, Arc<ArcSwap<Snapshot>>);

/// Shows snapshots; asked by HTTP threads.
#[derive(Clone)]
pub(super) struct SummaryCollector {
    desc: Desc,
    lines: Vec<Line>,
}

impl SummaryCollector {
    fn new(name: &str, help: &str, lines: Vec<Line>) -> Self {
        let labels = lines.iter().find_map(|(label, _)| *label).map(|(name, _)| name.to_owned());
        let desc =
            Desc::new(name.to_owned(), help.to_owned(), labels.into_iter().collect(), Default::default())
                .expect("names and labels are constants, and valid");
        Self { desc, lines }
    }
}

impl Collector for SummaryCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let metrics = self.lines.iter().map(|(label, snapshot)| {
            let labels = label.iter().map(|(name, value)| label_pair(name, value)).collect();
            let mut metric = proto::Metric::from_label(labels);
            metric.set_summary(summary(&snapshot.load()));
            metric
        });
        vec![family(&self.desc, metrics.collect())]
    }
}

fn summary(snapshot: &Snapshot) -> proto::Summary {
    let mut summary = proto::Summary::default();
    summary.set_sample_count(snapshot.count);
    summary.set_sample_sum(snapshot.sum);
    let quantiles = QUANTILES.iter().zip(snapshot.quantiles).map(|(quantile, value)| {
        let mut pair = proto::Quantile::default();
        pair.set_quantile(*quantile);
        pair.set_value(value);
        pair
    });
    summary.set_quantile(quantiles.collect());
    summary
}

pub(super) fn label_pair(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// A family of summaries under that description.
pub(super) fn family(desc: &Desc, metrics: Vec<proto::Metric>) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(proto::MetricType::SUMMARY);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        Window::new(at(0))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn quantiles_are_exact_to_a_hundredth() {
        let mut window = window();
        for millis in 1..=1000 {
            window.record(Duration::from_millis(millis), at(0));
        }
        let snapshot = window.snapshot(at(1));
        for (quantile, shown) in QUANTILES.iter().zip(snapshot.quantiles) {
            assert!((shown - quantile).abs() < 0.01 * quantile + 0.001, "{quantile}: {shown}");
        }
        assert_eq!(snapshot.count, 1000);
        assert!((snapshot.sum - 500.5).abs() < 1e-6);
    }

    #[test]
    fn the_window_forgets_and_the_totals_do_not() {
        let mut window = window();
        window.record(Duration::from_secs(9), at(0));
        window.record(Duration::from_secs(1), at(400));
        assert!(window.snapshot(at(479)).quantiles[3] > 8.9, "still there after eight minutes");
        assert!(window.snapshot(at(600)).quantiles[3] < 1.1, "gone after ten");
        let later = window.snapshot(at(100_000));
        assert!(later.quantiles.iter().all(|value| value.is_nan()), "nothing left: {later:?}");
        assert_eq!((later.count, later.sum), (2, 10.0));
    }

    #[test]
    fn extremes_are_taken_in() {
        let mut window = window();
        window.record(Duration::ZERO, at(0));
        window.record(Duration::MAX, at(0));
        let snapshot = window.snapshot(at(0));
        assert!(snapshot.quantiles.iter().all(|value| value.is_finite()));
        assert_eq!(snapshot.count, 2);
    }
}
