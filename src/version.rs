//! How a version is written: the number of Cargo.toml, and the commit's time (UTC) and hash unless it is tagged so.
//!
//! ```text
//!   0.1.0                           the commit with the tag v0.1.0, or a source without git
//!   0.1.0+git20261130.0850.fb360ef  any other; later commits have higher versions, also for dpkg and apt
//! ```
//! Used by `build.rs` alone; it is part of the library for its tests.

/// The version of a commit that is described as `unix-time short-hash names…`, as `git log --format='%ct %h %D'` prints
/// it. What is no such description (the file of an archive before git has filled it) is as if there were none.
pub fn full(number: &str, commit: Option<&str>) -> String {
    let described = commit.and_then(|commit| {
        let (time, rest) = commit.trim().split_once(' ')?;
        let (hash, names) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_hash = hash.len() >= 7 && hash.chars().all(|it| it.is_ascii_hexdigit());
        is_hash.then_some((time.parse::<u64>().ok()?, hash, names))
    });
    let tag = format!("tag: v{number}");
    match described {
        Some((time, hash, names)) if !names.split(", ").any(|name| name == tag) => {
            format!("{number}+git{}.{hash}", utc(time))
        }
        _ => number.to_owned(),
    }
}

/// Whether a version can be one of a Debian package, a label and a line of a log.
pub fn is_usable(version: &str) -> bool {
    let is_fit = |it: char| it.is_ascii_alphanumeric() || ".+~".contains(it);
    version.starts_with(|it: char| it.is_ascii_digit()) && version.len() <= 100 && version.chars().all(is_fit)
}

/// `YYYYMMDD.HHMM`, of seconds since 1970: a build script has no library for that.
fn utc(seconds: u64) -> String {
    let (mut days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    let is_leap =
        |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}{month:02}{:02}.{:02}{:02}", days + 1, minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_told_with_its_time_and_hash() {
        let commit = "1796028600 fb360ef HEAD -> main, origin/main, tag: v0.0.9";
        assert_eq!(full("0.1.0", Some(commit)), "0.1.0+git20261130.0850.fb360ef");
        assert_eq!(full("0.1.0", Some("951827696 0123456789\n")), "0.1.0+git20000229.1234.0123456789");
        assert!(is_usable(&full("0.1.0", Some(commit))));
    }

    #[test]
    fn a_release_is_its_number() {
        assert_eq!(full("0.1.0", Some("1796028600 fb360ef HEAD -> main, tag: v0.1.0")), "0.1.0");
    }

    #[test]
    fn without_git_it_is_the_number() {
        for nothing in
            [None, Some(""), Some("$Format:%ct %h %D$"), Some("soon fb360ef"), Some("1796028600 it")]
        {
            assert_eq!(full("0.1.0", nothing), "0.1.0");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101.0000"),
            (951_782_399, "20000228.2359"),
            (951_868_800, "20000301.0000"),
            (1_798_761_599, "20261231.2359"),
            (4_107_542_400, "21000301.0000"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn a_version_of_the_environment_has_no_signs_that_a_package_cannot_have() {
        for good in ["0.1.0", "0.1.0+git20261130.0850.fb360ef.dirty", "1.0~rc1"] {
            assert!(is_usable(good), "{good}");
        }
        for bad in ["", "v1", "1-2", "1:0", "1 2", "1\n2", "1\"", "1/2"] {
            assert!(!is_usable(bad), "{bad}");
        }
    }
}
