//! What an unquoted scalar means to a YAML 1.1 reader, or that readers in use disagree about it.
//!
//! The libraries that read the same file (Go's, Ruby's, Python's) agree on most scalars and quarrel about
//! some: `y`, `089`, `0o17`, `1e3`, `12:30`, `1,000`. What they quarrel about is refused, not guessed.

/// A YAML 1.1 reader's word on an unquoted scalar that is not null.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    /// `true`, `yes`, `on` and their opposites.
    Flag(bool),
    /// Decimal, `0x`, `0b`, or octal by a leading zero.
    Integer(i128),
    /// A decimal fraction.
    Fraction(f64),
    /// Anything else.
    Text,
}

/// Readers disagree about this scalar; the text says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: quote it, or write it otherwise")]
pub struct Disagreement(pub &'static str);

const NUMBER_OR_TEXT: Disagreement =
    Disagreement("some YAML readers take it for a number, others for a text");
const FLAG_OR_TEXT: Disagreement =
    Disagreement("some YAML readers take it for true or false, others for a text");
const REWRITTEN: Disagreement = Disagreement("some YAML readers take it for a text, others rewrite it");

/// What it means.
///
/// # Errors
/// If readers disagree, or if it is a number that JSON cannot carry.
pub fn meaning(text: &str) -> Result<Meaning, Disagreement> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Ok(Meaning::Flag(true));
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Ok(Meaning::Flag(false));
        }
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "y" | "n" | "true" | "false" | "yes" | "no" | "on" | "off") {
        return Err(FLAG_OR_TEXT);
    }
    if matches!(lower.trim_start_matches(['+', '-']), ".inf" | ".nan") {
        return Err(Disagreement("not a number that can be sent on"));
    }
    number(text)
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
        Meaning::Fraction(_) => text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.'),
    };
    if same_everywhere { Ok(text) } else { Err(REWRITTEN) }
}

fn number(text: &str) -> Result<Meaning, Disagreement> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(Meaning::Text);
    }
    match integer(unsigned)? {
        Some(magnitude) => bounded(if negative { -magnitude } else { magnitude }),
        None => fraction(text, unsigned),
    }
}

fn bounded(integer: i128) -> Result<Meaning, Disagreement> {
    let fits = integer >= i128::from(i64::MIN) && integer <= i128::from(u64::MAX);
    if fits { Ok(Meaning::Integer(integer)) } else { Err(Disagreement("more digits than an integer has")) }
}

/// The digits without single underscores between them; `None` if they are not digits of that base.
fn digits(text: &str, radix: u32) -> Option<String> {
    let grouped = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    let valid = !text.is_empty() && text.chars().all(|c| c == '_' || c.is_digit(radix));
    (valid && grouped).then(|| text.replace('_', ""))
}

fn integer(unsigned: &str) -> Result<Option<i128>, Disagreement> {
    let based = |text: &str, radix| -> Result<Option<i128>, Disagreement> {
        let Some(digits) = digits(text, radix) else { return Ok(None) };
        i128::from_str_radix(&digits, radix)
            .map(Some)
            .map_err(|_| Disagreement("more digits than an integer has"))
    };
    if unsigned.starts_with("0o") && digits(&unsigned[2..], 8).is_some() {
        return Err(NUMBER_OR_TEXT);
    }
    if let Some(rest) = unsigned.strip_prefix("0x") {
        return based(rest, 16);
    }
    if let Some(rest) = unsigned.strip_prefix("0b") {
        return based(rest, 2);
    }
    if unsigned.len() > 1 && unsigned.starts_with('0') {
        return match based(unsigned, 8)? {
            Some(octal) => Ok(Some(octal)),
            None if digits(unsigned, 10).is_some() => Err(NUMBER_OR_TEXT),
            None => Ok(None),
        };
    }
    based(unsigned, 10)
}

fn fraction(text: &str, unsigned: &str) -> Result<Meaning, Disagreement> {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let dotted = mantissa.split_once('.').is_some_and(|(whole, part)| {
        let decimal = |text: &str| text.is_empty() || digits(text, 10).is_some();
        decimal(whole) && decimal(part) && !(whole.is_empty() && part.is_empty())
    });
    let signed = exponent.is_none_or(|it| {
        it.strip_prefix(['+', '-'])
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()) && !rest.is_empty())
    });
    if dotted && signed {
        let value: f64 = text.replace('_', "").parse().map_err(|_| NUMBER_OR_TEXT)?;
        return if value.is_finite() { Ok(Meaning::Fraction(value)) } else { Err(NUMBER_OR_TEXT) };
    }
    if looks_numeric(mantissa, exponent) { Err(NUMBER_OR_TEXT) } else { Ok(Meaning::Text) }
}

/// Whether some reader may take it for a number although YAML 1.1 does not, or not for certain: an
/// exponent without dot or sign, base 60, thousands with commas, stray underscores.
fn looks_numeric(mantissa: &str, exponent: Option<&str>) -> bool {
    let all = |text: &str, more: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || more.contains(&c))
    };
    match exponent {
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            all(mantissa, &['.', '_']) && mantissa.matches('.').count() <= 1 && all(exponent, &['_'])
        }
        None => {
            let commas = mantissa.contains(',') && all(mantissa, &[',', '.']);
            let underscores =
                mantissa.contains('_') && all(mantissa, &['_', '.']) && mantissa.matches('.').count() <= 1;
            commas || underscores || is_base_60(mantissa)
        }
    }
}

fn is_base_60(text: &str) -> bool {
    let mut groups = text.split(':');
    let first = groups.next().is_some_and(|it| digits(it, 10).is_some());
    let mut more = 0;
    let rest = groups.all(|group| {
        more += 1;
        let whole = group.split('.').next().unwrap_or(group);
        matches!(whole.len(), 1 | 2) && whole.parse::<u8>().is_ok_and(|value| value < 60)
    });
    first && rest && more > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        use Meaning::{Flag, Fraction, Integer, Text};
        for (text, expected) in [
            ("yes", Flag(true)),
            ("Off", Flag(false)),
            ("TRUE", Flag(true)),
            ("0", Integer(0)),
            ("-12", Integer(-12)),
            ("+12", Integer(12)),
            ("010", Integer(8)),
            ("0x1F", Integer(31)),
            ("0b101", Integer(5)),
            ("1_000", Integer(1000)),
            ("18446744073709551615", Integer(18_446_744_073_709_551_615)),
            ("0.5", Fraction(0.5)),
            (".5", Fraction(0.5)),
            ("1.", Fraction(1.0)),
            ("1.5e+3", Fraction(1500.0)),
            ("-1.5", Fraction(-1.5)),
            ("10s", Text),
            ("8GiB", Text),
            ("10%", Text),
            ("1.2.3", Text),
            ("10.0.0.1:80", Text),
            ("22:80", Text),
            ("2001-12-14", Text),
            ("-", Text),
            ("--job-name=%U", Text),
            ("...", Text),
            (".", Text),
            ("0x", Text),
            ("c4.xlarge", Text),
        ] {
            assert_eq!(meaning(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for text in [
            "y",
            "N",
            "yEs",
            "089",
            "0o17",
            "1e3",
            "1.5e3",
            "12e-4",
            "12:30",
            "1:30:00",
            "1,000",
            "1_",
            "1__0",
            ".inf",
            "-.INF",
            ".nan",
            "123456789012345678901234567890",
        ] {
            assert!(meaning(text).is_err(), "{text}: {:?}", meaning(text));
        }
    }

    #[test]
    fn a_text_is_taken_only_if_every_reader_would_print_it_so() {
        for text in ["22", "-1", "12.0", "true", "abc", "10s", "8.6"] {
            assert_eq!(as_text(text), Ok(text));
        }
        for text in ["yes", "True", "010", "0x16", "1_000", "+1", "123e45", "12e+4", "1.0e+3"] {
            assert!(as_text(text).is_err(), "{text}");
        }
    }
}
