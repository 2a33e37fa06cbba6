//! I10: nothing is created of what an operator has forbidden, but for what was under way.

use dispatch_core::id::TypeName;
use dispatch_core::instance::InstanceType;
use dispatch_core::pool::CordonScope;
use dispatch_core::time::Timestamp;

use super::Verdict;

/// All that operators have forbidden to be created.
#[derive(Debug, Default)]
pub(super) struct Cordons(Vec<Cordon>);

#[derive(Debug)]
struct Cordon {
    scope: CordonScope,
    /// `None`: until it is taken back.
    until: Option<Timestamp>,
    /// Creates that were under way when it was forbidden.
    under_way: usize,
}

impl Cordons {
    /// Another pause of that scope, or another drain of that type, is replaced.
    pub(super) fn forbid(&mut self, scope: &CordonScope, until: Option<Timestamp>, under_way: usize) {
        self.0.retain(|it| it.scope != *scope || it.until.is_some() != until.is_some());
        self.0.push(Cordon { scope: scope.clone(), until, under_way });
    }

    /// That type is not drained any more.
    pub(super) fn use_again(&mut self, name: &TypeName) {
        let scope = CordonScope::Type(name.clone());
        self.0.retain(|it| it.scope != scope || it.until.is_some());
    }

    pub(super) fn create_sent(&mut self, it: &InstanceType, at: Timestamp) -> Verdict {
        let forbids =
            |cordon: &&mut Cordon| cordon.until.is_none_or(|until| at < until) && cordon.scope.covers(it);
        for cordon in self.0.iter_mut().filter(forbids) {
            let left = cordon.under_way.checked_sub(1);
            let name = &it.name;
            cordon.under_way =
                left.ok_or_else(|| format!("I10: {name} is created although {} is paused", cordon.scope))?;
        }
        Ok(())
    }
}
