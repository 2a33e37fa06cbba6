//! What existing unit files and scripts say, put into today's words before clap sees it.

use std::ffi::OsString;

/// A command line, put into today's words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The arguments of the runner, if it is meant.
    pub runner: Option<Vec<OsString>>,
    /// The arguments for clap, the program's name first.
    pub arguments: Vec<OsString>,
    /// Options of older versions, left out.
    pub ignored: Vec<String>,
}

/// Long options with one dash get two; options of older versions and empty arguments before the command are
/// left out; nothing that is the runner's is touched.
pub fn prepare(argv: Vec<OsString>) -> Prepared {
    let mut rest = argv.into_iter();
    let program = rest.next().unwrap_or_else(|| "arvados-dispatch-cloud".into());
    if is_runner(&program) {
        return Prepared { runner: Some(rest.collect()), ..Prepared::default() };
    }
    let mut prepared = Prepared { arguments: vec![program], ..Prepared::default() };
    let mut has_command = false;
    let mut is_value = false;
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        if is_value {
            is_value = false;
        } else if text == "crunch-run" && !has_command {
            prepared.runner = Some(rest.collect());
            return prepared;
        } else if text == "--" {
            prepared.arguments.push(argument);
            prepared.arguments.extend(rest);
            return prepared;
        } else if let Some(option) = switch(&text) {
            prepared.arguments.extend(option.map(OsString::from));
            continue;
        } else if let Some(legacy) = legacy(&text) {
            if legacy == Legacy::WithValueNext {
                rest.next();
            }
            prepared.ignored.push(text.split('=').next().unwrap_or_default().to_owned());
            continue;
        } else if text.is_empty() && !has_command {
            continue;
        } else {
            is_value = takes_value(&text);
            has_command = has_command || !text.starts_with('-');
            if is_one_dash_long(&text) {
                prepared.arguments.push(format!("-{text}").into());
                continue;
            }
        }
        prepared.arguments.push(argument);
    }
    prepared
}

/// By its name: the binary is deployed to VMs as `crunch-run~MD5`.
fn is_runner(program: &OsString) -> bool {
    let name = std::path::Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().starts_with("crunch-run")
}

fn is_one_dash_long(text: &str) -> bool {
    text.starts_with('-') && !text.starts_with("--") && text.len() > 2
}

/// Whether the next argument is this option's, whatever it looks like (`--config -`).
fn takes_value(text: &str) -> bool {
    matches!(text.trim_start_matches('-'), "config" | "cluster-id" | "reason") && text.starts_with('-')
}

/// `-version=true` is `--version`, `-version=false` is nothing, and so with `-help`; `None` for anything else.
fn switch(text: &str) -> Option<Option<&'static str>> {
    let (name, value) = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?.split_once('=')?;
    let option = ["--version", "--help"].into_iter().find(|it| it.trim_start_matches('-') == name)?;
    match value {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(Some(option)),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(None),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Legacy {
    Complete,
    WithValueNext,
}

fn legacy(text: &str) -> Option<Legacy> {
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let (name, has_value) = name.split_once('=').map_or((name, false), |(name, _)| (name, true));
    match name {
        "skip-legacy" => Some(Legacy::Complete),
        "pprof" => Some(if has_value { Legacy::Complete } else { Legacy::WithValueNext }),
        _ if name.starts_with("legacy-") && name.ends_with("-config") => {
            Some(if has_value { Legacy::Complete } else { Legacy::WithValueNext })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(words: &[&str]) -> Prepared {
        prepare(words.iter().map(OsString::from).collect())
    }

    fn arguments(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = std::iter::once("adc").chain(words.iter().copied()).collect();
        prepared(&words).arguments[1..].iter().map(|it| it.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn long_options_may_have_one_dash() {
        assert_eq!(arguments(&["-config", "x.yml", "run"]), ["--config", "x.yml", "run"]);
        assert_eq!(arguments(&["-config=x.yml", "-V", "-h"]), ["--config=x.yml", "-V", "-h"]);
        assert_eq!(arguments(&["-config", "-"]), ["--config", "-"]);
        assert_eq!(arguments(&["--config", "-odd-name", "-version"]), ["--config", "-odd-name", "--version"]);
    }

    #[test]
    fn a_switch_may_say_true_or_false() {
        assert_eq!(arguments(&["-version=true"]), ["--version"]);
        assert_eq!(arguments(&["--version=1", "-help=T"]), ["--version", "--help"]);
        assert_eq!(arguments(&["-version=false", "run"]), ["run"]);
        assert_eq!(arguments(&["-version=perhaps"]), ["--version=perhaps"]);
    }

    #[test]
    fn an_empty_extra_opts_is_nothing() {
        assert_eq!(arguments(&["", "run"]), ["run"]);
        assert_eq!(arguments(&[""]), Vec::<String>::new());
        assert_eq!(arguments(&["config", "check", ""]), ["config", "check", ""]);
    }

    #[test]
    fn options_of_older_versions_are_left_out_and_named() {
        let it = prepared(&[
            "adc",
            "-legacy-ws-config",
            "/x",
            "-pprof=:1",
            "-skip-legacy",
            "--pprof",
            ":2",
            "run",
        ]);
        assert_eq!(it.ignored, ["-legacy-ws-config", "-pprof", "-skip-legacy", "--pprof"]);
        assert_eq!(it.arguments, ["adc", "run"]);
    }

    #[test]
    fn what_is_the_runners_is_left_alone() {
        let expected: Vec<OsString> = ["-detach", "", "--list"].iter().map(OsString::from).collect();
        for words in [
            ["/tmp/dir/crunch-run~0123abc", "-detach", "", "--list"].as_slice(),
            &["crunch-run", "-detach", "", "--list"],
            &["adc", "crunch-run", "-detach", "", "--list"],
            &["adc", "-config", "x", "crunch-run", "-detach", "", "--list"],
        ] {
            assert_eq!(prepared(words).runner, Some(expected.clone()), "{words:?}");
        }
        assert_eq!(prepared(&["adc", "--config", "crunch-run"]).runner, None);
    }
}
