//! What a fleet costs over each ssh client: memory, processes, descriptors, adoption after a restart, CPU time at rest.
//!
//! ```text
//!   this process ── starts, measures by /proc ──► arvados-dispatch-cloud, as a site runs it ── ssh ──┐
//!     └─ simulated controller ◄── HTTP ─────────────┘   └── EC2's API ──┐                            │
//!   this program again: EC2's API with N running VMs ◄──────────────────┘                            │
//!                       N SSH servers at addresses of their own ◄────────────────────────────────────┘
//! ```
//! Memory is the proportional set size of the dispatcher and all its descendants: what is shared counts once. Names of
//! clients and numbers of VMs as arguments select some of the measurements: `cargo bench --bench fleet -- russh 300`.
#![expect(clippy::unwrap_used, reason = "a measurement whose helper fails has failed")]

mod dispatcher;
mod tree;
mod vms;

use std::time::Duration;

use dispatcher::Dispatcher;
use tree::Usage;
use vms::Fleet;

const CLIENTS: [&str; 2] = ["openssh", "russh"];
const SIZES: [usize; 2] = [300, 1_000];
/// What adoption leaves to do is done after that time.
const SETTLED: Duration = Duration::from_secs(15);
/// How long the fleet is left alone for the measurement of CPU time.
const AT_REST: Duration = Duration::from_secs(60);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, count] = &words[..]
        && word == vms::SERVE
    {
        return vms::serve(count.parse().unwrap());
    }
    let is_wanted = |all: &[String], name: &str| {
        let chosen: Vec<_> = words.iter().filter(|word| all.contains(word)).collect();
        chosen.is_empty() || chosen.into_iter().any(|word| word == name)
    };
    let sizes = SIZES.map(|size| size.to_string());
    println!("  client    VMs   adopted   memory  processes  descriptors   of the dispatcher   CPU at rest");
    for size in SIZES.into_iter().filter(|size| is_wanted(&sizes, &size.to_string())) {
        let clients = CLIENTS.map(str::to_owned);
        for client in CLIENTS.into_iter().filter(|client| is_wanted(&clients, client)) {
            let figures = actix_rt::System::new().block_on(measure(client, size));
            println!("{}", figures.line(client, size));
        }
    }
}

struct Figures {
    adopted: Duration,
    usage: Usage,
    cores: f64,
}

impl Figures {
    fn line(&self, client: &str, size: usize) -> String {
        let Self { adopted, usage, cores } = self;
        let (seconds, megabytes) = (adopted.as_secs_f64(), usage.pss_bytes as f64 / 1e6);
        let Usage { processes, descriptors, own_descriptors, .. } = usage;
        format!(
            "{client:>8} {size:>6} {seconds:>7.1} s {megabytes:>5.0} MB {processes:>10} {descriptors:>12} \
             {own_descriptors:>19} {:>9.2} % of a core",
            cores * 100.0
        )
    }
}

async fn measure(client: &str, size: usize) -> Figures {
    let fleet = Fleet::start(size);
    let site = dispatcher::Site::new(&fleet, client).await;
    let began = tokio::time::Instant::now();
    let dispatcher = Dispatcher::start(&site, &fleet).await;
    dispatcher.has_adopted(size).await;
    let adopted = began.elapsed();
    tokio::time::sleep(SETTLED).await;
    let usage = Usage::of(dispatcher.pid());
    let rest_began = tokio::time::Instant::now();
    tokio::time::sleep(AT_REST).await;
    let used = Usage::of(dispatcher.pid()).cpu.saturating_sub(usage.cpu);
    let cores = used.as_secs_f64() / rest_began.elapsed().as_secs_f64();
    drop(dispatcher);
    site.end().await;
    Figures { adopted, usage, cores }
}
