//! What an unquoted scalar means to the site's other services.
//!
//! They all read the file with the same library, whose rules are YAML 1.1's with exceptions: `y` and `n` are truth
//! values, `1e3` is a number, `0o17` and `017` are octal, `089` is decimal, and nothing is to base 60. A reader that
//! follows YAML 1.2 takes some of them for something else, which [`in_yaml_1_2`] tells.

/// What an unquoted scalar that is not null means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    /// `true`, `yes`, `on`, `y` and their opposites.
    Flag(bool),
    /// Decimal, hexadecimal, binary, or octal by a leading zero.
    Integer(i128),
    /// A number with a fraction or an exponent, or with more digits than an integer has.
    Fraction(f64),
    /// Anything else.
    Text,
}

/// Why a scalar cannot be used as it is; the text says how readers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: quote it, or write it otherwise")]
pub struct Disagreement(pub &'static str);

const REWRITTEN: Disagreement = Disagreement("some YAML readers take it for a text, others rewrite it");

/// What it means.
///
/// # Errors
/// If it is a number that JSON cannot carry.
pub fn meaning(text: &str) -> Result<Meaning, Disagreement> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Ok(Meaning::Flag(true));
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Ok(Meaning::Flag(false));
        }
        _ => {}
    }
    if matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(Disagreement("not a number that can be sent on"));
    }
    Ok(number(text).unwrap_or(Meaning::Text))
}

/// What a reader that follows YAML 1.2 makes of it.
pub fn in_yaml_1_2(text: &str) -> Meaning {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let based = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix).filter(|it| !it.starts_with(['+', '-']))?;
        i128::from_str_radix(digits, radix).ok().map(Meaning::Integer)
    };
    match text {
        "true" | "True" | "TRUE" => Meaning::Flag(true),
        "false" | "False" | "FALSE" => Meaning::Flag(false),
        _ if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map_or(Meaning::Text, Meaning::Integer)
        }
        _ => based("0o", 8)
            .or_else(|| based("0x", 16))
            .or_else(|| decimal(text).map(Meaning::Fraction))
            .unwrap_or(Meaning::Text),
    }
}

/// Whether readers of YAML 1.2 mean the same by it.
pub fn is_the_same_in_yaml_1_2(text: &str) -> bool {
    let as_number = |meaning| match meaning {
        // Compared as what a program would count with.
        Meaning::Integer(integer) => Some(integer as f64),
        Meaning::Fraction(fraction) => Some(fraction),
        Meaning::Flag(_) | Meaning::Text => None,
    };
    let (Ok(ours), theirs) = (meaning(text), in_yaml_1_2(text)) else { return true };
    ours == theirs || as_number(ours).is_some_and(|number| Some(number) == as_number(theirs))
}

/// Its text, for a key that wants one: what every reader would make of it.
///
/// # Errors
/// If a reader that takes it for a number or a truth value would print it differently.
pub fn as_text(text: &str) -> Result<&str, Disagreement> {
    let same_everywhere = match meaning(text)? {
        Meaning::Text => true,
        Meaning::Flag(flag) => text == if flag { "true" } else { "false" },
        Meaning::Integer(integer) => text == integer.to_string(),
        // `12.0` is printed as `12` by some: the same number, and versions are compared as numbers.
        Meaning::Fraction(_) => {
            let unsigned = text.trim_start_matches('-');
            unsigned.contains('.') && unsigned.chars().all(|c| c.is_ascii_digit() || c == '.')
        }
    };
    if same_everywhere { Ok(text) } else { Err(REWRITTEN) }
}

/// Numbers begin with a digit, a sign or a dot. Underscores between digits are for people, except after a dot.
fn number(text: &str) -> Option<Meaning> {
    match text.bytes().next()? {
        b'.' => decimal(text).map(Meaning::Fraction),
        b'+' | b'-' | b'0'..=b'9' => {
            let plain = text.replace('_', "");
            integer(&plain).map(Meaning::Integer).or_else(|| decimal(&plain).map(Meaning::Fraction))
        }
        _ => None,
    }
}

/// An integer of at most 64 bits; an unsigned one has no sign.
fn integer(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        _ if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    let magnitude = Some(digits).filter(|it| !it.starts_with(['+', '-']))?;
    let magnitude = i128::from_str_radix(magnitude, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    let greatest = if unsigned == text { i128::from(u64::MAX) } else { i128::from(i64::MAX) };
    (value >= i128::from(i64::MIN) && value <= greatest).then_some(value)
}

/// `1`, `1.5`, `.5`, `1.`, each with an exponent or not; `None` for anything else, and beyond what a float holds.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|it| !it.is_empty() && digits(it));
    is_number.then(|| text.parse::<f64>().ok()).flatten().filter(|it| it.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_the_sites_services_take_them_for() {
        use Meaning::{Flag, Fraction, Integer, Text};
        for (text, expected) in [
            ("yes", Flag(true)),
            ("Off", Flag(false)),
            ("TRUE", Flag(true)),
            ("y", Flag(true)),
            ("N", Flag(false)),
            ("yEs", Text),
            ("0", Integer(0)),
            ("-12", Integer(-12)),
            ("+12", Integer(12)),
            ("010", Integer(8)),
            ("0o17", Integer(15)),
            ("089", Fraction(89.0)),
            ("0x1F", Integer(31)),
            ("-0x1f", Integer(-31)),
            ("0b101", Integer(5)),
            ("1_000", Integer(1000)),
            ("1__0", Integer(10)),
            ("1_", Integer(1)),
            ("_1", Text),
            ("18446744073709551615", Integer(18_446_744_073_709_551_615)),
            ("123456789012345678901234567890", Fraction(1.234_567_890_123_456_8e29)),
            ("0.5", Fraction(0.5)),
            (".5", Fraction(0.5)),
            ("._5", Text),
            ("1.", Fraction(1.0)),
            ("1e3", Fraction(1000.0)),
            ("8e9", Fraction(8e9)),
            ("12e-4", Fraction(0.0012)),
            ("1.5e+3", Fraction(1500.0)),
            ("1e999", Text),
            ("1e", Text),
            ("-1.5", Fraction(-1.5)),
            ("1,000", Text),
            ("12:30", Text),
            ("1:30:00", Text),
            ("52:54:00:12:34:56", Text),
            ("10s", Text),
            ("8GiB", Text),
            ("10%", Text),
            ("1.2.3", Text),
            ("10.0.0.1:80", Text),
            ("2001-12-14", Text),
            ("-", Text),
            ("+-1", Text),
            ("0x-1", Text),
            ("--job-name=%U", Text),
            ("...", Text),
            (".", Text),
            ("0x", Text),
            ("c4.xlarge", Text),
        ] {
            assert_eq!(meaning(text), Ok(expected), "{text}");
        }
        for text in [".inf", "-.INF", ".nan"] {
            assert!(meaning(text).is_err(), "{text}");
        }
    }

    #[test]
    fn where_yaml_1_2_differs_is_known() {
        for text in ["y", "yes", "Off", "010", "0b101", "1_000", "-0x1f", "0X1F"] {
            assert!(!is_the_same_in_yaml_1_2(text), "{text}");
        }
        for text in ["true", "8e9", "089", "0o17", "0x1F", "1.", ".5", "12:30", "1,000", "yEs", "-12", "+12"]
        {
            assert!(is_the_same_in_yaml_1_2(text), "{text}");
        }
    }

    #[test]
    fn a_text_is_taken_only_if_every_reader_would_print_it_so() {
        for text in ["22", "-1", "12.0", "true", "abc", "10s", "8.6", "12:30", "1,000"] {
            assert_eq!(as_text(text), Ok(text));
        }
        for text in [
            "yes",
            "y",
            "True",
            "010",
            "089",
            "0x16",
            "1_000",
            "+1",
            "123e45",
            "12e+4",
            "1.0e+3",
            "123456789012345678901234567890",
        ] {
            assert!(as_text(text).is_err(), "{text}");
        }
    }
}
