//! Until the lock is ours: asks for it, tells who has it, or why it cannot be asked for.

use dispatch_actors::catalogue::{LOCK_ACQUIRED, LOCK_UNREACHABLE, LOCK_WAITING, Repeats};
use dispatch_actors::{clock, event};
use dispatch_core::time::since;
use dispatch_core::worker::fence::Epoch;
use slog::Logger;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::database::Database;
use super::held::Held;
use super::session::{Attempt, Holder, Session};
use super::{LockError, NOTICED_WITHIN, TRY_EVERY};

/// Waits until the lock is ours, however long that takes.
pub async fn acquire(database: &Database, log: &Logger) -> Held {
    let began = clock::now();
    let mut standby = Standby {
        database,
        session: None,
        lost: None,
        holders: Repeats::default(),
        faults: Repeats::default(),
        log,
    };
    let mut rounds = interval(TRY_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        match standby.attempt().await {
            Ok(Some(held)) => {
                let waited = since(clock::now(), began).as_secs_f64();
                event!(log, LOCK_ACQUIRED, "Database" => held.server(), "Duration" => waited);
                return held;
            }
            Ok(None) => {}
            Err(error) => standby.tell(&error),
        }
    }
}

struct Standby<'a> {
    database: &'a Database,
    /// Kept from one attempt to the next, unless something was wrong with it.
    session: Option<Session>,
    /// When a session on which we waited was lost, or none could be had: then the holder's may be lost, too, and it
    /// may not know yet.
    lost: Option<Instant>,
    holders: Repeats,
    faults: Repeats,
    log: &'a Logger,
}

impl Standby<'_> {
    async fn attempt(&mut self) -> Result<Option<Held>, LockError> {
        let attempt = self.ask().await;
        if attempt.is_err() {
            self.lost = Some(Instant::now());
        }
        attempt
    }

    async fn ask(&mut self) -> Result<Option<Held>, LockError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.database.connect().await?,
        };
        // Whatever fails from here on, this session is not used again.
        match self.wait_with(&mut session).await? {
            Attempt::Locked => {
                let epoch = session.epoch().await?.unwrap_or_else(|| Epoch::at(clock::now()));
                Ok(Some(Held::new(session, epoch)))
            }
            Attempt::Taken => {
                self.session = Some(session);
                Ok(None)
            }
        }
    }

    async fn wait_with(&mut self, session: &mut Session) -> Result<Attempt, LockError> {
        let attempt = session.try_lock().await?;
        match attempt {
            Attempt::Locked => self.let_the_other_notice(session).await?,
            Attempt::Taken => {
                // The holder is only shown to the operator.
                let holder = session.holder().await.ok().flatten().unwrap_or_default();
                self.tell_holder(&holder);
            }
        }
        Ok(attempt)
    }

    /// The server has been restarted or replaced while we waited, or could not be reached, or just before we began.
    /// The process that had the lock before may still take a hanging connection for its session, for as long as it
    /// takes to notice.
    async fn let_the_other_notice(&self, session: &mut Session) -> Result<(), LockError> {
        let since_loss = self.lost.map(|lost| lost.elapsed());
        let since_start = session.server_age().await?;
        let Some(since) = [since_loss, since_start].into_iter().flatten().min() else { return Ok(()) };
        let left = NOTICED_WITHIN.saturating_sub(since);
        if left.is_zero() {
            return Ok(());
        }
        session.endures(left).await?;
        session.check().await
    }

    fn tell_holder(&mut self, holder: &Holder) {
        // The server answers: the next fault is a new one.
        self.faults = Repeats::default();
        let subject = format!("{} {}", holder.pid, holder.application);
        if let Some(n) = self.holders.note(&LOCK_WAITING, &subject, clock::now()) {
            event!(self.log, LOCK_WAITING, "HolderPID" => &holder.pid, "HolderApplication" => &holder.application,
                "HolderUser" => &holder.user, "HolderAddress" => &holder.address,
                "HolderSince" => &holder.since, "Repeated" => n);
        }
    }

    fn tell(&mut self, error: &LockError) {
        // By what it is about, not by its words: ports and addresses in them may change each time.
        let subject = format!("{:?} {}", std::mem::discriminant(error), error.code());
        if let Some(n) = self.faults.note(&LOCK_UNREACHABLE, &subject, clock::now()) {
            event!(self.log, LOCK_UNREACHABLE, "Database" => self.database.names(), "error" => %error,
                "Code" => error.code(), "Hint" => error.hint(), "Repeated" => n);
        }
    }
}
