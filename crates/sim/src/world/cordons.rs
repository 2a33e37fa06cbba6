//! What operators forbid to be created in a world, and the file in which that outlives a dispatcher.

use std::cell::RefCell;
use std::time::Duration;

use dispatch_actors::messages::cordon::{DrainType, Kept, PauseCreates, RunType};
use dispatch_actors::messages::pool::GetPool;
use dispatch_actors::pool::KeepCordons;
use dispatch_core::id::TypeName;
use dispatch_core::pool::{CordonScope, Cordons, Pause};
use dispatch_core::time::after;

use super::{Note, World};
use crate::clock;

/// Keeps it as long as the world.
#[derive(Debug, Default)]
pub struct CordonStore(RefCell<Cordons>);

impl KeepCordons for CordonStore {
    fn load(&self) -> Cordons {
        self.0.borrow().clone()
    }

    fn keep(&self, cordons: &Cordons) -> Kept {
        self.0.replace(cordons.clone());
        Kept::Yes
    }
}

impl World {
    /// The operator lets nothing of that scope be created for a while; returns whether the dispatcher accepted it.
    pub async fn operator_pauses(&mut self, scope: CordonScope, lasting: Duration) -> bool {
        let now = clock::now();
        let note = dispatch_core::note::Note::new(now, "operator", "simulated");
        let pause = Pause { scope: scope.clone(), until: after(now, lasting), note };
        let until = pause.until;
        let accepted = self.handles().pool.send(PauseCreates(pause)).await.is_ok_and(|answer| answer.is_ok());
        if accepted {
            let under_way = self.creates_under_way(&scope).await;
            self.note(Note::Cordoned { scope, until: Some(until), under_way });
        }
        accepted
    }

    /// The operator drains a type; returns whether the dispatcher accepted it.
    pub async fn operator_drains_type(&mut self, name: &TypeName) -> bool {
        let note = dispatch_core::note::Note::new(clock::now(), "operator", "simulated");
        let message = DrainType { name: name.clone(), note };
        let accepted = self.handles().pool.send(message).await.is_ok_and(|answer| answer.is_ok());
        if accepted {
            let scope = CordonScope::Type(name.clone());
            let under_way = self.creates_under_way(&scope).await;
            self.note(Note::Cordoned { scope, until: None, under_way });
        }
        accepted
    }

    /// The operator lets every drained type be used again.
    pub async fn operator_uses_all_types(&mut self) {
        let drained: Vec<_> = self.cordons.load().drained.into_keys().collect();
        for name in drained {
            self.note(Note::Uncordoned(name.clone()));
            let note = dispatch_core::note::Note::new(clock::now(), "operator", "simulated");
            let answer = self.handles().pool.send(RunType { name, note }).await;
            assert!(answer.is_ok_and(|answer| answer.is_ok()), "a drained type can be used again");
        }
    }

    /// Creates that the dispatcher has decided on, whether they are sent already or wait for their turn.
    async fn creates_under_way(&self, scope: &CordonScope) -> usize {
        let answer = self.handles().pool.send(GetPool).await;
        let pending = &answer.expect("the pool lives as long as its incarnation").snapshot.pending;
        pending.iter().filter(|(_, create)| scope.covers(&create.instance_type)).count()
    }
}
