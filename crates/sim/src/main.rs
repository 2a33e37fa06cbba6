//! Hunts for seeds whose chaos violates an invariant, and replays one.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use clap::Parser;
use dispatch_sim::world::Summary;
use dispatch_sim::world::chaos::chaos;

/// The dispatcher in a simulated world where everything goes wrong.
#[derive(Debug, Parser)]
#[command(name = "dispatch-sim")]
struct Arguments {
    /// Live through the chaos of this seed.
    #[arg(long, conflicts_with = "seeds", required_unless_present = "seeds")]
    seed: Option<u64>,
    /// Print what happened, one line an event, with the dispatcher's log.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Live through the chaos of all these seeds, A to before B.
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// How many at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.filter(|(a, b)| a < b).ok_or_else(|| format!("`{text}` is not A..B with A < B"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match (arguments.seed, arguments.seeds) {
        (Some(seed), _) => replay(seed, arguments.trace),
        (None, Some((from, until))) => hunt(from, until, arguments.jobs),
        (None, None) => unreachable!("one of them is required"),
    }
}

/// The history of one seed; that of a violation comes with the panic.
fn replay(seed: u64, trace: bool) -> ExitCode {
    let (summary, history) = chaos(seed, trace);
    if trace {
        print!("{history}");
    }
    print!("{summary}");
    ExitCode::SUCCESS
}

/// All seeds of a stretch, their violations, and their figures.
fn hunt(from: u64, until: u64, jobs: u8) -> ExitCode {
    // A violation's history is long: it is shown when its seed is replayed.
    std::panic::set_hook(Box::new(|_| {}));
    let next = Arc::new(AtomicU64::new(from));
    let (results, arriving) = channel();
    for _ in 0..jobs {
        let (next, results) = (Arc::clone(&next), results.clone());
        std::thread::spawn(move || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= until {
                    break;
                }
                let result = catch_unwind(|| chaos(seed, false).0).map_err(|panic| {
                    let text = panic.downcast_ref::<String>().map_or("a panic without words", String::as_str);
                    text.lines().next().unwrap_or_default().to_owned()
                });
                if results.send((seed, result)).is_err() {
                    break;
                }
            }
        });
    }
    drop(results);
    report(until - from, arriving.into_iter())
}

fn report(seeds: u64, results: impl Iterator<Item = (u64, Result<Summary, String>)>) -> ExitCode {
    let began = tokio::time::Instant::now();
    let (mut all, mut violations) = (Summary::default(), 0);
    for (done, (seed, result)) in (1..).zip(results) {
        match result {
            Ok(summary) => all.add(&summary),
            Err(violation) => {
                violations += 1;
                println!("seed {seed}: {violation}");
            }
        }
        if done % 1000 == 0 {
            println!("{done} of {seeds} seeds, {violations} violations");
        }
    }
    let took = began.elapsed().as_secs_f64();
    let hours = all.time.as_secs_f64() / 3600.0;
    print!("{all}");
    println!("violations  {violations}");
    println!(
        "took        {took:.1} s: {:.1} seeds/s, {:.0} virtual hours/s",
        seeds as f64 / took,
        hours / took
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
