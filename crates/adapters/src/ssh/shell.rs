//! Shell text: quoting, and the deadline that the VM itself enforces.

use std::time::Duration;

use dispatch_core::ports::ShellCommand;

/// Quotes any text as one word for a POSIX shell.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The deadline in the form in which the VM gets it: whole seconds, at least one.
pub(super) fn remote_seconds(deadline: Duration) -> u64 {
    deadline.as_secs().max(1)
}

/// The command as it is sent. It runs under a `timeout` on the VM, so that a command that we have given up
/// ends there too and does not keep one of the server's sessions. The timeout is inside the sudo, because
/// outside it could not signal root's process.
pub(super) fn wrap(command: &ShellCommand, user: &str) -> String {
    let sudo = if command.privileged && user != "root" { "sudo " } else { "" };
    let seconds = remote_seconds(command.deadline);
    format!("{sudo}timeout -k 1 {seconds} sh -c {}", quote(&command.shell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(shell: &str, privileged: bool) -> ShellCommand {
        ShellCommand { privileged, ..ShellCommand::new(shell, Duration::from_millis(30_900)) }
    }

    #[test]
    fn the_timeout_is_inside_the_sudo() {
        let sent = wrap(&command("crunch-run --list", true), "crunch");
        assert_eq!(sent, "sudo timeout -k 1 30 sh -c 'crunch-run --list'");
    }

    #[test]
    fn root_and_unprivileged_commands_go_without_sudo() {
        assert_eq!(wrap(&command("true", true), "root"), "timeout -k 1 30 sh -c 'true'");
        assert_eq!(wrap(&command("true", false), "crunch"), "timeout -k 1 30 sh -c 'true'");
    }

    #[test]
    fn quotes_survive_quoting() {
        assert_eq!(quote("it's"), r"'it'\''s'");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
        #[test]
        fn a_quoted_text_is_one_word_to_a_real_shell(text in "[^\\x00]{0,40}") {
            let shell = format!("printf %s {}", quote(&text));
            let output = std::process::Command::new("sh").arg("-c").arg(shell).output().unwrap();
            proptest::prop_assert_eq!(output.stdout, text.into_bytes());
        }
    }

    #[test]
    fn the_vm_is_given_at_least_a_second() {
        assert_eq!(remote_seconds(Duration::from_millis(10)), 1);
    }
}
