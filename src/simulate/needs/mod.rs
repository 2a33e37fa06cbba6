//! From what a log says of containers to jobs, with everything that had to be guessed counted.
//!
//! ```text
//!   first line that names it ─→ submitted        last start, and the first end behind it ─→ duration
//!   types that it was allowed on ─→ the least of each resource ─┐
//!   the type that it ran on ÷ how many ran there at a time ─────┴→ what it asks for, at most
//! ```
//! A log does not tell what a container asks for. It has run where it ran: so it needs no more than that instance, and
//! no more than any type that it was allowed on. Where others ran beside it, an equal share of the instance is as near as
//! one can come: what is assumed fits there, as all of them did.

use std::collections::BTreeMap;

use dispatch_core::container::{GpuRequest, RuntimeConstraints};
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::InstanceType;
use dispatch_core::policy::{Policy, Sizing};
use dispatch_core::time::{Timestamp, since};
use dispatch_sim::site::Job;

use super::csv::USUAL_PRIORITY;
use super::error::HistoryError;
use super::log::{Log, Sighting, Start};
use super::past::{Past, Source};

const MIB: u64 = 1 << 20;

/// A run of a container's process.
struct Run<'a> {
    start: &'a Start,
    ends: Timestamp,
    /// Whether somebody saw it end.
    has_ended: bool,
}

/// The jobs of a log. Types are looked up in the configurations, in their order; what they add to a container's needs is
/// taken off as the first one adds it.
///
/// # Errors
/// If there is none.
pub(super) fn jobs(log: &Log, policies: &[&Policy]) -> Result<Past, HistoryError> {
    let neighbours = Neighbours::of(log);
    let mut jobs = Vec::new();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut guessed: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (uuid, sighting) in &log.sightings {
        match job(*uuid, sighting, log.ends, &neighbours, policies) {
            Err(reason) => *left_out.entry(reason).or_default() += 1,
            Ok((job, guesses)) => {
                jobs.push(job);
                guesses.into_iter().for_each(|guess| *guessed.entry(guess).or_default() += 1);
            }
        }
    }
    Past::of(jobs, Source::Log(log.lines), left_out, guessed)
}

fn job(
    uuid: ContainerUuid,
    sighting: &Sighting,
    log_ends: Timestamp,
    neighbours: &Neighbours<'_>,
    policies: &[&Policy],
) -> Result<(Job, Vec<&'static str>), String> {
    let Some(run) = runs(sighting, log_ends).pop() else {
        return Err(match sighting.detected {
            Some(_) => "they ran already when the log begins",
            None => "they were never started",
        }
        .to_owned());
    };
    let known = |name: &str| policies.iter().find_map(|policy| policy.catalog.get(name));
    let ran_on = known(&run.start.instance_type).ok_or_else(|| {
        format!("no configuration has the instance type {:?} that they ran on", run.start.instance_type)
    })?;
    let mut allowed: Vec<&InstanceType> = vec![ran_on.as_ref()];
    allowed.extend(sighting.types.iter().filter_map(|name| known(name)).map(AsRef::as_ref));
    let beside = neighbours.most_beside(uuid, &run);
    let sizing = &policies[0].sizing;
    let mut guesses = vec![match beside {
        1 => "they ask for as much as the smallest type that they were allowed on",
        _ => "they ask for an equal share of the instance, because others ran beside them",
    }];
    if !run.has_ended {
        guesses.push("they still ran at the end of the log, and last until then");
    }
    if sighting.starts.len() > 1 {
        guesses.push("they were started more than once: the last run counts");
    }
    if sighting.priority.is_none() {
        guesses.push("their priority is not told: 500");
    }
    let job = Job {
        submitted_at: sighting.first,
        constraints: constraints(ran_on, &allowed, beside, sizing),
        scratch: allowed.iter().map(|it| it.scratch()).min().unwrap_or(0).min(ran_on.scratch() / beside),
        preemptible: ran_on.preemptible,
        priority: sighting.priority.filter(|it| *it > 0).unwrap_or(USUAL_PRIORITY),
        duration: since(run.ends, run.start.at),
    };
    Ok((job, guesses))
}

/// What a container may have asked for at most.
fn constraints(
    ran_on: &InstanceType,
    allowed: &[&InstanceType],
    beside: u64,
    sizing: &Sizing,
) -> RuntimeConstraints {
    let least = |of: fn(&InstanceType) -> u64| {
        allowed.iter().map(|it| of(it)).min().unwrap_or(0).min(of(ran_on) / beside)
    };
    let vcpus = least(|it| it.vcpus);
    RuntimeConstraints {
        vcpus,
        ram: asked_of(least(|it| it.ram), vcpus, sizing),
        gpu: gpu(ran_on, beside),
        ..RuntimeConstraints::default()
    }
}

/// A type with GPUs is for those that ask for some, and for nobody else.
fn gpu(ran_on: &InstanceType, beside: u64) -> GpuRequest {
    let gpu = &ran_on.gpu;
    if gpu.device_count == 0 {
        return GpuRequest::default();
    }
    GpuRequest {
        stack: gpu.stack.clone(),
        driver_version: gpu.driver_version.clone(),
        hardware_target: vec![gpu.hardware_target.clone()],
        device_count: (gpu.device_count / beside).max(1),
        vram: gpu.vram,
    }
}

/// The most RAM that a container may ask for, if it needs no more than that with what is added to it
/// (docs/behaviour.md, "Which instance types fit").
fn asked_of(needed: u64, vcpus: u64, sizing: &Sizing) -> u64 {
    let buffers = match sizing.keep_buffers_per_vcpu {
        0 => 0,
        some => 220 * MIB + some.saturating_mul(vcpus).saturating_mul(64 * MIB).saturating_mul(11) / 10,
    };
    let asked = u128::from(needed) * 95 / 100;
    u64::try_from(asked).unwrap_or(u64::MAX).saturating_sub(sizing.reserve_extra_ram).saturating_sub(buffers)
}

/// The runs of a container, in order of time. Each ends with the first end behind its start, at the next start, or else
/// when the container was finished, or with the log.
fn runs(sighting: &Sighting, log_ends: Timestamp) -> Vec<Run<'_>> {
    let mut starts: Vec<&Start> = sighting.starts.iter().collect();
    starts.sort_by_key(|start| start.at);
    let next = starts.iter().skip(1).map(|start| Some(start.at)).chain([None]);
    let next: Vec<Option<Timestamp>> = next.collect();
    starts
        .into_iter()
        .zip(next)
        .map(|(start, next)| {
            let is_behind = |at: &Timestamp| *at >= start.at && next.is_none_or(|next| *at <= next);
            let ended = sighting.ends.iter().copied().filter(is_behind).min();
            let ended = ended.or(next).or(sighting.finished.filter(is_behind));
            Run { start, ends: ended.unwrap_or(log_ends.max(start.at)), has_ended: ended.is_some() }
        })
        .collect()
}

/// Who ran where, and when.
struct Neighbours<'a> {
    by_instance: BTreeMap<&'a str, Vec<(ContainerUuid, Timestamp, Timestamp)>>,
}

impl<'a> Neighbours<'a> {
    fn of(log: &'a Log) -> Self {
        let mut by_instance: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (uuid, sighting) in &log.sightings {
            for run in runs(sighting, log.ends) {
                let there = by_instance.entry(run.start.instance.as_str()).or_default();
                there.push((*uuid, run.start.at, run.ends));
            }
        }
        // A line that does not name the instance says nothing of neighbours.
        by_instance.remove("");
        Self { by_instance }
    }

    /// How many ran on its instance at a time while it ran, itself among them.
    fn most_beside(&self, uuid: ContainerUuid, run: &Run<'_>) -> u64 {
        let there = self.by_instance.get(run.start.instance.as_str()).map_or(&[][..], Vec::as_slice);
        let meets = |(other, from, to): &&(ContainerUuid, Timestamp, Timestamp)| {
            *other != uuid && *from < run.ends && *to > run.start.at
        };
        // One that ends at the moment at which another begins makes room for it.
        let mut changes: Vec<(Timestamp, i64)> = Vec::new();
        for (_, from, to) in there.iter().filter(meets) {
            changes.push(((*from).max(run.start.at), 1));
            changes.push((*to, -1));
        }
        changes.sort_unstable();
        let (mut now, mut most) = (1_i64, 1_i64);
        for (_, change) in changes {
            now += change;
            most = most.max(now);
        }
        most.unsigned_abs()
    }
}

#[cfg(test)]
mod tests;
