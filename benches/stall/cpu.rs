//! How much CPU time each kind of thread has used, how long it has waited for a CPU, and how busy the machine was.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Of one kind of thread: on a CPU, and ready to run without one.
type Times = (Duration, Duration);

pub struct Usage {
    at: Instant,
    threads: BTreeMap<String, Times>,
    /// Ticks of all CPUs: idle, and all.
    machine: (u64, u64),
}

impl Usage {
    pub fn now() -> Self {
        Self { at: Instant::now(), threads: threads(), machine: machine() }
    }

    pub fn print_since(&self, before: &Self) {
        let seconds = (self.at - before.at).as_secs_f64();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let (idle, all) = (self.machine.0 - before.machine.0, self.machine.1 - before.machine.1);
        let busy = 100.0 * (1.0 - idle as f64 / all.max(1) as f64);
        println!(
            "  {cpus} CPUs, {busy:.0} % busy; CPU time by thread, and how long it was ready and had no CPU:"
        );
        for (name, (ran, waited)) in &self.threads {
            let (ran_before, waited_before) = before.threads.get(name).copied().unwrap_or_default();
            let share = |time: Duration| 100.0 * time.as_secs_f64() / seconds;
            let (ran, waited) =
                (share(ran.saturating_sub(ran_before)), share(waited.saturating_sub(waited_before)));
            if ran >= 0.5 {
                println!("    {name:<16} {ran:>6.1} % {waited:>6.1} %");
            }
        }
    }
}

fn threads() -> BTreeMap<String, Times> {
    let mut all = BTreeMap::<String, Times>::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let numbers: Vec<u64> = read("schedstat").split(' ').filter_map(|it| it.parse().ok()).collect();
        if let [ran, waited, ..] = numbers[..] {
            let times = all.entry(read("comm").trim().to_owned()).or_default();
            times.0 += Duration::from_nanos(ran);
            times.1 += Duration::from_nanos(waited);
        }
    }
    all
}

fn machine() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    (idle, ticks.iter().take(8).sum())
}
