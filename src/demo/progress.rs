//! A bar on a terminal; in a pipe nothing but the address, if somebody is to ask it.

use dispatch_core::container::ContainerState;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::worker::State;
use indicatif::{ProgressBar, ProgressStyle};

use super::world::Tally;
use crate::cli::{self, Demo};

/// What is shown while the demo runs; indicatif draws on stderr, and only if that is a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(demo: &Demo, url: &str, management_token: &str) -> Self {
        let bar = ProgressBar::new(u64::from(demo.containers));
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:40}] {pos}/{len}\n{msg}");
        bar.set_style(style.expect("a constant template").progress_chars("=> "));
        let address = format!("management API: {url}");
        let example = format!(
            "  curl -H 'Authorization: Bearer {management_token}' {url}/arvados/v1/dispatch/instances"
        );
        if bar.is_hidden() && demo.keep_running {
            // Nobody could find it otherwise. Results are on stdout.
            cli::complain(address);
            cli::complain(example);
        } else {
            bar.println(address);
            bar.println(example);
        }
        Self { bar }
    }

    pub(super) fn show(&self, tally: &Tally, pool: &PoolSnapshot) {
        let containers = |state| tally.containers.iter().filter(|it| it.state == state).count();
        let workers = |state| pool.workers.iter().filter(|it| it.view.state == state).count();
        self.bar.set_length(tally.containers.len() as u64);
        self.bar.set_position(
            (containers(ContainerState::Complete) + containers(ContainerState::Cancelled)) as u64,
        );
        self.bar.set_message(format!(
            "containers: {} queued, {} locked, {} running, {} complete\ninstances:  {} creating, {} booting, {} idle, {} running, {} shutdown",
            containers(ContainerState::Queued),
            containers(ContainerState::Locked),
            containers(ContainerState::Running),
            containers(ContainerState::Complete),
            pool.pending.len(),
            workers(State::Booting) + workers(State::Unknown),
            workers(State::Idle),
            workers(State::Running),
            workers(State::Shutdown),
        ));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
