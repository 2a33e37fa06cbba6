//! Hints that wait until they are taken: merged, bounded, in an order in which they are of most use.

use std::collections::BTreeMap;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::Hint;

/// More containers than this are not told one by one: one whole poll is cheaper.
const MOST_CONTAINERS: usize = 200;

/// What has been told and not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The connection's last end, if it has not been taken.
    lost: Option<String>,
    /// Whether it is connected again since then.
    connected: bool,
    everything: bool,
    containers: BTreeMap<ContainerUuid, Option<ContainerState>>,
    requests: bool,
    /// Beside the others, of which none is dropped for it, a whole poll is wanted.
    poll_too: bool,
}

impl Waiting {
    /// Something may have changed of which no event tells: a whole poll is wanted besides.
    pub fn want_poll_too(&mut self) {
        self.poll_too = !self.everything;
    }

    pub fn add(&mut self, hint: Hint) {
        match hint {
            Hint::Lost { reason } => {
                self.lost = Some(reason);
                self.connected = false;
            }
            Hint::Connected => self.connected = true,
            Hint::Everything => self.add_everything(),
            Hint::Requests => self.requests = !self.everything,
            Hint::Container { uuid, state } if !self.everything => self.add_container(uuid, state),
            Hint::Container { .. } => {}
        }
    }

    fn add_container(&mut self, uuid: ContainerUuid, state: Option<ContainerState>) {
        // Events may come in any order: which of two states is the last one is not known.
        let merge = |known: &mut Option<ContainerState>| *known = known.filter(|it| Some(*it) == state);
        self.containers.entry(uuid).and_modify(merge).or_insert(state);
        if self.containers.len() > MOST_CONTAINERS {
            self.add_everything();
        }
    }

    /// A whole poll answers for the containers and the requests, too.
    fn add_everything(&mut self) {
        self.everything = true;
        (self.requests, self.poll_too) = (false, false);
        self.containers.clear();
    }

    /// The next one: the connection first, because what it means for the others.
    pub fn take(&mut self) -> Option<Hint> {
        if let Some(reason) = self.lost.take() {
            return Some(Hint::Lost { reason });
        }
        if std::mem::take(&mut self.connected) {
            return Some(Hint::Connected);
        }
        if std::mem::take(&mut self.everything) {
            return Some(Hint::Everything);
        }
        if let Some((uuid, state)) = self.containers.pop_first() {
            return Some(Hint::Container { uuid, state });
        }
        if std::mem::take(&mut self.requests) {
            return Some(Hint::Requests);
        }
        std::mem::take(&mut self.poll_too).then_some(Hint::Everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(number: usize) -> ContainerUuid {
        format!("zzzzz-dz642-{number:015}").parse().unwrap()
    }

    fn container(number: usize, state: Option<ContainerState>) -> Hint {
        Hint::Container { uuid: uuid(number), state }
    }

    fn lost(reason: &str) -> Hint {
        Hint::Lost { reason: reason.into() }
    }

    fn taken(hints: impl IntoIterator<Item = Hint>) -> Vec<Hint> {
        let mut waiting = Waiting::default();
        hints.into_iter().for_each(|hint| waiting.add(hint));
        std::iter::from_fn(|| waiting.take()).collect()
    }

    #[test]
    fn hints_of_one_container_become_one() {
        let [locked, running] = [Some(ContainerState::Locked), Some(ContainerState::Running)];
        let hints = [container(1, locked), Hint::Requests, container(2, locked), container(1, locked)];
        assert_eq!(taken(hints), [container(1, locked), container(2, locked), Hint::Requests]);
        // Which one is the later is not known: it must not look like a state that we have already.
        for other in [running, None] {
            assert_eq!(taken([container(1, locked), container(1, other)]), [container(1, None)]);
            assert_eq!(taken([container(1, other), container(1, locked)]), [container(1, None)]);
        }
    }

    #[test]
    fn more_than_two_hundred_containers_are_everything() {
        let most = (0..MOST_CONTAINERS).map(|number| container(number, None));
        assert_eq!(taken(most.clone()).len(), MOST_CONTAINERS);
        let more = [Hint::Requests].into_iter().chain(most).chain([container(MOST_CONTAINERS, None)]);
        let after = [container(1, None), Hint::Requests];
        assert_eq!(taken(more.clone().chain(after)), [Hint::Everything]);
        // And when that has been taken, single ones are told again.
        let mut waiting = Waiting::default();
        more.for_each(|hint| waiting.add(hint));
        assert_eq!(waiting.take(), Some(Hint::Everything));
        waiting.add(container(1, None));
        assert_eq!([waiting.take(), waiting.take()], [Some(container(1, None)), None]);
    }

    #[test]
    fn the_last_word_about_the_connection_is_told_first() {
        let ended = [container(1, None), Hint::Connected, lost("a"), lost("b")];
        assert_eq!(taken(ended), [lost("b"), container(1, None)]);
        let again = [lost("a"), Hint::Connected, lost("b"), Hint::Connected, Hint::Requests];
        assert_eq!(taken(again), [lost("b"), Hint::Connected, Hint::Requests]);
    }

    #[test]
    fn a_poll_that_is_wanted_besides_drops_nothing() {
        let mut waiting = Waiting::default();
        waiting.add(container(1, None));
        waiting.want_poll_too();
        waiting.add(Hint::Requests);
        let told: Vec<_> = std::iter::from_fn(|| waiting.take()).collect();
        assert_eq!(told, [container(1, None), Hint::Requests, Hint::Everything]);
    }
}
