//! What becomes of trouble on our own side: an error in the log at once, no creates, and health that says so.

use dispatch_actors::catalogue::Repeats;
use dispatch_actors::messages::pool::OwnSideChanged;
use dispatch_actors::pool::Pool;
use dispatch_actors::{catalogue, clock, event};
use dispatch_adapters::ssh::OwnTrouble;
use slog::Logger;

/// Tells log and pool whenever trouble begins or is over. It ends with the executors.
pub async fn tell(mut trouble: OwnTrouble, pool: actix::Addr<Pool>, log: Logger) {
    let mut repeats = Repeats::default();
    while trouble.changed().await.is_ok() {
        let now = trouble.borrow_and_update().clone();
        match &now {
            // It may come and go many times a second, at the limit of descriptors for instance.
            Some(error) => {
                if let Some(n) = repeats.note(&catalogue::OWN_SIDE_FAILS, "", clock::now()) {
                    event!(log, catalogue::OWN_SIDE_FAILS, "error" => error, "Repeated" => n);
                }
            }
            None => event!(log, catalogue::OWN_SIDE_WELL),
        }
        // Lost only if the pool is gone, and then nothing is created at all.
        pool.do_send(OwnSideChanged { fails: now.is_some() });
    }
}
