//! Durations in Go's notation and sizes with decimal or binary prefixes.

use std::time::Duration;

/// What a duration may look like, for error texts.
pub const DURATION: &str = "a duration such as 10s, 1h30m or 250ms (a bare number needs a unit)";
/// What a size may look like, for error texts.
pub const SIZE: &str = "a size such as 500000000, 0.5GiB or 100GB, below 16 EiB";

const NANOSECONDS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds of a text such as `1h30m`, `-1.5s` or `0`; `None` if it is not one or overflows Go's 64 bits.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if unsigned == "0" {
        return Some(0);
    }
    if unsigned.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, more) = after.split_at(unit_ends);
        let factor = NANOSECONDS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(scaled(number, u128::try_from(factor).ok()?)?.try_into().ok()?)?;
        rest = more;
    }
    i64::try_from(sign * total).ok()
}

/// A duration in the notation that [`parse_duration`] reads: `1h30m`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut seconds = duration.as_secs();
    let nanoseconds = duration.subsec_nanos();
    let mut text = String::new();
    for (unit, length) in [("h", 3600), ("m", 60)] {
        if seconds >= length {
            text.push_str(&format!("{}{unit}", seconds / length));
            seconds %= length;
        }
    }
    match (seconds, nanoseconds) {
        (0, 0) if text.is_empty() => text.push_str("0s"),
        (0, 0) => {}
        (0, part) if text.is_empty() && part % 1_000_000 == 0 => {
            text.push_str(&format!("{}ms", part / 1_000_000))
        }
        (whole, 0) => text.push_str(&format!("{whole}s")),
        (whole, part) => {
            let fraction = format!("{part:09}");
            text.push_str(&format!("{whole}.{}s", fraction.trim_end_matches('0')));
        }
    }
    text
}

/// Bytes of a text such as `8GiB`, `0.5 G` or `100`, rounded down; `None` if it is not one or overflows 64 bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let unit_starts = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_starts);
    let factor = size_factor(unit.trim_start())?;
    u64::try_from(scaled(number, factor)?).ok()
}

fn size_factor(unit: &str) -> Option<u128> {
    let prefix = unit.strip_suffix('B').unwrap_or(unit);
    let (prefix, base) = match prefix.strip_suffix('i') {
        Some(prefix) if !prefix.is_empty() => (prefix, 1024_u128),
        _ => (prefix, 1000),
    };
    let power = match prefix {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    Some(base.pow(power))
}

/// A decimal number times a factor, rounded down, without the rounding of floating point.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let has_digits = !whole.is_empty() || !part.is_empty();
    if !has_digits || part.contains('.') || whole.len() > 19 || part.len() > 18 {
        return None;
    }
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let divisor = 10_u128.pow(u32::try_from(part.len()).ok()?);
    // At most 19 digits and a factor below 2^60: the product of whole part and factor fits, the fraction too.
    let (high, low) = (digits / divisor, digits % divisor);
    high.checked_mul(factor)?.checked_add(low.checked_mul(factor)? / divisor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_in_go_notation() {
        for (text, expected) in [
            ("0", Some(0)),
            ("10s", Some(10_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("1µs", Some(1_000)),
            ("-5s", Some(-5_000_000_000)),
            ("336h", Some(1_209_600_000_000_000)),
            (".5s", Some(500_000_000)),
            ("10", None),
            ("", None),
            ("-", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1 s", None),
            ("10s5", None),
            ("1.2.3s", None),
            ("9999999999999h", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_with_decimal_and_binary_prefixes() {
        for (text, expected) in [
            ("100", Some(100)),
            ("100B", Some(100)),
            ("1K", Some(1_000)),
            ("1Ki", Some(1_024)),
            ("1KB", Some(1_000)),
            ("1KiB", Some(1_024)),
            ("0.5GiB", Some(536_870_912)),
            ("100GB", Some(100_000_000_000)),
            ("550 MiB", Some(576_716_800)),
            ("15E", Some(15_000_000_000_000_000_000)),
            ("15.99EiB", Some(18_435_214_858_663_483_146)),
            ("16EiB", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("1e3", None),
            ("1GiBB", None),
            ("1i", None),
            ("1kB", None),
            ("GiB", None),
            ("1.2.3G", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_is_read_back(nanoseconds in 0_i64..i64::MAX) {
            let duration = Duration::from_nanos(nanoseconds.unsigned_abs());
            prop_assert_eq!(parse_duration(&format_duration(duration)), Some(nanoseconds));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,24}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
