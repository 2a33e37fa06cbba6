//! The file in which what operators have forbidden outlives a dispatcher.

use std::cell::RefCell;

use dispatch_actors::messages::cordon::Kept;
use dispatch_actors::pool::KeepCordons;
use dispatch_core::pool::Cordons;

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
