//! What a play has cost, in time and in money.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::id::TypeName;
use serde::Serialize;

use super::history::History;
use super::play::{Life, Outcome, Play};

/// The figures of one play. Times are seconds, money is in the currency of the configured prices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How many jobs there were.
    pub containers: usize,
    /// How many have done their work.
    pub completed: usize,
    /// How many were cancelled, because no configured type suits them.
    pub cancelled: usize,
    /// How many still waited or ran when nothing moved any more.
    pub unfinished: usize,
    /// From submission to the start of the process, of those that were started.
    pub wait_seconds: Waits,
    /// From the first submission to the end of the last process.
    pub last_end_seconds: f64,
    /// What the instances have cost.
    pub cost: Cost,
    /// The instances.
    pub instances: Instances,
}

/// How long jobs have waited.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Waits {
    /// Half of them no longer than that.
    pub p50: f64,
    /// 95 of 100 no longer than that.
    pub p95: f64,
    /// The longest.
    pub max: f64,
    /// On average.
    pub mean: f64,
}

/// What was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Cost {
    /// All of it.
    pub total: f64,
    /// Instances with a process.
    pub busy: f64,
    /// Instances until they had booted: wasted.
    pub booting: f64,
    /// Instances without a process: wasted.
    pub idle: f64,
    /// How many percent of all were wasted.
    pub wasted_percent: f64,
    /// How many percent of the CPUs that were paid for did jobs ask for while they ran.
    pub vcpus_used_percent: f64,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Instances {
    /// How many instances were booted.
    pub booted: usize,
    /// The most that there were at a time.
    pub peak: usize,
    /// How many were booted, by type.
    pub by_type: BTreeMap<TypeName, usize>,
}

impl Figures {
    /// The figures of that history's play.
    pub fn of(history: &History, play: &Play) -> Self {
        let count = |outcome| play.fates.iter().filter(|fate| fate.outcome == outcome).count();
        let last_end = play.fates.iter().filter_map(|fate| fate.ended).max().unwrap_or_default();
        Self {
            containers: play.fates.len(),
            completed: count(Outcome::Complete),
            cancelled: count(Outcome::Cancelled),
            unfinished: count(Outcome::Unfinished),
            wait_seconds: waits(play),
            last_end_seconds: rounded(last_end.as_secs_f64(), 3),
            cost: cost(history, play),
            instances: instances(&play.lives),
        }
    }

    /// What was paid for nothing.
    pub fn wasted(&self) -> f64 {
        self.cost.booting + self.cost.idle
    }
}

fn waits(play: &Play) -> Waits {
    let waits = play.fates.iter().filter_map(|fate| Some(fate.started?.saturating_sub(fate.submitted)));
    let mut waits: Vec<f64> = waits.map(|wait| wait.as_secs_f64()).collect();
    waits.sort_by(f64::total_cmp);
    let Some(max) = waits.last() else { return Waits::default() };
    let percentile = |share: f64| {
        let rank = (waits.len() as f64 * share).ceil() as usize;
        rounded(waits[rank.clamp(1, waits.len()) - 1], 3)
    };
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    Waits { p50: percentile(0.5), p95: percentile(0.95), max: rounded(*max, 3), mean: rounded(mean, 3) }
}

fn cost(history: &History, play: &Play) -> Cost {
    let mut cost = Cost::default();
    let mut vcpu_seconds = 0.0;
    for life in &play.lives {
        let price = life.instance_type.price.per_hour();
        let of = |time: Duration| price * time.as_secs_f64() / 3600.0;
        let (from, to) = life.booting();
        cost.booting += of(to.saturating_sub(from));
        cost.busy += of(life.busy_time());
        cost.idle += of(life.idle().iter().map(|(from, to)| to.saturating_sub(*from)).sum());
        let lived = life.ended.saturating_sub(life.made);
        vcpu_seconds += life.instance_type.vcpus as f64 * lived.as_secs_f64();
    }
    let used: f64 = play
        .fates
        .iter()
        .zip(history.jobs())
        .filter_map(|(fate, job)| {
            let ran = fate.ended?.saturating_sub(fate.started?);
            Some(job.constraints.vcpus as f64 * ran.as_secs_f64())
        })
        .sum();
    let percent = |part: f64, whole: f64| if whole > 0.0 { rounded(100.0 * part / whole, 1) } else { 0.0 };
    let total = cost.booting + cost.busy + cost.idle;
    Cost {
        total: rounded(total, 4),
        busy: rounded(cost.busy, 4),
        booting: rounded(cost.booting, 4),
        idle: rounded(cost.idle, 4),
        wasted_percent: percent(cost.booting + cost.idle, total),
        vcpus_used_percent: percent(used, vcpu_seconds),
    }
}

fn instances(lives: &[Life]) -> Instances {
    let mut by_type = BTreeMap::new();
    // One that ends makes room for one that is made at the same moment.
    let mut changes = Vec::with_capacity(2 * lives.len());
    for life in lives {
        *by_type.entry(life.instance_type.name.clone()).or_default() += 1;
        changes.push((life.made, 1_i64));
        changes.push((life.ended, -1));
    }
    changes.sort_unstable();
    let mut there = 0;
    let counts = changes.into_iter().map(|(_, change)| {
        there += change;
        there
    });
    let peak = counts.max().unwrap_or(0).unsigned_abs() as usize;
    Instances { booted: lives.len(), peak, by_type }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests;
