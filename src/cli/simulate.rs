//! `simulate`: a site's history under other configurations.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

/// Options of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("past").args(["log", "csv"]).required(true))]
pub struct Simulate {
    /// What the dispatcher has logged as JSON, this one or the Go program; - is standard input. May be repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    pub log: Vec<PathBuf>,
    /// Jobs, one a line, below the names of their columns: submitted_at, vcpus, ram, duration, and perhaps scratch,
    /// preemptible, priority; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// From an instance's creation until it can be used.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds(1))]
    pub boot_seconds: u32,
    /// How long the cloud takes to create an instance.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = seconds(0))]
    pub create_seconds: u32,
    /// For how long an instance is still listed, and counts in MaxInstances, after it was destroyed.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = seconds(0))]
    pub end_seconds: u32,
    /// Draw queue, fleet and cost over time into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Begin with the names of the columns, in a pipe too.
    #[arg(long, conflicts_with = "json")]
    pub header: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// From that many to an hour.
fn seconds(least: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let given = text.parse().ok().filter(|seconds| (least..=3600).contains(seconds));
        given.ok_or_else(|| format!("whole seconds from {least} to 3600 are wanted"))
    }
}

impl Simulate {
    /// The cloud's pace.
    pub fn pace(&self) -> dispatch_sim::site::Pace {
        let time = |seconds: u32| Duration::from_secs(seconds.into());
        dispatch_sim::site::Pace {
            create: time(self.create_seconds),
            boot: time(self.boot_seconds),
            end: time(self.end_seconds),
        }
    }
}
