//! Days of the week and hours of the day, by the clock of a place.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Days and hours by the clock of a zone. The hours may go past midnight: what comes after it belongs to the day before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    /// On these days.
    pub days: Days,
    /// In these hours.
    pub hours: HourRange,
    /// By this clock.
    pub zone: Zone,
}

impl Calendar {
    /// Whether it covers that moment.
    pub fn covers(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.time_zone.clone()).datetime();
        let minute = 60 * u16::from(local.hour().unsigned_abs()) + u16::from(local.minute().unsigned_abs());
        let HourRange { from, to } = self.hours;
        let today = self.days.has(local.weekday());
        let yesterday = self.days.has(local.weekday().previous());
        match from < to {
            true => today && (from..to).contains(&minute),
            false => today && minute >= from || yesterday && minute < to,
        }
    }
}

/// Days of the week, one bit each, Monday first. Written as `Mon-Fri` or `Sat,Sun`; empty = all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(u8);

/// What [`Days`] accept.
pub const DAYS_WANTED: &str = "days of the week (Mon-Fri, or Sat,Sun), or nothing for all";

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Default for Days {
    /// All of them.
    fn default() -> Self {
        Self(0b111_1111)
    }
}

impl Days {
    fn has(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }
}

/// The number of a day, Monday being 0; its name may be longer than three letters.
fn day_number(name: &str) -> Option<usize> {
    const LONG: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let is =
        |(short, long): (&&str, &&str)| name.eq_ignore_ascii_case(short) || name.eq_ignore_ascii_case(long);
    NAMES.iter().zip(&LONG).position(is)
}

impl FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut days = 0;
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let [first, last] = [first, last].map(|name| day_number(name.trim()));
            let (mut day, last) = first.zip(last).ok_or(DAYS_WANTED)?;
            days |= 1 << day;
            // Fri-Mon goes past Sunday.
            while day != last {
                day = (day + 1) % NAMES.len();
                days |= 1 << day;
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |day: &usize| self.0 & 1 << day != 0;
        let mut day = 0;
        let mut comma = "";
        while day < NAMES.len() {
            let run = (day..NAMES.len()).take_while(has).count();
            match run {
                0 => day += 1,
                1 | 2 => {
                    write!(f, "{comma}{}", NAMES[day])?;
                    (day, comma) = (day + 1, ",");
                }
                _ => {
                    write!(f, "{comma}{}-{}", NAMES[day], NAMES[day + run - 1])?;
                    (day, comma) = (day + run, ",");
                }
            }
        }
        Ok(())
    }
}

/// From one minute of the day to another, which does not belong to it. Written as `08:00-18:00`; empty = all day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HourRange {
    from: u16,
    to: u16,
}

/// What a [`HourRange`] accepts.
pub const HOURS_WANTED: &str =
    "two different times of day (08:00-18:00, or 22:00-06:00 past midnight), or nothing for all day";

const DAY: u16 = 24 * 60;

impl Default for HourRange {
    /// All day.
    fn default() -> Self {
        Self { from: 0, to: DAY }
    }
}

/// The minute of the day; 24:00 is its end.
fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let is_number = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|it| it.is_ascii_digit());
    if !is_number(hour) || !is_number(minute) || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let of_day = 60 * hour + minute;
    (minute < 60 && of_day <= DAY).then_some(of_day)
}

impl FromStr for HourRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let (from, to) = text.split_once('-').ok_or(HOURS_WANTED)?;
        let (from, to) = minute_of(from).zip(minute_of(to)).ok_or(HOURS_WANTED)?;
        if from == to || from == DAY {
            return Err(HOURS_WANTED);
        }
        Ok(Self { from, to })
    }
}

impl fmt::Display for HourRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// The clock of a place: a name of the IANA's list (`Europe/Berlin`, as far as this machine has them), or a rule of POSIX
/// (`CET-1CEST,M3.5.0,M10.5.0/3`); empty = UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    time_zone: TimeZone,
}

/// What a [`Zone`] accepts.
pub const ZONE_WANTED: &str = "a time zone that this machine knows (UTC, or Europe/Berlin: of the package tzdata), or a rule of POSIX (CET-1CEST,M3.5.0,M10.5.0/3)";

impl Default for Zone {
    /// Coordinated universal time.
    fn default() -> Self {
        Self { name: "UTC".to_owned(), time_zone: TimeZone::UTC }
    }
}

impl FromStr for Zone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        if name.is_empty() || name.eq_ignore_ascii_case("UTC") {
            return Ok(Self::default());
        }
        let time_zone = TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map_err(|_| ZONE_WANTED)?;
        Ok(Self { name: name.to_owned(), time_zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

macro_rules! written_as_text {
    ($($it:ty),*) => {$(
        impl TryFrom<String> for $it {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$it> for String {
            fn from(it: $it) -> Self {
                it.to_string()
            }
        }
    )*};
}

written_as_text!(Days, HourRange, Zone);

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(days: &str, hours: &str, zone: &str) -> Calendar {
        Calendar { days: days.parse().unwrap(), hours: hours.parse().unwrap(), zone: zone.parse().unwrap() }
    }

    fn covers(calendar: &Calendar, at: &str) -> bool {
        calendar.covers(at.parse().unwrap())
    }

    #[test]
    fn days_are_read_in_lists_and_ranges_and_written_shortest() {
        for (text, written) in [
            ("", "Mon-Sun"),
            ("Mon-Fri", "Mon-Fri"),
            ("sun, SAT", "Sat,Sun"),
            ("Friday-Monday", "Mon,Fri-Sun"),
            ("Wed", "Wed"),
            ("Mon,Tue,Wed,Fri", "Mon-Wed,Fri"),
        ] {
            let days: Days = text.parse().unwrap();
            assert_eq!(days.to_string(), written, "{text}");
            assert_eq!(days.to_string().parse(), Ok(days));
        }
        for wrong in ["Mo", "Mon-", "-", "Mon,,Tue", "Mon-Fri-Sun", "1"] {
            assert_eq!(wrong.parse::<Days>(), Err(DAYS_WANTED), "{wrong}");
        }
    }

    #[test]
    fn hours_are_two_different_times_of_a_day() {
        for (text, written) in
            [("", "00:00-24:00"), ("8:00-18:30", "08:00-18:30"), ("22:00 - 06:00", "22:00-06:00")]
        {
            let hours: HourRange = text.parse().unwrap();
            assert_eq!(hours.to_string(), written);
            assert_eq!(hours.to_string().parse(), Ok(hours));
        }
        for wrong in [
            "8-18",
            "08:00",
            "08:00-08:00",
            "24:00-08:00",
            "08:60-09:00",
            "25:00-26:00",
            "+8:00-9:00",
            "08:0-9:00",
        ] {
            assert_eq!(wrong.parse::<HourRange>(), Err(HOURS_WANTED), "{wrong}");
        }
    }

    #[test]
    fn the_end_does_not_belong_to_it() {
        // 2026-11-30 is a Monday.
        let work = calendar("Mon-Fri", "08:00-18:00", "");
        for (at, expected) in [
            ("2026-11-30T07:59:59Z", false),
            ("2026-11-30T08:00:00Z", true),
            ("2026-11-30T17:59:59Z", true),
            ("2026-11-30T18:00:00Z", false),
            ("2026-11-29T12:00:00Z", false),
        ] {
            assert_eq!(covers(&work, at), expected, "{at}");
        }
    }

    #[test]
    fn what_comes_after_midnight_belongs_to_the_day_before() {
        let night = calendar("Fri", "22:00-06:00", "");
        for (at, expected) in [
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:59:00Z", true),
            ("2026-11-28T06:00:00Z", false),
            ("2026-11-28T22:00:00Z", false),
            ("2026-11-27T05:00:00Z", false),
        ] {
            assert_eq!(covers(&night, at), expected, "{at}");
        }
    }

    #[test]
    fn a_zone_has_its_summer() {
        let berlin = calendar("", "08:00-09:00", "CET-1CEST,M3.5.0,M10.5.0/3");
        assert!(covers(&berlin, "2026-07-01T06:30:00Z"));
        assert!(covers(&berlin, "2026-12-01T07:30:00Z"));
        assert!(!covers(&berlin, "2026-12-01T06:30:00Z"));
        for wrong in ["Europe/Nowhere", "summer", "../../etc/passwd"] {
            assert_eq!(wrong.parse::<Zone>(), Err(ZONE_WANTED), "{wrong}");
        }
    }
}
