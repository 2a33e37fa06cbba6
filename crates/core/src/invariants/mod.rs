//! What no plan may ever ask for: the invariants of (docs/design.md, "Invariants"), as far as a single plan can
//! break them. One function an invariant, each named by its number.
//!
//! | | holds by | checked |
//! |---|---|---|
//! | I1 one process | `i1_one_process` | here |
//! | I2 no premature cancel | `i2_no_premature_cancel` | here |
//! | I3 every container that can run ends | the judge of `crates/sim` | over a whole history |
//! | I4 no VM outlives its use | the judge of `crates/sim` | over a whole history |
//! | I5 limits | `i5_limits` | here |
//! | I6 placement | `i6_placement` | here |
//! | I7 no container waits for ever behind one that cannot run, or others that are let past | the judge of `crates/sim`, and `i7_patience` here | over a whole history |
//! | I8 hold means hold | `i8_hold` | here |
//! | I12 a reserve takes nothing from anybody | `i12_reserve` | here |
//! | I13 a container changes its market only from spot to on demand, and only after a loss | `i13_market` | here |
//!
//! Written from the rules and not from `plan`: it shares no code with what it checks but the sizing of free
//! capacity and the gates. Used by the properties here, the simulator, and debug builds.
//! O(workers + processes + actions), × log.

mod facts;
mod i12_reserve;
mod i13_market;
mod i1_one_process;
mod i2_no_premature_cancel;
mod i5_limits;
mod i6_placement;
mod i7_patience;
mod i8_hold;
mod names;

use std::fmt;

use facts::Facts;
use i1_one_process::i1_one_process;
use i2_no_premature_cancel::i2_no_premature_cancel;
use i5_limits::i5_limits;
use i6_placement::i6_placement;
use i7_patience::i7_patience;
use i8_hold::i8_hold;
use i12_reserve::i12_reserve;
use i13_market::i13_market;
use names::only_known_names;

use crate::plan::{Plan, PlanInput};
use crate::pool::Supply;
use crate::time::Timestamp;

/// Which invariant was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: at most one live process per container.
    OneProcess,
    /// I2: nothing that may be alive, or has ended, is cancelled; nothing is concluded too early.
    NoPrematureCancel,
    /// I5: no more creates, containers or instances than allowed.
    Limits,
    /// I6: nothing on instances that are held, draining, too small, or not there.
    Placement,
    /// I7: nobody is let past one that has waited long enough.
    Patience,
    /// I8: hold means hold; nothing busy or unknown makes room.
    Hold,
    /// I12: a reserve takes nothing from anybody.
    Reserve,
    /// I13: a container changes its market only from spot to on demand, and only after a loss.
    Market,
    /// Only what is in the input is named, and what is being changed is left alone.
    Names,
}

impl Invariant {
    /// Its number, if it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneProcess => "I1",
            Self::NoPrematureCancel => "I2",
            Self::Limits => "I5",
            Self::Placement => "I6",
            Self::Patience => "I7",
            Self::Hold => "I8",
            Self::Reserve => "I12",
            Self::Market => "I13",
            Self::Names => "names",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A plan that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} violated: {what}")]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// By which action, and how.
    pub what: String,
}

type Checked = Result<(), Violation>;

fn require(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// Checks a plan against the input that it was made from.
///
/// # Errors
/// The first violation, in the order of the invariants.
pub fn check_plan(input: &PlanInput, plan: &Plan, now: Timestamp) -> Result<(), Violation> {
    check_supplied(input, &input.supply(now), plan, now)
}

/// The same with what could be created then already known.
pub(crate) fn check_supplied(input: &PlanInput, supply: &Supply, plan: &Plan, now: Timestamp) -> Checked {
    let facts = Facts::new(input, supply, now);
    only_known_names(&facts, plan)?;
    i1_one_process(&facts, plan)?;
    i2_no_premature_cancel(&facts, plan)?;
    i5_limits(&facts, plan)?;
    i6_placement(&facts, plan)?;
    i7_patience(&facts, plan, now)?;
    i8_hold(&facts, plan)?;
    i12_reserve(&facts, plan, now)?;
    i13_market(&facts, plan)
}
