//! Where the marks of an axis stand, and what is written there.

use std::time::Duration;

/// About so many marks has an axis of time.
const TIME_MARKS: u64 = 10;

/// The marks of an axis of amounts, from 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    /// What the axis ends with.
    pub top: f64,
    /// The amounts and what is written there.
    pub marks: Vec<(f64, String)>,
}

impl Ticks {
    /// An axis on which that amount has room: three to six marks at 1, 2 or 5 times a power of ten.
    pub(super) fn up_to(amount: f64) -> Self {
        let amount = if amount.is_finite() && amount > 0.0 { amount } else { 1.0 };
        let power = 10_f64.powf((amount / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
        let step = step.into_iter().find(|step| amount / step <= 4.0).unwrap_or(10.0 * power);
        let count = (amount / step).ceil().max(1.0);
        let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let mark = |number: u32| (f64::from(number) * step, format!("{:.digits$}", f64::from(number) * step));
        Self { top: count * step, marks: (0..=count as u32).map(mark).collect() }
    }
}

/// The marks of an axis of time that long: whole minutes, hours or days.
pub(super) fn time_ticks(length: Duration) -> Vec<(Duration, String)> {
    const MINUTES: [u64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880];
    let minutes = length.as_secs() / 60;
    let fits = |step: &u64| minutes / step <= TIME_MARKS;
    let step = MINUTES.into_iter().find(fits).unwrap_or_else(|| minutes.div_ceil(TIME_MARKS * 1440) * 1440);
    (0..=minutes / step)
        .map(|number| (Duration::from_secs(60 * step * number), label(step * number)))
        .collect()
}

fn label(minutes: u64) -> String {
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours}:{minutes:02} h"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_and_leave_room_for_all() {
        for (amount, top, marks) in [
            (0.0, 1.0, "0.0 0.5 1.0"),
            (0.37, 0.4, "0.0 0.1 0.2 0.3 0.4"),
            (1.0, 1.0, "0.0 0.5 1.0"),
            (7.0, 8.0, "0 2 4 6 8"),
            (137.0, 150.0, "0 50 100 150"),
            (10_000.0, 10_000.0, "0 5000 10000"),
        ] {
            let ticks = Ticks::up_to(amount);
            let written: Vec<_> = ticks.marks.iter().map(|(_, text)| text.as_str()).collect();
            assert!((ticks.top - top).abs() < 1e-9 && ticks.top >= amount, "{amount}: {ticks:?}");
            assert_eq!(written.join(" "), marks, "{amount}");
        }
        assert_eq!(Ticks::up_to(f64::NAN), Ticks::up_to(1.0));
    }

    #[test]
    fn times_are_written_in_units_that_fit_their_length() {
        let written = |minutes: u64| {
            let ticks = time_ticks(Duration::from_secs(60 * minutes));
            ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(written(3), "0 min, 1 min, 2 min, 3 min");
        assert_eq!(
            written(100),
            "0 min, 10 min, 20 min, 30 min, 40 min, 50 min, 1 h, 1:10 h, 1:20 h, 1:30 h, 1:40 h"
        );
        assert_eq!(written(25 * 60), "0 min, 3 h, 6 h, 9 h, 12 h, 15 h, 18 h, 21 h, 1 d");
        assert!(written(400 * 1440).ends_with("400 d"), "{}", written(400 * 1440));
        assert_eq!(written(0), "0 min");
    }
}
