//! What went wrong and what to check, for each way to fail. What only the cloud's own words can say is asked of the
//! driver ([`DriverAdvice`]).

use dispatch_core::driver::{CloudCall, DriverAdvice, Login};
use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudError, ExecError, ExecErrorKind, Output};

use super::report::{Trouble, one_line};

/// A call of the driver has failed.
pub(super) fn of_cloud(driver: &dyn DriverAdvice, call: CloudCall, error: &CloudError) -> Trouble {
    Trouble::new(format!("{error} ({})", error.code), driver.call_failed(call, error))
}

/// No driver could be made.
pub(super) fn not_opened(driver: &dyn DriverAdvice, error: &anyhow::Error) -> Trouble {
    Trouble::new(format!("{error:#}"), driver.not_opened())
}

/// Somebody was here before.
pub(super) fn leftovers(set: &InstanceSetId, ids: &[&str]) -> Trouble {
    let message = format!("set {set} has instances already: {}", ids.join(", "));
    let check = "whether another cloudtest runs; if not, give --destroy-existing, or --instance-set-id for another set";
    Trouble::new(message, check)
}

/// The listing does not show it.
pub(super) fn not_listed(driver: &dyn DriverAdvice, filter: &Tags) -> Trouble {
    let how = if filter.0.is_empty() { "without a filter" } else { "filtered by the set's tag" };
    let message = format!("a listing {how} does not show the instance");
    Trouble::new(message, driver.not_listed())
}

/// The listing shows other tags.
pub(super) fn tags_differ(driver: &dyn DriverAdvice, seen: &Tags, wanted: &Tags) -> Trouble {
    let differ = wanted.0.iter().filter(|(key, value)| seen.get(key) != Some(value));
    let names: Vec<_> = differ.map(|(key, _)| key.as_str()).collect();
    let message = format!("tags are missing or differ: {}", names.join(", "));
    Trouble::new(message, driver.tags_differ())
}

/// It has none.
pub(super) fn no_address(driver: &dyn DriverAdvice) -> Trouble {
    Trouble::new("the instance has no address", driver.no_address())
}

/// It was destroyed and does not go.
pub(super) fn still_listed() -> Trouble {
    let message = "destroyed, and still listed";
    Trouble::new(message, "in the cloud's console what keeps it, and destroy it there")
}

/// The instance cannot be used.
pub(super) fn of_shell(driver: &dyn DriverAdvice, error: &ExecError, login: &Login) -> Trouble {
    let check = match error.kind {
        ExecErrorKind::NotReady => driver.no_address(),
        ExecErrorKind::Refused | ExecErrorKind::ConnectTimeout => driver.unreachable(login),
        ExecErrorKind::Authentication => driver.not_let_in(login),
        ExecErrorKind::SecretUnreadable => driver.secret_unreadable(login),
        ExecErrorKind::Verification => {
            "whether the address is that of another machine, and that the image's own start-up does not change the \
             secret's file"
                .to_owned()
        }
        ExecErrorKind::VerifierFailed => {
            "the cloud's answer above: its API must tell the instance's host key".to_owned()
        }
        ExecErrorKind::CommandTimeout => "what the command waits for: log in and run it".to_owned(),
        ExecErrorKind::ConnectionLost => {
            "whether the instance restarted or ran out of memory, and what cuts connections on the way".to_owned()
        }
        ExecErrorKind::NotSent => "whether another dispatcher has the lock by now".to_owned(),
        ExecErrorKind::OutputTooLarge => "why the command writes more than 32 MiB; let it write to a file".to_owned(),
        ExecErrorKind::Local => {
            "this host: the ssh client (package openssh-client), its user in /etc/passwd, free file descriptors, \
             a writable RUNTIME_DIRECTORY or temporary directory"
                .to_owned()
        }
    };
    Trouble::new(error.to_string(), check)
}

/// It has not booted.
pub(super) fn boot_probe(text: &str, output: &Output) -> Trouble {
    let message = format!("`{text}` ended with status {}{}", output.status, words(output));
    let check = "BootProbeCommand: log in with the ssh command above (--pause-before-destroy keeps the instance) and \
                 run it; `systemctl --failed` and cloud-init's log tell what does not start, and TimeoutBooting must \
                 be longer than a boot";
    Trouble::new(message, check)
}

/// `--command` has failed.
pub(super) fn command(status: i32) -> Trouble {
    let check = "its output, and, with --pause-before-destroy, the instance itself";
    Trouble::new(format!("ended with status {status}"), check)
}

/// The last line of what it wrote.
fn words(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).map(one_line);
    last.map_or_else(String::new, |line| format!(": {}", line.chars().take(300).collect::<String>()))
}
