//! Where new VMs go: the configured places (subnets, zones) in their order, but first those that are not known to be short
//! of what is wanted.
//!
//! ```text
//!   an order of a type on a market
//!      ─► places that are short of nothing, as configured
//!      ─► places that were short of it in the last three minutes, the one that was tried last first
//!      ─► places whose last outcome is unknown, the one that was tried last at the end
//!   each in turn, until ─┬─ a VM is made                                       the place is short of nothing
//!                        ├─ it fails of something that another place may cure  remembered, the next is tried
//!                        ├─ nobody knows what became of it                     remembered, and never tried elsewhere:
//!                        │                                                     there could be two VMs then
//!                        └─ it fails of something else
//! ```
//! What a place is short of is remembered for each type and market, because a zone that has no more of one has others; a
//! place without addresses is short of everything. After three minutes it is tried again, so that the site's order holds.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::instance::Offering;
use dispatch_core::time::{Timestamp, since};

use crate::failure::{Failure, Meaning};
use crate::repeats::Repeats;

/// How long a shortage is remembered. Clouds refill pools within minutes, and a try costs one call.
const REMEMBERED: Duration = Duration::from_secs(180);

/// How far a failure reaches that another place may cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// That type on that market, in that place.
    Offering,
    /// Whatever is ordered in that place.
    Place,
}

/// The configured places, and what they are short of.
#[derive(Debug)]
pub struct Places {
    /// At least one; `None` = the cloud's choice.
    ids: Vec<Option<String>>,
    /// Whether another place may cure a failure, and how far it reaches in this one.
    reach: fn(&Failure) -> Option<Reach>,
    /// By the place's index; `None` = of whatever is ordered.
    short: RefCell<BTreeMap<(usize, Option<Offering>), Shortage>>,
    tries: Cell<u64>,
    /// A place that is full is full for each order of a burst.
    told: Repeats,
}

#[derive(Debug, Clone, Copy)]
struct Shortage {
    noted: Timestamp,
    /// The number of the try that showed it: several are made within a tick of the clock.
    number: u64,
    is_unknown: bool,
}

impl Places {
    /// The places in the site's order; none = the cloud's choice.
    pub fn new(ids: &[String], reach: fn(&Failure) -> Option<Reach>) -> Self {
        let mut ids: Vec<_> = ids.iter().cloned().map(Some).collect();
        if ids.is_empty() {
            ids.push(None);
        }
        Self { ids, reach, short: RefCell::default(), tries: Cell::new(0), told: Repeats::default() }
    }

    /// Tries one place after the other. `tell` is called, once a minute at most for each place and code, before the next is
    /// tried: with the place, its failure and how often that was left out.
    ///
    /// # Errors
    /// The last failure that speaks of capacity, else the last; but one that may have made a VM, and one that asks for
    /// patience, is always told.
    pub async fn try_each<'a, T, F>(
        &'a self,
        offering: &Offering,
        attempt: impl Fn(Option<&'a str>) -> F,
        now: Timestamp,
        tell: impl Fn(&str, &Failure, u64),
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut told = None;
        let mut places = self.in_order(offering, now).into_iter().peekable();
        while let Some(index) = places.next() {
            let place = self.ids[index].as_deref();
            let failure = match attempt(place).await {
                Ok(made) => {
                    self.has(index, offering);
                    return Ok(made);
                }
                Err(failure) => failure,
            };
            let reach = self.reach_of(&failure);
            if let Some(reach) = reach {
                self.is_short(index, offering, reach, &failure, now);
            }
            let goes_on = reach.is_some() && failure.meaning != Meaning::Unknown && places.peek().is_some();
            if goes_on {
                let place = place.unwrap_or_default();
                if let Some(left_out) = self.told.note(&format!("{place} {}", failure.code), now) {
                    tell(place, &failure, left_out);
                }
            }
            told = Some(more_telling(told, failure));
            if !goes_on {
                break;
            }
        }
        Err(told.expect("there is at least one place"))
    }

    /// A place that does not answer must not hold up every order to come.
    fn reach_of(&self, failure: &Failure) -> Option<Reach> {
        match failure.meaning {
            Meaning::Unknown => Some(Reach::Place),
            _ => (self.reach)(failure),
        }
    }

    /// The places, the most promising first.
    fn in_order(&self, offering: &Offering, now: Timestamp) -> Vec<usize> {
        let mut short = self.short.borrow_mut();
        short.retain(|_, it| since(now, it.noted) < REMEMBERED);
        let rank = |index: &usize| {
            let of = |offering: Option<&Offering>| short.get(&(*index, offering.cloned()));
            // A place that is short of nothing comes first. Of those that are short the last one tried has the freshest
            // news, and of those that may have made a VM it is the least likely to answer now.
            let found = [of(Some(offering)), of(None)].into_iter().flatten();
            found.map(|it| (it.is_unknown, it.number)).max().map(|(is_unknown, number)| {
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                (is_unknown, if is_unknown { number } else { -number })
            })
        };
        let mut places: Vec<_> = (0..self.ids.len()).collect();
        places.sort_by_key(rank);
        places
    }

    fn is_short(&self, index: usize, offering: &Offering, reach: Reach, failure: &Failure, now: Timestamp) {
        let what = match reach {
            Reach::Offering => Some(offering.clone()),
            Reach::Place => None,
        };
        self.tries.set(self.tries.get() + 1);
        let is_unknown = failure.meaning == Meaning::Unknown;
        let shortage = Shortage { noted: now, number: self.tries.get(), is_unknown };
        self.short.borrow_mut().insert((index, what), shortage);
    }

    fn has(&self, index: usize, offering: &Offering) {
        let mut short = self.short.borrow_mut();
        short.remove(&(index, Some(offering.clone())));
        short.remove(&(index, None));
    }
}

fn more_telling(before: Option<Failure>, now: Failure) -> Failure {
    let speaks_of_capacity = |it: &Failure| matches!(it.meaning, Meaning::Capacity(_));
    let must_be_told = matches!(
        now.meaning,
        Meaning::Capacity(_) | Meaning::Unknown | Meaning::Throttled | Meaning::ThrottledFor(_)
    );
    match before {
        Some(before) if speaks_of_capacity(&before) && !must_be_told => before,
        _ => now,
    }
}

#[cfg(test)]
mod tests;
