//! Clients of the management API: they fetch both lists, a second apart at least, and the metrics once a second.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::pings::quantile;
use crate::site::TOKEN;

const LISTS: [&str; 2] = ["/arvados/v1/dispatch/containers", "/arvados/v1/dispatch/instances"];
const METRICS: &str = "/metrics";
const PATIENCE: Duration = Duration::from_secs(300);

/// Answers: what was fetched, how long it took, how long it was; `None`: it was refused or cut.
type Fetched = Vec<(&'static str, Duration, Option<usize>)>;

/// The thread of all clients.
pub struct Clients {
    end: oneshot::Sender<()>,
    fetched: mpsc::Receiver<Fetched>,
}

/// What they have fetched.
pub struct Report(Fetched);

impl Clients {
    pub fn start(url: &str, count: usize) -> Self {
        let (end, ended) = oneshot::channel();
        let (report, fetched) = mpsc::channel();
        let url = url.to_owned();
        let live = move || actix_rt::System::new().block_on(fetch_all(url, count, ended, report));
        drop(std::thread::Builder::new().name("clients".to_owned()).spawn(live).unwrap());
        Self { end, fetched }
    }

    /// Stops them; what they have not got by now is not in the report.
    pub fn end(self) -> Report {
        self.end.send(()).unwrap();
        Report(self.fetched.recv().unwrap())
    }
}

async fn fetch_all(url: String, count: usize, ended: oneshot::Receiver<()>, report: mpsc::Sender<Fetched>) {
    let fetched = Rc::<RefCell<Fetched>>::default();
    for _ in 0..count {
        actix_rt::spawn(fetch_again_and_again(url.clone(), &LISTS, Rc::clone(&fetched)));
    }
    actix_rt::spawn(fetch_again_and_again(url, &[METRICS], Rc::clone(&fetched)));
    let _ = ended.await;
    report.send(fetched.take()).unwrap();
}

async fn fetch_again_and_again(url: String, paths: &'static [&'static str], fetched: Rc<RefCell<Fetched>>) {
    let connector = awc::Connector::new().timeout(PATIENCE);
    let client = awc::Client::builder().connector(connector).timeout(PATIENCE).finish();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for path in paths {
            let began = Instant::now();
            let bytes = fetch(&client, format!("{url}{path}")).await;
            fetched.borrow_mut().push((path, began.elapsed(), bytes));
        }
    }
}

async fn fetch(client: &awc::Client, url: String) -> Option<usize> {
    let mut answer = client.get(url).bearer_auth(TOKEN).send().await.ok()?;
    let mut bytes = 0;
    while let Some(chunk) = answer.next().await {
        bytes += chunk.ok()?.len();
    }
    answer.status().is_success().then_some(bytes)
}

impl Report {
    pub fn print(&self) {
        println!("  answers of the API                        p50      max  (s)   bytes   refused or cut");
        for path in LISTS.into_iter().chain([METRICS]) {
            let of_path = || self.0.iter().filter(|it| it.0 == path);
            let took: Vec<_> = of_path().map(|it| it.1).collect();
            let at = |share| quantile(&took, share).as_secs_f64();
            let bytes = of_path().filter_map(|it| it.2).max().unwrap_or(0);
            let refused = of_path().filter(|it| it.2.is_none()).count();
            let count = took.len();
            println!("  {count:>5} of {path:<32} {:>6.2} {:>8.2} {bytes:>12} {refused:>6}", at(0.5), at(1.0));
        }
    }
}
