//! The last words of a start, asked of Debian's sshd and a shell.

use std::time::Duration;

use dispatch_adapters::ssh::SshClient;
use dispatch_core::worker::journal;

use crate::sshd::Sshd;
use crate::support::World;

async fn a_flooded_journal_is_cut_on_the_vm_and_one_that_fails_says_nothing(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let read = || executor.run(journal::read(Duration::from_secs(5)));
    sshd.replace_command(
        "journalctl",
        "case \" $* \" in *' -t crunch-run --since=-10s -n 200 '*) ;; *) exit 3 ;; esac\n\
         yes 'crunch-run says the same' | head -n 40000; echo 'the end'",
    );
    let flooded = read().await.unwrap();
    assert_eq!((flooded.status, flooded.stdout.len()), (0, 32 << 10));
    assert!(flooded.stdout.ends_with(b"\nthe end\n"));
    sshd.replace_command("journalctl", "echo 'No journal files were found.' >&2; exit 127");
    let none = read().await.unwrap();
    assert_eq!((none.status, none.stdout, none.stderr), (0, Vec::new(), Vec::new()));
}

for_both_clients!(a_flooded_journal_is_cut_on_the_vm_and_one_that_fails_says_nothing);
