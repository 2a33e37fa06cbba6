//! Hunts for seeds whose chaos violates an invariant, and replays one seed.

use std::any::Any;
use std::cell::Cell;
use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use clap::Parser;
use dispatch_sim::world::Summary;
use dispatch_sim::world::chaos::{chaos, chaos_without_hints};
use indicatif::{ProgressBar, ProgressStyle};

/// The dispatcher in a simulated world where everything goes wrong.
#[derive(Debug, Parser)]
#[command(name = "dispatch-sim")]
struct Arguments {
    /// Live through the chaos of this seed.
    #[arg(long, conflicts_with_all = ["seeds", "fresh"], required_unless_present_any = ["seeds", "fresh"])]
    seed: Option<u64>,
    /// Print what happened, one line an event, with the dispatcher's log.
    #[arg(long, requires = "seed", conflicts_with_all = ["seeds", "fresh"])]
    trace: bool,
    /// Live through the chaos of all these seeds, A to before B.
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// Live through the chaos of so many seeds that are drawn from the clock, and print which.
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(1..1_000_000))]
    fresh: Option<u64>,
    /// How many at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// The same worlds without hints: nothing that happens on VMs is told, all has to be asked for.
    #[arg(long)]
    no_hints: bool,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lives through the chaos of a seed.
type Life = fn(u64, bool) -> (Summary, String);

fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.filter(|(a, b)| a < b).ok_or_else(|| format!("`{text}` is not A..B with A < B"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let drawn = arguments.fresh.map(|count| drawn_from(seconds_since_1970(), count));
    if let Some((from, until)) = drawn {
        eprintln!("drawn: --seeds {from}..{until}");
    }
    let live: Life = if arguments.no_hints { chaos_without_hints } else { chaos };
    match (arguments.seed, arguments.seeds.or(drawn)) {
        (Some(seed), _) => replay(live, seed, arguments.trace, arguments.json),
        (None, Some(seeds)) => hunt(live, seeds, arguments.jobs, arguments.json),
        (None, None) => unreachable!("one of them is required"),
    }
}

/// So many seeds that another second does not draw as well, as long as fewer than a million are drawn. Seeds
/// below ten million are for people to type.
fn drawn_from(second: u64, count: u64) -> (u64, u64) {
    const FIRST: u64 = 10_000_000;
    let from = FIRST + second * 1_000_000;
    (from, from + count)
}

/// The machine's own time: which seeds are fresh is the only thing here that depends on it.
fn seconds_since_1970() -> u64 {
    dispatch_sim::clock::now().as_second().unsigned_abs()
}

/// Replays one seed. The history of a violation is part of the panic.
fn replay(live: Life, seed: u64, trace: bool, json: bool) -> ExitCode {
    let (summary, history) = live(seed, trace);
    if trace {
        show(format_args!("{history}"));
    }
    if json {
        show(format_args!("{}\n", serde_json::json!({ "summary": summary })));
    } else {
        show(format_args!("{summary}"));
    }
    ExitCode::SUCCESS
}

/// Writes to standard output. Whoever reads it may stop early, as `head` does: that is no error.
fn show(text: std::fmt::Arguments<'_>) {
    if let Err(error) = std::io::stdout().write_fmt(text)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        eprintln!("standard output cannot be written: {error}");
    }
}

/// Runs all seeds of a range and reports their violations and figures.
fn hunt(live: Life, (from, until): (u64, u64), jobs: u8, json: bool) -> ExitCode {
    // The history of a violation is long; it is shown when its seed is replayed. The headline is printed
    // here, because a release build aborts on a panic and so ends with the first one, even if an actor panics
    // by itself.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        eprintln!("seed {}: {} ({at})", SEED.get(), headline(panic.payload()));
    }));
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
                SEED.set(seed);
                let result = catch_unwind(|| live(seed, false).0);
                if results.send((seed, result.map_err(|panic| headline(&*panic)))).is_err() {
                    break;
                }
            }
        });
    }
    drop(results);
    report(until - from, arriving.into_iter(), json)
}

thread_local! {
    /// The seed that this thread runs.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The first line of a violation, and the line that says how to replay it.
fn headline(panic: &(dyn Any + Send)) -> String {
    let constant = panic.downcast_ref::<&str>().copied();
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or(constant).unwrap_or("a panic without words");
    let replay = text.lines().rev().find(|line| line.starts_with("seed ")).unwrap_or_default();
    format!("{} ({replay})", text.lines().next().unwrap_or_default())
}

fn report(seeds: u64, results: impl Iterator<Item = (u64, Result<Summary, String>)>, json: bool) -> ExitCode {
    let began = tokio::time::Instant::now();
    // The progress bar prints nothing if stderr is not a terminal.
    let progress = ProgressBar::new(seeds);
    progress.set_style(style());
    let (mut all, mut violations) = (Summary::default(), Vec::new());
    for (seed, result) in results {
        match result {
            Ok(summary) => all.add(&summary),
            Err(violation) => violations.push(format!("seed {seed}: {violation}")),
        }
        progress.set_message(format!("{} violations", violations.len()));
        progress.inc(1);
    }
    progress.finish_and_clear();
    let took = began.elapsed().as_secs_f64();
    if json {
        let report = serde_json::json!({"summary": all, "violations": violations, "seconds": took});
        show(format_args!("{report}\n"));
    } else {
        let speed = seeds as f64 / took;
        let listed: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
        let count = violations.len();
        show(format_args!("{all}{listed}violations  {count}\ntook        {took:.1} s: {speed:.1} seeds/s\n"));
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn style() -> ProgressStyle {
    let template = "{elapsed_precise} {bar:40} {pos} of {len} seeds, {per_sec}, {msg}";
    ProgressStyle::with_template(template).expect("a constant template")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_are_drawn_at_another_second_are_others() {
        let (now, then) = (drawn_from(1_800_000_000, 999_999), drawn_from(1_800_000_001, 5));
        assert!(now.0 < now.1 && now.1 < then.0 && then.1 - then.0 == 5);
    }

    #[test]
    fn options_that_would_do_nothing_are_refused() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).is_ok();
        for taken in ["sim --seed 1 --trace", "sim --seeds 0..2 --jobs 2 --json", "sim --fresh 9 --no-hints"]
        {
            assert!(parse(taken), "{taken}");
        }
        for refused in [
            "sim --fresh 0",
            "sim --fresh 2 --seeds 0..2",
            "sim --fresh 2 --seed 1",
            "sim --fresh 2 --trace",
            "sim",
            "sim --trace",
            "sim --seeds 0..2 --trace",
            "sim --seeds 2..2",
            "sim --seeds 3",
        ] {
            assert!(!parse(refused), "{refused}");
        }
    }
}
