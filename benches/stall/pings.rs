//! Asks each kind of actor again and again whether it is there, from a thread that does nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use actix::Recipient;
use dispatch_actors::messages::pool::GetWorkers;
use dispatch_actors::messages::{GetState, Ping};
use dispatch_actors::system::Handles;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_millis(10);
/// How often it is asked which workers there are.
const WORKERS_EVERY: u64 = 1_000;

type Seen = Rc<RefCell<BTreeMap<&'static str, Vec<Duration>>>>;

/// The thread; it ends with the process.
pub struct Pings {
    ask: tokio::sync::mpsc::UnboundedSender<mpsc::Sender<Delays>>,
}

/// How long messages have waited, by kind of actor.
pub struct Delays(BTreeMap<&'static str, Vec<Duration>>);

impl Pings {
    pub fn start(handles: Handles) -> Self {
        let (ask, asked) = tokio::sync::mpsc::unbounded_channel();
        let live = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            LocalSet::new().block_on(&runtime, ping(handles, asked));
        };
        drop(std::thread::Builder::new().name("pings".to_owned()).spawn(live).unwrap());
        Self { ask }
    }

    /// What was seen since the last time.
    pub fn take(&self) -> Delays {
        let (answer, answered) = mpsc::channel();
        self.ask.send(answer).unwrap();
        answered.recv().unwrap()
    }
}

async fn ping(handles: Handles, mut asked: tokio::sync::mpsc::UnboundedReceiver<mpsc::Sender<Delays>>) {
    let seen = Seen::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let pings: [(&'static str, Recipient<Ping>); 4] = [
        ("queue", handles.queue.clone().recipient()),
        ("pool", handles.pool.clone().recipient()),
        ("scheduler", handles.scheduler.clone().recipient()),
        ("cloud", handles.cloud.clone().recipient()),
    ];
    let workers = Rc::<RefCell<Vec<_>>>::default();
    for round in 0_u64.. {
        ticks.tick().await;
        if let Ok(answer) = asked.try_recv() {
            let _ = answer.send(Delays(seen.take()));
        }
        for (name, actor) in &pings {
            note(&seen, name, actor.send(Ping));
        }
        let worker: Option<Recipient<GetState>> = {
            let workers = workers.borrow();
            workers.get((round as usize).checked_rem(workers.len()).unwrap_or(0)).cloned()
        };
        if let Some(worker) = worker {
            note(&seen, "worker", worker.send(GetState));
        }
        if round % WORKERS_EVERY == WORKERS_EVERY - 1 {
            let (pool, workers) = (handles.pool.clone(), Rc::clone(&workers));
            tokio::task::spawn_local(async move {
                let all = pool.send(GetWorkers).await.unwrap_or_default();
                workers.replace(all.into_iter().map(|(_, worker)| worker).collect());
            });
        }
    }
}

fn note<T>(seen: &Seen, name: &'static str, answer: impl Future<Output = T> + 'static) {
    let (seen, sent) = (Rc::clone(seen), Instant::now());
    tokio::task::spawn_local(async move {
        answer.await;
        seen.borrow_mut().entry(name).or_default().push(sent.elapsed());
    });
}

impl Delays {
    /// The highest of the actors' 99th percentiles.
    pub fn worst_p99(&self) -> Duration {
        self.0.values().map(|delays| quantile(delays, 0.99)).max().unwrap_or_default()
    }

    pub fn print(&self) {
        println!("  mailbox of      pings     p50     p90     p99   p99.9     max  (ms)");
        for (actor, delays) in &self.0 {
            let at = |share| quantile(delays, share).as_secs_f64() * 1e3;
            let values = [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| format!("{:>7.1}", at(share))).join(" ");
            println!("  {actor:<12} {:>8} {values}", delays.len());
        }
    }
}

/// That share of them waited no longer.
pub fn quantile(delays: &[Duration], share: f64) -> Duration {
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
