//! Queue and fleet over time: averages over short stretches, so that a curve of a week is no longer than one of an hour.

use std::time::Duration;

use super::play::Play;

/// What there was on average during each of as many stretches of equal length as were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// The length of the whole.
    pub length: Duration,
    /// Jobs that waited.
    pub waiting: Vec<f64>,
    /// Jobs that ran.
    pub running: Vec<f64>,
    /// Instances that booted.
    pub booting: Vec<f64>,
    /// Instances without a process.
    pub idle: Vec<f64>,
    /// Instances with a process.
    pub busy: Vec<f64>,
    /// What the instances cost an hour.
    pub per_hour: Vec<f64>,
}

impl Curves {
    /// The curves of a play over that length, which may be longer than the play, in so many stretches.
    pub fn of(play: &Play, length: Duration, stretches: usize) -> Self {
        let blank = Line::new(length, stretches);
        let [mut waiting, mut running] = [blank.clone(), blank.clone()];
        for fate in &play.fates {
            let started = fate.started.unwrap_or(play.length);
            waiting.add(fate.submitted, started, 1.0);
            running.add(started, fate.ended.unwrap_or(play.length), 1.0);
        }
        let [mut booting, mut idle, mut busy] = [blank.clone(), blank.clone(), blank.clone()];
        let mut per_hour = blank;
        for life in &play.lives {
            let (from, to) = life.booting();
            booting.add(from, to, 1.0);
            life.busy.iter().for_each(|(from, to)| busy.add(*from, *to, 1.0));
            life.idle().iter().for_each(|(from, to)| idle.add(*from, *to, 1.0));
            per_hour.add(life.made, life.ended, life.instance_type.price.per_hour());
        }
        let [waiting, running, booting, idle, busy, per_hour] =
            [waiting, running, booting, idle, busy, per_hour].map(|line| line.values);
        Self { length, waiting, running, booting, idle, busy, per_hour }
    }
}

#[derive(Debug, Clone)]
struct Line {
    /// Seconds of one stretch.
    stretch: f64,
    values: Vec<f64>,
}

impl Line {
    fn new(length: Duration, stretches: usize) -> Self {
        Self { stretch: length.as_secs_f64() / stretches as f64, values: vec![0.0; stretches] }
    }

    /// Adds that much for that time.
    fn add(&mut self, from: Duration, to: Duration, amount: f64) {
        let (from, to) = (from.as_secs_f64() / self.stretch, to.as_secs_f64() / self.stretch);
        let last = (to.ceil() as usize).min(self.values.len());
        for (number, value) in self.values.iter_mut().enumerate().take(last).skip(from as usize) {
            let (begins, ends) = (number as f64, number as f64 + 1.0);
            *value += amount * (to.min(ends) - from.max(begins)).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use dispatch_core::time::Timestamp;

    use super::*;
    use crate::samples::instance_type;
    use crate::site::{Fate, Life, Outcome};

    #[test]
    fn each_stretch_has_the_average_of_its_time() {
        let second = Duration::from_secs;
        let fate = Fate {
            submitted: second(5),
            started: Some(second(20)),
            ended: Some(second(35)),
            outcome: Outcome::Complete,
        };
        let life = Life {
            instance_type: instance_type("small", 2),
            made: second(10),
            booted: second(18),
            ended: second(40),
            busy: vec![(second(20), second(35))],
        };
        let play =
            Play { began: Timestamp::UNIX_EPOCH, length: second(40), fates: vec![fate], lives: vec![life] };
        let curves = Curves::of(&play, play.length, 4);
        let near = |values: &[f64], expected: [f64; 4]| {
            assert!(
                values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
                "{values:?} {expected:?}"
            );
        };
        near(&curves.waiting, [0.5, 1.0, 0.0, 0.0]);
        near(&curves.running, [0.0, 0.0, 1.0, 0.5]);
        near(&curves.booting, [0.0, 0.8, 0.0, 0.0]);
        near(&curves.idle, [0.0, 0.2, 0.0, 0.5]);
        near(&curves.busy, [0.0, 0.0, 1.0, 0.5]);
        near(&curves.per_hour, [0.0, 0.2, 0.2, 0.2]);
    }
}
