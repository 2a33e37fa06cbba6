//! What a container and a worker cost in memory, as an allocator counts it: bytes that stay allocated.
//!
//! Of the core only: a worker's actor and its SSH session come on top.

#[path = "../world/mod.rs"]
mod world;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use world::{Controller, Scene, Site, Sizes, machines, pool};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MANY: usize = 10_000;

fn main() {
    let mut site = Site::new();
    let controller = Controller::new(&mut site, MANY, Sizes::Mixed);
    println!("Memory, in bytes each of {MANY}");
    let queue = measured("queue entry", || controller.queue());
    measured("queue entry in a snapshot", || queue.snapshot());
    let pool = measured("worker in the pool", || pool(&mut site, MANY));
    measured("worker in a snapshot", || pool.snapshot());
    measured("worker's own machine", || machines(&mut site, MANY));
    let scene = Scene::settled(MANY, MANY / 100, Sizes::Mixed);
    measured("container in a plan", || scene.plan());
}

fn measured<T>(what: &str, make: impl FnOnce() -> T) -> T {
    let region = Region::new(COUNTING);
    let made = make();
    let change = region.change();
    // A block that grows or shrinks counts by the difference.
    let kept = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    println!("{what:>28}{:>8.0}", kept / MANY as f64);
    made
}
