//! What is shown of plays: a table, a summary, JSON, a picture.

use std::time::Duration;

use dispatch_core::time::after;
use dispatch_sim::site::svg::{self, Chart};
use dispatch_sim::site::{Curves, Figures, History, Pace, Play};
use serde_json::{Value, json};

use super::past::Past;
use crate::client::table::{Cell, Table};
use crate::settings::format_duration;

/// Scripts read them by their place.
const COLUMNS: &[&str] = &[
    "configuration",
    "p50",
    "p95",
    "longest",
    "cost",
    "wasted",
    "percent",
    "vcpus-used",
    "boots",
    "peak",
    "complete",
    "cancelled",
    "unfinished",
    "last-end",
];

/// What came of a configuration.
pub(super) struct Played<'a> {
    name: &'a str,
    play: Play,
    figures: Figures,
}

/// All that is to be shown.
pub(super) struct Report<'a> {
    pub(super) past: &'a Past,
    pub(super) plays: &'a [Played<'a>],
    pub(super) pace: Pace,
}

impl<'a> Played<'a> {
    pub(super) fn of(name: &'a str, history: &History, play: Play) -> Self {
        let figures = Figures::of(history, &play);
        Self { name, play, figures }
    }

    fn row(&self) -> Vec<Cell> {
        let Figures { completed, cancelled, unfinished, cost, instances, .. } = &self.figures;
        let waits = self.figures.wait_seconds;
        let values = [
            self.name.to_owned(),
            time(waits.p50),
            time(waits.p95),
            time(waits.max),
            format!("{:.2}", cost.total),
            format!("{:.2}", self.figures.wasted()),
            format!("{:.1}", cost.wasted_percent),
            format!("{:.1}", cost.vcpus_used_percent),
            instances.booted.to_string(),
            instances.peak.to_string(),
            completed.to_string(),
            cancelled.to_string(),
            unfinished.to_string(),
            time(self.figures.last_end_seconds),
        ];
        values.iter().map(|value| Cell::plain(value)).collect()
    }

    /// What is said of it in the picture.
    fn note(&self) -> String {
        let Figures { wait_seconds, cost, instances, .. } = &self.figures;
        format!(
            "waits: half up to {}, 95 of 100 up to {} · cost {:.2}, of it wasted {:.1} % · {} boots, {} instances at most",
            time(wait_seconds.p50),
            time(wait_seconds.p95),
            cost.total,
            cost.wasted_percent,
            instances.booted,
            instances.peak,
        )
    }
}

/// Tenths of seconds up to a minute, and whole seconds beyond.
fn time(seconds: f64) -> String {
    let digits = if seconds < 60.0 { 10.0 } else { 1.0 };
    format_duration(Duration::from_secs_f64((seconds * digits).round() / digits))
}

impl Report<'_> {
    /// One row a configuration.
    pub(super) fn table(&self) -> Table {
        Table { columns: COLUMNS, rows: self.plays.iter().map(Played::row).collect() }
    }

    /// What was played.
    pub(super) fn summary(&self) -> String {
        let history = &self.past.history;
        let last = after(history.began(), history.length());
        let Pace { create, boot, end } = self.pace;
        Table::facts([
            ("submitted", format!("{} jobs, {} to {last}", history.jobs().len(), history.began())),
            (
                "cloud",
                format!(
                    "an instance is created in {}, boots in {}, and is listed for {} after its end",
                    format_duration(create),
                    format_duration(boot),
                    format_duration(end)
                ),
            ),
        ])
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let of = |played: &Played<'_>| {
            let mut value = serde_json::to_value(&played.figures).expect("numbers and names are JSON");
            value["configuration"] = played.name.into();
            value
        };
        json!({
            "history": self.past.json(),
            "cloud": {
                "create_seconds": self.pace.create.as_secs(),
                "boot_seconds": self.pace.boot.as_secs(),
                "end_seconds": self.pace.end.as_secs(),
            },
            "configurations": self.plays.iter().map(of).collect::<Vec<_>>(),
        })
    }

    /// For people who look.
    pub(super) fn svg(&self) -> String {
        let length = self.plays.iter().map(|it| it.play.length).max().unwrap_or_default();
        let charts: Vec<_> = self
            .plays
            .iter()
            .map(|played| Chart {
                title: played.name.to_owned(),
                note: played.note(),
                curves: Curves::of(&played.play, length, svg::STRETCHES),
            })
            .collect();
        let history = &self.past.history;
        let heading = format!("{} jobs, the first submitted at {}", history.jobs().len(), history.began());
        svg::draw(&heading, &charts)
    }
}
