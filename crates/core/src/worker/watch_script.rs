//! The command that watches the processes of a VM, as shell text: it prints the uuid of each container whose runner
//! does not hold its lock any more, a line each.
//!
//! ```text
//!   stdin   UUID ─► a waiter: flock -s /var/lock/crunch-run-UUID.lock ─► free ─► UUID is printed
//!           end  ─► all waiters are ended, and the command with them
//! ```
//! The kernel wakes the waiters: nothing is polled there. A waiter has the lock for an instant when it is free, and holds
//! it shared; so a container is added only after its start has returned. Like the runner, a waiter touches no file that
//! is a link, no plain file, or somebody else's; what it does not wait for is printed at once, and the list that follows
//! tells. It leaves nothing behind. Never does: deciding what a line means ([`super::Machine`]).

use std::time::Duration;

use crate::id::ContainerUuid;
use crate::ports::ShellCommand;

/// How long a watch lasts at most. If the connection is cut without a word it goes on for as long on the VM.
const LASTS: Duration = Duration::from_secs(600);

/// What ends the command if the VM has no `flock`: as with a fence.
const NO_FLOCK: i32 = 92;

/// Watches these containers first, and then those whose lines ([`line_for`]) are added.
pub fn command(uuids: &[ContainerUuid]) -> ShellCommand {
    let shell = format!(
        "command -v flock >/dev/null || exit {NO_FLOCK}; \
         w() {{ f=\"${{CRUNCH_RUN_LOCKDIR:-/var/lock}}/crunch-run-$1.lock\"; \
         if [ -f \"$f\" ] && [ -O \"$f\" ] && [ ! -L \"$f\" ]; then {{ flock -s 9; }} 2>/dev/null 9<\"$f\"; fi; \
         echo \"$1\"; }}; \
         while read -r u; do w \"$u\" </dev/null & done; trap '' TERM; kill 0"
    );
    let stdin: String = uuids.iter().map(|uuid| format!("{uuid}\n")).collect();
    ShellCommand { privileged: true, stdin: stdin.into(), ..ShellCommand::new(shell, LASTS) }
}

/// What is written to its stdin for one container more.
pub fn line_for(uuid: ContainerUuid) -> String {
    uuid.to_string()
}

/// Whose end a line tells: nothing else that is printed means anything.
pub fn told_by(line: &str) -> Option<ContainerUuid> {
    line.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::uuid;

    #[test]
    fn it_reads_the_containers_as_lines_and_needs_root_and_acts_on_nothing() {
        let command = command(&[uuid(1), uuid(2)]);
        assert_eq!(command.stdin, format!("{}\n{}\n", uuid(1), uuid(2)));
        assert!(command.privileged && !command.acts && !command.afresh);
        assert!(!command.shell.contains(uuid(1).as_str()), "nothing from a record is shell text");
    }

    #[test]
    fn only_a_uuid_alone_is_a_line() {
        let own = uuid(1).to_string();
        assert_eq!(told_by(&line_for(uuid(1))), Some(uuid(1)));
        for line in ["", "broken", &format!("{own} "), &format!(" {own}"), &format!("{own} stale"), &own[1..]]
        {
            assert_eq!(told_by(line), None, "{line:?}");
        }
    }
}
