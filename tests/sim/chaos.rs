//! Everything at once, by seed. The same 200 seeds each time, in four tests that run side by side: a hunt for
//! others is `cargo run --profile hunt -p dispatch-sim -- --seeds A..B --jobs J`.

use std::ops::Range;

use dispatch_sim::world::chaos::chaos;

fn live_through(seeds: Range<u64>) {
    for seed in seeds {
        let (summary, _) = chaos(seed, false);
        // Users may delete every record; that much has happened all the same.
        assert!(summary.events > 100, "{seed}");
    }
}

#[test]
fn chaos_of_seeds_0_to_49_violates_no_invariant_and_drains() {
    live_through(0..50);
}

#[test]
fn chaos_of_seeds_50_to_99_violates_no_invariant_and_drains() {
    live_through(50..100);
}

#[test]
fn chaos_of_seeds_100_to_149_violates_no_invariant_and_drains() {
    live_through(100..150);
}

#[test]
fn chaos_of_seeds_150_to_199_violates_no_invariant_and_drains() {
    live_through(150..200);
}

#[test]
fn the_same_seed_gives_the_same_history_byte_for_byte() {
    for seed in [3, 17] {
        let (_, first) = chaos(seed, true);
        let (_, second) = chaos(seed, true);
        assert!(first.lines().count() > 100);
        let differs = first.lines().zip(second.lines()).find(|(a, b)| a != b);
        assert!(differs.is_none() && first == second, "{differs:?}");
    }
}

#[test]
fn another_seed_gives_another_history() {
    assert_ne!(chaos(1, false).1, chaos(2, false).1);
}
