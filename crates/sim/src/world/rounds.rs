//! The planning rounds of a world's dispatchers, as they are written down.

use std::cell::RefCell;
use std::rc::Rc;

use dispatch_actors::messages::scheduler::TellRound;

use super::World;

/// Rounds, as the lines of JSON that `run --record` writes.
#[derive(Debug)]
pub(super) struct RoundLog {
    most: usize,
    lines: RefCell<Vec<String>>,
}

impl RoundLog {
    /// Keeps the first `most`.
    pub(super) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { most, lines: RefCell::default() })
    }

    /// Who is told of a dispatcher's rounds; nobody, if none are kept.
    pub(super) fn teller(self: &Rc<Self>) -> Option<TellRound> {
        let log = Rc::clone(self);
        let tell: TellRound = Box::new(move |round| {
            let mut lines = log.lines.borrow_mut();
            if let Some(record) = round.record().filter(|_| lines.len() < log.most) {
                lines.push(serde_json::to_string(&record).expect("a round is JSON"));
            }
        });
        (self.most > 0).then_some(tell)
    }
}

impl World {
    /// The rounds that were kept (`knobs.kept_rounds`), each a line of JSON.
    pub fn rounds(&self) -> Vec<String> {
        self.rounds.lines.borrow().clone()
    }
}
