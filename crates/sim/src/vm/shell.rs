//! Reads commands as the shell of a VM would, as far as a dispatcher sends any. It accepts whatever the
//! sender may choose (environment assignments, wrappers, paths, quotes), and is exact about the rest.

use std::time::Duration;

use dispatch_core::id::ContainerUuid;

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `RUNNER --list …`.
    List {
        /// The path of the runner.
        runner: String,
    },
    /// `RUNNER --detach --stdin-config … 'UUID'`.
    Start {
        /// The path of the runner.
        runner: String,
        /// The container to be started.
        container: ContainerUuid,
        /// Whether the configuration comes on stdin.
        stdin_config: bool,
    },
    /// `RUNNER --kill SIGNAL UUID`.
    Kill {
        /// The path of the runner.
        runner: String,
        /// The signal's number.
        signal: u8,
        /// The container whose process is to be signalled.
        container: ContainerUuid,
    },
    /// `md5sum PATH`.
    Md5sum {
        /// The file.
        path: String,
    },
    /// A script that writes stdin to a path that ends in `crunch-run~MD5`.
    Install {
        /// The path that it writes to.
        path: String,
        /// What the md5 of its content must be.
        md5: String,
    },
    /// The fence in that file is claimed: `flock -x … FILE NUMBER OWNER WINDOW`.
    Claim {
        /// The file.
        file: String,
        /// The number that is to be in it, if it is greater than what is there.
        number: u64,
        /// Whose claim it is.
        owner: u64,
        /// For how long a start may still come that no fence stands before, if the file does not say.
        window: Duration,
    },
    /// A command that is run only if the fence in that file has that mark: `flock -s … FILE NUMBER OWNER COMMAND`.
    Guarded {
        /// The file.
        file: String,
        /// The number that must be in it.
        number: u64,
        /// Whose it must be.
        owner: u64,
        /// How long its stdin must be, if that is looked at.
        stdin_bytes: Option<usize>,
        /// The command.
        command: Box<Asked>,
    },
    /// `touch -c FILE`, and then a command.
    Touched {
        /// The file.
        file: String,
        /// The command.
        command: Box<Asked>,
    },
    /// `cat PATH` of a file that has `secret` in its name.
    ReadSecret,
    /// `journalctl …`: the last words of runners.
    ReadJournal,
    /// Anything else: a boot probe, or a mistake of the dispatcher.
    Other {
        /// The text, without wrappers.
        text: String,
    },
}

/// The pattern that matches every deployed runner.
pub(super) const ANY_RUNNER: &str = "crunch-run~*";

/// What that command is about.
pub fn understand(shell: &str) -> Asked {
    understand_words(&words(shell), shell)
}

/// The command itself, without the fence before it.
pub(crate) fn without_fence(asked: Asked) -> Asked {
    match asked {
        Asked::Guarded { command, .. } | Asked::Touched { command, .. } => without_fence(*command),
        Asked::List { .. }
        | Asked::Start { .. }
        | Asked::Kill { .. }
        | Asked::Md5sum { .. }
        | Asked::Install { .. }
        | Asked::Claim { .. }
        | Asked::ReadSecret
        | Asked::ReadJournal
        | Asked::Other { .. } => asked,
    }
}

fn understand_words(words: &[String], shell: &str) -> Asked {
    let words = without_wrappers(words);
    if let Some(asked) = read_fence(words, shell) {
        return asked;
    }
    if let [program, flag, text] = words
        && flag == "-c"
        && matches!(program.rsplit('/').next(), Some("sh" | "bash"))
    {
        return understand(text);
    }
    // `case $(find …) in … esac; RUNNER …`: whether the runner may be called is looked at first.
    let first_case = words.first().filter(|word| *word == "case");
    if let Some(end) = first_case.and_then(|_| words.iter().position(|word| word == "esac")) {
        return understand_words(&words[end + 1..], shell);
    }
    let has = |flag: &str| words.iter().any(|word| word == flag);
    // `for r in DIR/crunch-run~*; do …; done; crunch-run …`: every runner that is installed is asked the
    // same.
    let any = words.iter().find(|word| word.contains(ANY_RUNNER)).cloned();
    let words = match (&any, words.iter().position(|word| word == "done")) {
        (Some(_), Some(done)) => &words[done + 1..],
        _ => words,
    };
    let runner = || any.clone().or_else(|| words.first().cloned()).unwrap_or_default();
    let other = || Asked::Other { text: words.join(" ") };
    if has("--detach") {
        match last_uuid(words) {
            Some(container) => {
                Asked::Start { runner: runner(), container, stdin_config: has("--stdin-config") }
            }
            None => other(),
        }
    } else if has("--kill") {
        read_kill(words, runner()).unwrap_or_else(other)
    } else if has("--list") {
        Asked::List { runner: runner() }
    } else if words.first().is_some_and(|word| word == "md5sum") {
        Asked::Md5sum { path: words.last().cloned().unwrap_or_default() }
    } else if let Some((path, md5)) = runner_path(words) {
        Asked::Install { path, md5 }
    } else if words.first().is_some_and(|word| word == "cat") && shell.contains("secret") {
        Asked::ReadSecret
    } else if words.first().is_some_and(|word| word == "journalctl") {
        Asked::ReadJournal
    } else {
        other()
    }
}

/// Reads what the fence is claimed by, what is guarded by it, and what touches it.
fn read_fence(words: &[String], shell: &str) -> Option<Asked> {
    if let [touch, flag, file, _, _, command @ ..] = words
        && (touch.as_str(), flag.as_str()) == ("touch", "-c")
    {
        let command = Box::new(understand_words(command, shell));
        return Some(Asked::Touched { file: file.clone(), command });
    }
    let flag =
        words.windows(2).find(|pair| pair[0] == "flock" && pair[1].starts_with('-') && pair[1] != "-v")?;
    match (flag[1].as_str(), words) {
        ("-x", [.., file, number, owner, window]) => {
            let (number, owner) = (number.parse().ok()?, owner.parse().ok()?);
            let window = Duration::from_secs(window.parse().ok()?);
            Some(Asked::Claim { file: file.clone(), number, owner, window })
        }
        ("-s", [.., file, number, owner, command]) => {
            let (number, owner) = (number.parse().ok()?, owner.parse().ok()?);
            let bytes = words.windows(2).find(|pair| pair[0] == "-eq").map(|pair| pair[1].parse());
            let (stdin_bytes, command) = (bytes.transpose().ok()?, Box::new(understand(command)));
            Some(Asked::Guarded { file: file.clone(), number, owner, stdin_bytes, command })
        }
        _ => None,
    }
}

fn last_uuid(words: &[String]) -> Option<ContainerUuid> {
    words.last()?.parse().ok()
}

/// Reads exactly `--kill SIGNAL UUID`. A kill without a signal once went unnoticed, and never worked
/// (docs/lessons.md, "Lesson 28").
fn read_kill(words: &[String], runner: String) -> Option<Asked> {
    let flag = words.iter().position(|word| word == "--kill")?;
    let [signal, container] = words.get(flag + 1..)? else { return None };
    let (signal, container) = (signal.parse().ok()?, container.parse().ok()?);
    Some(Asked::Kill { runner, signal, container })
}

/// The path `…/crunch-run~MD5` that a script is about, and that md5.
fn runner_path(words: &[String]) -> Option<(String, String)> {
    const NAME: &str = "crunch-run~";
    words.iter().find_map(|word| {
        let at = word.find(NAME)? + NAME.len();
        let md5 = word.get(at..at + 32).filter(|md5| md5.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let path = &word[..at + 32];
        // In `dest=/tmp/…`, the path comes after the equals sign.
        let from = path.find('/').unwrap_or(0);
        Some((path[from..].to_owned(), md5.to_owned()))
    })
}

/// Removes environment assignments, `sudo`, `env` and `timeout [-k N] N` from the beginning.
fn without_wrappers(words: &[String]) -> &[String] {
    let mut rest = words;
    while let [first, after @ ..] = rest {
        rest = match first.as_str() {
            "sudo" | "env" | "exec" | "-n" | "-E" | "--" => after,
            "timeout" => without_timeout_arguments(after),
            word if is_assignment(word) => after,
            _ => return rest,
        };
    }
    rest
}

fn without_timeout_arguments(mut rest: &[String]) -> &[String] {
    while let [option, after @ ..] = rest {
        rest = match option.as_str() {
            "-k" | "-s" => after.get(1..).unwrap_or_default(),
            option if option.starts_with('-') => after,
            // This word is the duration.
            _ => return after,
        };
    }
    rest
}

fn is_assignment(word: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    // A path that a script assigns is the path that the script is about.
    word.split_once('=').is_some_and(|(left, right)| name(left) && !right.contains("crunch-run~"))
}

/// Splits shell text into words. Blanks and operators divide words; quotes and backslashes protect them.
fn words(shell: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = shell.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => word.get_or_insert_default().extend(characters.by_ref().take_while(|it| *it != '\'')),
            '"' => read_double_quoted(&mut characters, word.get_or_insert_default()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

fn read_double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) {
    while let Some(character) = characters.next() {
        match character {
            '"' => return,
            '\\' => word.extend(characters.next()),
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "zzzzz-dz642-000000000000001";
    const MD5: &str = "0123456789abcdef0123456789abcdef";

    fn uuid() -> ContainerUuid {
        UUID.parse().unwrap()
    }

    #[test]
    fn whatever_runner_is_there_is_asked() {
        let script = "for r in '/tmp/x'/crunch-run~*; do if [ -x \"$r\" ]; then exec \"$r\" --list; fi; done; \
                      crunch-run --list";
        assert_eq!(understand(script), Asked::List { runner: "/tmp/x/crunch-run~*".to_owned() });
        let Asked::Kill { runner, signal: 15, .. } =
            understand(&script.replace("--list", &format!("--kill 15 {UUID}")))
        else {
            panic!("it is a kill")
        };
        assert_eq!(runner, "/tmp/x/crunch-run~*");
    }

    #[test]
    fn the_references_own_commands_are_understood() {
        let start = format!(
            "crunch-run --detach --stdin-config '--runtime-engine=docker' '-enable-network=always' '{UUID}'"
        );
        let runner = "crunch-run".to_owned();
        let wanted = Asked::Start { runner: runner.clone(), container: uuid(), stdin_config: true };
        assert_eq!(understand(&start), wanted);
        assert_eq!(understand("crunch-run --list"), Asked::List { runner: runner.clone() });
        let kill = Asked::Kill { runner, signal: 15, container: uuid() };
        assert_eq!(understand(&format!("crunch-run --kill 15 {UUID}")), kill);
        assert_eq!(understand("cat /var/run/arvados-instance-secret"), Asked::ReadSecret);
    }

    #[test]
    fn wrappers_assignments_and_quotes_do_not_matter() {
        let deployed = format!("/tmp/arvados-crunch-run/crunch-run~{MD5}");
        for text in [
            format!("{deployed} --list"),
            format!("sudo timeout -k 1 30 '{deployed}' --list"),
            format!("sudo timeout -k 1 30 /bin/sh -c \"exec '{deployed}' --list\""),
            format!("CRUNCH_RUN_LOCKDIR=/x 'A=b c' env B=\"d e\" {deployed} --list --stdin-prices"),
        ] {
            assert_eq!(understand(&text), Asked::List { runner: deployed.clone() }, "{text}");
        }
    }

    #[test]
    fn an_install_script_is_known_by_the_path_it_is_about() {
        let path = format!("/tmp/d/crunch-run~{MD5}");
        for script in [
            format!(
                "mkdir -p '/tmp/d' && cat >'{path}.new' && chmod 0755 '{path}.new' && mv -f '{path}.new' '{path}'"
            ),
            format!("set -e\ndest='{path}'\ncat >\"$dest.new\"; mv -f \"$dest.new\" \"$dest\""),
        ] {
            assert_eq!(understand(&script), Asked::Install { path: path.clone(), md5: MD5.to_owned() });
        }
        assert_eq!(understand(&format!("md5sum '{path}'")), Asked::Md5sum { path });
    }

    #[test]
    fn what_the_dispatcher_sends_to_its_deployed_runner_is_understood() {
        use bytes::Bytes;
        use dispatch_core::policy::Policy;
        use dispatch_core::worker::runner::{Binary, Commands};

        let binary = Binary { md5: MD5.to_owned(), content: Bytes::new() };
        let commands = Commands::new(Policy::with_defaults().runner, Some(binary));
        let path = commands.deployed().unwrap().0;
        assert_eq!(understand(&commands.list(None).shell), Asked::List { runner: path.clone() });
        assert_eq!(understand(&commands.md5sum().unwrap().shell), Asked::Md5sum { path: path.clone() });
        let install = Asked::Install { path: path.clone(), md5: MD5.to_owned() };
        assert_eq!(understand(&commands.install().unwrap().shell), install);
        let kill = Asked::Kill { runner: path.clone(), signal: 15, container: uuid() };
        assert_eq!(understand(&commands.kill(uuid()).shell), kill);
        let Asked::Start { runner, .. } = understand(&commands.start(uuid(), Bytes::new()).shell) else {
            panic!("it is a start")
        };
        assert_eq!(runner, path);
    }

    #[test]
    fn a_kill_without_its_signal_is_not_understood() {
        assert!(matches!(understand(&format!("crunch-run --kill {UUID}")), Asked::Other { .. }));
    }

    #[test]
    fn a_boot_probe_is_something_else() {
        let text = "systemctl is-system-running".to_owned();
        assert_eq!(understand("timeout -k 1 60 systemctl is-system-running"), Asked::Other { text });
    }

    #[test]
    fn what_the_dispatcher_sends_through_its_fence_is_understood() {
        use bytes::Bytes;
        use dispatch_core::id::InstanceSetId;
        use dispatch_core::policy::Policy;
        use dispatch_core::worker::fence::{ClaimOutcome, Epoch, Fence};
        use dispatch_core::worker::runner::Commands;

        let set = InstanceSetId::new("set").unwrap();
        let fence = Fence::new("/fence", &set, Epoch::from_micros(7));
        let file = "/fence/set-set".to_owned();
        let claim = fence.claim(None, true);
        assert_eq!(
            understand(&claim.shell),
            Asked::Claim { file: file.clone(), number: 7, owner: 7, window: Duration::ZERO }
        );
        let output = dispatch_core::ports::Output {
            stdout: b"fence-claimed 9 0 settled\n".to_vec(),
            ..dispatch_core::ports::Output::default()
        };
        let ClaimOutcome::Claimed(claimed) = ClaimOutcome::read(&fence, &claim, Ok(output)) else { panic!() };
        let commands = Commands::new(Policy::with_defaults().runner, None);
        let stdin = Bytes::from_static(b"{}");
        let Asked::Guarded { number: 9, owner: 7, stdin_bytes: Some(2), command, .. } =
            understand(&fence.guard_start(claimed.mark, commands.start(uuid(), stdin)).shell)
        else {
            panic!("it is a start")
        };
        assert!(matches!(*command, Asked::Start { stdin_config: true, .. }), "{command:?}");
        let guarded = understand(&fence.guard_kill(claimed.mark, commands.kill(uuid())).shell);
        assert!(matches!(without_fence(guarded), Asked::Kill { signal: 15, .. }));
        let touched = understand(&fence.touch(commands.list(None)).shell);
        let command = Box::new(Asked::List { runner: "crunch-run".to_owned() });
        assert_eq!(touched, Asked::Touched { file, command });
    }
}
