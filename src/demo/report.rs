//! What a demo came to, from the controller's records and the dispatcher's own log.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::Table;
use dispatch_core::container::ContainerState;
use dispatch_core::time::{Timestamp, since};
use serde::Serialize;
use serde_json::Value;

use super::Ending;
use super::world::{PRICE, Seen, Tally};
use crate::cli;

/// How it ended, as the demo saw it.
pub(super) struct Ended {
    pub(super) keep_running: bool,
    pub(super) ending: Ending,
    pub(super) took: Duration,
    pub(super) created: usize,
    pub(super) leftover_instances: usize,
    pub(super) leftover_processes: usize,
    pub(super) faults: Vec<&'static str>,
}

/// Quantiles of a set of durations, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Quantiles {
    p50: f64,
    p95: f64,
    max: f64,
}

/// The result. Field names are those of the JSON object.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    containers: usize,
    complete: usize,
    cancelled: usize,
    not_final: usize,
    instances_created: usize,
    leftover_instances: usize,
    leftover_processes: usize,
    /// Created → Running.
    wait_seconds: Quantiles,
    /// Placeable on an idle VM → process started.
    start_latency_seconds: Quantiles,
    /// The end of one container on a VM → the start of the next there, which had been waiting.
    vm_idle_gap_seconds: Quantiles,
    /// Appeared → in service.
    boot_seconds: Quantiles,
    instance_hours: f64,
    cost: f64,
    duration_seconds: f64,
    interrupted: bool,
    /// What was made to go wrong.
    faults: Vec<&'static str>,
    #[serde(skip)]
    keep_running: bool,
}

impl Report {
    pub(super) fn new(tally: &Tally, log: Vec<Value>, ended: Ended) -> Self {
        let count = |wanted: fn(ContainerState) -> bool| {
            tally.containers.iter().filter(|it| wanted(it.state)).count()
        };
        let lives = Lives::read(&log);
        let waits = tally.containers.iter().filter_map(|it| Some(since(it.started_at?, it.created_at)));
        let instance_hours = lives.hours();
        Self {
            containers: tally.containers.len(),
            complete: count(|state| state == ContainerState::Complete),
            cancelled: count(|state| state == ContainerState::Cancelled),
            not_final: count(|state| !state.is_final()),
            instances_created: ended.created,
            leftover_instances: ended.leftover_instances,
            leftover_processes: ended.leftover_processes,
            wait_seconds: quantiles(waits.collect()),
            start_latency_seconds: quantiles(lives.start_latencies(&tally.containers)),
            vm_idle_gap_seconds: quantiles(lives.idle_gaps(&tally.containers)),
            boot_seconds: quantiles(lives.boots()),
            instance_hours,
            cost: instance_hours * PRICE,
            duration_seconds: ended.took.as_secs_f64(),
            interrupted: ended.ending == Ending::Interrupted,
            faults: ended.faults,
            keep_running: ended.keep_running,
        }
    }

    /// Every container completed (`faults`: is final), and nothing is left but what Ctrl-C ended, which is
    /// the only end of `--keep-running`.
    pub(super) fn is_good(&self, faults: bool) -> bool {
        let ended = if faults { self.not_final == 0 } else { self.complete == self.containers };
        let nothing_left = self.leftover_instances == 0 && self.leftover_processes == 0;
        ended
            && if self.keep_running {
                self.leftover_processes == 0
            } else {
                nothing_left && !self.interrupted
            }
    }

    /// By Ctrl-C, which is no failure to look into.
    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    pub(super) fn print(&self, json: bool) {
        let text = if json {
            serde_json::to_string(self).expect("numbers and names")
        } else {
            self.table().to_string()
        };
        cli::print(&text);
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        let quantiles = |it: &Quantiles| format!("p50 {:.2}  p95 {:.2}  max {:.2}", it.p50, it.p95, it.max);
        table.set_header(["demo", ""]);
        table.add_row(["containers complete", &format!("{} of {}", self.complete, self.containers)]);
        table.add_row(["containers cancelled", &self.cancelled.to_string()]);
        table.add_row(["container wait, s", &quantiles(&self.wait_seconds)]);
        table.add_row(["start latency on an idle VM, s", &quantiles(&self.start_latency_seconds)]);
        table.add_row(["idle VM between two containers, s", &quantiles(&self.vm_idle_gap_seconds)]);
        table.add_row(["instances created", &self.instances_created.to_string()]);
        table.add_row(["boot time, s", &quantiles(&self.boot_seconds)]);
        table.add_row(["instance-hours", &format!("{:.4}", self.instance_hours)]);
        table.add_row(["cost", &format!("{:.5}", self.cost)]);
        table.add_row([
            "left over",
            &format!("{} instances, {} processes", self.leftover_instances, self.leftover_processes),
        ]);
        table.add_row(["took, s", &format!("{:.1}", self.duration_seconds)]);
        table
    }
}

/// Nearest-rank quantiles.
fn quantiles(mut durations: Vec<Duration>) -> Quantiles {
    durations.sort_unstable();
    let at = |share: f64| {
        let rank = (share * durations.len() as f64).ceil() as usize;
        durations.get(rank.saturating_sub(1)).map_or(0.0, Duration::as_secs_f64)
    };
    Quantiles { p50: at(0.50), p95: at(0.95), max: at(1.0) }
}

/// When an instance appeared, came into service and disappeared; which containers it started.
#[derive(Debug, Default)]
struct Life {
    appeared: Option<Timestamp>,
    in_service: Option<Timestamp>,
    disappeared: Option<Timestamp>,
    started: Vec<String>,
}

/// The lives of all instances, as the dispatcher's log tells them.
#[derive(Debug, Default)]
struct Lives {
    by_instance: BTreeMap<String, Life>,
    last_line: Option<Timestamp>,
}

impl Lives {
    fn read(log: &[Value]) -> Self {
        let mut lives = Self::default();
        for line in log {
            let Some(time) = line["time"].as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
                continue;
            };
            lives.last_line = Some(time);
            let Some(instance) = line["Instance"].as_str() else { continue };
            let life = lives.by_instance.entry(instance.to_owned()).or_default();
            match line["msg"].as_str().unwrap_or_default() {
                "instance appeared in cloud" => life.appeared = Some(time),
                "probes succeeded, instance is in service" => life.in_service = Some(time),
                "instance disappeared in cloud" => life.disappeared = Some(time),
                "crunch-run process started" => {
                    life.started.extend(line["ContainerUUID"].as_str().map(str::to_owned));
                }
                _ => {}
            }
        }
        lives
    }

    fn boots(&self) -> Vec<Duration> {
        self.by_instance.values().filter_map(|life| Some(since(life.in_service?, life.appeared?))).collect()
    }

    fn hours(&self) -> f64 {
        let lives = self.by_instance.values();
        let seconds = lives.filter_map(|life| {
            Some(since(life.disappeared.or(self.last_line)?, life.appeared?).as_secs_f64())
        });
        (seconds.sum::<f64>() + 0.0) / 3600.0
    }

    /// How long each instance, which has room for one container, had none while the next one waited.
    fn idle_gaps(&self, containers: &[Seen]) -> Vec<Duration> {
        let by_uuid: BTreeMap<_, _> = containers.iter().map(|it| (it.uuid.to_string(), it)).collect();
        let seen = |uuid: &String| by_uuid.get(uuid).copied();
        let gap = |pair: &[String]| {
            let (before, next) = (seen(&pair[0])?, seen(&pair[1])?);
            let free = before.finished_at.filter(|free| next.created_at <= *free)?;
            Some(since(next.started_at?, free))
        };
        self.by_instance.values().flat_map(|life| life.started.windows(2).filter_map(gap)).collect()
    }

    /// A container is placeable on an instance of the demo, which has room for one, when it exists, the
    /// instance is in service, and the container before it has ended there.
    fn start_latencies(&self, containers: &[Seen]) -> Vec<Duration> {
        let by_uuid: BTreeMap<_, _> = containers.iter().map(|it| (it.uuid.to_string(), it)).collect();
        let mut latencies = Vec::new();
        for life in self.by_instance.values() {
            let mut free_since = life.in_service;
            for container in life.started.iter().filter_map(|uuid| by_uuid.get(uuid)) {
                if let (Some(free), Some(started)) = (free_since, container.started_at) {
                    latencies.push(since(started, free.max(container.created_at)));
                }
                free_since = container.finished_at;
            }
        }
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Created, started and ended at these seconds.
    fn seen(n: u64, created: i64, started: i64, ended: i64) -> Seen {
        Seen {
            uuid: format!("zzzzz-dz642-{n:015}").parse().unwrap(),
            state: ContainerState::Complete,
            created_at: second(created),
            started_at: Some(second(started)),
            finished_at: Some(second(ended)),
        }
    }

    /// The second container waited for the first to end, and nobody waited when the second ended.
    #[test]
    fn an_instance_is_idle_only_while_the_next_container_waits() {
        let containers = [seen(1, 0, 10, 20), seen(2, 0, 23, 30), seen(3, 40, 41, 50)];
        let started = containers.iter().map(|it| it.uuid.to_string()).collect();
        let life = Life { in_service: Some(second(5)), started, ..Life::default() };
        let lives = Lives { by_instance: [("i-1".to_owned(), life)].into(), last_line: None };
        let seconds = |of: Vec<Duration>| of.iter().map(Duration::as_secs).collect::<Vec<_>>();
        assert_eq!(seconds(lives.idle_gaps(&containers)), [3]);
        assert_eq!(seconds(lives.start_latencies(&containers)), [5, 3, 1]);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let durations = (1..=20).map(Duration::from_secs).collect();
        let Quantiles { p50, p95, max } = quantiles(durations);
        assert_eq!((p50, p95, max), (10.0, 19.0, 20.0));
        assert_eq!(quantiles(Vec::new()).max, 0.0);
    }
}
